"""Two sites on one PBX: neither takes or breaks what is the other's; both are called from the same address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from asterisk_site import EDGE_HOST, NUMBER, PHONE_HOST, REALM, SITE, Edge, Site, at_site, connect, from_bandwidth
from asterisk_site import ring_and_answer as answer
from peers import asterisk
from pydantic import SecretStr

from bwlib.errors import PbxRefused
from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx.ami import Ami
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.sandbox import pbx as stage_of
from bwlib.sip.agent import Agent
from bwlib.sip.digest import Credentials
from bwlib.steps.pbx import EXTENSION, ROUTE, TRUNK, Kind, ensure_on_pbx, plan_on_pbx, remove_from_pbx

pytestmark = pytest.mark.peer

TRUNK_S = Trunk("south", REALM, "south-user", SecretStr("south-pass"), NUMBER, REALM, bandwidth_ips=(EDGE_HOST,),
                inbound_extension="102")  # fmt: skip
ROUTE_S = OutboundRoute("south", "NXXNXXXXXX", "+1", "south", NUMBER)
PHONE_S = Credentials("102", SecretStr("phone-of-south"))
EXTENSION_S = Extension("102", PHONE_S.password, "south", "South")
EACH = pytest.mark.parametrize(
    ("kind", "thing", "change"),
    [
        (TRUNK, TRUNK_S, {"from_user": "+19195550177"}),
        (ROUTE, ROUTE_S, {"caller_id": "+19195550177"}),
        (EXTENSION, EXTENSION_S, {"display_name": "Mine now"}),
    ],
    ids=["trunk", "route", "extension"],
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage_of.PbxStage]:
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("pbx"), asterisk())
    process = stage_of.start(stage)
    yield stage
    stage_of.stop(process)


@pytest.fixture
def south(stage: stage_of.PbxStage) -> Iterator[AsteriskPbx]:
    pbx = connect(stage, "south")
    pbx.put_trunk(TRUNK_S)
    pbx.put_route(ROUTE_S)
    pbx.put_extension(EXTENSION_S)
    pbx.apply()
    yield pbx
    pbx.delete_extension("102")
    pbx.delete_route("south")
    pbx.delete_trunk("south")
    pbx.apply()


# ---------------------------------------------------------------- whose it is


@EACH
def test_another_sites_is_other_and_refused_by_the_sites_name(
    south: AsteriskPbx, stage: stage_of.PbxStage, kind: Kind[Any], thing: Any, change: dict[str, Any]
) -> None:
    north, name, before = connect(stage, "north"), kind.name(thing), south.snapshot()
    assert (south.owner(kind.word, name), north.owner(kind.word, name)) == ("ours", "other")
    for attempt in (plan_on_pbx, ensure_on_pbx):
        with pytest.raises(PbxRefused, match="the site south"):
            attempt(north, kind, replace(thing, **change))
    for do in (lambda: kind.put(north, thing), lambda: kind.delete(north, name)):
        with pytest.raises(PbxRefused, match="the site south"):
            do()
    assert remove_from_pbx(north, kind, name).action == "kept"
    assert south.snapshot() == before
    assert kind.get(south, name) == thing


@EACH
def test_another_sites_with_the_very_same_settings_is_good(
    south: AsteriskPbx, stage: stage_of.PbxStage, kind: Kind[Any], thing: Any, change: dict[str, Any]
) -> None:
    before = south.snapshot()
    assert ensure_on_pbx(connect(stage, "north"), kind, thing).action == "unchanged"
    assert south.snapshot() == before


@EACH
def test_what_names_no_site_is_ours_and_gets_our_name_when_it_is_written(
    south: AsteriskPbx, stage: stage_of.PbxStage, kind: Kind[Any], thing: Any, change: dict[str, Any]
) -> None:
    for path in (stage.config_dir / "bw-runbook").iterdir():
        path.write_text(path.read_text().replace(" of site south", ""))
    assert connect(stage, "north").owner(kind.word, kind.name(thing)) == "ours"
    kind.put(south, thing)
    assert connect(stage, "north").owner(kind.word, kind.name(thing)) == "other"


# ---------------------------------------------------------------- one address, two trunks


def test_both_sites_are_rung_from_one_address_and_one_goes_without_the_other(
    south: AsteriskPbx, stage: stage_of.PbxStage
) -> None:
    async def do(site: Site) -> None:
        phone = Agent(PHONE_HOST, on_invite=answer)
        await phone.start()
        assert (await phone.register(stage.sip, "102", PHONE_S)).status == 200
        assert [await status(site, number) for number in ("101", "102", "800", "9195550123")] == [200, 200, 404, 404]
        assert south.get_trunk("south") == TRUNK_S
        site.pbx.delete_trunk("bandwidth")
        site.pbx.apply()
        assert [await status(site, number) for number in ("101", "102")] == [404, 200]
        assert south.get_trunk("south") == TRUNK_S
        await phone.register(stage.sip, "102", PHONE_S, expires_s=0)
        await phone.stop()

    at_site(stage, Edge, do)


def test_the_first_site_goes_on_when_the_second_leaves(south: AsteriskPbx, stage: stage_of.PbxStage) -> None:
    async def do(site: Site) -> None:
        south.delete_trunk("south")
        south.apply()
        assert [await status(site, number) for number in ("101", "102")] == [200, 404]

    at_site(stage, Edge, do)


def test_an_extension_that_two_trunks_name_stays_while_one_of_them_does(
    south: AsteriskPbx, stage: stage_of.PbxStage
) -> None:
    async def do(site: Site) -> None:
        both = replace(TRUNK_S, inbound_extension="101")
        south.put_trunk(both)
        south.apply()
        assert south.get_trunk("south") == both
        named = site.pbx.get_trunk("bandwidth")
        assert named is not None
        assert named.inbound_extension == "101"
        site.pbx.delete_trunk("bandwidth")
        site.pbx.apply()
        assert await status(site, "101") == 200

    at_site(stage, Edge, do)


async def status(site: Site, user: str) -> int | None:
    call = await from_bandwidth(site, site.edge_agent, user)
    if call.status == 200:
        await call.hang_up()
    return call.status


# ---------------------------------------------------------------- what a person has in the way


def reload(stage: stage_of.PbxStage) -> None:
    with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
        ami.command("module reload res_pjsip_endpoint_identifier_ip.so")
        ami.command("dialplan reload")


@pytest.fixture
def persons(stage: stage_of.PbxStage, request: pytest.FixtureRequest) -> Iterator[None]:
    """The person's file with lines more, and afterwards without."""
    name, lines = request.param
    path = stage.config_dir / name
    before = path.read_text()
    path.write_text(before + lines)
    reload(stage)
    yield
    path.write_text(before)
    reload(stage)


