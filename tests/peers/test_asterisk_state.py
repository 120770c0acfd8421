"""What a real, running Asterisk says of itself: its state, the events of calls, its log, its count of packets."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from asterisk_site import (
    EDGE_HOST,
    LIMIT_S,
    NUMBER,
    PASSWORD,
    PHONE,
    PHONE_HOST,
    REALM,
    Edge,
    Site,
    a_site,
    connect,
    from_bandwidth,
    over,
)
from peers import asterisk
from pydantic import SecretStr

from bwlib.models import Extension, OutboundRoute, Trunk
from bwlib.pbx.ami import Ami
from bwlib.pbx.ami_events import FIELDS
from bwlib.pbx.asterisk import AsteriskPbx
from bwlib.pbx.state import Contact, MediaCount, Transport
from bwlib.sandbox import pbx as stage_of
from bwlib.sip.digest import Credentials
from bwlib.sip.rtp import RtpPacket

pytestmark = pytest.mark.peer

DIALLED = "9195550123"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage_of.PbxStage]:
    # a folder whose name is so long that `logger show channels` would cut it
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("a_pbx_in_a_folder_with_a_long_name"), asterisk())
    with (stage.config_dir / "manager.conf").open("a") as manager:
        manager.write("[poor]\nsecret = poor\nread = reporting\nwrite = reporting\n")
    process = stage_of.start(stage)
    yield stage
    stage_of.stop(process)


def edit(stage: stage_of.PbxStage, file: str, old: str, new: str) -> None:
    path = stage.config_dir / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture(scope="module")
def site_pbx(stage: stage_of.PbxStage) -> AsteriskPbx:
    """A PBX that is configured for a site, without anybody at its other ends."""

    async def configure() -> None:
        async with a_site(stage, Edge()):
            pass

    asyncio.run(configure())
    return connect(stage, "north")


# ---------------------------------------------------------------- state


def test_a_healthy_pbx_is_read_whole_and_nothing_is_pending(site_pbx: AsteriskPbx, stage: stage_of.PbxStage) -> None:
    site_pbx.apply()
    state = site_pbx.state("bandwidth", "101", DIALLED)
    assert (state.unknown, state.not_in_force, state.changed_since_reload) == ({}, (), ())
    assert Contact("bandwidth", f"sip:{REALM}", "NonQual") in state.contacts
    assert state.registrations == ()
    assert state.transports == (Transport("transport-udp", "udp", "{}:{}".format(*stage.sip)),)
    assert state.trunk["endpoint"]["from_user"] == NUMBER
    assert state.trunk["auth"]["realm"] == ""
    assert state.trunk["identify"]["match"].startswith(EDGE_HOST)
    assert state.extension["endpoint"]["context"] == "bw-outbound-us"
    assert state.rtp_ports == (20_000, 21_999)


def test_no_secret_is_in_a_state(site_pbx: AsteriskPbx) -> None:
    state = site_pbx.state("bandwidth", "101", DIALLED)
    assert state.trunk["auth"]["password"] == "(not shown)"
    for secret in (PASSWORD.get_secret_value(), PHONE.password.get_secret_value()):
        assert secret not in repr(state)


@pytest.mark.parametrize(
    ("number", "context", "pattern", "exists"),
    [(DIALLED, "", "_NXXNXXXXXX", True), ("12", "", "", True), ("800", "office", "800", True), ("1", "no", "", False)],
)
def test_the_dialplan_says_what_it_does_with_a_number(
    site_pbx: AsteriskPbx, number: str, context: str, pattern: str, exists: bool
) -> None:
    dialled = site_pbx.state("bandwidth", "101", number, context).dialled
    assert dialled is not None
    assert (dialled.pattern, dialled.context_exists) == (pattern, exists)
    assert bool(dialled.steps) is bool(pattern)


def test_a_trunk_that_is_not_there_is_empty_and_no_error(site_pbx: AsteriskPbx) -> None:
    state = site_pbx.state("nobody", "999", DIALLED)
    assert (state.trunk, state.extension, state.contacts, state.unknown) == ({}, {}, (), {})


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("bw-runbook/pjsip.conf", f"from_user = {NUMBER}", "from_user = 101",
         "pjsip.conf [bandwidth] endpoint from_user"),
        ("bw-runbook/pjsip.conf", "username = acme-user", "username = acme-user\nrealm = pinned",
         "pjsip.conf [bandwidth-auth] auth realm"),
        ("bw-runbook/pjsip.conf", f"match = {EDGE_HOST}", "match = 192.0.2.1",
         "pjsip.conf [bandwidth-identify] identify match"),
        ("sandbox_transport.conf", "protocol = udp", "protocol = udp\nexternal_media_address = 203.0.113.7",
         "pjsip.conf [transport-udp] transport external_media_address"),
        ("bw-runbook/extensions.conf", "exten => _NXXNXXXXXX,1", "exten => _NXXNXXXXX,1",
         "extensions.conf [bw-outbound-us] _NXXNXXXXX, _NXXNXXXXXX"),
        ("pjsip.conf", "[800]\ntype = endpoint\n", "[102]\ntype = endpoint\n[800]\ntype = endpoint\n", ""),
    ],
    ids=["endpoint", "auth", "identify", "transport", "dialplan", "somebody else's"],
)  # fmt: skip
def test_a_change_that_was_not_loaded_is_named(
    site_pbx: AsteriskPbx, stage: stage_of.PbxStage, file: str, old: str, new: str, told: str
) -> None:
    edit(stage, file, old, new)
    try:
        assert site_pbx.state("bandwidth", "101", DIALLED).not_in_force == ((told,) if told else ())
    finally:
        edit(stage, file, new, old)
    assert site_pbx.state("bandwidth", "101", DIALLED).not_in_force == ()


def test_an_endpoint_that_is_only_in_the_file_is_named(site_pbx: AsteriskPbx, stage: stage_of.PbxStage) -> None:
    edit(stage, "pjsip.conf", "[800]\ntype = endpoint\n", "[102]\ntype = endpoint\n[800]\ntype = endpoint\n")
    try:
        told = site_pbx.state("bandwidth", "102", DIALLED).not_in_force
    finally:
        edit(stage, "pjsip.conf", "[102]\ntype = endpoint\n[800]", "[800]")
    assert told == ("pjsip.conf [102] endpoint (not running at all)",)


UNUSUAL = Trunk(
    name="unusual",
    server=REALM,
    port=5061,
    username="acme-user",
    # every character that means something in a configuration file
    password=SecretStr("""=>p;a;--s\\s"w[o]r'd#${x}"""),
    from_user=NUMBER,
    from_domain=REALM,
    outbound_proxy="127.0.0.2:5060",
    registration=True,
    qualify_s=60,
    codecs=("alaw", "g722", "ulaw"),
    dtmf="info",
    send_pai=True,
    bandwidth_ips=("127.0.0.9", "10.1.0.0/16"),
    inbound_extension="102",
)
BY_URI = OutboundRoute(
    "uri", "NXXNXXXXXX", "+1", "unusual", NUMBER, request_uri="sip:3f2a@sip.test", number_header="X-Dialed-Number"
)
BY_TEMPLATE = """
[a-trunk](!)
type = endpoint
context = office ; a remark
disallow = all
allow = g722
allow = ulaw,alaw
disallow = g722
direct_media = off
[by-hand](a-trunk)
aors = by-hand
rtp_symmetric = true
allow = g729
[by-hand]
type = aor
qualify_timeout = 3
contact = sip:pbx@192.0.2.1
"""


