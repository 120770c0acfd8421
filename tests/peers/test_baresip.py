"""baresip, a phone that is not ours: directly at the edge, and as an extension of the real PBX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from baresip_phone import Baresip
from peers import asterisk, program
from readback_site import EXTENSION, EXTENSION_SECRET, USER, ReadbackSite, connect_pbx, start
from sandbox_world import PASSWORD, eventually

from bwlib.heard import compare, find, utterances
from bwlib.models import PbxInfo
from bwlib.readback_clip import clip_pcm

pytestmark = [pytest.mark.peer, pytest.mark.slow]

VOICE = clip_pcm()[:12_000]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadbackSite]:
    program("baresip")
    site = start(tmp_path_factory.mktemp("home"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def pbx(site: ReadbackSite) -> PbxInfo:
    asterisk()
    return connect_pbx(site)[1]


def at_the_realm(site: ReadbackSite, password: str = PASSWORD) -> str:
    """The account of a phone that is a PBX to the realm: no registration, packets to the edge."""
    return f'<sip:{site.number}@{site.fqdn}>;auth_user={USER};auth_pass={password};outbound="sip:{site.edge}";regint=0'


def at_the_pbx(pbx: PbxInfo) -> str:
    secret = EXTENSION_SECRET.get_secret_value()
    return f"<sip:{EXTENSION}@{pbx.sip_host}:{pbx.sip_port}>;auth_pass={secret};regint=300"


def press_when_asked(site: ReadbackSite, phone: Baresip, call_id: str) -> None:
    """Press 4 once readback's prompt is over, then wait for its goodbye and the end of the call."""
    eventually(lambda: prompt_is_over(site, call_id))
    phone.command("sndcode", "4")
    phone.wait_for("CALL_CLOSED")


def prompt_is_over(site: ReadbackSite, call_id: str) -> bool:
    """Something was said, and a second of silence followed: between greeting and prompt it is less."""
    said = site.world.sandbox.sent_audio(call_id)
    parts = utterances(said)
    return bool(parts) and len(said) - parts[-1][1] > 8000


def assert_heard_both_ways(site: ReadbackSite, phone: Baresip, call_id: str) -> None:
    sandbox = site.world.sandbox
    assert compare(sandbox.sent_audio(call_id), phone.heard()).correlation >= 0.99
    assert find(VOICE, sandbox.heard_audio(call_id)).correlation >= 0.99


def test_it_calls_the_application_directly_and_both_hear_each_other(site: ReadbackSite, tmp_path: Path) -> None:
    dialled, before = "+15005550006", site.readback.last_id()
    with Baresip(tmp_path / "baresip", at_the_realm(site), VOICE) as phone:
        phone.command("dial", f"sip:{dialled}@{site.fqdn}")
        call_id = site.readback.wait_for("initiate", to=dialled, after_id=before).call_id
        press_when_asked(site, phone, call_id)
    gathered = site.readback.wait_for("gather", call_id=call_id)
    site.readback.wait_for("disconnect", call_id=call_id)
    assert gathered.body["digits"] == "4"
    assert site.admitted(call_id) == ["initiate", "gather", "disconnect"]
    words = [word for word in site.at_edge(call_id) if word not in ("100", "180")]
    assert words == ["INVITE", "407", "ACK", "INVITE", "200", "ACK", "BYE", "200"]
    assert_heard_both_ways(site, phone, call_id)


def test_it_finds_the_realm_and_its_port_by_dns_alone(site: ReadbackSite, tmp_path: Path) -> None:
    server = site.world.sandbox.dns
    assert server is not None
    before = site.readback.last_id()
    account = f"<sip:{site.number}@{site.fqdn}>;auth_user={USER};auth_pass={PASSWORD};regint=0"
    with Baresip(tmp_path / "baresip", account, VOICE, dns_server=f"{server[0]}:{server[1]}") as phone:
        phone.command("dial", f"sip:+15005550006@{site.fqdn}")
        call_id = site.readback.wait_for("initiate", to="+15005550006", after_id=before).call_id
        press_when_asked(site, phone, call_id)
    assert site.readback.wait_for("gather", call_id=call_id).body["digits"] == "4"
    assert_heard_both_ways(site, phone, call_id)


def test_with_a_wrong_password_it_reaches_nobody(site: ReadbackSite, tmp_path: Path) -> None:
    before = site.readback.last_id()
    with Baresip(tmp_path / "baresip", at_the_realm(site, "wrong"), VOICE) as phone:
        phone.command("dial", f"sip:+15005550006@{site.fqdn}")
        assert "403" in phone.wait_for("CALL_CLOSED")["param"]
    assert site.readback.last_id() == before


def test_it_calls_the_application_through_the_pbx(site: ReadbackSite, pbx: PbxInfo, tmp_path: Path) -> None:
    before = site.readback.last_id()
    with Baresip(tmp_path / "baresip", at_the_pbx(pbx), VOICE) as phone:
        phone.wait_registered()
        phone.command("dial", f"sip:9195550123@{pbx.sip_host}:{pbx.sip_port}")
        first = site.readback.wait_for("initiate", to="+19195550123", after_id=before)
        press_when_asked(site, phone, first.call_id)
    gathered = site.readback.wait_for("gather", call_id=first.call_id)
    assert (first.body["from"], gathered.body["digits"]) == (site.number, "4")
    assert_heard_both_ways(site, phone, first.call_id)


def test_a_programmatic_call_rings_it_at_the_pbx(site: ReadbackSite, pbx: PbxInfo, tmp_path: Path) -> None:
    with Baresip(tmp_path / "baresip", at_the_pbx(pbx), VOICE) as phone:
        phone.wait_registered()
        call_id = site.place_to_readback(f"sip:{EXTENSION}@{pbx.sip_host}:{pbx.sip_port}")
        phone.wait_for("CALL_INCOMING")
        phone.command("accept")
        site.readback.wait_for("answer", call_id=call_id)
        press_when_asked(site, phone, call_id)
    site.readback.wait_for("disconnect", call_id=call_id)
    assert site.admitted(call_id) == ["answer", "gather", "disconnect"]
    assert site.readback.wait_for("gather", call_id=call_id).body["digits"] == "4"
    assert_heard_both_ways(site, phone, call_id)
