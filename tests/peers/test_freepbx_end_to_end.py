"""The whole guide with FreePBX as the PBX: its pages are the stand-in's, and Apply Config configures a real Asterisk.

So both calls are placed and heard, over what FreePBX makes of the fields that we sent. As FreePBX 16 and 17.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from freepbx_asterisk import Applied
from freepbx_site import GUIDE
from freepbx_stand_in import PASSWORD, USER, FreePbx, freepbx
from peers import asterisk, loopback
from watched import Walk, bw_runbook

from bwlib import open_run, start_site
from bwlib.browser import why_no_browser
from bwlib.record.journal import read_lines
from bwlib.sandbox import control
from bwlib.sandbox import pbx as stage_of

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

MADE = ("application", "realm", "sip_credential", "trunk", "route", "extension")
ON_PBX = ("trunk", "route", "extension")


@dataclass(frozen=True)
class Site:
    """A site whose PBX is a FreePBX, and that FreePBX's state."""

    file: Path
    pbx: FreePbx

    def tables(self) -> list[dict[str, Any]]:
        return [dict(table) for table in (self.pbx.trunks, self.pbx.routes, self.pbx.extensions, self.pbx.dids)]

    def secrets(self) -> list[str]:
        return [PASSWORD, *(path.read_text().strip() for path in (self.file.parent / "secrets").iterdir())]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One sandbox for both versions; each has an account of its own on it."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BW_RUNBOOK_HOME", str(folder))
        yield folder
        running = control.attach(folder)
        if running is not None:
            running.down()


