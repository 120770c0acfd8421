"""Kamailio as the PBX, a program that is not ours, with exactly the lines that our settings sheet for it prints."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kamailio_peer import KEPT_IN, SECRET_FILE, Kamailio, secret_file
from peers import loopback, program
from pydantic import SecretStr
from readback_site import EXTENSION, EXTENSION_SECRET, USER, ReadbackSite, start
from sandbox_world import ASIDE_S, PASSWORD, callbacks, eventually, hashes
from sheet_text import snippets

from bwlib.errors import NotAsExpected
from bwlib.heard import compare, find
from bwlib.models import Extension, OutboundRoute, Realm, SipCredential
from bwlib.pbx.by_hand import Kept, settings_sheet
from bwlib.phone import Phone
from bwlib.readback_clip import clip_pcm
from bwlib.sip.agent import Agent
from bwlib.sip.message import Request, parse_message
from bwlib.sip.sdp import offer
from bwlib.steps.pbx import trunk_to
from bwlib.wanted import DIAL_PATTERN, PREPEND

pytestmark = [pytest.mark.peer, pytest.mark.slow]

VOICE = clip_pcm()[:12_000]
STRANGER = loopback(5)
KINDS = ("HA1", "password")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadbackSite]:
    program("kamailio")
    site = start(tmp_path_factory.mktemp("home"))
    yield site
    site.close()


def sheet_for(site: ReadbackSite, password: str = PASSWORD) -> str:
    """What a person would print for this site."""
    hash1, hash1b = map(SecretStr, hashes(site.fqdn, USER))
    trunk = trunk_to(
        Realm(site.realm[0], site.fqdn, "", True, "ACTIVE"),
        SipCredential("", USER, site.realm[0], site.fqdn, site.application_id, hash1, hash1b),
        name="bandwidth",
        password=SecretStr(password),
        number=site.number,
        bandwidth_ips=(site.world.sandbox.edge[0],),
        extension=EXTENSION,
        outbound_proxy=site.edge,
    )
    route = OutboundRoute("bandwidth-out", DIAL_PATTERN, PREPEND, "bandwidth", site.number)
    extension = Extension(EXTENSION, EXTENSION_SECRET, "bandwidth-out", "Front desk")
    return settings_sheet("kamailio", trunk, route, extension, Kept(KEPT_IN))


@pytest.fixture(scope="module", params=KINDS)
def kamailio(
    site: ReadbackSite, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Kamailio]:
    sheet, folder = sheet_for(site), tmp_path_factory.mktemp("kamailio")
    file = secret_file(folder, sheet, PASSWORD, request.param)
    with Kamailio(folder, sheet, file, EXTENSION_SECRET.get_secret_value()) as running:
        yield running


@pytest.fixture
def phone(kamailio: Kamailio) -> Iterator[Phone]:
    with Phone(kamailio.address, EXTENSION, EXTENSION_SECRET) as phone:
        phone.register()
        yield phone


only_ha1 = pytest.mark.parametrize("kamailio", ["HA1"], indirect=True, scope="module")


def requests_at_edge(site: ReadbackSite, sip_call_id: str) -> list[Request]:
    messages = [parse_message(event.text.encode()) for event in site.world.sandbox.sip_events(sip_call_id)]
    return [message for message in messages if isinstance(message, Request)]


def at_edge(site: ReadbackSite, sip_call_id: str) -> list[str]:
    return [word for word in site.at_edge(sip_call_id) if word not in ("100", "180")]


def test_a_phone_calls_the_application_and_both_hear_each_other(site: ReadbackSite, phone: Phone) -> None:
    before = site.readback.last_id()
    call = phone.dial("9195550123")
    webhook = site.readback.wait_for("initiate", to="+19195550123", after_id=before)
    assert webhook.body["from"] == site.number
    call.play(VOICE)
    assert call.wait_for_speech()
    assert call.wait_for_silence(1.0)
    call.send_digits("4")
    assert call.wait_ended() == "bye"
    assert site.readback.wait_for("gather", call_id=webhook.call_id).body["digits"] == "4"
    assert compare(site.world.sandbox.sent_audio(webhook.call_id), call.recording).correlation >= 0.99
    assert find(VOICE, site.world.sandbox.heard_audio(webhook.call_id)).correlation >= 0.99
    words = ["INVITE", "407", "ACK", "INVITE", "200", "ACK", "BYE", "200"]
    eventually(lambda: len(at_edge(site, call.sip_call_id)) >= len(words))  # the phone answers BYE through the PBX
    assert at_edge(site, call.sip_call_id) == words
    assert "REGISTER" not in site.at_edge()  # of all calls so far


@only_ha1
def test_the_invite_is_what_the_guide_asks_for(site: ReadbackSite, phone: Phone) -> None:
    call = phone.dial("+19195550123")
    call.hang_up()
    first, challenged, second, *_ = requests_at_edge(site, call.sip_call_id)
    assert [first.method, challenged.method, second.method] == ["INVITE", "ACK", "INVITE"]
    assert str(second.uri) == f"sip:+19195550123@{site.fqdn}"
    assert f"sip:{site.number}@{site.fqdn}" in str(second.headers.get("From"))
    assert second.cseq[0] == first.cseq[0] + 1
    assert first.headers.get("Proxy-Authorization") is None  # the phone's own stays at home
    assert f'realm="{site.fqdn}"' in str(second.headers.get("Proxy-Authorization"))


@only_ha1
def test_a_phone_that_hangs_up_ends_the_call_at_the_far_end(site: ReadbackSite, phone: Phone) -> None:
    call = phone.dial("19195550123")
    call.hang_up()
    eventually(lambda: at_edge(site, call.sip_call_id)[-2:] == ["BYE", "200"])
    requests = requests_at_edge(site, call.sip_call_id)
    assert requests[-1].cseq[0] == requests[-3].cseq[0] + 1  # counted on from the second INVITE, not from the phone's


@only_ha1
def test_a_programmatic_call_rings_the_phone_and_both_hear_each_other(
    site: ReadbackSite, kamailio: Kamailio, phone: Phone
) -> None:
    waiting = phone.expect_call()
    call_id = site.place_to_readback(f"sip:{EXTENSION}@{kamailio.address[0]}:{kamailio.address[1]}")
    call = waiting.result()
    call.play(VOICE)
    assert call.wait_for_speech()
    assert call.wait_for_silence(1.0)
    call.send_digits("4")
    assert call.wait_ended() == "bye"
    assert site.readback.wait_for("gather", call_id=call_id).body["digits"] == "4"
    assert compare(site.world.sandbox.sent_audio(call_id), call.recording).correlation >= 0.99
    assert find(VOICE, site.world.sandbox.heard_audio(call_id)).correlation >= 0.99


@only_ha1
@pytest.mark.parametrize("user", ["+12025550123", "2025550123", "102"])
def test_from_the_edge_nothing_but_the_extension_can_be_reached(
    site: ReadbackSite, kamailio: Kamailio, user: str
) -> None:
    before = site.at_edge().count("INVITE")
    with callbacks() as app:
        target = f"sip:{user}@{kamailio.address[0]}:{kamailio.address[1]}"
        site.place(target, f"{app.url}/answer", f"{app.url}/status")
        assert app.wait_for("disconnect")["sipResponseCode"] == 404
    assert site.at_edge().count("INVITE") == before + 1  # the call to the PBX; none came back out of it


@only_ha1
@pytest.mark.skipif(STRANGER == "127.0.0.1", reason="this system has one loopback address only")
@pytest.mark.parametrize("user", [EXTENSION, "9195550123"])
def test_a_stranger_is_asked_for_a_password(kamailio: Kamailio, user: str) -> None:
    async def status() -> int | None:
        agent = Agent(STRANGER)
        await agent.start()
        target = f"sip:{user}@{kamailio.address[0]}:{kamailio.address[1]}"
        call = agent.invite(target, from_uri=f"sip:{EXTENSION}@pbx.test", sdp=offer(STRANGER, 40004))
        try:
            async with asyncio.timeout(ASIDE_S):
                await call.ended.wait()
        finally:
            await agent.stop()
        return call.status

    assert asyncio.run(status()) == 407


def test_a_wrong_password_is_our_failure_and_not_the_phones(site: ReadbackSite, tmp_path: Path) -> None:
    sheet = sheet_for(site)
    file = secret_file(tmp_path, sheet, "not-the-password")
    secret = EXTENSION_SECRET.get_secret_value()
    with (
        Kamailio(tmp_path, sheet, file, secret) as kamailio,
        Phone(kamailio.address, EXTENSION, EXTENSION_SECRET) as phone,
    ):
        phone.register()
        with pytest.raises(NotAsExpected, match="403"):
            phone.dial("9195550123")


def test_the_password_is_on_no_command_line_while_ha1_is_made(site: ReadbackSite, tmp_path: Path) -> None:
    """Only what is executed can be seen in `ps`: bash's own builtins are not."""
    command = snippets(sheet_for(site))["bash: HA1"].replace(SECRET_FILE, str(tmp_path / "secret.cfg"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "sip password").write_text(PASSWORD + "\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("md5sum", "cut"):
        spy = programs / name
        spy.write_text(
            f'#!/bin/bash\necho "$0 $*" >> {tmp_path}/seen\nenv >> {tmp_path}/seen\nexec {shutil.which(name)} "$@"\n'
        )
        spy.chmod(0o700)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=True)
    seen = (tmp_path / "seen").read_text()
    assert "md5sum" in seen
    assert PASSWORD not in seen
    assert hashes(site.fqdn, USER)[0] in (tmp_path / "secret.cfg").read_text()