@pytest.mark.parametrize(
    ("persons", "match"),
    [
        (("pjsip.conf", "\n[carrier-id]\ntype = identify\nendpoint = 800\nmatch = 127.0.0.0/8\n"), "carrier-id"),
        (("pjsip.conf", f"\n[one]\ntype = identify\nendpoint = 800\nmatch = 192.0.2.1,{EDGE_HOST}\n"), "'800'.*'one'"),
        (("extensions.conf", "\n[bw-inbound]\ninclude => office\n"), "bw-inbound"),
    ],
    indirect=["persons"],
)
@pytest.mark.usefixtures("persons")
def test_what_would_take_or_widen_the_calls_from_bandwidth_is_named(stage: stage_of.PbxStage, match: str) -> None:
    pbx, before = connect(stage, SITE), connect(stage, SITE).snapshot()
    for attempt in (plan_on_pbx, ensure_on_pbx):
        with pytest.raises(PbxRefused, match=match):
            attempt(pbx, TRUNK, TRUNK_S)
    assert pbx.snapshot() == before
    assert pbx.get_trunk("south") is None


@pytest.mark.parametrize(
    "persons",
    [("pjsip.conf", "\n[carrier-id]\ntype = identify\nendpoint = 800\nmatch = 192.0.2.0/24\n")],
    indirect=True,
)
@pytest.mark.usefixtures("persons")
def test_a_persons_identify_for_other_addresses_is_no_hindrance(stage: stage_of.PbxStage) -> None:
    connect(stage, SITE).check_put(TRUNK_S)


def test_a_context_that_was_widened_while_running_is_seen(south: AsteriskPbx, stage: stage_of.PbxStage) -> None:
    with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
        ami.command("dialplan add include office into bw-inbound")
    found = south.get_trunk("south")
    assert found is not None
    assert found.inbound_extension == "(not as written)"
    south.apply()
    assert south.get_trunk("south") == TRUNK_S
