"""What the Asterisk of a FreePBX says of itself, by its command line: a real Asterisk, with what FreePBX 17 makes."""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import peers
import pytest
from freepbx_asterisk import Applied
from freepbx_site import ALL, NUMBER, PHONE_SECRET, REALM, SIP_SECRET, adapter
from freepbx_stand_in import freepbx
from peers import asterisk, loopback
from pydantic import SecretStr

from bwlib.errors import NotAsExpected
from bwlib.pbx.freepbx import FreepbxPbx
from bwlib.pbx.freepbx_shell import ShellDriver
from bwlib.pbx.state import Contact
from bwlib.phone import Phone
from bwlib.sandbox import pbx as stage_of
from bwlib.sip.agent import Agent
from bwlib.sip.digest import Credentials
from bwlib.steps.pbx import ensure_on_pbx

pytestmark = pytest.mark.peer
FAKE = Path(__file__).resolve().parents[1] / "freepbx" / "fake_freepbx.php"
DIALLED = "9195550123"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage_of.PbxStage]:
    """A real Asterisk that runs what the stand-in's pages were given."""
    stage = stage_of.write_base_config(tmp_path_factory.mktemp("pbx"), asterisk(), sip_host=loopback(5))
    applied = Applied(stage)
    applied.include()
    process = stage_of.start(stage)
    with freepbx(17) as (state, url):
        state.on_apply = applied.apply
        for kind, wanted in ALL:
            ensure_on_pbx(adapter(url), kind, wanted)
        yield stage
    stage_of.stop(process)


@pytest.fixture
def pbx(stage: stage_of.PbxStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FreepbxPbx:
    """FreePBX by its shell, where `asterisk` is the real one's own command line."""
    real = shlex.join([*stage.argv[: stage.argv.index("-f")], "-C", str(stage.config_dir / "asterisk.conf")])
    for name, text in (("asterisk", f'exec {real} "$@"'), ("php", f'exec {peers.program("php")} "$@"')):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_FREEPBX_STATE", str(tmp_path / "state.json"))
    driver = ShellDriver(run_as=(), conf=str(FAKE))
    return FreepbxPbx(driver, site="my-site", trunk="bandwidth", route="bandwidth", extension="101")


def test_the_running_asterisk_is_read_whole_and_without_secrets(pbx: FreepbxPbx, stage: stage_of.PbxStage) -> None:
    state = pbx.state("bandwidth", "101", DIALLED)
    assert set(state.unknown) == {"changed_since_reload"}
    assert (state.not_in_force, state.registrations) == ((), ())
    assert state.trunk["endpoint"]["from_domain"] == REALM
    assert state.trunk["auth"]["username"] == "pbx"
    assert (state.trunk["auth"]["realm"], state.trunk["auth"]["password"]) == ("", "(not shown)")
    assert "192.0.2.1" in state.trunk["identify"]["match"]
    assert state.extension["endpoint"]["context"] == "from-internal"
    assert [(one.name, one.bind) for one in state.transports] == [("transport-udp", "{}:{}".format(*stage.sip))]
    assert state.rtp_ports == (20_000, 21_999)
    for secret in (SIP_SECRET, PHONE_SECRET):
        assert secret not in repr(state)


def test_a_contact_is_told_whole_however_long_it_is(pbx: FreepbxPbx, stage: stage_of.PbxStage) -> None:
    [of_trunk] = pbx.state("bandwidth", "101", DIALLED).contacts
    assert of_trunk == Contact("bandwidth", f"sip:pbx@{REALM}", "NonQual")

    async def register() -> tuple[Contact, ...]:
        agent = Agent(loopback(3), user_agent="a phone")
        await agent.start()
        try:
            credentials = Credentials("101", SecretStr(PHONE_SECRET))
            answer = await agent.register(stage.sip, "101", credentials)
            assert answer.status == 200
            found = await asyncio.to_thread(pbx.state, "bandwidth", "101", DIALLED)
            await agent.register(stage.sip, "101", credentials, expires_s=0)
            return found.contacts
        finally:
            await agent.stop()

    assert [one.aor for one in asyncio.run(register())] == ["bandwidth", "101"]


@pytest.mark.parametrize(
    ("number", "context", "pattern", "exists"),
    [(DIALLED, "", "_NXXNXXXXXX", True), ("101", "", "101", True), ("7", "", "", True), ("1", "nowhere", "", False)],
)
def test_included_contexts_say_what_is_dialled(
    pbx: FreepbxPbx, number: str, context: str, pattern: str, exists: bool
) -> None:
    dialled = pbx.state("bandwidth", "101", number, context).dialled
    assert dialled is not None
    assert (dialled.pattern, dialled.context_exists) == (pattern, exists)
    assert bool(dialled.steps) is bool(pattern)


def test_the_steps_of_a_route_are_told(pbx: FreepbxPbx) -> None:
    dialled = pbx.state("bandwidth", "101", DIALLED).dialled
    assert dialled is not None
    assert f"Set(CALLERID(num)={NUMBER})" in dialled.steps
    assert "Dial(PJSIP/+1${EXTEN:0}@bandwidth,300)" in dialled.steps


def test_a_trunk_that_is_not_there_is_empty(pbx: FreepbxPbx) -> None:
    state = pbx.state("nobody", "999", DIALLED)
    assert (state.trunk, state.extension, state.contacts) == ({}, {}, ())


def test_the_log_is_told_from_a_time_on(pbx: FreepbxPbx, stage: stage_of.PbxStage) -> None:
    began = datetime.now(UTC)
    with Phone(stage.sip, "101", SecretStr("wrong-secret")) as phone, pytest.raises(NotAsExpected):
        phone.dial("+19195550123")
    told = pbx.log_since(began)
    assert any("Failed to authenticate" in line for line in told), (told, stage.log.read_text())
    assert pbx.log_since(datetime.now(UTC)) == ()
    assert pbx.media() == ()


def test_an_asterisk_that_does_not_run_is_unknown_and_no_error(
    pbx: FreepbxPbx, tmp_path: Path, stage: stage_of.PbxStage
) -> None:
    (tmp_path / "asterisk").write_text("#!/bin/sh\necho 'Unable to connect to remote asterisk' >&2\nexit 1\n")
    state = pbx.state("bandwidth", "101", DIALLED)
    assert "Unable to connect" in state.unknown["contacts"]
    assert "Unable to connect" in state.unknown["registrations"]
    assert pbx.log_since(datetime.now(UTC)) == ()


def test_the_pages_alone_know_a_change_that_waits_and_say_what_they_do_not_know() -> None:
    with freepbx(17) as (fake, url):
        pbx = adapter(url)
        for kind, wanted in ALL:
            ensure_on_pbx(pbx, kind, wanted)
        state = pbx.state("bandwidth", "101", DIALLED)
        assert (state.not_in_force, state.registrations) == ((), ())
        assert "pages" in state.unknown["contacts"]
        assert (pbx.log_since(datetime.now(UTC)), pbx.media()) == ((), ())
        fake.reload_due = True
        waiting = pbx.state("bandwidth", "101", DIALLED)
        assert waiting.not_in_force == ("a change waits for Apply Config",)
        assert "registrations" in waiting.unknown
