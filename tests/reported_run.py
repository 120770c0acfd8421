"""Records for the tests of the report, made on the spot: what runs write, without a run."""

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bwlib.models import Exchange, SipEvent, Webhook
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, start_run

START = datetime(2026, 11, 24, 19, 0, 12, tzinfo=UTC)
PHONE, PBX, EDGE = "127.0.0.3:40463", "127.0.0.1:50613", "127.0.0.2:38739"
FQDN = "demo-7d75f0.auth.bandwidth.test"
BXML = (
    "<Response><SpeakSentence>You dialled 1 9 9.</SpeakSentence><Gather maxDigits='1'>"
    "<SpeakSentence>Press one digit.</SpeakSentence></Gather></Response>"
)


def empty_run(tmp_path: Path, redactor: Redactor | None = None, **facts: object) -> RunRecord:
    """A run that has begun and done nothing."""
    told = {"site": "demo", "target": "sandbox", "operator": "anna", "mode": "apply", **facts}
    return start_run(tmp_path / "runs" / "demo", redactor or Redactor(), **told)


def step(record: RunRecord, name: str, status: str = "passed", notebook: str = "", **facts: object) -> None:
    """The two lines of one step. status "running" writes the first only."""
    record.journal.append("step", step=name, notebook=notebook, status="running", mode="apply")
    if status != "running":
        record.journal.append("step", step=name, notebook=notebook, status=status, **facts)


def notebook(record: RunRecord, name: str, status: str, reason: str = "") -> None:
    record.journal.append("notebook", notebook=name, status=status, reason=reason)


def exchange(id: str, method: str = "POST", body: str = "<Realm><Realm>demo</Realm></Realm>") -> Exchange:
    url = "http://127.0.0.1:9/api/v2/accounts/9/realms"
    return Exchange(id, START, method, url, {}, body, 201, {}, '{"a": 1}', 0.0026)


def good_run(tmp_path: Path, redactor: Redactor | None = None) -> RunRecord:
    """A whole guide that passed, with one call from the extension and one to it."""
    record = empty_run(tmp_path, redactor)
    record.append_exchange(exchange("one"))
    for name in ("00_start", "10_application", "20_sip_credentials", "30_pbx", "40_test_calls"):
        notebook(record, name, "running")
        _steps_of(record, name)
        notebook(record, name, "passed")
    record.write_config("before", {"pjsip.conf": "; mine\n[old]\ntype = aor\n"})
    record.write_config("after", {"pjsip.conf": "; mine\n[demo]\ntype = endpoint\n"})
    for call in ("call_from_extension", "call_to_extension"):
        record.append_sip(call_events(), call)
        record.append_webhooks(call_webhooks(), call)
        for what in ("phone_heard", "phone_said", "bandwidth_said"):
            record.write_bytes(f"audio/{call}_{what}.wav", tone())
    record.write_bytes("screenshots/20_realm.png", png())
    record.journal.append(
        "screenshot", step="realm", notebook="20_sip_credentials", status="passed", file="screenshots/20_realm.png",
        title="The realm in the dashboard", page="/dashboard/account", holds=[FQDN], reason="",
    )  # fmt: skip
    record.journal.append(
        "screenshot", step="trunk", notebook="30_pbx", status="skipped", file="screenshots/30_pbx.png",
        title="The trunk", reason="no browser here",
    )  # fmt: skip
    write_notebook(record, "10_application")
    return record


def _steps_of(record: RunRecord, name: str) -> None:
    absent = [{"field": "name", "found": "absent", "wanted": "demo"}]
    realm = {"fqdn": FQDN, "id": "1", "status": "ACTIVE"}
    made = {"action": "created", "differences": absent, "elapsed_s": 0.1, "note": ""}
    heard = {"digits": "4", "heard by the phone": "correlation 0.9999 over 6.1 s", "webhooks": "initiate gather"}
    told: dict[str, list[tuple[str, dict[str, object]]]] = {
        "00_start": [("rights", {"action": "passed", "object": {"realms": "0"}})],
        "10_application": [
            ("application", {**made, "title": "Voice application", "object": {"name": "PBX Interconnect demo"}}),
            ("callback", {"action": "passed", "object": {"url": "https://127.0.0.1/initiate"}}),
        ],
        "20_sip_credentials": [
            ("realm", {**made, "title": "Realm", "object": realm, "exchanges": ["one"]}),
            ("sip_credential", {**made, "object": {"username": "demo"}}),
            ("realm", {"action": "unchanged", "title": "Realm", "object": realm}),
        ],
        "30_pbx": [
            ("trunk", {**made, "object": {"name": "demo", "username": "demo"}}),
            ("route", {"action": "updated", "differences": [{"field": "prepend", "found": "1", "wanted": "+1"}]}),
            ("extension", {**made, "object": {"number": "191"}}),
            ("no_registration", {"action": "passed", "object": {"outbound registrations to the realm": "none"}}),
        ],
        "40_test_calls": [
            ("ready", {"action": "passed", "object": {"trunk": "demo", "extension": "191"}}),
            ("call_from_extension", {"action": "passed", "object": heard, "elapsed_s": 10.5}),
            ("call_to_extension", {"action": "passed", "object": heard, "elapsed_s": 8.0}),
        ],
    }
    for one, facts in told[name]:
        step(record, one, notebook=name, **facts)


