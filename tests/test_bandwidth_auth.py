"""bwlib.bandwidth.auth: one token for all, fetched once, never shown."""

from __future__ import annotations

import base64
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pydantic import SecretStr

from bwlib.bandwidth import auth
from bwlib.bandwidth.auth import BasicAuth, OAuth2
from bwlib.bandwidth.http import Http
from bwlib.errors import BandwidthError, NotAuthenticated, SettingsError, Unavailable
from bwlib.models import Exchange

TOKEN_URL = "https://api.example/api/v1/oauth2/token"
SECRET = "client-secret-0123456789"


class Bandwidth:
    """Gives out numbered tokens and admits the newest one only."""

    def __init__(self, **token_answer: object) -> None:
        self.fetches = 0
        self.token_answer = token_answer
        self.revoked: set[str] = set()
        self.exchanges: list[Exchange] = []
        self.now_s = 1000.0
        self.auth = OAuth2("CLI-1", SecretStr(SECRET), TOKEN_URL, clock=lambda: self.now_s)
        self.http = Http(
            self.auth,
            user_agent="t",
            on_exchange=self.exchanges.append,
            transport=httpx.MockTransport(self.answer),
            sleep=lambda _: None,
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) == TOKEN_URL:
            return self.token(request)
        token = request.headers["Authorization"].removeprefix("Bearer ")
        return httpx.Response(401 if token in self.revoked else 200, text=token)

    def token(self, request: httpx.Request) -> httpx.Response:
        self.fetches += 1
        answer = {"access_token": f"token.{self.fetches}.x", "expires_in": 3600, **self.token_answer}
        return httpx.Response(200, json=answer)

    def get(self) -> tuple[int, str]:
        reply = self.http.send("GET", "https://api.example/x", attempted="try", accept="*/*")
        return reply.status, reply.body.decode()


def test_the_token_request_is_as_documented() -> None:
    seen: list[httpx.Request] = []
    bandwidth = Bandwidth()
    original = bandwidth.token
    bandwidth.token = lambda request: seen.append(request) or original(request)  # type: ignore[method-assign]
    bandwidth.get()
    (request,) = seen
    assert request.method == "POST"
    assert request.content == b"grant_type=client_credentials"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"CLI-1:{SECRET}".encode()).decode()


def test_one_token_serves_many_requests() -> None:
    bandwidth = Bandwidth()
    assert [bandwidth.get() for _ in range(5)] == [(200, "token.1.x")] * 5
    assert bandwidth.fetches == 1


def test_eight_threads_fetch_one_token() -> None:
    bandwidth = Bandwidth()
    together = threading.Barrier(8)

    def get(_: int) -> tuple[int, str]:
        together.wait(10)
        return bandwidth.get()

    second_fetch = threading.Event()
    original = bandwidth.token

    def slow_token(request: httpx.Request) -> httpx.Response:
        if bandwidth.fetches:
            second_fetch.set()
        answer = original(request)
        second_fetch.wait(0.3)  # the time in which another thread would fetch one too, if it could
        return answer

    bandwidth.token = slow_token  # type: ignore[method-assign]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(get, range(8)))
    assert answers == [(200, "token.1.x")] * 8
    assert bandwidth.fetches == 1


def test_eight_threads_with_a_revoked_token_fetch_one_new_one() -> None:
    bandwidth = Bandwidth()
    bandwidth.get()
    bandwidth.revoked.add("token.1.x")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: bandwidth.get(), range(8)))
    assert answers == [(200, "token.2.x")] * 8
    assert bandwidth.fetches == 2


def test_a_token_is_replaced_a_minute_before_its_end() -> None:
    bandwidth = Bandwidth()
    bandwidth.get()
    bandwidth.now_s += 3600 - 61
    assert bandwidth.get()[1] == "token.1.x"
    bandwidth.now_s += 2
    assert bandwidth.get()[1] == "token.2.x"


@pytest.mark.parametrize("expires_in", [None, "soon", -1, 0, [], float(10**20)])
def test_an_odd_lifetime_counts_as_an_hour(expires_in: object) -> None:
    bandwidth = Bandwidth(expires_in=expires_in)
    bandwidth.get()
    bandwidth.now_s += 3000
    bandwidth.get()
    assert bandwidth.fetches == 1


