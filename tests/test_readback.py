"""readback as its users meet it: a process on a port, called over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydantic import SecretStr

from bwlib import bxml, readback_app
from bwlib.errors import NotAsExpected, NotAuthenticated, SettingsError, StillPending, Unavailable
from bwlib.models import Webhook
from bwlib.readback_app import Options, make_app
from bwlib.readback_client import Readback
from bwlib.readback_clip import RATE_HZ, clip_pcm
from bwlib.readback_store import KEEP_TURNED_AWAY, WebhookStore

NUMBER = "+19195550101"
INITIATE = {"eventType": "initiate", "callId": "c-1", "to": NUMBER, "direction": "inbound"}


@dataclass
class Running:
    """A readback process: its state file's facts, and ways to reach it."""

    process: subprocess.Popen[str]
    state: dict[str, object]
    http: httpx.Client
    client: Readback

    def post(
        self, path: str = "/initiate", body: object = INITIATE, auth: tuple[str, str] | None = None
    ) -> httpx.Response:
        return self.http.post(path, json=body, auth=auth)


def start(directory: Path, *arguments: str) -> Running:
    store = directory / "store"
    command = [sys.executable, "-m", "bwlib.readback", "--store", str(store), *arguments]
    process = subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:  # ends when the process does
        said.append(line)
        if "is ready at" in line:
            break
    else:
        pytest.fail("readback did not start: " + "".join(said))
    threading.Thread(target=process.stderr.read, daemon=True).start()  # never let it block on a full pipe
    state = json.loads((store / "state.json").read_text())
    ca_file = state["ca_file"]
    verify = httpx.create_ssl_context() if ca_file is None else ssl.create_default_context(cafile=ca_file)
    http = httpx.Client(base_url=state["url"], verify=verify, trust_env=False, timeout=20)
    return Running(process, state, http, Readback(state["url"], state["token"], ca_file))