def call_events() -> list[SipEvent]:
    """INVITE over PBX and realm, a challenge, an answer, BYE; as the phone and the edge write them down."""

    def event(ms: int, source: str, target: str, text: str) -> SipEvent:
        seen_by = PHONE if PHONE in (source, target) else "edge"
        return SipEvent(START + timedelta(milliseconds=ms), source, target, text, seen_by)

    invite = f"INVITE sip:+19195550199@{FQDN} SIP/2.0\r\nCSeq: 1 INVITE\r\n"
    answer = 'Proxy-Authorization: Digest username="demo", response="6629fae49393a05397450978507c4ef1"\r\n'
    return [
        event(0, PHONE, PBX, invite + "\r\n"),
        event(6, PBX, EDGE, invite + "\r\n"),
        event(9, EDGE, PBX, "SIP/2.0 407 Proxy Authentication Required\r\nCSeq: 1 INVITE\r\n\r\n"),
        event(12, PBX, EDGE, invite + answer + "\r\n"),
        event(90, EDGE, PBX, "SIP/2.0 200 OK\r\nCSeq: 2 INVITE\r\n\r\n"),
        event(92, PBX, PHONE, "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"),
        event(10_140, EDGE, PBX, "BYE sip:demo@127.0.0.1 SIP/2.0\r\nCSeq: 3 BYE\r\n\r\n"),
    ]


def call_webhooks() -> list[Webhook]:
    def hook(ms: int, number: int, event: str, status: int, answer: str, **body: object) -> Webhook:
        at = START + timedelta(milliseconds=ms)
        return Webhook(number, at, event, "c-1", f"/{event}", body, status, answer, status != 401)

    return [
        hook(60, 1, "initiate", 401, "no credentials yet\n", to="+19195550199"),
        hook(64, 2, "initiate", 200, BXML, to="+19195550199"),
        hook(8100, 3, "gather", 200, "<Response><Hangup/></Response>", digits="4"),
        hook(10_142, 4, "disconnect", 204, "", cause="hangup"),
    ]


def tone(seconds: float = 0.5) -> bytes:
    """A WAV file with something in it."""
    pcm = (8000 * np.sin(np.arange(int(8000 * seconds)) / 3)).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(pcm.tobytes())
    return stream.getvalue()


def png(width: int = 40, height: int = 20) -> bytes:
    """A PNG file of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x1b\x4f\x8f" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_notebook(record: RunRecord, name: str, elsewhere: str = "http://elsewhere.test") -> Path:
    """An executed notebook with a picture, a sound, mathematics, a diagram, and outputs that ask others."""
    picture, sound = base64.b64encode(png()).decode(), base64.b64encode(tone()).decode()
    html = (
        f'<audio controls src="data:audio/wav;base64,{sound}"></audio><img src="{elsewhere}/spy.png">'
        f"<script>document.title = 'run'; fetch('{elsewhere}/spy')</script>"
        f'<link rel="stylesheet" href="{elsewhere}/style.css">'
    )
    outputs = [
        new_output("display_data", {"image/png": picture}),
        new_output("display_data", {"text/html": html, "text/plain": "a sound"}),
        new_output("stream", name="stdout", text="printed\n"),
    ]
    cells = [
        new_markdown_cell("# A notebook\n\n$x^2$\n\n```mermaid\ngraph TD; A-->B\n```"),
        new_code_cell("print('printed')", outputs=outputs, execution_count=1),
    ]
    state = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2, "version_minor": 0}}
    path = record.folder / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"widgets": state}), path)
    return path