def test_what_is_in_force_is_never_told_to_wait_however_it_was_written(stage: stage_of.PbxStage) -> None:
    pbx, persons = connect(stage, "north"), stage.config_dir / "pjsip.conf"
    before = persons.read_text()
    persons.write_text(before + BY_TEMPLATE)
    pbx.put_trunk(UNUSUAL)
    pbx.put_route(BY_URI)
    pbx.put_extension(Extension("102", SecretStr("phone-secret;x"), "uri", "Zoë Müller"))
    pbx.apply()
    try:
        for trunk, extension in (("unusual", "102"), ("by-hand", "800")):
            state = pbx.state(trunk, extension, DIALLED)
            assert state.trunk["endpoint"]["object_name"] == trunk
            assert (state.unknown, state.not_in_force) == ({}, ())
        assert state.trunk["endpoint"]["allow"].startswith("(ulaw|alaw")
    finally:
        persons.write_text(before)
        for delete, name in ((pbx.delete_extension, "102"), (pbx.delete_route, "uri"), (pbx.delete_trunk, "unusual")):
            delete(name)
        pbx.apply()


def test_a_file_that_was_written_after_the_last_reload_is_named(
    site_pbx: AsteriskPbx, stage: stage_of.PbxStage
) -> None:
    site_pbx.apply()
    path = stage.config_dir / "pjsip.conf"
    before = path.stat()
    try:
        # as if written two seconds from now: the reload's own second cannot be told
        stamp = time.time_ns() + 2_000_000_000
        os.utime(path, ns=(stamp, stamp))
        assert site_pbx.state("bandwidth", "101", DIALLED).changed_since_reload == ("pjsip.conf",)
    finally:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert site_pbx.state("bandwidth", "101", DIALLED).changed_since_reload == ()


