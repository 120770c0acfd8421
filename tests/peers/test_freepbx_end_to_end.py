"""The whole guide with FreePBX as the PBX: its pages are the stand-in's, and Apply Config configures a real Asterisk.

As FreePBX 17 both calls are placed and heard, over what FreePBX makes of the fields that we sent. As FreePBX 16 there
are the pages only, beyond the reach of a sandbox: there the run says that no call was heard.
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
import typer
from freepbx_asterisk import Applied
from freepbx_site import GUIDE
from freepbx_stand_in import PASSWORD, USER, FreePbx, freepbx
from peers import asterisk, loopback
from watched import Walk, bw_runbook

from bwlib import open_run, start_site
from bwlib.browser import why_no_browser
from bwlib.calling import OUT_OF_REACH
from bwlib.cli_run import run_notebooks
from bwlib.errors import PbxRefused
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders
from bwlib.sandbox import control
from bwlib.sandbox import pbx as stage_of

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(600)]

MADE = ("application", "realm", "sip_credential", "trunk", "route", "extension")


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


@pytest.fixture(scope="module")
def site(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A FreePBX 17 with a real Asterisk behind its pages."""
    folder = tmp_path_factory.mktemp("freepbx17")
    stage = stage_of.write_base_config(folder / "asterisk", asterisk(), sip_host=loopback(5))
    applied = Applied(stage)
    applied.include()
    process = subprocess.Popen(
        stage.argv, cwd=stage.cwd, env=stage.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        stage_of.wait_until_ready(stage, alive=lambda: process.poll() is None)
        with freepbx(17) as (state, url):
            state.on_apply = applied.apply
            yield Site(_site_file(folder, "pbx17", url, stage.sip), state)
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
        f'sip_host = "{sip[0]}"\nsip_port = {sip[1]}\ntrunk = "bandwidth"\nroute = "bandwidth"\nextension = "101"\n'
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
    sheet = (first.record / "settings_sheet.txt").read_text()
    assert "kept in file:secrets/sip_password" in sheet
    everything = b"".join(path.read_bytes() for path in first.record.rglob("*") if path.is_file())
    assert [secret for secret in secrets if secret.encode() in everything] == []
    assert [one for one in site.pbx.requests for secret in secrets if secret in one] == []


def test_a_second_run_of_step_3_finds_everything_unchanged_and_posts_nothing(first: Walk, site: Site) -> None:
    tables, posted = site.tables(), len(site.pbx.posted)
    with pytest.raises(typer.Exit) as ended:
        run_notebooks(site.file, {"mode": "apply"}, ["30_pbx"], as_json=False)
    assert ended.value.exit_code == 0
    lines = read_lines(run_folders(site.file.parent / "runs" / "pbx17")[-1] / "journal.jsonl")
    actions = {line["step"]: line["action"] for line in lines if line["kind"] == "step" and "action" in line}
    assert {actions[name] for name in ("trunk", "route", "extension")} == {"unchanged"}
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
    run = open_run(site.file, notebook="test")
    try:
        with pytest.raises(PbxRefused, match="waits for Apply Config"):
            run.trunk()
        assert (site.pbx.reload_due, len(site.pbx.posted)) == (True, posted)
    finally:
        trunk["qualify_frequency"], site.pbx.reload_due = kept, False
        run.seal()


# ---------------------------------------------------------------- and back


def test_undo_takes_away_what_the_run_made_and_leaves_freepbx_as_it_was(first: Walk, site: Site) -> None:
    done = bw_runbook("undo", str(first.record))
    assert done.code == 0, done.stdout + done.stderr
    assert site.tables() == [{}, {}, {}, {}]
    assert not site.pbx.reload_due


# ---------------------------------------------------------------- as FreePBX 16, out of reach


@pytest.fixture
def pages_only(home: Path, tmp_path: Path) -> Iterator[Site]:
    with freepbx(16) as (state, url):
        yield Site(_site_file(tmp_path, "pbx16", url, ("192.0.2.16", 5060)), state)  # RFC 5737: nobody is there


def test_where_no_call_can_be_heard_the_run_says_so_and_the_rest_is_done_as_on_17(pages_only: Site) -> None:
    site = pages_only
    walk = bw_runbook("run", str(site.file))
    assert walk.code == 0, walk.stdout + walk.stderr
    steps = walk.steps()
    assert {steps[name]["action"] for name in MADE} == {"created"}
    assert (steps["ready"]["status"], steps["check_pbx"]["status"]) == ("passed", "passed")
    for call in ("call_from_extension", "call_to_extension"):
        assert (steps[call]["status"], steps[call]["action"]) == ("skipped", "skipped")
        assert OUT_OF_REACH in str(steps[call]["note"])
    assert "heard by the phone" not in walk.stdout
    assert "status: skipped" in walk.stderr
    run = open_run(site.file, notebook="test")
    posted = len(site.pbx.posted)
    run.trunk(), run.route(), run.extension()
    actions = [line["action"] for line in run.record.journal.lines() if line["kind"] == "step" and "action" in line]
    assert (actions, len(site.pbx.posted)) == (["unchanged"] * 3, posted)
    run.undo()
    run.seal()
    assert site.tables() == [{}, {}, {}, {}]
    adopt_and_undo(site)


def test_a_trunk_typed_in_by_hand_is_adopted_and_undo_gives_it_its_slips_back(first: Walk, site: Site) -> None:
    """Last: it begins anew, after the undo."""
    adopt_and_undo(site)


def adopt_and_undo(site: Site) -> None:
    """A person's trunk with slips in it: ours for a while, then the person's again to the last field."""
    run = open_run(site.file, notebook="test")
    realm = run.application() and run.realm()
    assert realm is not None
    credential = run.sip_credential(realm)
    assert credential is not None
    secret = (site.file.parent / "secrets" / "sip_password").read_text().strip()
    typed = {name: value for name, value in GUIDE.items() if name not in ("action", "tech")} | {
        "sip_server": realm.fqdn, "from_domain": realm.fqdn, "username": credential.username, "secret": secret,
        "outbound_proxy": f"sip:{run.on.trunk_proxy}\\;lr", "match": ",".join(run.on.bandwidth_ips),
        "codec": "ulaw,alaw,h264", "outcid": f'"Acme" <{run.on.number}>', "qualify_frequency": "60",
        "registration": "receive",
    }  # fmt: skip
    site.pbx.by_hand("trunks", "7", **typed)
    before = _kept(site.pbx.trunks["7"])
    run.trunk()
    site.pbx.trunks["7"]["maxchans"] = "30"  # somebody else's, while the run is open
    run.route()
    run.seal()
    assert list(site.pbx.trunks) == ["7"]
    assert (site.pbx.trunks["7"]["registration"], site.pbx.trunks["7"]["qualify_frequency"]) == ("none", "0")
    assert list(site.pbx.dids) == ["101/"]
    undoing = open_run(site.file, notebook="90_undo")
    outcomes = [outcome for outcome in undoing.undo(run.record.folder.name) if "Trunk" in outcome.title]
    undoing.seal()
    assert [(outcome.action, outcome.note) for outcome in outcomes] == [("updated", "put back as it was before")]
    assert _kept(site.pbx.trunks["7"]) == {**before, "maxchans": "30"}
    assert site.pbx.dids == {}
    assert not site.pbx.reload_due


def _kept(page: dict[str, str]) -> dict[str, str]:
    """What FreePBX keeps of a form: not which button was pressed on which page."""
    return {name: value for name, value in page.items() if name not in ("action", "extdisplay")}
