"""Notebook 40's two calls: place them, show them, and put what was seen and heard into the record.

What makes a call a success is decided in `bwlib.steps.calls`; here are the phone, the ladder, the audio files.
"""

from __future__ import annotations

import fcntl
import io
import os
import socket
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from bwlib.call_live import CallView, Seen, watched
from bwlib.errors import BwlibError, SettingsError
from bwlib.guide import Run
from bwlib.models import CallRequest, Heard, Outcome
from bwlib.own_pbx import is_loopback
from bwlib.phone import Phone
from bwlib.readback_clip import voice_pcm
from bwlib.sip.ladder import ladder_svg, ladder_text
from bwlib.steps.calls import CallProof, CallScript, call_from_extension, call_to_extension
from bwlib.widgets import show

FROM_EXTENSION = "Call from the extension to the application"
TO_EXTENSION = "Programmatic call to the extension"
OUT_OF_REACH = "the sandbox's SIP edge is on this machine's loopback only"
PLAYERS = {"phone_heard": "What the phone heard: the application's voice", "phone_said": "What the phone said"}


def from_extension(run: Run) -> CallProof | None:
    """A call from the extension reaches the application's webhooks and is heard."""
    reason = cannot_observe(run)
    if reason:
        run.note("call_from_extension", Outcome("skipped", FROM_EXTENSION, None, note=reason))
        return None

    def place(phone: Phone) -> CallProof:
        assert run.on.readback is not None
        assert run.on.ears is not None
        return call_from_extension(
            phone,
            run.on.readback,
            run.on.ears,
            _script(run),
            dial=run.settings.test.dial,
            number=run.on.number,
            tell=show.show_progress,
        )

    return _call(run, "call_from_extension", FROM_EXTENSION, place)


def to_extension(run: Run) -> CallProof | None:
    """A programmatic call to sip:extension@pbx rings the extension and is heard."""
    reason = cannot_observe(run) or cannot_be_called(run)
    if reason:
        run.note("call_to_extension", Outcome("skipped", TO_EXTENSION, None, note=reason))
        return None

    def place(phone: Phone) -> CallProof:
        assert run.on.readback is not None
        assert run.on.ears is not None
        request = request_to_extension(run)
        return call_to_extension(
            phone,
            run.on.client,
            run.on.readback,
            run.on.ears,
            _script(run),
            request=request,
            tell=show.show_progress,
        )

    return _call(run, "call_to_extension", TO_EXTENSION, place)


def request_to_extension(run: Run) -> CallRequest:
    """The body of `POST /calls` that rings the site's extension at the PBX."""
    from bwlib.steps.application import find_application

    application = find_application(run.on.client, run.settings.application.name)
    host, port = run.on.called_at or registrar(run)
    return CallRequest(
        to=f"sip:{run.settings.pbx.extension}@{host}:{port}",
        from_number=run.on.number,
        application_id=application.id if application else "",
        answer_url=run.on.answer_url,
        disconnect_url=run.on.disconnect_url,
        callback_user=run.on.application.callback_user,
        callback_password=run.on.application.callback_password,
    )


def _call(run: Run, name: str, title: str, place: Callable[[Phone], CallProof]) -> CallProof | None:
    proofs: list[CallProof] = []

    def apply() -> Outcome[dict[str, str]]:
        started = time.time()
        try:
            with one_call_at_a_time(run.on.call_lock):
                return call()
        except SettingsError:
            raise
        except BwlibError as error:  # the next call may go on: whoever looks for the cause places calls too
            way = "outward" if name == "call_from_extension" else "inward"
            raise _with_cause(run, error, started, way) from error

    def call() -> Outcome[dict[str, str]]:
        address, table = registrar(run), run.settings.pbx
        if run.on.target == "sandbox" and not is_loopback(address[0]):
            return Outcome("skipped", title, None, note=f"{OUT_OF_REACH}, and the PBX is at {address[0]}")
        mark = run.on.readback.last_id() if run.on.readback else 0
        with Phone(address, table.extension, run.secret(table.extension_secret)) as phone:
            view = CallView(run, name, title, phone, address, mark)
            try:
                with watched(view):
                    phone.register()
                    proof = place(phone)
            finally:  # also of a call that failed: there it is the evidence
                _keep(run, name, title, view.end(), view.lanes())
        _keep_audio(run, name, proof)
        proofs.append(proof)
        return Outcome("passed", title, proof_facts(proof))

    run.step(name, lambda: Outcome("planned", title, None, note="planned, not placed"), apply)
    if not proofs:
        return None
    show.show_webhooks(proofs[0].webhooks)
    for what, label in PLAYERS.items():
        show.show_audio(label, _wav(proofs[0].audio[what]))
    return proofs[0]


