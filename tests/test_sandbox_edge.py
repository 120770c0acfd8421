"""The SIP edge of a started sandbox: a PBX made of one agent calls it, and is called by it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sandbox_world import ASIDE_S, PASSWORD, Pbx, World, callbacks, eventually

from bwlib.heard import compare
from bwlib.sip.agent import Credentials
from bwlib.sip.media import Media

SPEAK = "<Response><SpeakSentence>You dialled one two three four.</SpeakSentence></Response>"
WAIT = "<Response><SpeakSentence>Hello.</SpeakSentence><Pause duration='60'/></Response>"
ONLY_G722 = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 9\r\n"


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
        server.answers["/initiate"] = SPEAK
        server.answers["/answer"] = SPEAK
        yield server


@pytest.fixture
def fqdn(world, app):
    """A realm with the credential "pbx", bound to an application at `app`."""
    realm = world.realm("acme")
    world.credential(realm, "pbx", world.application(f"{app.url}/initiate", CallStatusCallbackUrl=f"{app.url}/status"))
    return realm[1]


def with_pbx(world: World, fqdn: str, play: Any) -> Any:
    """Run `play(pbx)` with a PBX that is up."""

    async def run() -> Any:
        async with Pbx(world, fqdn) as pbx:
            return await play(pbx)

    return asyncio.run(run())


def refused(world: World, fqdn: str, **options: Any) -> int | None:
    def play(pbx: Pbx) -> Coroutine[Any, Any, int | None]:
        return pbx.refused(**options)

    status: int | None = with_pbx(world, fqdn, play)
    return status


# -------------------------------------------------------------------- from the PBX


def test_a_call_reaches_the_application_of_its_credential_and_is_heard(world, app, fqdn):
    async def play(pbx):
        call, media = await pbx.talk(dialled="+15005550006")
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        await media.close()
        return call, media.received()

    call, heard = with_pbx(world, fqdn, play)
    initiate = app.wait_for("initiate")
    assert (initiate["from"], initiate["to"], initiate["direction"]) == (
        world.sandbox.number,
        "+15005550006",
        "inbound",
    )
    assert (call.end_reason, app.wait_for("disconnect")["cause"]) == ("bye", "hangup")
    assert compare(world.sandbox.sent_audio(initiate["callId"]), heard).correlation >= 0.99


def test_the_challenge_is_407_in_the_realm_of_the_request_uri(world, app, fqdn):
    refused(world, fqdn, password="wrong")
    (challenge, *_) = [e.text for e in world.sandbox.sip_events() if e.text.startswith("SIP/2.0 407")]
    assert f'Proxy-Authenticate: Digest realm="{fqdn}"' in challenge


def test_a_user_name_with_the_realm_is_checked_against_hash1b(world, app, fqdn):
    async def play(pbx):
        call, media = await pbx.talk(user=f"pbx@{fqdn}")
        await call.hang_up()
        await media.close()

    with_pbx(world, fqdn, play)
    assert app.wait_for("initiate")


def test_a_wrong_password_and_an_unknown_user_look_the_same(world, app, fqdn):
    assert refused(world, fqdn, password="wrong") == 403
    assert refused(world, fqdn, user="nobody") == 403
    assert app.seen == []


def test_a_wrong_password_may_be_challenged_again(world, app, fqdn):
    world.sandbox.set_switch("wrong_password_status", "407")
    assert refused(world, fqdn, password="wrong") == 407


def test_an_unknown_realm_is_refused_before_any_challenge(world, app, fqdn):
    assert refused(world, "other-000000.auth.bandwidth.test") == 404
    assert not any(event.text.startswith("SIP/2.0 407") for event in world.sandbox.sip_events())


def test_the_short_name_of_a_realm_is_no_realm_even_where_the_api_finds_it(world, app, fqdn):
    world.sandbox.set_switch("realm_short_name", "found")
    assert refused(world, "acme") == 404


def test_a_realm_that_is_not_active_yet_is_refused(world, app, fqdn):
    world.sandbox.set_switch("realm_create_s", "3600")
    world.account("POST", "/realms", "<Realm><Realm>slow</Realm><Default>false</Default></Realm>")
    assert refused(world, fqdn.replace("acme", "slow")) == 503


def test_a_caller_id_that_is_not_ours_is_refused(world, app, fqdn):
    assert refused(world, fqdn, from_user="+15005550001") == 403
    assert refused(world, fqdn, from_user=world.sandbox.number.removeprefix("+")) == 403


def test_whether_pai_may_carry_the_caller_id_is_a_switch(world, app, fqdn):
    options = {"from_user": "101", "headers": (("P-Asserted-Identity", f"<sip:{world.sandbox.number}@x.test>"),)}
    assert refused(world, fqdn, **options) == 403
    world.sandbox.set_switch("caller_id_source", "from-or-pai")
    app.answers["/initiate"] = "<Response><Hangup/></Response>"
    assert refused(world, fqdn, **options) == 603
    assert app.wait_for("initiate")["from"] == world.sandbox.number


def test_a_credential_without_application_is_told_that_the_pstn_is_not_imitated(world, app):
    realm = world.realm("loose")
    world.credential(realm, "pbx")
    assert refused(world, realm[1]) == 404
    assert any("PSTN is not imitated" in event.text for event in world.sandbox.sip_events())


def test_a_call_without_a_common_codec_is_488(world, app, fqdn):
    assert refused(world, fqdn, sdp=ONLY_G722) == 488
    assert app.seen == []


def test_an_offer_in_the_200_works_too(world, app, fqdn):
    """An INVITE without SDP: the edge offers, the ACK would carry the answer. Without one the call fails cleanly."""

    async def play(pbx):
        call = pbx.invite(sdp="")
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        return call

    assert "m=audio" in with_pbx(world, fqdn, play).remote_sdp
    assert app.wait_for("disconnect")["cause"] == "error"


def test_a_caller_who_cancels_while_it_rings_is_cause_cancel(world, app, fqdn):
    app.answers["/initiate"] = "<Response><Ring answerCall='false' duration='60'/></Response>"

    async def play(pbx):
        call = pbx.invite()
        await asyncio.wait_for(call.ringing.wait(), ASIDE_S)
        await call.hang_up()
        return call.status

    assert with_pbx(world, fqdn, play) == 487
    assert app.wait_for("disconnect")["cause"] == "cancel"


def test_a_caller_who_hangs_up_ends_the_bxml(world, app, fqdn):
    app.answers["/initiate"] = WAIT

    async def play(pbx):
        call, media = await pbx.talk()
        await call.hang_up()
        await media.close()

    with_pbx(world, fqdn, play)
    assert app.wait_for("disconnect")["cause"] == "hangup"


def test_a_caller_who_hangs_up_while_the_application_speaks_ends_the_call_too(world, app, fqdn):
    app.answers["/initiate"] = SPEAK  # more than a second of speech

    async def play(pbx):
        call, media = await pbx.talk()
        await media.play(np.zeros(1600, np.int16))
        await call.hang_up()
        await media.close()

    with_pbx(world, fqdn, play)
    assert app.wait_for("disconnect")["cause"] == "hangup"


def test_a_re_invite_is_answered(world, app, fqdn):
    app.answers["/initiate"] = WAIT

    async def play(pbx):
        call, media = await pbx.talk()
        answer = await call.reinvite(media.offer())
        await call.hang_up()
        await media.close()
        return answer.status

    assert with_pbx(world, fqdn, play) == 200


def test_without_a_status_url_an_inbound_call_ends_without_a_disconnect_event(world, app):
    realm = world.realm("quiet")
    world.credential(realm, "pbx", world.application(f"{app.url}/initiate"))

    async def play(pbx):
        call, media = await pbx.talk()
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        await media.close()

    with_pbx(world, realm[1], play)
    eventually(lambda: world.sandbox.calls()[-1]["state"] == "disconnected")
    assert app.types() == ["initiate"]


@pytest.mark.parametrize(("value", "status"), [("200", 200), ("405", 405), ("silent", None)])
def test_options_is_answered_as_its_switch_says(world, value, status):
    world.sandbox.set_switch("options", value)

    async def play(pbx):
        host, port = world.sandbox.edge
        answer = await pbx.agent.options(f"sip:{host}:{port}", timeout_s=1 if status is None else ASIDE_S)
        return None if answer is None else answer.status

    assert with_pbx(world, "", play) == status


def test_register_is_405(world, fqdn):
    async def play(pbx):
        answer = await pbx.agent.register(world.sandbox.edge, "pbx", Credentials("pbx", SecretStr(PASSWORD)))
        return answer.status

    assert with_pbx(world, fqdn, play) == 405


def test_the_trace_of_a_call_is_found_by_its_id_and_shows_no_digest_response(world, app, fqdn):
    async def play(pbx):
        call, media = await pbx.talk()
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        await media.close()

    with_pbx(world, fqdn, play)
    app.wait_for("disconnect")
    events = world.sandbox.sip_events(app.wait_for("initiate")["callId"])
    lines = [event.text.split("\r\n")[0] for event in events]
    first_words = [" ".join(line.split()[:2]) if line.startswith("SIP") else line.split()[0] for line in lines]
    wanted = ["INVITE", "SIP/2.0 407", "ACK", "INVITE", "SIP/2.0 200", "ACK", "BYE", "SIP/2.0 200"]
    assert [word for word in first_words if word != "SIP/2.0 100"] == wanted
    assert "Proxy-Authorization" in events[3].text
    assert not any(re.search(r'response="[0-9a-f]{32}"', event.text) for event in events)


def test_with_the_edge_stopped_nobody_answers_and_afterwards_it_does_on_the_same_port(world, app, fqdn):
    before = world.sandbox.edge

    def within(timeout_s):
        host, port = before
        return lambda pbx: pbx.agent.options(f"sip:{host}:{port}", timeout_s=timeout_s)

    with world.sandbox.edge_stopped():
        assert with_pbx(world, "", within(1)) is None
    assert with_pbx(world, "", within(ASIDE_S)).status == 200


def test_garbage_does_not_hurt_the_edge(world, fqdn):
    async def play(pbx):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=world.sandbox.edge)
        for datagram in (b"", b"\x00" * 1500, b"INVITE\r\n\r\n", b"INVITE sip:x SIP/2.0\r\nVia: x\r\n\r\n"):
            transport.sendto(datagram)
        transport.close()
        host, port = world.sandbox.edge
        return await pbx.agent.options(f"sip:{host}:{port}", timeout_s=ASIDE_S)

    assert with_pbx(world, "", play).status == 200


# -------------------------------------------------------------------- to the PBX


def place(world: World, app: Any, to: str, **fields: Any) -> str:
    application_id = world.application(f"{app.url}/initiate")
    body = {"from": world.sandbox.number, "to": to, "applicationId": application_id, "answerUrl": f"{app.url}/answer"}
    answer = world.voice("POST", "/calls", {**body, "disconnectUrl": f"{app.url}/status", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["callId"])


async def rung(world: World, app: Any, pbx: Pbx, **fields: Any) -> Any:
    """Place a call to this PBX; the INVITE that arrives."""
    host, port = pbx.agent.address
    await asyncio.to_thread(place, world, app, f"sip:101@{host}:{port}", **fields)
    return await asyncio.wait_for(pbx.taken.get(), ASIDE_S)


def test_a_programmatic_call_rings_is_answered_and_heard(world, app):
    async def play(pbx):
        call, media = await rung(world, app, pbx, tag="mine"), Media()
        call.ring()
        call.answer(media.answer(call.remote_sdp))
        await media.open()
        await asyncio.wait_for(call.ended.wait(), ASIDE_S)
        await media.close()
        return call, media.received()

    call, heard = with_pbx(world, "", play)
    answer, disconnect = app.wait_for("answer"), app.wait_for("disconnect")
    assert (call.end_reason, disconnect["cause"], disconnect["tag"]) == ("bye", "hangup", "mine")
    assert call.request.from_addr.sip_uri().user == world.sandbox.number
    assert (answer["direction"], answer["sipCallId"]) == ("outbound", call.sip_call_id)
    assert compare(world.sandbox.sent_audio(answer["callId"]), heard).correlation >= 0.99


def test_a_busy_callee_is_cause_busy(world, app):
    async def play(pbx):
        (await rung(world, app, pbx)).reject(486)

    with_pbx(world, "", play)
    disconnect = app.wait_for("disconnect")
    assert (disconnect["cause"], disconnect["errorMessage"]) == ("busy", "Callee is busy")
    assert (disconnect["sipResponseCode"], app.types()) == (486, ["disconnect"])


def test_a_challenge_is_never_answered(world, app):
    async def play(pbx):
        (await rung(world, app, pbx)).challenge("WWW-Authenticate", 'Digest realm="pbx", nonce="1"')
        await asyncio.sleep(0)
        return await asyncio.to_thread(app.wait_for, "disconnect")

    disconnect = with_pbx(world, "", play)
    assert (disconnect["cause"], disconnect["sipResponseCode"]) == ("rejected", 401)
    assert "credentials" in disconnect["errorMessage"]


def test_a_callee_who_does_not_answer_is_cancelled_after_call_timeout(world, app):
    async def play(pbx):
        call = await rung(world, app, pbx, callTimeout=1)
        call.ring()
        await asyncio.wait_for(call.cancelled.wait(), ASIDE_S)
        return await asyncio.to_thread(app.wait_for, "disconnect")

    assert with_pbx(world, "", play)["cause"] == "timeout"


def test_a_call_is_cancelled_by_the_api_while_it_rings(world, app):
    async def play(pbx):
        call = await rung(world, app, pbx)
        call.ring()
        call_id = world.sandbox.calls()[-1]["callId"]
        answer = await asyncio.to_thread(world.voice, "POST", f"/calls/{call_id}", {"state": "completed"})
        await asyncio.wait_for(call.cancelled.wait(), ASIDE_S)
        return answer.status_code

    assert with_pbx(world, "", play) == 200
    assert app.wait_for("disconnect")["cause"] == "cancel"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("+15005550006", "PSTN"),
        ("sip:101@192.0.2.1", "loopback only"),
        ("sip:101@pbx.example.com", "loopback only"),
        ("sips:101@127.0.0.1", "loopback only"),
    ],
)
def test_a_call_that_would_leave_this_machine_fails_and_sends_nothing(world, app, to, why):
    call_id = place(world, app, to)
    disconnect = app.wait_for("disconnect")
    assert (disconnect["cause"], disconnect["callId"]) == ("error", call_id)
    assert why in disconnect["errorMessage"]
    assert world.sandbox.sip_events() == []
