"""bwlib.bandwidth.http: what is sent again, what never, and what the hook hears."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bwlib.bandwidth.http import EnvironmentTransport, Http, check_url, retry_after_s
from bwlib.errors import SettingsError, Unavailable
from bwlib.models import Exchange

URL = "https://api.example/thing"


class Wire:
    """A scripted far end: each entry is a response, or an error to raise. Keeps what was asked and slept."""

    def __init__(self, *script: httpx.Response | Exception) -> None:
        self._script = list(script)
        self.requests: list[httpx.Request] = []
        self.slept_s: list[float] = []
        self.exchanges: list[Exchange] = []
        self.http = Http(
            httpx.Auth(),
            user_agent="test",
            on_exchange=self.exchanges.append,
            transport=httpx.MockTransport(self._answer),
            sleep=self.slept_s.append,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def send(self, method: str, body: bytes | None = None) -> int:
        return self.http.send(method, URL, attempted="try", accept="application/xml", body=body).status


def dropped() -> httpx.RemoteProtocolError:
    return httpx.RemoteProtocolError("Server disconnected without sending a response.")


def test_a_dropped_post_is_never_sent_again() -> None:
    wire = Wire(dropped())
    with pytest.raises(Unavailable) as caught:
        wire.send("POST", b"<x/>")
    assert len(wire.requests) == 1
    assert caught.value.may_have_arrived
    assert "look first" in caught.value.do_next


@pytest.mark.parametrize("error", [httpx.ReadTimeout("slow"), httpx.ReadError("reset"), httpx.WriteError("reset")])
def test_a_post_without_answer_is_never_sent_again(error: Exception) -> None:
    wire = Wire(error)
    with pytest.raises(Unavailable):
        wire.send("POST")
    assert len(wire.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_post_answered_5xx_is_never_sent_again(status: int) -> None:
    wire = Wire(httpx.Response(status))
    assert wire.send("POST") == status
    assert len(wire.requests) == 1


def test_a_post_that_never_connected_is_sent_again() -> None:
    wire = Wire(httpx.ConnectError("refused"), httpx.Response(201))
    assert wire.send("POST") == 201


def test_a_post_answered_429_is_sent_again_after_what_was_asked() -> None:
    wire = Wire(httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(201))
    assert wire.send("POST") == 201
    assert wire.slept_s == [7.0]


def test_a_retry_after_above_the_cap_is_shown_and_not_slept() -> None:
    wire = Wire(httpx.Response(429, headers={"Retry-After": "3600"}))
    assert wire.send("GET") == 429
    assert wire.slept_s == []


def test_a_get_answered_503_is_sent_again() -> None:
    wire = Wire(httpx.Response(503), httpx.Response(503), httpx.Response(200))
    assert wire.send("GET") == 200
    assert wire.slept_s == [0.5, 1.0]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_dropped_idempotent_request_is_sent_again(method: str) -> None:
    wire = Wire(dropped(), httpx.Response(200))
    assert wire.send(method) == 200


def test_retries_end() -> None:
    wire = Wire(*[httpx.Response(503)] * 4)
    assert wire.send("GET") == 503
    assert len(wire.requests) == 4


def test_a_body_is_sent_whole_each_time() -> None:
    wire = Wire(httpx.Response(429), httpx.Response(200))
    wire.send("POST", b"<Realm/>")
    assert [request.content for request in wire.requests] == [b"<Realm/>", b"<Realm/>"]


def test_a_wrong_certificate_is_not_tried_again() -> None:
    wire = Wire(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"))
    with pytest.raises(Unavailable) as caught:
        wire.send("GET")
    assert len(wire.requests) == 1
    assert "clock" in caught.value.do_next


def test_the_hook_hears_every_attempt_also_failed_ones() -> None:
    wire = Wire(dropped(), httpx.Response(503), httpx.Response(200, text="<ok/>"))
    wire.send("GET")
    assert [exchange.status for exchange in wire.exchanges] == [None, 503, 200]
    assert "disconnected" in (wire.exchanges[0].error or "")
    assert wire.exchanges[2].response_body == "<ok/>"


def test_the_hook_hears_no_secret() -> None:
    secret = "1be6abcaa8e9956021d30f33a3925b99"
    wire = Wire(httpx.Response(200, text=f"<Hash1>{secret}</Hash1>", headers={"Set-Cookie": "sid=abc"}))
    wire.send("PUT", f"<Hash1>{secret}</Hash1>".encode())
    assert secret not in repr(wire.exchanges)
    assert "sid=abc" not in repr(wire.exchanges)


def test_a_failing_hook_is_not_swallowed() -> None:
    def full(_: Exchange) -> None:
        raise OSError("no space left on device")

    http = Http(
        httpx.Auth(), user_agent="t", on_exchange=full, transport=httpx.MockTransport(lambda _: httpx.Response(200))
    )
    with pytest.raises(OSError, match="no space"):
        http.send("GET", URL, attempted="try", accept="*/*")


def test_an_answer_that_unpacks_without_end_is_cut_off() -> None:
    bomb = gzip.compress(b"\0" * (11 * 1024 * 1024))
    wire = Wire(httpx.Response(200, content=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(Unavailable, match="longer than 10 MB"):
        wire.send("GET")
    assert wire.exchanges[0].error is not None


def test_a_broken_content_encoding_is_no_answer() -> None:
    wire = Wire(httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"junk")))
    with pytest.raises(Unavailable, match="DecodingError"):
        wire.send("POST")


def test_a_redirect_is_not_followed() -> None:
    wire = Wire(httpx.Response(302, headers={"Location": "https://elsewhere.example/"}))
    assert wire.send("GET") == 302
    assert len(wire.requests) == 1


# ---------------------------------------------------------------- Retry-After


def test_retry_after_may_be_a_date() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert retry_after_s(format_datetime(now + timedelta(seconds=9), usegmt=True), now) == 9
    assert retry_after_s(format_datetime(now - timedelta(days=1), usegmt=True), now) == 0


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "٣", "Mon, 99 Nov 2026 99:00:00 GMT"])
def test_an_unreadable_retry_after_is_none(value: str | None) -> None:
    assert retry_after_s(value) is None


@given(st.text(max_size=40))
def test_no_retry_after_breaks_us(value: str) -> None:
    seconds = retry_after_s(value)
    assert seconds is None or seconds >= 0


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    "url", ["https://api.bandwidth.com/api/v2/", "http://127.0.0.1:8080", "http://[::1]:1/x", "http://localhost"]
)
def test_https_and_loopback_are_accepted(url: str) -> None:
    assert check_url("API URL", url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.bandwidth.com",
        "ftp://x",
        "",
        "api.bandwidth.com",
        "https://",
        "https://u:pw@host/",
        "https://h:99999",
    ],
)
def test_other_urls_are_refused_before_a_credential_goes_there(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_url("API URL", url)
    assert "u:pw" not in str(caught.value)


# ---------------------------------------------------------------- real sockets


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes], str]]:
    """Serves the given bytes, once per connection, and then closes it. Returns the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    answers: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answers[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def with_answer(answer: bytes) -> str:
        answers.append(answer)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield with_answer
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<RealmsResponse><Rea",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=["closed", "not http", "cut off", "bad chunk", "tls"],
)
def test_a_broken_far_end_is_one_clear_error(raw_server: Callable[[bytes], str], answer: bytes) -> None:
    http = Http(httpx.Auth(), user_agent="t", sleep=lambda _: None)
    with pytest.raises(Unavailable, match=r"No answer from 127\.0\.0\.1"):
        http.send("POST", raw_server(answer), attempted="try", accept="*/*", body=b"x")


def test_nobody_listening_says_that_nothing_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    http = Http(httpx.Auth(), user_agent="t", sleep=lambda _: None)
    with pytest.raises(Unavailable) as caught:
        http.send("POST", f"http://127.0.0.1:{port}/", attempted="try", accept="*/*")
    assert not caught.value.may_have_arrived


def test_loopback_never_goes_through_the_proxy(
    raw_server: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    url = raw_server(b"HTTP/1.1 204 No Content\r\n\r\n")
    http = Http(httpx.Auth(), user_agent="t", sleep=lambda _: None)
    assert http.send("GET", url, attempted="try", accept="*/*").status == 204


def test_other_hosts_go_through_the_proxy(raw_server: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = raw_server(b"HTTP/1.1 418 Proxy\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    response = EnvironmentTransport(True).handle_request(httpx.Request("GET", "http://api.example/"))
    assert response.status_code == 418