def registrar(run: Run) -> tuple[str, int]:
    """The PBX's SIP address, as the phone needs it: an IPv4 address and a port. Raises SettingsError."""
    address = run.on.registrar
    if address is None:
        info = run.on.pbx().info()
        address = (info.sip_host, info.sip_port)
    try:
        return socket.gethostbyname(address[0]), address[1]
    except OSError as error:
        raise SettingsError(
            "find the PBX for a test call",
            f"{address[0]} has no IPv4 address ({error.strerror})",
            "give the address where it takes SIP as pbx.sip_host in the site file",
        ) from error


@contextmanager
def one_call_at_a_time(path: Path) -> Iterator[None]:
    """Two calls at once on one account share number, prompt and digit: one could pass on the other's evidence."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            show.show_progress("another test call is going on; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def proof_facts(proof: CallProof) -> dict[str, str]:
    """What a person wants to see of a call in the record."""
    facts = {
        "direction": proof.direction,
        "call id": proof.call_id,
        "webhooks": " ".join(hook.event_type for hook in proof.webhooks),
        "heard by the phone": _heard_words(proof.heard_by_phone),
    }
    if proof.heard_by_bandwidth is not None:
        facts["heard by the application's side"] = _heard_words(proof.heard_by_bandwidth)
    facts |= {"digits": proof.digits, "ended by": proof.cause}
    return facts


def _heard_words(heard: Heard) -> str:
    return f"correlation {heard.correlation:.4f} over {heard.seconds:.1f} s"


def _script(run: Run) -> CallScript:
    test = run.settings.test
    return CallScript(test.digit, voice_pcm(), test.heard_threshold, test.answer_timeout_s)


def cannot_observe(run: Run) -> str:
    if run.settings.test.phone == "person":
        return "phone is a person: a person's word is a statement, and an unattended run has none"
    if run.on.readback is None or run.on.ears is None:
        return (
            "not observed: the webhooks of this callback URL cannot be read from here "
            "(use bw-runbook readback as the application, and give [readback] in the site file)"
        )
    return ""


def cannot_be_called(run: Run) -> str:
    if not run.on.bandwidth_ips:
        return "pbx.bandwidth_ips is empty: the PBX admits nobody, so a programmatic call cannot ring the extension"
    if run.on.target == "live":
        host = run.settings.pbx.sip_host
        try:
            private = not ip_address(host).is_global
        except ValueError:
            private = host == "localhost" or "." not in host
        if private:
            return f"pbx.sip_host {host} is private: Bandwidth cannot reach it from outside"
    return ""


def _keep(run: Run, name: str, title: str, seen: Seen, lanes: Mapping[str, str]) -> None:
    """What was seen of this call goes to the record; its SIP messages as lines, as a picture and as text."""
    run.record.append_sip(seen.events, name)
    run.record.write_text(f"ladder_{name}.svg", ladder_svg(seen.events, lanes, title))
    run.record.write_text(f"ladder_{name}.txt", ladder_text(seen.events, lanes))
    run.record.append_webhooks(seen.webhooks, name)
    for pressed in seen.digits:
        run.record.journal.append("digits", call=name, digits=pressed.digits, pressed_at=pressed.at.isoformat())


def _keep_audio(run: Run, name: str, proof: CallProof) -> None:
    for what, pcm in proof.audio.items():
        run.record.write_bytes(f"audio/{name}_{what}.wav", _wav(pcm))


def _wav(pcm: Any) -> bytes:
    """16-bit mono PCM at 8000 Hz as a WAV file."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(pcm.astype("<i2").tobytes())
    return stream.getvalue()


def _with_cause(run: Run, error: BwlibError, started: float, way: str) -> BwlibError:
    """The same error, with its cause where one was found, and then with what mends that."""
    from bwlib.diagnosing import cause_of_failed_call

    gone = run.on.why_gone()
    if gone:
        return type(error)(
            error.attempted, f"{gone} ({error.came_back})", "run this cell again: it starts what it needs"
        )
    if not run.names_causes:
        return error
    show.show_progress("looking for the cause")
    cause = cause_of_failed_call(run, started, way)
    if cause is None:
        do_next = f"{error.do_next}; notebook 50_troubleshoot looks further"
        return type(error)(error.attempted, error.came_back, do_next)
    because = f" ({'; '.join(cause.evidence)})" if cause.evidence else ""
    return type(error)(error.attempted, f"{error.came_back}. {cause.cause}{because}", cause.fix or error.do_next)
