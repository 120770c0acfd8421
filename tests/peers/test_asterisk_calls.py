"""Real calls through a real Asterisk: a phone on one side, an edge that challenges as Bandwidth's does on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from asterisk_site import (
    EDGE_HOST,
    LIMIT_S,
    NUMBER,
    PHONE,
    PHONE_HOST,
    REALM,
    STRANGER_HOST,
    Edge,
    Site,
    at_site,
    from_bandwidth,
    over,
    ring_and_answer,
)
from peers import asterisk
from pydantic import SecretStr

from bwlib.heard import find
from bwlib.pbx.ami import Ami
from bwlib.sandbox import pbx as stage_of
from bwlib.sip.agent import Agent
from bwlib.sip.digest import Credentials
from bwlib.sip.media import Media
from bwlib.sip.message import parse_message
from bwlib.sip.sdp import offer

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage_of.PbxStage]:
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("pbx"), asterisk())
    process = stage_of.start(stage)
    yield stage
    stage_of.stop(process)


# ---------------------------------------------------------------- out


@pytest.mark.parametrize("dialled", ["9195550123", "19195550123", "+19195550123"])
def test_a_call_leaves_authenticated_and_in_e164_whatever_the_phone_dials(
    stage: stage_of.PbxStage, dialled: str
) -> None:
    async def do(site: Site) -> None:
        call = site.dial(dialled)
        await over(call)
        assert call.status == 200
        await call.hang_up()
        first, second = site.edge.invites
        assert first.headers.get("Proxy-Authorization") is None
        assert first.uri.startswith(f"sip:+19195550123@{REALM}")
        for invite in (first, second):
            assert invite.from_addr.uri == f"sip:{NUMBER}@{REALM}"
        assert "telephone-event/8000" in second.sdp
        assert "RTP/AVP 0 8 " in second.sdp

    at_site(stage, Edge, do)


def test_voice_passes_both_ways_and_digits_arrive_once(stage: stage_of.PbxStage) -> None:
    noise = np.random.default_rng(1).normal(0, 4000, 12000).astype(np.int16)

    async def do(site: Site) -> None:
        ours, theirs = Media(PHONE_HOST), Media(EDGE_HOST)
        site.edge.media = theirs
        call = site.dial("9195550123", ours.offer())
        await over(call)
        ours.accept(call.remote_sdp)
        await asyncio.gather(ours.open(), theirs.open())
        await ours.play(noise)
        await theirs.play(noise)
        await ours.send_digits("4#")
        async with asyncio.timeout(LIMIT_S):
            assert [await theirs.digits.get(), await theirs.digits.get()] == ["4", "#"]
        assert find(noise, theirs.received()).correlation > 0.99
        assert find(noise, ours.received()).correlation > 0.99
        assert theirs.digits.empty()
        await call.hang_up()
        await asyncio.gather(ours.close(), theirs.close())

    at_site(stage, Edge, do)


def test_the_ladder_is_invite_407_ack_invite_200_ack_and_never_register(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        call = site.dial("9195550123")
        await over(call)
        await call.hang_up()
        await site.edge.seen(1, "BYE")
        assert site.edge.wire()[:7] == ["INVITE", "407", "ACK", "INVITE", "200", "ACK", "BYE"]
        assert not any(event.text.startswith(("REGISTER", "OPTIONS")) for event in site.edge.events)

    at_site(stage, Edge, do)


@pytest.mark.parametrize("status", [403, 404, 480, 486, 488, 500, 503, 504, 603])
def test_the_phone_is_told_the_realms_own_status(stage: stage_of.PbxStage, status: int) -> None:
    async def do(site: Site) -> None:
        call = site.dial("9195550123")
        await over(call)
        assert call.status == status

    at_site(stage, lambda: Edge(final=status), do)


def test_a_realm_that_challenges_for_ever_is_a_403_for_the_phone(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        call = site.dial("9195550123")
        await over(call)
        assert call.status == 403

    at_site(stage, lambda: Edge(password="another"), do)


def test_a_number_without_a_route_is_a_404_and_leaves_nothing(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        call = site.dial("911")
        await over(call)
        assert call.status == 404
        assert site.edge.events == []

    at_site(stage, Edge, do)


@pytest.mark.parametrize("dialled", ["919-555-0123", "+1-919-555-0123"])
def test_what_a_pattern_passes_over_does_not_reach_the_realm(stage: stage_of.PbxStage, dialled: str) -> None:
    async def do(site: Site) -> None:
        call = site.dial(dialled)
        await over(call)
        assert call.status == 200
        await call.hang_up()
        assert {invite.uri.partition("@")[0] for invite in site.edge.invites} == {"sip:+19195550123"}

    at_site(stage, Edge, do)


@pytest.mark.parametrize("dialled", ["9195550123%26PJSIP%2F800", "919555012%26", "9195550123%40office"])
def test_what_is_no_number_does_not_leave(stage: stage_of.PbxStage, dialled: str) -> None:
    async def do(site: Site) -> None:
        call = site.dial(dialled)
        await over(call)
        assert call.status in (400, 404)
        assert site.edge.events == []

    at_site(stage, Edge, do)


def test_hanging_up_while_it_rings_cancels_the_trunk_leg(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        call = site.dial("9195550123")
        await site.edge.seen(2, "INVITE")
        await call.hang_up()
        await site.edge.seen(1, "487")
        assert call.status == 487
        assert "CANCEL" in site.edge.wire()

    at_site(stage, lambda: Edge(final=0), do)


# ---------------------------------------------------------------- in


def test_a_call_from_bandwidth_rings_the_extension(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        call = await from_bandwidth(site, site.edge_agent, "101")
        assert call.status == 200
        assert call.ringing.is_set()
        await call.hang_up()

    at_site(stage, Edge, do)


@pytest.mark.parametrize("user", ["+19195550123", "9195550123", "800", "s", "outbound"])
def test_a_call_from_bandwidth_reaches_nothing_but_the_extension(stage: stage_of.PbxStage, user: str) -> None:
    async def do(site: Site) -> None:
        assert (await from_bandwidth(site, site.edge_agent, user)).status == 404
        assert site.edge.invites == []

    at_site(stage, Edge, do)


@pytest.mark.skipif(STRANGER_HOST == EDGE_HOST, reason="only one loopback address here")
@pytest.mark.parametrize("caller", [NUMBER, "bandwidth", "101"])
def test_a_call_from_another_address_is_not_admitted(stage: stage_of.PbxStage, caller: str) -> None:
    async def do(site: Site) -> None:
        stranger = Agent(STRANGER_HOST)
        await stranger.start()
        sip = site.stage.sip
        call = stranger.invite(f"sip:101@{sip[0]}:{sip[1]}", from_uri=f"sip:{caller}@{sip[0]}",
                               sdp=offer(STRANGER_HOST, 40004))  # fmt: skip
        await over(call)
        await stranger.stop()
        assert call.status == 401

    at_site(stage, Edge, do)


def test_a_call_for_a_phone_that_is_away_is_a_480(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        await site.phone.register(site.stage.sip, "101", PHONE, expires_s=0)
        assert (await from_bandwidth(site, site.edge_agent, "101")).status == 480

    at_site(stage, Edge, do)


def test_a_phone_that_came_back_elsewhere_has_one_contact(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        again = Agent(PHONE_HOST, on_invite=ring_and_answer)
        await again.start()
        assert (await again.register(site.stage.sip, "101", PHONE)).status == 200
        with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
            contacts = [line for line in ami.command("pjsip show contacts") if "101/sip:" in line]
        assert len(contacts) == 1
        assert f":{again.address[1]}" in contacts[0]
        await again.stop()

    at_site(stage, Edge, do)


def test_a_phone_with_a_wrong_secret_is_not_registered(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        wrong = Credentials("101", SecretStr("wrong"))
        assert (await site.phone.register(site.stage.sip, "101", wrong)).status in (401, 403)

    at_site(stage, Edge, do)


def test_the_wire_is_plain_sip_that_our_own_parser_reads(stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        call = site.dial("9195550123")
        await over(call)
        await call.hang_up()
        assert {type(parse_message(event.text.encode())).__name__ for event in site.edge.events} == {
            "Request",
            "Response",
        }

    at_site(stage, Edge, do)