def test_a_manager_user_with_fewer_rights_gets_less_and_is_told_so(stage: stage_of.PbxStage) -> None:
    pbx = AsteriskPbx(stage.config_dir, stage.ami_host, stage.ami_port, "poor", SecretStr("poor"))
    state = pbx.state("bandwidth", "101", "800", "office")
    assert set(state.unknown) == {"trunk", "extension", "contacts", "transports", "not_in_force", "rtp_ports",
                                  "changed_since_reload"}  # fmt: skip
    assert state.dialled is not None
    assert state.dialled.pattern == "800"
    assert pbx.log_since(datetime.now(UTC)) == ()
    with pbx.watch() as seen:
        pass
    assert (seen.events, seen.remark) == ((), "")


def test_an_asterisk_that_is_down_has_no_events_and_no_log(stage: stage_of.PbxStage) -> None:
    pbx = AsteriskPbx(stage.config_dir, stage.ami_host, 1, "poor", SecretStr("poor"))
    with pbx.watch() as seen:
        pass
    assert seen.events == ()
    assert seen.remark
    assert pbx.log_since(datetime.now(UTC)) == ()


# ---------------------------------------------------------------- calls


@dataclass
class Call:
    """What was seen of one call from the phone."""

    events: tuple[Mapping[str, str], ...]
    log: tuple[str, ...]

    def last(self, event: str, of: str) -> Mapping[str, str]:
        return [one for one in self.events if one["Event"] == event and of in str(one)][-1]


BOTH_ENDED = ("Hangup", "Hangup")  # the phone's leg and the trunk's


