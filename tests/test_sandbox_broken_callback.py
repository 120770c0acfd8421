"""Callback URLs that misbehave: as anybody meets them, and as the sandbox does when it sends a webhook there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sandbox_world import World

from bwlib.errors import NotAsExpected, SettingsError
from bwlib.phone import Phone
from bwlib.sandbox.broken_callback import KINDS, BrokenCallbacks

EVENT = {"eventType": "initiate", "callId": "c-1"}


def asked(directory: Path, do: Callable[[BrokenCallbacks, httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        broken = BrokenCallbacks(directory)
        await broken.start({})
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                return await do(broken, client)
        finally:
            await broken.stop()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "status", "kind_of_body"),
    [("500", 500, "text/plain"), ("401", 401, "text/plain"), ("html", 200, "text/html"),
     ("bad-bxml", 200, "application/xml")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_answer_that_is_wrong_is_wrong_for_everybody(
    tmp_path: Path, kind: str, status: int, kind_of_body: str, method: str
) -> None:
    answer = asked(tmp_path, lambda broken, client: client.request(method, broken.urls[kind], json=EVENT))
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind_of_body)
    assert "www-authenticate" not in answer.headers


def test_nobody_listens_at_the_dead_one_and_nobody_can(tmp_path: Path) -> None:
    async def ask(broken: BrokenCallbacks, client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.ConnectError):
            await client.post(broken.urls["dead"], json=EVENT)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", broken.ports["dead"]))

    asked(tmp_path, ask)


def test_the_slow_one_is_right_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(broken: BrokenCallbacks, client: httpx.AsyncClient) -> httpx.Response:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(broken.urls["slow"], json=EVENT, timeout=httpx.Timeout(60, read=0.2))
        monkeypatch.setattr("bwlib.sandbox.broken_callback.SLOW_S", 0.1)
        return await client.post(broken.urls["slow"], json=EVENT)

    answer = asked(tmp_path, ask)
    assert (answer.status_code, "<Hangup/>" in answer.text) == (200, True)


def test_the_certificate_is_of_nobody_that_is_trusted_and_all_else_is_right(tmp_path: Path) -> None:
    async def ask(broken: BrokenCallbacks, client: httpx.AsyncClient) -> httpx.Response:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.post(broken.urls["certificate"], json=EVENT)
        async with httpx.AsyncClient(trust_env=False, verify=False) as credulous:
            return await credulous.post(broken.urls["certificate"], json=EVENT)

    assert asked(tmp_path, ask).status_code == 200


def test_the_urls_stay_over_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = BrokenCallbacks(tmp_path), BrokenCallbacks(tmp_path)
        await first.start({})
        await first.stop()
        await second.start(first.ports)
        await second.stop()
        assert second.urls == first.urls

    asyncio.run(run())


@pytest.mark.parametrize("request_", [b"", b"GET / HTTP/1.1\r\n", b"\0" * 200_000, b"x\r\n\r\n"])
def test_what_is_no_request_breaks_nothing(tmp_path: Path, request_: bytes) -> None:
    async def ask(broken: BrokenCallbacks, client: httpx.AsyncClient) -> httpx.Response:
        _, writer = await asyncio.open_connection("127.0.0.1", broken.ports["broken"])
        writer.write(request_)
        writer.close()
        return await client.get(broken.urls["500"])

    assert asked(tmp_path, ask).status_code == 500


# ---------------------------------------------------------------- in a running sandbox


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("home"))
    world.sandbox.set_switch("realm_create_s", "0")
    world.sandbox.set_switch("challenge", "off")
    yield world
    world.close()


def test_a_running_sandbox_has_one_of_each_and_knows_no_other(world: World) -> None:
    assert set(world.sandbox.broken_urls) == set(KINDS)
    with pytest.raises(SettingsError, match="take one of"):
        world.sandbox.broken_url("haunted")
    assert world.sandbox.account("class").broken_url("500") == world.sandbox.broken_url("500")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("dead", "connection attempts failed"), ("500", "the answer was 500"), ("401", "401 without WWW-Authenticate"),
        ("certificate", "CERTIFICATE_VERIFY_FAILED"), ("slow", "ReadTimeout"), ("bad-bxml", None), ("html", None),
    ],
)  # fmt: skip
def test_a_call_for_an_application_at_a_broken_url_fails_as_deliveries_say(
    world: World, kind: str, error: str | None
) -> None:
    world.sandbox.reset()
    for name, value in (("realm_create_s", "0"), ("challenge", "off")):
        world.sandbox.set_switch(name, value)
    application = world.application(world.sandbox.broken_url(kind), CallbackTimeout="1" if kind == "slow" else "15")
    world.credential(world.realm("acme", default=True), "pbx", application)
    with Phone(world.sandbox.edge, "pbx", SecretStr("not asked for")) as phone, pytest.raises(NotAsExpected):
        phone.dial("+15005550006")
    [told] = [one for one in world.sandbox.deliveries() if one["event"] == "initiate"]
    assert told["url"] == world.sandbox.broken_url(kind)
    assert told["error"] is None if error is None else error in told["error"]
    assert told["status"] == (int(kind) if kind.isdigit() else 200 if error is None else None)