def stop(running: Running) -> int:
    running.http.close()
    running.client.close()
    running.process.send_signal(signal.SIGTERM)
    return running.process.wait(20)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("plain"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("guarded")
    password = directory / "password"
    password.touch(0o600)
    password.write_text("p:w ä\n")
    running = start(directory, "--tls", "auto", "--user", "bandwidth", "--password-ref", f"file:{password}")
    yield running
    stop(running)


def verbs(response: httpx.Response) -> list[bxml.ReadVerb]:
    assert response.headers["content-type"] == "application/xml"
    return list(bxml.read(response.content).verbs)


# ---------------------------------------------------------------- what it says


def test_it_reads_the_dialled_number_back_and_asks_for_a_digit(plain: Running) -> None:
    speak, gather = verbs(plain.post())
    assert speak.text == "You dialled 1 9 1 9 5 5 5 0 1 0 1."
    assert (gather.name, gather.attributes["gatherUrl"], gather.attributes["maxDigits"]) == ("Gather", "gather", "1")


def test_it_says_the_pressed_digit_and_hangs_up(plain: Running) -> None:
    speak, hangup = verbs(plain.post("/gather", {"eventType": "gather", "callId": "c-1", "digits": "4"}))
    assert (speak.text, hangup.name) == ("You pressed 4. Goodbye.", "Hangup")


@pytest.mark.parametrize(
    ("digits", "said"), [("*", "You pressed star. Goodbye."), ("", "You pressed nothing. Goodbye.")]
)
def test_it_names_keys_that_are_no_digits(plain: Running, digits: str, said: str) -> None:
    assert verbs(plain.post("/gather", {"eventType": "gather", "digits": digits}))[0].text == said


def test_a_get_webhook_is_answered_like_a_post(plain: Running) -> None:
    response = plain.http.get("/gather", params={"eventType": "gather", "callId": "c-get", "digits": "7"})
    assert verbs(response)[0].text == "You pressed 7. Goodbye."
    assert plain.client.webhooks("c-get")[0].body["digits"] == "7"


def test_an_outbound_call_is_told_which_extension_it_reached(plain: Running) -> None:
    body = {"eventType": "answer", "callId": "c-out", "to": "sip:101@192.0.2.1:5060", "direction": "outbound"}
    assert verbs(plain.post("/answer", body))[0].text == "You were called at 1 0 1."


def test_one_url_may_take_every_event(plain: Running) -> None:
    assert verbs(plain.post("/", {"eventType": "gather", "digits": "1"}))[0].text == "You pressed 1. Goodbye."
    assert plain.post("/", {"eventType": "disconnect"}).status_code == 204


@pytest.mark.parametrize("event_type", ["disconnect", "recordingAvailable", "something new"])
def test_events_that_take_no_bxml_get_204(plain: Running, event_type: str) -> None:
    response = plain.post("/disconnect", {"eventType": event_type, "callId": "c-1"})
    assert (response.status_code, response.content) == (204, b"")


def test_the_clip_is_played_when_the_url_asks_for_it(plain: Running) -> None:
    _, clip, _ = verbs(plain.post("/initiate?speak=clip"))
    assert (clip.name, clip.text) == ("PlayAudio", "clip.wav")
    audio = plain.http.get("/clip.wav")
    assert audio.headers["content-type"] == "audio/wav"
    assert len(audio.content) == 44 + clip_pcm().nbytes


def test_the_clip_is_found_at_one_place_only() -> None:
    pcm = clip_pcm().astype(float)
    spectrum = np.fft.rfft(pcm, 2 * pcm.size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    correlation /= correlation[0]
    elsewhere = np.abs(correlation[RATE_HZ // 100 : pcm.size])  # more than 10 ms away
    assert elsewhere.max() < 0.5
    assert pcm.size == 3 * RATE_HZ


def test_an_unknown_path_is_404_and_not_kept(plain: Running) -> None:
    before = plain.client.last_id()
    assert plain.post("/wp-login.php").status_code == 404
    assert plain.client.last_id() == before


# ---------------------------------------------------------------- what it survives


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"\xff\xfe",
        b"a=b&c=d",
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"callId": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_garbage_body_is_refused_and_kept(plain: Running, body: bytes) -> None:
    before = plain.client.last_id()
    assert plain.http.post("/initiate", content=body).status_code == 400
    (kept,) = plain.client.webhooks(after_id=before)
    assert (kept.answer_status, kept.event_type) == (400, "")
    assert "unreadable" in kept.body


@pytest.mark.parametrize(
    "body",
    [
        b'{"eventType": "initiate", "to": "\\ud800", "callId": "\\udfff"}',
        b'{"eventType": ["initiate"], "to": {"a": 1}, "callId": 7}',
        b'{"eventType": "initiate", "to": NaN, "callId": "\\u0000"}',
        b'{"eventType": "gather", "digits": "</SpeakSentence><Hangup/>"}',
        b'{"eventType": "' + b"x" * 100_000 + b'"}',
    ],
)
def test_odd_fields_are_answered_and_can_be_asked_for(plain: Running, body: bytes) -> None:
    before = plain.client.last_id()
    response = plain.http.post("/initiate", content=body)
    assert response.status_code in (200, 204)
    if response.content:
        bxml.read(response.content)
    assert len(plain.client.webhooks(after_id=before)) == 1


def test_ten_megabytes_are_refused(plain: Running) -> None:
    before = plain.client.last_id()
    try:
        status = plain.http.post("/initiate", content=b"x" * 10_000_000).status_code
    except (httpx.WriteError, httpx.ReadError):  # it closed the connection while we were still sending
        status = 413
    assert status == 413
    assert plain.client.webhooks(after_id=before)[0].answer_status == 413


def test_ten_megabytes_in_chunks_are_refused(plain: Running) -> None:
    before = plain.client.last_id()
    try:
        status = plain.http.post("/initiate", content=(b"x" * 10_000 for _ in range(1000))).status_code
    except (httpx.WriteError, httpx.ReadError):
        status = 413
    assert status == 413
    assert plain.client.webhooks(after_id=before)[0].answer_status == 413


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /initiate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /initiate HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_broken_http_leaves_it_alive(plain: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", plain.http.base_url.port or 0)) as connection:
        connection.sendall(sent)
    assert plain.client.health()["ok"] is True


def test_a_look_whether_it_is_there_is_no_webhook(plain: Running) -> None:
    before = plain.client.last_id()
    assert plain.http.head("/initiate").status_code == 200
    assert plain.client.last_id() == before


# ---------------------------------------------------------------- credentials


def test_the_first_request_is_challenged(guarded: Running) -> None:
    response = guarded.http.post("/initiate")  # Bandwidth may send it without a body
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith('Basic realm="')


def test_the_right_credentials_are_admitted(guarded: Running) -> None:
    before = guarded.client.last_id()
    credentials = base64.b64encode("bandwidth:p:w ä".encode()).decode()
    response = guarded.http.post("/initiate", json=INITIATE, headers={"Authorization": f"Basic {credentials}"})
    assert response.status_code == 200
    (kept,) = guarded.client.webhooks(after_id=before)
    assert (kept.authenticated, kept.answer_status, kept.call_id) == (True, 200, "c-1")


@pytest.mark.parametrize("header", ["Basic !!!", "Basic", "Basic YQ==", "Bearer x", "Basic \u00e4"])
def test_wrong_credentials_are_challenged_again(guarded: Running, header: str) -> None:
    headers = {"Authorization": header.encode("latin-1")}
    response = guarded.http.post("/initiate", json=INITIATE, headers=headers)
    assert response.status_code == 401
    assert "www-authenticate" in response.headers


def test_webhooks_turned_away_are_not_waited_for(guarded: Running) -> None:
    before = guarded.client.last_id()
    guarded.post(body={**INITIATE, "callId": "c-away"}, auth=("bandwidth", "wrong"))
    with pytest.raises(NotAsExpected, match="turned away"):
        guarded.client.wait_for("initiate", call_id="c-away", after_id=before, timeout_s=0.2)


def test_no_secret_is_in_what_it_says_about_itself(guarded: Running) -> None:
    token = str(guarded.state["token"])
    assert token not in repr(guarded.client)
    assert "p:w" not in json.dumps(guarded.state)


def test_what_it_saw_needs_the_token(plain: Running) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}):
        assert plain.http.get("/_readback/webhooks", headers=headers).status_code == 401
    with pytest.raises(NotAuthenticated, match="state file"):
        Readback(str(plain.state["url"]), SecretStr("wrong")).webhooks()


def test_its_certificate_is_trusted_by_its_ca_file_only(guarded: Running) -> None:
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        Readback(str(guarded.state["url"]), "x").health()


def test_its_certificate_stands_strict_verification(guarded: Running) -> None:
    context = ssl.create_default_context(cafile=str(guarded.state["ca_file"]))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    with (
        socket.create_connection(("127.0.0.1", guarded.http.base_url.port or 0)) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as tls,
    ):
        assert tls.version() in ("TLSv1.2", "TLSv1.3")


def test_files_are_for_their_owner_only(guarded: Running) -> None:
    ca_file = Path(str(guarded.state["ca_file"]))
    store = ca_file.parent.parent
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    for file in [*store.glob("*.db*"), store / "state.json", *ca_file.parent.iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


# ---------------------------------------------------------------- waiting for webhooks


def test_waiting_returns_the_webhook_that_comes_later(plain: Running) -> None:
    before = plain.client.last_id()
    later = threading.Timer(0.2, plain.post, kwargs={"body": {**INITIATE, "callId": "c-later"}})
    later.start()
    found = plain.client.wait_for("initiate", to=NUMBER, after_id=before, timeout_s=20)
    later.join()
    assert isinstance(found, Webhook)
    assert found.call_id == "c-later"
    assert "You dialled" in found.answer_body


def test_waiting_in_vain_says_that_nothing_came(plain: Running) -> None:
    with pytest.raises(StillPending, match="No webhook arrived at all"):
        plain.client.wait_for("initiate", call_id="c-never", timeout_s=0.1)


def test_waiting_in_vain_says_what_did_come(plain: Running) -> None:
    plain.post(body={**INITIATE, "callId": "c-half"})
    with pytest.raises(NotAsExpected, match=r"initiate to \+19195550101 \(200\)"):
        plain.client.wait_for("disconnect", call_id="c-half", timeout_s=0.1)


def test_a_wait_with_another_number_does_not_match(plain: Running) -> None:
    before = plain.client.last_id()
    plain.post()
    with pytest.raises(NotAsExpected):
        plain.client.wait_for("initiate", to="+19195550199", after_id=before, timeout_s=0.1)


def test_a_readback_that_is_gone_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(Unavailable, match="start it again"):
        Readback(f"http://127.0.0.1:{port}", "t").last_id()


def test_a_missing_ca_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="state file"):
        Readback("https://127.0.0.1:1", "t", tmp_path / "none.pem")


# ---------------------------------------------------------------- behind a public URL


def test_behind_a_public_url_it_names_itself_by_it(tmp_path: Path) -> None:
    running = start(tmp_path, "--public-url", "https://voice.example.com/rb/", "--speak", "clip")
    try:
        for path in ("/initiate", "/rb/initiate", "/rb", "/rb/"):  # proxies strip the prefix, or not
            _, clip, gather = verbs(running.post(path))
            assert clip.text == "https://voice.example.com/rb/clip.wav"
            assert gather.attributes["gatherUrl"] == "https://voice.example.com/rb/gather"
        assert running.state["clip_url"] == "https://voice.example.com/rb/clip.wav"
        assert running.http.get("/rb/clip.wav").content == running.http.get("/clip.wav").content
    finally:
        stop(running)


def test_it_ends_cleanly_and_removes_its_state_file(tmp_path: Path) -> None:
    running = start(tmp_path)
    assert stop(running) == 0
    assert not (tmp_path / "store" / "state.json").exists()


def test_what_it_saw_survives_a_restart(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.post()
    stop(first)
    second = start(tmp_path)
    try:
        assert [webhook.call_id for webhook in second.client.webhooks()] == ["c-1"]
    finally:
        stop(second)


# ---------------------------------------------------------------- starting wrongly


def refused(tmp_path: Path, *arguments: str, store: Path | None = None) -> tuple[int, str]:
    command = [sys.executable, "-m", "bwlib.readback", "--store", str(store or tmp_path / "store"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_port_in_use_is_three_sentences(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(tmp_path, "--port", str(port))
    assert code == 6
    assert [line.partition(":")[0] for line in said.splitlines()] == ["Attempted", "Came back", "Do next"]
    assert str(port) in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--port", "70000"], 6, "0 to 65535"),
        (["--host", "192.0.2.1"], 6, "listen on 192.0.2.1"),
        (["--host", "no.such.host.invalid"], 6, "listen on no.such.host.invalid"),
        (["--user", "u"], 6, "belong together"),
        (["--user", "u", "--password-ref", "env:W5_PASSWORD"], 6, "clear text"),
        (["--user", "a:b", "--password-ref", "env:W5_PASSWORD", "--tls", "auto"], 6, "colon"),
        (["--user", "u", "--password-ref", "env:W5_NONE", "--tls", "auto"], 8, "empty"),
        (["--user", "u", "--password-ref", "hunter2", "--tls", "auto"], 8, "neither"),
        (["--user", "u", "--password-ref", "file:nowhere", "--tls", "auto"], 8, "nowhere"),
        (["--tls", "sometimes"], 6, "CERT,KEY"),
        (["--tls", "a.pem,b.pem"], 6, "a.pem"),
        (["--public-url", "voice.example.com"], 6, "http(s)"),
        (["--public-url", "https://voice .example.com"], 6, "without spaces"),
        (["--clip", "nowhere.wav"], 6, "nowhere.wav"),
        (["--state-file", "no/such/dir/state.json"], 6, "is no directory"),
    ],
)
def test_wrong_answers_are_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.setenv("W5_PASSWORD", "secret-password")
    exit_code, text = refused(tmp_path, *arguments)
    assert (exit_code, said in text) == (code, True), text
    assert "secret-password" not in text


def test_a_password_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret-password")
    file.chmod(0o644)
    code, text = refused(tmp_path, "--user", "u", "--password-ref", f"file:{file}", "--tls", "auto")
    assert (code, f"chmod 600 {file}" in text) == (8, True)
    assert "secret-password" not in text


def test_a_store_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert refused(tmp_path, store=file)[0] == 6


def test_a_database_that_is_none_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "readback.db").write_text("this is no database at all " * 100)
    code, text = refused(tmp_path)
    assert (code, "DatabaseError" in text) == (6, True)


# ---------------------------------------------------------------- inside one process


def ask_app(store: WebhookStore, content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    app = make_app(store, Options(token=SecretStr("t"), clip_wav=b""))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://readback") as client:
            return await client.post("/initiate", content=content)

    return asyncio.run(ask())


def test_a_call_is_answered_even_when_nothing_can_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = WebhookStore(tmp_path / "w.db")
    store.close()  # stands for a full disk: every write fails
    assert ask_app(store, b'{"eventType": "initiate"}').status_code == 200
    assert "could not be kept" in caplog.text


def test_a_body_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback_app, "BODY_TIMEOUT_S", 0.05)

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert ask_app(WebhookStore(tmp_path / "w.db"), endless()).status_code == 408


# ---------------------------------------------------------------- the store


def test_strangers_cannot_push_out_what_bandwidth_sent(tmp_path: Path) -> None:
    store = WebhookStore(tmp_path / "w.db")

    def append(status: int) -> None:
        store.append(
            event_type="e", call_id="c", path="/", body={}, answer_status=status, answer_body="", authenticated=False
        )

    append(200)
    for _ in range(KEEP_TURNED_AWAY + 199):
        append(401)
    kept = store.webhooks(limit=10_000)
    assert kept[0].answer_status == 200
    assert len(kept) == KEEP_TURNED_AWAY + 1
    assert store.last_id() == KEEP_TURNED_AWAY + 200


def test_an_empty_store_has_no_last_id(tmp_path: Path) -> None:
    assert WebhookStore(tmp_path / "w.db").last_id() == 0


def test_many_threads_may_append_at_once(tmp_path: Path) -> None:
    store = WebhookStore(tmp_path / "w.db")

    def append() -> None:
        for _ in range(50):
            store.append(
                event_type="e", call_id="c", path="/", body={}, answer_status=200, answer_body="", authenticated=True
            )

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [webhook.id for webhook in store.webhooks(limit=1000)] == list(range(1, 401))
