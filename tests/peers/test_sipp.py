"""SIPp, an implementation that is not ours, against the SIP edge: as a PBX, as a crowd of callers, as the callee."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers import free_port, listens, loopback, program
from readback_site import USER, ReadbackSite, start
from sandbox_world import ASIDE_S, PASSWORD, callbacks, eventually

from bwlib.heard import compare, find
from bwlib.readback_clip import clip_pcm
from bwlib.sip import g711

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SCENARIO = Path(__file__).parent / "sipp" / "authenticated_call.xml"
DIALLED = "+15005550006"
HOST = loopback(5)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadbackSite]:
    program("sipp")
    site = start(tmp_path_factory.mktemp("home"))
    # While nobody is challenged the From user names the credential, and "sipp" is what the built-in caller says.
    site.world.credential(site.realm, "sipp", site.application_id)
    yield site
    site.close()


@pytest.fixture
def site(running: ReadbackSite) -> Iterator[ReadbackSite]:
    yield running
    running.world.sandbox.set_switch("challenge", "on")


@dataclass(frozen=True)
class Ended:
    """A SIPp that has ended. code 0: every call went as the scenario says; 1: at least one did not."""

    code: int
    said: str
    messages: str


def sipp_command(folder: Path, *arguments: str) -> list[str]:
    """Control and media ports of its own, so that several can run; what it saw is written into `folder`."""
    files = ["-trace_msg", "-message_file", str(folder / "messages.log")]
    files += ["-trace_err", "-error_file", str(folder / "errors.log")]
    ports = ["-i", HOST, "-p", str(free_port(HOST)), "-mi", HOST, "-mp", str(free_port(HOST))]
    control = ["-ci", "127.0.0.1", "-cp", str(free_port("127.0.0.1"))]
    return [program("sipp"), *arguments, *ports, *control, *files, "-nostdin", "-timeout", "60", "-timeout_error"]


def environment() -> dict[str, str]:
    return {**os.environ, "TERM": "xterm"}  # it draws its screens without a terminal, too


def sipp(folder: Path, *arguments: str) -> Ended:
    """Run it to its end."""
    done = subprocess.run(
        sipp_command(folder, *arguments),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=90,
        check=False,
    )
    return Ended(done.returncode, *what_it_wrote(folder))


def what_it_wrote(folder: Path) -> tuple[str, str]:
    """Complaints and messages."""
    texts = [path.read_text(errors="replace") if path.exists() else "" for path in
             (folder / "errors.log", folder / "messages.log")]  # fmt: skip
    return texts[0], texts[1]


def authenticated_call(site: ReadbackSite, folder: Path, *more: str, password: str = PASSWORD) -> Ended:
    """Our scenario: one call of 2.5 s with a voice, as the credential of the realm."""
    (folder / "voice.ul").write_bytes(g711.encode_ulaw(clip_pcm()[:12_000]))
    scenario = ["-sf", str(SCENARIO), "-s", DIALLED, "-key", "realm", site.fqdn, "-key", "number", site.number]
    keys = ["-au", USER, "-ap", password]
    return sipp(folder, site.edge, *scenario, *keys, "-m", "1", "-d", "2500", *more)


# ---------------------------------------------------------------- as a PBX with the realm's credentials


def test_an_authenticated_call_reaches_the_application_and_is_heard(site: ReadbackSite, tmp_path: Path) -> None:
    before = site.readback.last_id()
    ended = authenticated_call(site, tmp_path)
    assert ended.code == 0, ended.said
    disconnect = site.readback.wait_for("disconnect", to=DIALLED, after_id=before)
    assert disconnect.body["from"] == site.number
    assert site.admitted(disconnect.call_id) == ["initiate", "disconnect"]
    words = [word for word in site.at_edge(disconnect.call_id) if word not in ("100", "180")]
    assert words == ["INVITE", "407", "ACK", "INVITE", "200", "ACK", "BYE", "200"]
    heard = site.world.sandbox.heard_audio(disconnect.call_id)
    assert find(clip_pcm()[:12_000], heard).correlation >= 0.99


def test_the_digest_holds_when_its_uri_must_be_the_request_uri(site: ReadbackSite, tmp_path: Path) -> None:
    site.world.sandbox.set_switch("digest_uri", "must-match")
    try:
        ended = authenticated_call(site, tmp_path, "-auth_uri", f"{DIALLED}@{site.fqdn}")  # it writes the sip:
    finally:
        site.world.sandbox.set_switch("digest_uri", "any")
    assert ended.code == 0, ended.said


def test_a_wrong_password_is_refused_and_reaches_no_application(site: ReadbackSite, tmp_path: Path) -> None:
    before = site.readback.last_id()
    ended = authenticated_call(site, tmp_path, password="wrong")
    assert ended.code == 1
    assert "SIP/2.0 403" in ended.said
    assert site.readback.last_id() == before


# ---------------------------------------------------------------- its built-in caller, which has no credentials


def test_the_built_in_caller_is_turned_away_while_challenges_are_on(site: ReadbackSite, tmp_path: Path) -> None:
    ended = sipp(tmp_path, site.edge, "-sn", "uac", "-s", DIALLED, "-m", "1")
    assert ended.code == 1
    assert "SIP/2.0 200" not in ended.messages


def test_the_built_in_caller_reaches_the_application_when_challenges_are_off(
    site: ReadbackSite, tmp_path: Path
) -> None:
    site.world.sandbox.set_switch("challenge", "off")
    before = site.readback.last_id()
    ended = sipp(tmp_path, site.edge, "-sn", "uac", "-s", DIALLED, "-m", "1", "-d", "1000")
    assert ended.code == 0, ended.said
    disconnect = site.readback.wait_for("disconnect", to=DIALLED, after_id=before)
    assert site.admitted(disconnect.call_id) == ["initiate", "disconnect"]
    assert "407" not in site.at_edge(disconnect.call_id)


def test_twenty_calls_a_second_and_not_one_fails(site: ReadbackSite, tmp_path: Path) -> None:
    site.world.sandbox.set_switch("challenge", "off")
    before = site.readback.last_id()
    ended = sipp(tmp_path, site.edge, "-sn", "uac", "-s", DIALLED, "-r", "20", "-m", "100", "-d", "1000")
    assert ended.code == 0, ended.said
    assert ended.messages.count("SIP/2.0 200 OK") >= 200  # an INVITE and a BYE each
    eventually(lambda: site.world.sandbox.status()["calls_up"] == 0)
    events = [(hook.event_type, hook.body.get("cause")) for hook in site.readback.webhooks(after_id=before)
              if hook.answer_status < 400]  # fmt: skip
    assert sorted(events) == [("disconnect", "hangup")] * 100 + [("initiate", None)] * 100


# ---------------------------------------------------------------- its built-in callee


@contextlib.contextmanager
def built_in_callee(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """SIPp's `uas` for one call, echoing the voice it hears; its SIP URI and its process."""
    command = sipp_command(folder, "-sn", "uas", "-m", "1", "-rtp_echo")
    port = command[command.index("-p") + 1]
    with (folder / "screen").open("wb") as screen:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=screen, stderr=screen
        )
    try:
        eventually(lambda: listens(HOST, int(port)))
        yield f"sip:sipp@{HOST}:{port}", process
    finally:
        process.kill()
        process.wait()


def test_a_programmatic_call_to_the_built_in_callee_is_answered_and_its_echo_heard(
    site: ReadbackSite, tmp_path: Path
) -> None:
    with callbacks() as app, built_in_callee(tmp_path) as (uri, process):
        app.answers["/answer"] = "<Response><SpeakSentence>Is there an echo here?</SpeakSentence></Response>"
        call_id = site.place(uri, f"{app.url}/answer", f"{app.url}/status")
        assert app.wait_for("disconnect")["cause"] == "hangup"
        assert process.wait(ASIDE_S) == 0, what_it_wrote(tmp_path)[0]
    words = site.at_edge(call_id)
    assert [word for word in words if word != "100"] == ["INVITE", "180", "200", "ACK", "BYE", "200"]
    sent, heard = site.world.sandbox.sent_audio(call_id), site.world.sandbox.heard_audio(call_id)
    assert compare(sent, heard).correlation >= 0.99