def in_a_call(
    stage: stage_of.PbxStage,
    edge: Edge,
    do: Callable[[Site], Awaitable[None]],
    *,
    told: tuple[str, ...] = BOTH_ENDED,
    logged: str = "",
) -> Call:
    """What is seen until these events were told and the log has these words: both come a moment later."""

    async def run() -> Call:
        async with a_site(stage, edge) as site, asyncio.timeout(LIMIT_S):
            began = datetime.now(UTC)
            with site.pbx.watch() as seen:
                await do(site)
                while Counter(told) - Counter(one["Event"] for one in seen.events):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            while logged not in "\n".join(log := site.pbx.log_since(began)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return Call(seen.events, log)

    return asyncio.run(run())


async def dialling(site: Site) -> None:
    call = site.dial(DIALLED)
    await over(call)
    if not call.ended.is_set():
        await call.hang_up()


def test_a_good_call_is_told_from_its_channels_to_its_hangup(stage: stage_of.PbxStage) -> None:
    call = in_a_call(stage, Edge(), dialling)
    told = [
        event["Event"] for event in call.events if event["Event"] in ("Newchannel", "DialBegin", "DialEnd", "Hangup")
    ]
    assert (told[0], told.count("Newchannel"), told.count("Hangup")) == ("Newchannel", 2, 2)
    assert call.last("DialBegin", "bandwidth")["DialString"] == "+19195550123@bandwidth"
    assert call.last("DialEnd", "bandwidth")["DialStatus"] == "ANSWER"
    assert call.last("Hangup", "bandwidth")["Cause"] == "16"


def test_a_wrong_password_is_told_by_the_trunks_hangup_and_the_log(stage: stage_of.PbxStage) -> None:
    call = in_a_call(stage, Edge(password="another"), dialling, logged='SIP "407"')
    hangup = call.last("Hangup", "PJSIP/bandwidth")
    assert (hangup["Cause"], hangup["TechCause"]) == ("21", "407")


def test_a_refusal_by_policy_is_told_apart_from_one_of_the_password(stage: stage_of.PbxStage) -> None:
    call = in_a_call(stage, Edge(final=403), dialling)
    assert call.last("Hangup", "PJSIP/bandwidth")["TechCause"] == "403"


async def strangers(site: Site) -> None:
    await site.phone.register(site.stage.sip, "101", Credentials("101", SecretStr("wrong-secret")))
    await from_bandwidth(site, site.phone, "101")  # not from an address that is admitted


def test_logins_that_fail_are_told_without_what_was_sent(stage: stage_of.PbxStage) -> None:
    refused = ("ChallengeResponseFailed", "InvalidAccountID")
    call = in_a_call(stage, Edge(), strangers, told=refused, logged="Failed to authenticate")
    failed = call.last("ChallengeResponseFailed", "101")
    assert (failed["AccountID"], PHONE_HOST in failed["RemoteAddress"]) == ("101", True)
    kept = {key for event in call.events for key in event}
    assert kept <= FIELDS
    assert not kept & {"Response", "ExpectedResponse", "Challenge", "ReceivedHash"}


def test_registrations_and_contacts_that_change_are_told_and_stand_in_the_state(stage: stage_of.PbxStage) -> None:
    async def run() -> None:
        async with a_site(stage, Edge()) as site, asyncio.timeout(LIMIT_S):
            trunk = site.pbx.get_trunk("bandwidth")
            assert trunk is not None
            with site.pbx.watch(settle_s=0) as seen:
                site.pbx.put_trunk(replace(trunk, registration=True, qualify_s=1))
                await asyncio.to_thread(site.pbx.apply)
                with Ami(stage.ami_host, stage.ami_port, stage.ami_user, stage.ami_secret) as ami:
                    ami.action("PJSIPRegister", Registration="bandwidth-registration")  # not some seconds later
                while not {"Registry", "ContactStatus"} <= {one["Event"] for one in seen.events}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            answers, state = Contact("bandwidth", f"sip:{REALM}", "Avail"), site.pbx.state("bandwidth", "101", DIALLED)
            while answers not in state.contacts:
                await asyncio.sleep(0.05)
                state = site.pbx.state("bandwidth", "101", DIALLED)
            assert [one.name for one in state.registrations] == ["bandwidth-registration"]
            registry = [one["Status"] for one in seen.events if one["Event"] == "Registry"]
            assert registry
            assert "Registered" not in registry  # the edge is no registrar

    asyncio.run(run())


def test_the_log_of_before_is_not_told_again(stage: stage_of.PbxStage) -> None:
    call = in_a_call(stage, Edge(final=403), dialling)
    before = connect(stage, "north").log_since(datetime.now(UTC))
    assert call.log
    assert before == ()
    assert not any("modules will be loaded" in line for line in call.log)
    assert any("modules will be loaded" in line for line in connect(stage, "north").log_since(EPOCH))


async def leg(site: Site, fits: Callable[[MediaCount], bool] = lambda count: True) -> MediaCount:
    """The trunk's leg, as soon as the PBX counts it so: a call is answered a moment before all of it is there."""
    while True:
        for count in site.pbx.media():
            if count.channel.startswith("bandwidth-") and count.local and fits(count):
                return count
        await asyncio.sleep(0.05)


async def nothing_up(site: Site) -> None:
    while True:
        if site.pbx.media() == ():
            return
        await asyncio.sleep(0.05)


def test_packets_of_a_call_are_counted_in_the_middle_of_it(stage: stage_of.PbxStage) -> None:
    async def run() -> None:
        async with a_site(stage, Edge()) as site, asyncio.timeout(LIMIT_S):
            call = site.dial(DIALLED)
            await over(call)
            where = await leg(site)
            host, port = where.local.rsplit(":", 1)
            assert (where.codec, where.remote, where.received) == ("ulaw", f"{EDGE_HOST}:40000", 0)
            assert where.number == DIALLED
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
                ear.bind((EDGE_HOST, 0))
                for at in range(50):
                    ear.sendto(RtpPacket(0, at, 160 * at, 7, bytes(160)).encode(), (host, int(port)))
                    await asyncio.sleep(0.01)
            assert 0 < (await leg(site, lambda count: count.received > 0)).received <= 50
            await call.hang_up()
            await nothing_up(site)

    asyncio.run(run())
