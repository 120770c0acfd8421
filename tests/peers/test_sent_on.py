"""Nobody who answers a call can send it on, by a redirection (302) or a transfer (REFER): the site would pay for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from asterisk_site import LIMIT_S, Edge, Site, at_site, from_bandwidth, over
from peers import asterisk

from bwlib.pbx.ami import Ami
from bwlib.sandbox import pbx as stage_of
from bwlib.sip.agent import Agent
from bwlib.sip.call import Call
from bwlib.sip.incoming import IncomingCall

pytestmark = pytest.mark.peer

# A number by the phone's own route, a person's dialplan, and a channel of any kind.
ELSEWHERE = [
    "<sip:9005550123@192.0.2.1>",
    "<sip:Local%2F800%40office@192.0.2.1>",
    "<sip:Local/9005550123%40bw-outbound-us@192.0.2.1>",
    "<sip:PJSIP%2F%2B19005550123%40bandwidth@192.0.2.1>",
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage_of.PbxStage]:
    """With the module that obeys a REFER, which most PBXs load."""
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("pbx"), asterisk())
    with (stage.config_dir / "modules.conf").open("a") as modules:
        modules.write("load = res_pjsip_refer.so\n")
    process = stage_of.start(stage)
    yield stage
    stage_of.stop(process)


def redirecting(contact: str) -> Edge:
    return Edge(final=302, redirect=contact)


async def refer(site: Site, agent: Agent, call: Call, number: str) -> int:
    """Ask the PBX to transfer a call that is up; what it answers."""
    assert call.dialog is not None
    request = call._host.complete(call.dialog.request("REFER"))
    request.headers.add("Refer-To", f"<sip:{number}@{site.stage.sip[0]}:{site.stage.sip[1]}>")
    request.headers.add("Contact", f"<{agent.contact('x')}>")
    response = await call._host.exchange(request, call.dialog.next_hop(), call._credentials)
    return response.status


async def acked(call: IncomingCall) -> IncomingCall:
    async with asyncio.timeout(LIMIT_S):
        await call.acked.wait()
    return call


@pytest.mark.parametrize("contact", ELSEWHERE)
def test_a_phone_that_redirects_a_call_from_bandwidth_sends_it_nowhere(stage: stage_of.PbxStage, contact: str) -> None:
    async def redirect(call: IncomingCall) -> None:
        call.reject(302, headers=[("Contact", contact)])

    async def do(site: Site) -> None:
        site.phone_does = redirect
        call = await from_bandwidth(site, site.edge_agent, "101")
        assert (call.status, len(site.rung), site.edge.invites) == (480, 1, [])

    at_site(stage, Edge, do)


@pytest.mark.parametrize("contact", [*ELSEWHERE, "<sip:101@192.0.2.1>"])
def test_a_far_end_that_redirects_a_call_sends_it_nowhere(stage: stage_of.PbxStage, contact: str) -> None:
    async def do(site: Site) -> None:
        call = site.dial("9195550123")
        await over(call)
        assert call.status in (403, 503)
        assert (len(site.edge.invites), site.rung) == (2, [])

    at_site(stage, lambda: redirecting(contact), do)


def test_without_the_option_a_redirection_is_followed(stage: stage_of.PbxStage) -> None:
    """So the two tests above can fail; and the reader sees it."""

    async def do(site: Site) -> None:
        ours = stage.config_dir / "bw-runbook/extensions.conf"
        ours.write_text(ours.read_text().replace("60,i)", "60)"))
        with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
            ami.command("dialplan reload")
        route, trunk = site.pbx.get_route("us"), site.pbx.get_trunk("bandwidth")
        assert route is not None
        assert route.forwarding
        assert trunk is not None
        assert trunk.inbound_extension == "(not as written)"
        call = site.dial("9195550123")
        await over(call)
        assert call.status == 200
        await call.hang_up()

    at_site(stage, lambda: redirecting(ELSEWHERE[1]), do)


@pytest.mark.parametrize("number", ["+19005550123", "9005550123", "800"])
def test_a_call_from_bandwidth_is_transferred_by_neither_side(stage: stage_of.PbxStage, number: str) -> None:
    async def do(site: Site) -> None:
        call = await from_bandwidth(site, site.edge_agent, "101")
        [phone] = site.rung
        assert await refer(site, site.phone, await acked(phone), number) == 603
        assert await refer(site, site.edge_agent, call, number) == 603
        assert site.edge.invites == []
        assert not call.ended.is_set()
        await call.hang_up()

    at_site(stage, Edge, do)


@pytest.mark.parametrize("number", ["+19005550123", "9005550123", "800"])
def test_a_call_from_the_extension_is_transferred_by_neither_side(stage: stage_of.PbxStage, number: str) -> None:
    async def do(site: Site) -> None:
        call = site.dial("9195550123")
        await over(call)
        [far] = site.edge.calls
        assert await refer(site, site.edge_agent, await acked(far), number) == 603
        assert await refer(site, site.phone, call, number) == 603
        assert len(site.edge.invites) == 2
        assert not call.ended.is_set()
        await call.hang_up()

    at_site(stage, Edge, do)


def test_transfers_that_somebody_turned_on_are_seen(stage: stage_of.PbxStage) -> None:
    """And obeyed: so the two tests above can fail."""

    async def do(site: Site) -> None:
        ours = stage.config_dir / "bw-runbook/pjsip.conf"
        ours.write_text(ours.read_text().replace("allow_transfer = no", "allow_transfer = yes"))
        with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
            ami.command("module reload res_pjsip.so")
        extension, trunk = site.pbx.get_extension("101"), site.pbx.get_trunk("bandwidth")
        assert extension is not None
        assert trunk is not None
        assert (extension.transfers, trunk.transfers) == (True, True)
        call = site.dial("9195550123")
        await over(call)
        assert await refer(site, site.phone, call, "9005550123") == 202
        await call.hang_up()

    at_site(stage, Edge, do)
