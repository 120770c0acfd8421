"""Bandwidth's delivery rules, by the sender itself against a real HTTP server."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from sandbox_world import callbacks

from bwlib.sandbox.state import State
from bwlib.sandbox.webhooks import Target, Undeliverable, WebhookSender, is_loopback

EVENT = {"eventType": "initiate", "callId": "c-1", "tag": None, "to": "+15005550006"}
CHALLENGE = {"WWW-Authenticate": 'Basic realm="app"'}


@pytest.fixture
def app():
    with callbacks() as server:
        yield server


@pytest.fixture
def state(tmp_path):
    opened = State(tmp_path / "sandbox.db")
    yield opened
    opened.close()


def sending(state: State, use: Any) -> Any:
    """Run `use(sender)` and close the sender."""

    async def run() -> Any:
        sender = WebhookSender(state)
        try:
            return await use(sender)
        finally:
            await sender.close()

    return asyncio.run(run())


def ask(state: State, target: Target, fallback: Target | None = None, timeout_s: float = 15) -> Any:
    return sending(state, lambda sender: sender.ask(EVENT, target, fallback, timeout_s))


def tell(state: State, target: Target) -> Any:
    return sending(state, lambda sender: sender.tell(EVENT, target))


def deliveries(state: State) -> list[tuple[str, int, int | None]]:
    rows = state.all("select url, attempt, status from deliveries order by id")
    return [(row["url"].rpartition("/")[2], row["attempt"], row["status"]) for row in rows]


def guarded(event: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
    right = "Basic " + base64.b64encode(b"me:secret").decode()
    return (200, {}, "<Response/>") if headers.get("authorization") == right else (401, CHALLENGE, "")


def test_a_post_carries_json_and_gives_back_the_body(app, state):
    app.answers["/a"] = "<Response><Hangup/></Response>"
    reply = ask(state, Target(f"{app.url}/a"))
    (path, event, headers) = app.seen[0]
    assert (path, event, headers["content-type"]) == ("/a", EVENT, "application/json")
    assert (reply.status, reply.body, reply.url) == (200, "<Response><Hangup/></Response>", f"{app.url}/a")


def test_a_get_carries_the_fields_beside_what_the_url_has(app, state):
    ask(state, Target(f"{app.url}/a?mine=1", method="GET"))
    assert app.seen[0][1] == {"mine": "1", "eventType": "initiate", "callId": "c-1", "to": "+15005550006"}


def test_credentials_are_sent_only_after_a_challenge_with_the_body_again(app, state):
    app.answers["/a"] = guarded
    assert ask(state, Target(f"{app.url}/a", user="me", password="secret")).status == 200
    assert ["authorization" in headers for _, _, headers in app.seen] == [False, True]
    assert [event for _, event, _ in app.seen] == [EVENT, EVENT]


def test_a_401_without_www_authenticate_loses_the_event(app, state):
    app.answers["/a"] = lambda event, headers: (401, {}, "")
    with pytest.raises(Undeliverable, match="without WWW-Authenticate"):
        ask(state, Target(f"{app.url}/a", user="me", password="secret"))
    assert len(app.seen) == 1


def test_a_challenge_without_credentials_or_with_wrong_ones_loses_the_event(app, state):
    app.answers["/a"] = guarded
    with pytest.raises(Undeliverable, match="no callback credentials"):
        ask(state, Target(f"{app.url}/a"))
    with pytest.raises(Undeliverable, match="401"):
        ask(state, Target(f"{app.url}/a", user="me", password="wrong"))


def test_a_bxml_event_is_not_retried_but_goes_to_the_fallback(app, state):
    app.answers["/a"] = lambda event, headers: (500, {}, "")
    reply = ask(state, Target(f"{app.url}/a"), Target(f"{app.url}/b"))
    assert reply.url == f"{app.url}/b"
    assert deliveries(state) == [("a", 1, 500), ("b", 2, 200)]


def test_a_bxml_event_that_nobody_takes_is_undeliverable(app, state):
    app.answers["/a"] = app.answers["/b"] = lambda event, headers: (0, {}, "")
    with pytest.raises(Undeliverable):
        ask(state, Target(f"{app.url}/a"), Target(f"{app.url}/b"))
    assert deliveries(state) == [("a", 1, None), ("b", 2, None)]


def test_another_event_is_sent_again_once_after_a_lost_connection(app, state):
    app.answers["/a"] = lambda event, headers: (0, {}, "")
    tell(state, Target(f"{app.url}/a"))
    assert deliveries(state) == [("a", 1, None), ("a", 2, None)]


def test_another_event_is_not_sent_again_after_an_answer(app, state):
    app.answers["/a"] = lambda event, headers: (500, {}, "")
    tell(state, Target(f"{app.url}/a"))
    assert deliveries(state) == [("a", 1, 500)]


def test_an_answer_that_takes_too_long_is_none(app, state):
    with pytest.raises(Undeliverable, match="Timeout"):
        asyncio.run(_to_a_silent_server(state))


async def _to_a_silent_server(state: State) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    sender = WebhookSender(state)
    try:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
        await sender.ask(EVENT, Target(url), None, 0.2)
    finally:
        await sender.close()
        server.close()


def test_a_redirect_is_not_followed(app, state):
    app.answers["/a"] = lambda event, headers: (302, {"Location": "/b"}, "")
    with pytest.raises(Undeliverable, match="302"):
        ask(state, Target(f"{app.url}/a"))


@pytest.mark.parametrize("url", ["http://192.0.2.1/a", "https://example.com/a", "http://localhost.example.com/"])
def test_nothing_is_sent_off_this_machine(state, url):
    with pytest.raises(Undeliverable, match="loopback"):
        ask(state, Target(url))


def test_an_untrusted_certificate_is_refused_and_a_trusted_one_is_not(tmp_path, state):
    from sandbox_world import World

    world = World(tmp_path / "home")
    readback = world.sandbox.readback
    target = Target(f"{readback.url}/initiate", "POST", readback.user, readback.password.get_secret_value())

    async def trusting(sender: WebhookSender) -> Any:
        sender.trust(readback.ca_file)
        return await sender.ask(EVENT, target, None)

    try:
        with pytest.raises(Undeliverable, match=r"(?i)certificate"):
            ask(state, target)
        assert "<Response>" in sending(state, trusting).body
    finally:
        world.close()


@pytest.mark.parametrize(
    ("host", "inside"),
    [("localhost", True), ("127.0.0.5", True), ("::1", True), ("10.0.0.1", False), ("", False), (None, False)],
)
def test_loopback_is_decided_without_dns(host, inside):
    assert is_loopback(host) is inside
