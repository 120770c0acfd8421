"""No way out for a stranger: what can be reached through the PBX that the guide has set up, from the edge and from
elsewhere. `tests/peers/test_asterisk_calls.py` asks the same of the configuration alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from peers import asterisk, loopback
from readback_site import EXTENSION, ReadbackSite, connect_pbx, start
from sandbox_world import ASIDE_S, callbacks

from bwlib.models import PbxInfo
from bwlib.sip.agent import Agent
from bwlib.sip.sdp import offer

pytestmark = [pytest.mark.peer, pytest.mark.slow]

STRANGER = loopback(4)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadbackSite]:
    asterisk()
    site = start(tmp_path_factory.mktemp("home"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def pbx(site: ReadbackSite) -> PbxInfo:
    return connect_pbx(site)[1]


def answered_to_bandwidth(site: ReadbackSite, pbx: PbxInfo, user: str) -> int:
    """What the PBX says to a programmatic call, which comes from the edge's own address."""
    with callbacks() as app:
        site.place(f"sip:{user}@{pbx.sip_host}:{pbx.sip_port}", f"{app.url}/answer", f"{app.url}/status")
        status: int = app.wait_for("disconnect")["sipResponseCode"]
        assert app.types() == ["disconnect"]
    return status


@pytest.mark.parametrize("user", ["+12025550123", "12025550123", "2025550123", "9195550123", "911", "s", "h"])
def test_no_number_can_be_reached_from_the_edge(site: ReadbackSite, pbx: PbxInfo, user: str) -> None:
    before = site.at_edge().count("INVITE")
    assert answered_to_bandwidth(site, pbx, user) == 404
    assert site.at_edge().count("INVITE") == before + 1  # the call to the PBX; none came back out of it


def test_another_persons_extension_cannot_be_reached_from_the_edge(site: ReadbackSite, pbx: PbxInfo) -> None:
    assert answered_to_bandwidth(site, pbx, "800") == 404


def test_the_sites_own_extension_can_be_reached_from_the_edge(site: ReadbackSite, pbx: PbxInfo) -> None:
    """Its phone is away, and that is another answer than "no such number": the tests above can fail."""
    assert answered_to_bandwidth(site, pbx, EXTENSION) == 480


@pytest.mark.skipif(STRANGER == "127.0.0.1", reason="this system has one loopback address only")
@pytest.mark.parametrize("user", [EXTENSION, "+12025550123", "800"])
def test_a_stranger_reaches_nothing_at_all(site: ReadbackSite, pbx: PbxInfo, user: str) -> None:
    async def status() -> int | None:
        agent = Agent(STRANGER)
        await agent.start()
        target = f"sip:{user}@{pbx.sip_host}:{pbx.sip_port}"
        call = agent.invite(target, from_uri=f"sip:{site.number}@{pbx.sip_host}", sdp=offer(STRANGER, 40004))
        try:
            async with asyncio.timeout(ASIDE_S):
                await call.ended.wait()
        finally:
            await agent.stop()
        return call.status

    assert asyncio.run(status()) == 401
