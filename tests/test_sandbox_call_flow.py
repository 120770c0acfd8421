"""What becomes of a call when the application answers badly, late or not at all; and with readback, well."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import Any

import pytest
from sandbox_world import ASIDE_S, Pbx, World, callbacks, eventually

from bwlib.errors import BwlibError
from bwlib.readback_client import Readback
from bwlib.sandbox import control
from bwlib.sip.media import Media

BY = "<Response><Hangup/></Response>"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    running.sandbox.set_switch("realm_create_s", "0")
    return running


@pytest.fixture
def app():
    with callbacks() as server:
        yield server


def called(world: World, url: str, **fields: str) -> tuple[int | None, dict[str, Any]]:
    """A call to an application at `url`: the SIP status the caller got, and the call once it is over."""
    realm = world.realm("acme")
    world.credential(realm, "pbx", world.application(url, **fields))

    async def play() -> int | None:
        async with Pbx(world, realm[1]) as pbx:
            call = pbx.invite()
            await asyncio.wait_for(call.ended.wait(), ASIDE_S)
            return call.status

    status = asyncio.run(play())

    def over() -> dict[str, Any] | None:
        call = world.sandbox.calls()[-1]
        return call if call["state"] == "disconnected" else None

    return status, eventually(over)


def test_a_callback_url_nobody_listens_on_is_a_callback_error(world):
    status, call = called(world, "http://127.0.0.1:9/initiate")
    assert (status, call["disconnectCause"]) == (603, "callback-error")
    (delivery,) = world.sandbox.deliveries(call["callId"])
    assert (delivery["event"], delivery["url"], delivery["status"]) == ("initiate", "http://127.0.0.1:9/initiate", None)
    assert delivery["error"]


def test_the_status_of_a_refused_call_is_a_switch(world):
    world.sandbox.set_switch("unanswered_hangup_status", "480")
    assert called(world, "http://127.0.0.1:9/initiate")[0] == 480


def test_a_callback_url_that_is_not_found_is_a_callback_error(world, app):
    app.answers["/initiate"] = lambda event, headers: (404, {}, "")
    call = called(world, f"{app.url}/initiate")[1]
    assert (call["disconnectCause"], call["errorMessage"]) == ("callback-error", "the answer was 404")


def test_the_fallback_url_takes_over(world, app):
    app.answers["/fallback"] = BY
    fields = {"CallInitiatedFallbackUrl": f"{app.url}/fallback"}
    call = called(world, "http://127.0.0.1:9/initiate", **fields)[1]
    assert (call["disconnectCause"], app.types()) == ("hangup", ["initiate"])


@pytest.mark.parametrize(
    ("answer", "cause"),
    [("not xml", "invalid-bxml"), ("<Response><Transfer/></Response>", "application-error"), (BY, "hangup")],
)
def test_what_the_application_says_decides_the_cause(world, app, answer, cause):
    app.answers["/initiate"] = answer
    assert called(world, f"{app.url}/initiate")[1]["disconnectCause"] == cause


@pytest.mark.parametrize(("value", "cause"), [("hangup", "hangup"), ("invalid-bxml", "invalid-bxml")])
def test_what_an_empty_answer_means_is_a_switch(world, app, value, cause):
    world.sandbox.set_switch("empty_bxml_body", value)
    app.answers["/initiate"] = lambda event, headers: (204, {}, "")
    assert called(world, f"{app.url}/initiate")[1]["disconnectCause"] == cause


def test_redirects_are_followed_through_relative_urls(world, app):
    app.answers["/a/initiate"] = "<Response><Redirect redirectUrl='two'/></Response>"
    app.answers["/a/two"] = BY
    called(world, f"{app.url}/a/initiate")
    assert [path for path, _, _ in app.seen] == ["/a/initiate", "/a/two"]
    assert app.types() == ["initiate", "redirect"]


def test_a_reset_ends_calls_that_are_up(world, app):
    app.answers["/initiate"] = "<Response><SpeakSentence>Hello.</SpeakSentence><Pause duration='600'/></Response>"
    realm = world.realm("acme")
    world.credential(realm, "pbx", world.application(f"{app.url}/initiate"))

    async def play() -> str:
        async with Pbx(world, realm[1]) as pbx:
            call, media = await pbx.talk()
            await asyncio.to_thread(world.sandbox.reset)
            await asyncio.wait_for(call.ended.wait(), ASIDE_S)
            await media.close()
            return call.end_reason

    assert asyncio.run(play()) == "bye"
    assert (world.sandbox.calls(), world.sandbox.status()["calls_up"]) == ([], 0)


def test_what_was_said_can_be_read_while_the_call_is_up(world, app):
    app.answers["/initiate"] = "<Response><SpeakSentence>Hello.</SpeakSentence><Pause duration='600'/></Response>"
    realm = world.realm("acme")
    world.credential(realm, "pbx", world.application(f"{app.url}/initiate"))

    async def play() -> int:
        async with Pbx(world, realm[1]) as pbx:
            call, media = await pbx.talk()
            call_id = world.sandbox.calls()[-1]["callId"]
            loudest = await asyncio.to_thread(eventually, lambda: world.sandbox.sent_audio(call_id).max(initial=0))
            await call.hang_up()
            await media.close()
            return int(loudest)

    assert asyncio.run(play()) > 0


def test_readback_is_reached_through_tls_and_its_challenge_and_reads_the_number_back(world):
    address = world.sandbox.readback
    creds = f"<UserId>{address.user}</UserId><Password>{address.password.get_secret_value()}</Password>"
    realm = world.realm("acme")
    world.credential(realm, "pbx", world.application(f"{address.url}/initiate", CallbackCreds=creds))

    async def play() -> None:
        async with Pbx(world, realm[1]) as pbx:
            call, media = await pbx.talk()
            while not call.ended.is_set():  # before the Gather it does not count, so press it until one does
                with contextlib.suppress(BwlibError):
                    await media.send_digits("4", gap_ms=500)
            await media.close()

    asyncio.run(play())
    call_id = world.sandbox.calls()[-1]["callId"]
    webhooks = Readback(address.url, address.token, address.ca_file).webhooks(call_id=call_id)
    taken = [webhook for webhook in webhooks if webhook.authenticated]
    assert [webhook.event_type for webhook in taken] == ["initiate", "gather"]
    assert taken[1].body["digits"] == "4"


def test_a_readback_that_was_started_again_gets_its_webhooks(world):
    """It comes back at the same place, with another certificate."""
    address = world.sandbox.readback
    pid = json.loads((world.sandbox.directory / "readback.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: world.sandbox.status()["readback"] != "up")
    eventually(lambda: world.sandbox.status()["readback"] == "up")
    creds = f"<UserId>{address.user}</UserId><Password>{address.password.get_secret_value()}</Password>"
    realm = world.realm("acme")
    world.credential(realm, "pbx", world.application(f"{address.url}/initiate", CallbackCreds=creds))

    async def play() -> None:
        async with Pbx(world, realm[1]) as pbx:
            call, media = await pbx.talk()
            await call.hang_up()
            await media.close()

    asyncio.run(play())
    assert 200 in statuses(world, "initiate")
    world.sandbox = control.start(world.home)  # whoever comes next has its new token


def readback_credentials(world: World) -> dict[str, str]:
    address = world.sandbox.readback
    return {"username": address.user, "password": address.password.get_secret_value()}


def redirected(world: World, url: str) -> None:
    """A call whose credentials are for readback is answered there, then redirected to `url`, which asks for some."""
    address = world.sandbox.readback
    creds = {"username": address.user, "password": address.password.get_secret_value()}
    application_id = world.application("http://127.0.0.1:9/")
    body = {"from": world.sandbox.number, "applicationId": application_id, "answerUrl": f"{address.url}/answer"}

    async def play() -> None:
        async with Pbx(world) as pbx:
            wanted = {**body, **creds, "to": f"sip:101@{pbx.agent.address[0]}:{pbx.agent.address[1]}"}
            made = (await asyncio.to_thread(world.voice, "POST", "/calls", wanted)).json()
            call, media = await asyncio.wait_for(pbx.taken.get(), ASIDE_S), Media()
            call.answer(media.answer(call.remote_sdp))
            path, upcoming = f"/calls/{made['callId']}", {"redirectUrl": url}
            await asyncio.to_thread(eventually, lambda: world.voice("POST", path, upcoming).status_code == 200)
            await asyncio.to_thread(eventually, lambda: statuses(world, "redirect"))
            await call.hang_up()
            await media.close()

    asyncio.run(play())


def statuses(world: World, event: str) -> list[int]:
    return [delivery["status"] for delivery in world.sandbox.deliveries() if delivery["event"] == event]


@pytest.mark.parametrize(("value", "status"), [("own-only", 401), ("inherit", 200)])
def test_whether_a_verbs_url_inherits_the_calls_credentials_is_a_switch(world, value, status):
    world.sandbox.set_switch("callback_credentials", value)
    redirected(world, f"{world.sandbox.readback.url}/redirect")
    assert statuses(world, "redirect") == [status]


def test_a_url_on_another_origin_inherits_nothing(world, app):
    world.sandbox.set_switch("callback_credentials", "inherit")
    app.answers["/next"] = lambda event, headers: (401, {"WWW-Authenticate": 'Basic realm="app"'}, "")
    redirected(world, f"{app.url}/next")
    assert ["authorization" in headers for _, _, headers in app.seen] == [False]
