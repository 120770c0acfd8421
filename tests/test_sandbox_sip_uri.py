"""Inbound SIP URI of a started sandbox: the JSON API that enables it, and the calls that come by it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sandbox_world import _SDP, ASIDE_S, Pbx, World, application_xml, callbacks

from bwlib.heard import compare
from bwlib.sip.agent import Credentials, OutboundCall
from bwlib.sip.media import Media

SPEAK = "<Response><SpeakSentence>You dialled one two three four.</SpeakSentence></Response>"
HOST = "sip-uri.voice-api.bandwidth.test"
ENABLE = {"inboundSipCallsEnabled": True, "passwordAuthEnabled": True}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def world(running):
    running.sandbox.reset()
    return running


@pytest.fixture
def app():
    with callbacks() as server:
        server.answers["/initiate"] = SPEAK
        yield server


@pytest.fixture
def application_id(world, app):
    return world.application(f"{app.url}/initiate", CallStatusCallbackUrl=f"{app.url}/status")


def ask(world: World, method: str, application_id: str, body: Any = None, **options: Any) -> httpx.Response:
    url = f"{world.sandbox.http_url}/v2/accounts/{world.sandbox.account_id}/voice-applications/{application_id}"
    headers = {**world.bearer(), **options.pop("headers", {})}
    return world.http.request(method, url, json=body, headers=headers, **options)


def patch(world: World, application_id: str, **fields: Any) -> dict[str, Any]:
    answer = ask(world, "PATCH", application_id, fields)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and type of an error, in the platform's envelope."""
    document = answer.json()
    assert set(document) == {"links", "data", "errors"}
    assert document["data"] is None
    return answer.status_code, document["errors"][0]["type"]


# -------------------------------------------------------------------- the API


def test_enabling_answers_the_uri_the_settings_and_a_one_time_password(world, application_id):
    first = patch(world, application_id, **ENABLE, allowedRegions=["US"])
    assert first["sipUri"].startswith("sip:")
    assert first["sipUri"].endswith(f"@{HOST}")
    assert application_id not in first["sipUri"]
    assert (first["applicationId"], first["allowedSourceIps"], first["allowedRegions"]) == (application_id, [], ["US"])
    assert len(first["sipAuthPassword"]) >= 16
    again = patch(world, application_id, **ENABLE)
    assert "sipAuthPassword" not in again
    assert again["sipUri"] == first["sipUri"]


def test_the_password_is_kept_nowhere_in_the_sandbox(world, application_id):
    password = patch(world, application_id, **ENABLE)["sipAuthPassword"]
    assert password.encode() not in (world.sandbox.directory / "sandbox.db").read_bytes()
    assert not any(password in exchange["response_body"] for exchange in world.sandbox.exchanges())


def test_a_repeated_enabling_may_rotate_the_password(world, application_id):
    first = patch(world, application_id, **ENABLE)
    world.sandbox.set_switch("sip_uri_repeat_enable", "rotate")
    second = patch(world, application_id, **ENABLE)
    assert second["sipAuthPassword"] != first["sipAuthPassword"]
    assert "sipAuthPassword" not in patch(world, application_id, allowedRegions=["US"])


@pytest.mark.parametrize(("value", "same"), [("same", True), ("new", False)])
def test_enabling_after_disabling_gives_a_new_password(world, application_id, value, same):
    world.sandbox.set_switch("sip_uri_reenable", value)
    first = patch(world, application_id, **ENABLE)
    off = patch(world, application_id, inboundSipCallsEnabled=False)
    assert (off["inboundSipCallsEnabled"], off["sipUri"]) == (False, None)
    again = patch(world, application_id, inboundSipCallsEnabled=True)
    assert again["sipAuthPassword"] != first["sipAuthPassword"]
    assert (again["sipUri"] == first["sipUri"]) is same


@pytest.mark.parametrize(
    "body",
    [
        {"inboundSipCallsEnabled": True},
        {"inboundSipCallsEnabled": True, "passwordAuthEnabled": False, "allowedSourceIps": []},
        {"inboundSipCallsEnabled": "yes"},
        {"inboundSipCallsEnabled": True, "allowedSourceIps": ["not-a-network"]},
        {"inboundSipCallsEnabled": True, "allowedSourceIps": "192.0.2.0/24"},
        {"allowedRegions": [1]},
        [],
        None,
    ],
)
def test_settings_that_do_not_fit_are_refused_and_nothing_is_enabled(world, application_id, body):
    headers = {"Content-Type": "application/json"}
    assert error(ask(world, "PATCH", application_id, body, headers=headers)) == (400, "validation")
    assert patch(world, application_id)["inboundSipCallsEnabled"] is False