@pytest.fixture(scope="module", params=[16, 17])
def site(request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    version = request.param
    folder = tmp_path_factory.mktemp(f"freepbx{version}")
    stage = stage_of.write_base_config(folder / "asterisk", asterisk(), sip_host=loopback(5))
    applied = Applied(stage)
    applied.include()
    process = subprocess.Popen(
        stage.argv, cwd=stage.cwd, env=stage.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        stage_of.wait_until_ready(stage, alive=lambda: process.poll() is None)
        with freepbx(version) as (state, url):
            state.on_apply = applied.apply
            yield Site(_site_file(folder, f"pbx{version}", url, stage.sip), state)
    finally:
        stage_of.stop(process)


def _site_file(folder: Path, name: str, url: str, sip: tuple[str, int]) -> Path:
    path = folder / "site.toml"
    (folder / "secrets").mkdir(mode=0o700)
    with open(os.open(folder / "secrets" / "freepbx", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(PASSWORD)
    path.write_text(
        f'name = "{name}"\n[bandwidth]\nsandbox_account = "{name}"\n'
        f'[pbx]\nkind = "freepbx"\nurl = "{url}"\nuser = "{USER}"\npassword = "file:secrets/freepbx"\n'
        f'sip_host = "{sip[0]}"\nsip_port = {sip[1]}\n'
    )
    start_site(path)
    return path


@pytest.fixture(scope="module")
def first(site: Site) -> Walk:
    return bw_runbook("run", str(site.file))


def journal(walk: Walk, kind: str) -> list[dict[str, Any]]:
    return [dict(line) for line in read_lines(walk.record / "journal.jsonl") if line["kind"] == kind]


# ---------------------------------------------------------------- the guide, to its end


def test_both_calls_are_heard_over_what_freepbx_made_of_our_fields(first: Walk, site: Site) -> None:
    assert first.code == 0, first.stdout + first.stderr
    heard = [float(value) for value in re.findall(r"heard by the phone: correlation ([0-9.]+)", first.stdout)]
    assert len(heard) == 2
    assert min(heard) >= 0.99
    assert {first.steps()[name]["action"] for name in MADE} == {"created"}
    assert [line["status"] for line in journal(first, "notebook") if line["status"] != "running"] == ["passed"] * 5
    assert first.steps()["check_pbx"]["differences"] == []
    assert [len(table) for table in site.tables()] == [1, 1, 1, 1]
    assert site.pbx.sessions == set()


def test_the_trunk_answers_the_challenge_and_says_the_sites_number(first: Walk) -> None:
    ladder = (first.record / "ladder_call_from_extension.txt").read_text()
    assert re.search(r"407.*\n(.*\n)*.*INVITE", ladder)
    assert "REGISTER" not in ladder.partition("INVITE")[2]
    number = first.steps()["trunk"]["object"]["from_user"]  # type: ignore[index]
    sent = [line for line in (first.record / "sip.jsonl").read_text().splitlines() if "Proxy-Authorization" in line]
    assert any(f"<sip:{number}@" in line for line in sent)


def test_the_record_names_the_freepbx_and_holds_its_pages_before_and_after(first: Walk, site: Site) -> None:
    assert first.steps()["trunk"]["pbx"] == {"freepbx": _url(site)}
    after = (first.record / "config" / "after" / "freepbx" / "trunk_bandwidth_1.json").read_text()
    assert '"registration": "none"' in after
    assert '"secret": "(not shown)"' in after


def _url(site: Site) -> str:
    found = re.search(r'^url = "(.*)"$', site.file.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_pictures_of_notebook_30_are_of_freepbxs_own_pages(first: Walk) -> None:
    told = {line["file"]: line["status"] for line in journal(first, "screenshot") if line["notebook"] == "30_pbx"}
    if why_no_browser():
        assert set(told) == {""}
        return
    names = ("trunk_1", "trunk_2", "route_1", "extension_1")
    assert told == {
        **{f"screenshots/30_pbx_{name}.png": "passed" for name in names},
        "screenshots/30_pbx.png": "passed",
    }


def test_no_secret_is_in_the_record_or_on_any_command_line(first: Walk, site: Site) -> None:
    secrets = site.secrets()
    assert len(secrets) == 4
    shown = "\n".join(first.command_lines)
    assert "ipykernel" in shown
    assert [secret for secret in secrets if secret in shown] == []
    everything = b"".join(path.read_bytes() for path in first.record.rglob("*") if path.is_file())
    assert [secret for secret in secrets if secret.encode() in everything] == []
    assert [one for one in site.pbx.requests for secret in secrets if secret in one] == []


def test_a_second_run_finds_everything_unchanged_and_posts_nothing(first: Walk, site: Site) -> None:
    tables, posted = site.tables(), len(site.pbx.posted)
    second = bw_runbook("run", str(site.file))
    assert second.code == 0, second.stdout + second.stderr
    assert {second.steps()[name]["action"] for name in MADE} == {"unchanged"}
    assert (site.tables(), len(site.pbx.posted)) == (tables, posted)


# ---------------------------------------------------------------- somebody changes something


def test_drift_names_the_field_of_freepbx_and_writes_nothing(first: Walk, site: Site) -> None:
    assert bw_runbook("drift", str(first.record)).code == 0
    trunk = site.pbx.trunks["1"]
    kept, trunk["qualify_frequency"] = trunk["qualify_frequency"], "60"
    posted = len(site.pbx.posted)
    drifted = bw_runbook("drift", str(first.record))
    trunk["qualify_frequency"] = kept
    assert (drifted.code, len(site.pbx.posted)) == (9, posted)
    assert "qualify_s" in drifted.stdout


def test_a_change_that_waits_for_apply_config_stops_step_3_and_is_not_swept_in(first: Walk, site: Site) -> None:
    trunk = site.pbx.trunks["1"]
    kept, trunk["qualify_frequency"], site.pbx.reload_due = trunk["qualify_frequency"], "60", True
    posted = len(site.pbx.posted)
    try:
        stopped = bw_runbook("run", str(site.file))
        assert stopped.code != 0
        assert "waits for Apply Config" in stopped.stdout
        assert stopped.steps()["trunk"]["status"] == "failed"
        assert (site.pbx.reload_due, len(site.pbx.posted)) == (True, posted)
    finally:
        trunk["qualify_frequency"], site.pbx.reload_due = kept, False


# ---------------------------------------------------------------- and back


def test_undo_takes_away_what_the_run_made_and_leaves_freepbx_as_it_was(first: Walk, site: Site) -> None:
    done = bw_runbook("undo", str(first.record))
    assert done.code == 0, done.stdout + done.stderr
    assert site.tables() == [{}, {}, {}, {}]
    assert not site.pbx.reload_due


def test_a_trunk_typed_in_by_hand_is_adopted_and_undo_gives_it_its_slips_back(first: Walk, site: Site) -> None:
    """Last: it begins anew, after the undo."""
    run = open_run(site.file, notebook="test")
    realm = run.application() and run.realm()
    assert realm is not None
    credential = run.sip_credential(realm)
    assert credential is not None
    proxy, number = run.on.trunk_proxy, run.on.number
    secret = (site.file.parent / "secrets" / "sip_password").read_text().strip()
    typed = {name: value for name, value in GUIDE.items() if name not in ("action", "tech")} | {
        "sip_server": realm.fqdn, "from_domain": realm.fqdn, "username": credential.username, "secret": secret,
        "outbound_proxy": f"sip:{proxy}\\;lr", "match": ",".join(run.on.bandwidth_ips), "codec": "ulaw,alaw,h264",
        "outcid": f'"Acme" <{number}>', "qualify_frequency": "60", "registration": "receive",
    }  # fmt: skip
    site.pbx.by_hand("trunks", "7", **typed)
    before = dict(site.pbx.trunks["7"])
    run.trunk()
    run.seal()
    assert list(site.pbx.trunks) == ["7"]
    assert (site.pbx.trunks["7"]["registration"], site.pbx.trunks["7"]["qualify_frequency"]) == ("none", "0")
    undone = bw_runbook("undo", str(run.record.folder))
    assert undone.code == 0, undone.stdout + undone.stderr
    assert "put back as it was before" in undone.stdout
    same = [name for name in before if name not in ("action", "extdisplay")]
    assert {name: site.pbx.trunks["7"].get(name) for name in same} == {name: before[name] for name in same}
    assert site.pbx.dids == {}