def test_a_very_short_lifetime_still_serves_a_request() -> None:
    bandwidth = Bandwidth(expires_in=10)
    bandwidth.get()
    bandwidth.now_s += 4
    bandwidth.get()
    assert bandwidth.fetches == 1


def test_a_request_answered_401_is_sent_once_more_and_not_twice() -> None:
    bandwidth = Bandwidth()
    bandwidth.revoked |= {f"token.{n}.x" for n in range(1, 10)}
    assert bandwidth.get()[0] == 401
    assert bandwidth.fetches == 2


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(401), httpx.Response(400, json={"error": "invalid_client", "error_description": "no such client"})],
    ids=["401", "invalid_client"],
)
def test_a_refused_credential_is_said_so(answer: httpx.Response) -> None:
    bandwidth = Bandwidth()
    bandwidth.token = lambda _: answer  # type: ignore[method-assign]
    with pytest.raises(NotAuthenticated) as caught:
        bandwidth.get()
    assert "API Credentials" in caught.value.do_next
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>login</html>"),
        httpx.Response(200, json={"token_type": "bearer"}),
        httpx.Response(200, json=["token"]),
        httpx.Response(200, json={"access_token": "two\r\nlines"}),
        httpx.Response(400, json={"error": "invalid_request"}),
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "https://elsewhere.example"}),
    ],
)
def test_a_token_answer_of_no_use_is_unavailable(answer: httpx.Response) -> None:
    bandwidth = Bandwidth()
    bandwidth.token = lambda _: answer  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="access token"):
        bandwidth.get()


def test_after_a_failure_the_next_request_asks_again() -> None:
    bandwidth = Bandwidth()
    original = bandwidth.token
    bandwidth.token = lambda _: httpx.Response(401)  # type: ignore[method-assign]
    with pytest.raises(BandwidthError):
        bandwidth.get()
    bandwidth.token = original  # type: ignore[method-assign]
    assert bandwidth.get()[0] == 200


def test_a_refused_token_is_not_used_again_when_no_new_one_was_to_be_had() -> None:
    bandwidth = Bandwidth()
    original = bandwidth.token
    bandwidth.get()
    bandwidth.revoked.add("token.1.x")
    bandwidth.token = lambda _: httpx.Response(500)  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        bandwidth.get()
    bandwidth.token = original  # type: ignore[method-assign]
    before = len(bandwidth.exchanges)
    assert bandwidth.get() == (200, "token.2.x")
    assert [exchange.status for exchange in bandwidth.exchanges[before:]] == [200, 200]


def test_the_token_exchange_reaches_the_hook_without_its_secrets() -> None:
    bandwidth = Bandwidth()
    bandwidth.get()
    token_exchange, request_exchange = bandwidth.exchanges
    assert (token_exchange.url, token_exchange.status) == (TOKEN_URL, 200)
    assert request_exchange.request_headers["authorization"] == "Bearer «redacted»"
    shown = repr(bandwidth.exchanges[0])
    assert "token.1.x" not in shown
    assert SECRET not in shown
    assert base64.b64encode(f"CLI-1:{SECRET}".encode()).decode() not in shown


def test_no_secret_in_the_repr() -> None:
    bandwidth = Bandwidth()
    bandwidth.get()
    shown = repr(bandwidth.auth) + repr(BasicAuth("u", SecretStr(SECRET)))
    assert SECRET not in shown
    assert "token.1.x" not in shown


def test_a_secret_is_not_sent_over_plain_http() -> None:
    with pytest.raises(SettingsError):
        OAuth2("CLI-1", SecretStr(SECRET), "http://api.example/token")


def test_basic_authentication_works_and_warns_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_basic_warning_given", threading.Event())
    with caplog.at_level(logging.WARNING):
        BasicAuth("u", SecretStr("p"))
        basic = BasicAuth("u", SecretStr("p"))
    assert caplog.text.count("2026-12-02") == 1
    http = Http(
        basic,
        user_agent="t",
        transport=httpx.MockTransport(lambda r: httpx.Response(200, text=r.headers["Authorization"])),
    )
    reply = http.send("GET", "https://api.example/", attempted="try", accept="*/*")
    assert reply.body == b"Basic dTpw"