def test_an_unknown_application_another_account_and_a_missing_token_are_told_apart(world, application_id):
    assert error(ask(world, "PATCH", "00000000-0000-0000-0000-000000000000", ENABLE))[0] == 404
    assert error(ask(world, "PATCH", application_id, ENABLE, headers={"Authorization": "Bearer x"}))[0] == 401
    user, secret = world.sandbox.client_id, world.sandbox.client_secret.get_secret_value()
    url = f"{world.sandbox.http_url}/v2/accounts/{world.sandbox.account_id}/voice-applications/{application_id}"
    assert error(world.http.patch(url, json=ENABLE, auth=(user, secret)))[0] == 401
    other = world.http.patch(url.replace(world.sandbox.account_id, "1"), json=ENABLE, headers=world.bearer())
    assert error(other)[0] == 403


def test_reading_it_back_is_a_switch(world, application_id):
    patch(world, application_id, **ENABLE)
    assert error(ask(world, "GET", application_id))[0] == 405
    world.sandbox.set_switch("voice_application_get", "200")
    data = ask(world, "GET", application_id).json()["data"]
    assert data["passwordAuthEnabled"] is True
    assert "sipAuthPassword" not in data


def test_renaming_the_application_keeps_its_uri(world, application_id):
    uri = patch(world, application_id, **ENABLE)["sipUri"]
    renamed = application_xml("http://127.0.0.1:9/initiate", AppName="another")
    assert world.account("PUT", f"/applications/{application_id}", renamed).status_code == 200
    assert patch(world, application_id)["sipUri"] == uri


# -------------------------------------------------------------------- calls


def invite(pbx: Pbx, made: dict[str, Any], sdp: str = _SDP, **options: Any) -> OutboundCall:
    """An INVITE to the URI in `made`, with the credentials that it answered."""
    user = options.get("user", made["sipUri"].removeprefix("sip:").partition("@")[0])
    password = options.get("password", made.get("sipAuthPassword", "none"))
    return pbx.agent.invite(
        options.get("uri", made["sipUri"]),
        from_uri=f"sip:{options.get('from_user', '+12025550111')}@{HOST}",
        sdp=sdp,
        credentials=Credentials(user, SecretStr(password)),
        headers=options.get("headers", ()),
        send_to=pbx.world.sandbox.edge,
    )


def status(world: World, made: dict[str, Any], **options: Any) -> int | None:
    """How the edge ends an INVITE, 200 when it answers."""

    async def run() -> int | None:
        async with Pbx(world) as pbx:
            call = invite(pbx, made, **options)
            waits = [asyncio.ensure_future(event.wait()) for event in (call.answered, call.ended)]
            await asyncio.wait(waits, timeout=ASIDE_S, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            reached = call.status
            await call.hang_up()
            return reached

    return asyncio.run(run())


def test_a_call_fires_the_ordinary_initiate_with_its_x_headers_and_is_heard(world, app, application_id):
    made = patch(world, application_id, **ENABLE)

    async def play():
        async with Pbx(world) as pbx:
            media = Media()
            headers = [("X-Dialed-Number", "+1"), ("x-dialed-number", "+15005550006"), ("Subject", "no")]
            call = invite(pbx, made, media.offer(), headers=headers)
            await asyncio.wait_for(call.answered.wait(), ASIDE_S)
            media.accept(call.remote_sdp)
            await media.open()
            await asyncio.wait_for(call.ended.wait(), ASIDE_S)
            await media.close()
            return call, media.received()

    call, heard = asyncio.run(play())
    event = app.wait_for("initiate")
    assert (event["from"], event["to"], event["direction"]) == ("+12025550111", made["sipUri"], "inbound")
    assert event["sipHeaders"] == {"x-dialed-number": "+15005550006"}
    assert (call.end_reason, app.wait_for("disconnect")["cause"]) == ("bye", "hangup")
    assert compare(world.sandbox.sent_audio(event["callId"]), heard).correlation >= 0.99


def test_without_x_headers_there_is_no_such_field(world, app, application_id):
    assert status(world, patch(world, application_id, **ENABLE)) == 200
    assert "sipHeaders" not in app.wait_for("initiate")


def test_a_wrong_password_a_wrong_user_and_a_strange_uri_reach_nothing(world, app, application_id):
    made = patch(world, application_id, **ENABLE)
    assert status(world, made, password="wrong-password") == 403
    assert status(world, made, user="somebody") == 403
    assert status(world, made, uri=f"sip:nobody@{HOST}") == 404
    assert app.seen == []


def test_a_disabled_or_deleted_application_is_not_there(world, app, application_id):
    made = patch(world, application_id, **ENABLE)
    patch(world, application_id, inboundSipCallsEnabled=False)
    assert status(world, made) == 404
    made |= patch(world, application_id, inboundSipCallsEnabled=True)
    assert status(world, made) == 200
    world.account("DELETE", f"/applications/{application_id}")
    assert status(world, made) == 404


def test_an_allowed_address_needs_no_password_and_a_strange_one_is_turned_away(world, app, application_id):
    only_address = {"inboundSipCallsEnabled": True, "passwordAuthEnabled": False}
    made = patch(world, application_id, **only_address, allowedSourceIps=["127.0.0.0/8"])
    assert "sipAuthPassword" not in made
    assert status(world, made) == 200
    assert status(world, patch(world, application_id, allowedSourceIps=["192.0.2.0/24"])) == 403


def test_with_both_both_are_needed_unless_the_switch_says_either(world, app, application_id):
    made = patch(world, application_id, **ENABLE, allowedSourceIps=["127.0.0.0/8"])
    assert status(world, made) == 200
    assert status(world, made, password="wrong-password") == 403
    world.sandbox.set_switch("sip_uri_both", "either")
    assert status(world, made, password="wrong-password") == 200
    patch(world, application_id, allowedSourceIps=["192.0.2.0/24"])
    assert status(world, made) == 200
    assert status(world, made, password="wrong-password") == 403


def test_a_region_that_is_not_allowed_is_turned_away(world, app, application_id):
    made = patch(world, application_id, **ENABLE, allowedRegions=["US"])
    assert status(world, made) == 200
    world.sandbox.set_switch("sip_uri_region", "GB")
    assert status(world, made) == 403


@pytest.mark.parametrize("value", ["application-id", "uri"])
def test_the_digests_user_name_is_a_switch(world, app, application_id, value):
    made = patch(world, application_id, **ENABLE)
    world.sandbox.set_switch("sip_uri_digest_user", value)
    user = {"application-id": application_id, "uri": made["sipUri"].removeprefix("sip:")}[value]
    assert status(world, made) == 403
    assert status(world, made, user=user) == 200


def test_the_challenge_may_be_401(world, app, application_id):
    world.sandbox.set_switch("sip_uri_challenge_status", "401")
    assert status(world, patch(world, application_id, **ENABLE)) == 200
    assert any(event.text.startswith("SIP/2.0 401") for event in world.sandbox.sip_events())


def test_foreign_caller_ids_and_the_form_of_to_are_switches(world, app, application_id):
    made = patch(world, application_id, **ENABLE)
    world.sandbox.set_switch("sip_uri_caller_id", "own-numbers")
    assert status(world, made) == 403
    world.sandbox.set_switch("sip_uri_to", "user")
    assert status(world, made, from_user=world.sandbox.number) == 200
    assert app.wait_for("initiate")["to"] == made["sipUri"].removeprefix("sip:").partition("@")[0]


def test_x_headers_of_a_call_to_a_realm_are_not_handed_on(world, app, application_id):
    world.sandbox.set_switch("realm_create_s", "0")
    realm = world.realm("acme")
    world.credential(realm, "pbx", application_id)

    async def play():
        async with Pbx(world, realm[1]) as pbx:
            call, media = await pbx.talk(headers=(("X-Dialed-Number", "+15005550006"),))
            await call.hang_up()
            await media.close()

    asyncio.run(play())
    assert "sipHeaders" not in app.wait_for("initiate")
