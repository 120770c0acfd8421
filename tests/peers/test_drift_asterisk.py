"""Drift after a whole demo run, with a real Asterisk: what other hands changed is named, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from peers import asterisk
from pydantic import SecretStr

from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.pbx.ami import Ami
from bwlib.record.cited import citation
from bwlib.record.journal import read_lines
from bwlib.record.manifest import manifest_faults
from bwlib.sandbox import control

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(700)]

OTHER_URL = "https://elsewhere.example.com/initiate"
OTHER_PASSWORD = "not-the-password-at-all"
FACTS = ["application", "realm", "sip_credential", "trunk", "route", "extension", "no_registration"]


@dataclass(frozen=True)
class Look:
    """What one `bw-runbook drift --json` said, and what it did meanwhile."""

    code: int
    facts: list[dict[str, Any]]
    result: dict[str, Any]
    exchanges: list[dict[str, Any]]
    pbx_files: tuple[dict[str, bytes], dict[str, bytes]]

    def changed(self) -> dict[str, str]:
        said = {fact["step"]: fact for fact in self.facts if fact["action"] != "still so"}
        assert {fact["status"] for fact in said.values()} <= {"failed"}, said
        return {step.removeprefix("drift "): str(fact["came_back"]) for step, fact in said.items()}


class Stage:
    """A demo that was walked, and everybody who can change something behind its back."""

    def __init__(self, home: Path) -> None:
        self.home = home
        done = self.bw_runbook("demo")
        assert done.returncode == 0, done.stdout + done.stderr
        self.record = Path(done.stdout.strip().splitlines()[-1])
        sandbox = control.attach(home)
        assert sandbox is not None
        self.sandbox = sandbox
        auth = OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url)
        self.client = Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url)
        lines = [line for line in read_lines(self.record / "journal.jsonl") if line["kind"] == "step"]
        self.recorded = {line["step"]: line["object"] for line in lines if line.get("object")}

    def bw_runbook(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bwlib.cli", *arguments],
            env={**os.environ, "BW_RUNBOOK_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def pbx_files(self) -> dict[str, bytes]:
        folder = Path(self.sandbox.get_note("pbx")["config_dir"])
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def drift(self) -> Look:
        since = max(exchange["id"] for exchange in self.sandbox.exchanges())
        before = self.pbx_files()
        done = self.bw_runbook("drift", str(self.record), "--json")
        *facts, result = [json.loads(line) for line in done.stdout.splitlines()]
        files = (before, self.pbx_files())
        return Look(done.returncode, facts, result, self.sandbox.exchanges(since), files)

    # ------------------------------------------------------------ other hands

    def change_callback_url(self) -> None:
        now = self.client.get_application(self.recorded["application"]["id"])
        self.client.update_application(replace(now, call_initiated_url=OTHER_URL))

    def delete_credential(self) -> None:
        realm = self.client.get_realm(self.recorded["realm"]["id"])
        self.client.delete_sip_credential(realm, self.recorded["sip_credential"]["id"])

    def edit_pbx(self, file: str, old: str, new: str) -> None:
        note = self.sandbox.get_note("pbx")
        path = Path(note["config_dir"]) / "bw-runbook" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        with Ami(note["ami_host"], note["ami_port"], note["ami_user"], SecretStr(note["ami_secret"])) as ami:
            ami.command("module reload res_pjsip.so")
            ami.command("dialplan reload")

    def sip_password(self) -> str:
        return (self.home / "demo" / "secrets" / "sip_password").read_text().strip()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    asterisk()
    home = tmp_path_factory.mktemp("home")
    try:
        yield Stage(home)
    finally:
        running = control.attach(home)
        if running is not None:
            running.down()


@pytest.fixture(scope="module")
def undisturbed(stage: Stage) -> Look:
    return stage.drift()


@pytest.fixture(scope="module")
def disturbed(stage: Stage, undisturbed: Look) -> Look:
    """After four changes by other hands."""
    stage.change_callback_url()
    stage.edit_pbx("pjsip.conf", f"password = {stage.sip_password()}", f"password = {OTHER_PASSWORD}")
    stage.edit_pbx("extensions.conf", "CALLERID(num)=+", "CALLERID(num)=+999")
    stage.delete_credential()
    return stage.drift()


def test_what_nobody_touched_is_still_so(undisturbed: Look) -> None:
    assert [(fact["step"], fact["action"]) for fact in undisturbed.facts] == [
        (f"drift {step}", "still so") for step in FACTS
    ]
    assert (undisturbed.code, undisturbed.result["status"]) == (0, "still so")


def test_the_four_changes_are_named_and_nothing_else(stage: Stage, disturbed: Look) -> None:
    number = stage.recorded["route"]["caller_id"]
    assert disturbed.changed() == {
        "application": f"call_initiated_url: was {stage.recorded['application']['call_initiated_url']}, is {OTHER_URL}",
        "sip_credential": "it is gone",
        "trunk": "password differs from the reference file:secrets/sip_password",
        "route": f"caller_id: was {number}, is +999{number[1:]}",
    }
    assert (disturbed.code, disturbed.result["status"]) == (9, "changed")


@pytest.mark.parametrize("name", ["undisturbed", "disturbed"])
def test_nothing_is_written_at_bandwidth_or_on_the_pbx(name: str, request: pytest.FixtureRequest) -> None:
    look: Look = request.getfixturevalue(name)
    asked = [(each["method"], str(each["path"])) for each in look.exchanges]
    assert {method for method, path in asked if not path.endswith("/token")} == {"GET"}
    assert look.pbx_files[0] == look.pbx_files[1]


@pytest.mark.parametrize("name", ["undisturbed", "disturbed"])
def test_each_look_is_a_sealed_record_that_cites_the_one_it_checked(
    stage: Stage, name: str, request: pytest.FixtureRequest
) -> None:
    look: Look = request.getfixturevalue(name)
    folder = Path(look.result["record"])
    assert manifest_faults(folder) == []
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["command"], manifest["cites"]) == ("drift", citation(stage.record))
    assert manifest_faults(stage.record) == []


def test_no_password_of_either_side_is_in_the_record_of_a_look(stage: Stage, disturbed: Look) -> None:
    folder = Path(disturbed.result["record"])
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"differs from the reference" in everything
    assert [secret for secret in (stage.sip_password(), OTHER_PASSWORD) if secret.encode() in everything] == []


def test_undo_keeps_what_others_changed_and_cites_its_record(stage: Stage, disturbed: Look) -> None:
    done = stage.bw_runbook("undo", str(stage.record), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    actions = {line["step"]: line["action"] for line in lines if line.get("kind") == "step" and line.get("undone")}
    assert actions == {
        "undo extension": "removed",
        "undo route": "kept",
        "undo trunk": "removed",
        "undo sip_credential": "unchanged",
        "undo realm": "removed",
        "undo application": "removed",
    }
    [cites] = [line.get("cites", line) for line in lines if line.get("kind") == "cites" or "cites" in line]
    assert {name: cites[name] for name in ("run", "manifest_sha256")} == citation(stage.record)


def test_the_sites_runs_are_listed(stage: Stage, undisturbed: Look, disturbed: Look) -> None:
    done = stage.bw_runbook("runs", str(stage.home / "demo" / "site.toml"), "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["kind"], row["status"], row["sealed"]) for row in rows[:3]] == [
        ("run", "passed", True),
        ("drift", "passed", True),
        ("drift", "failed", True),
    ]
    assert {row["about"] for row in rows[1:3]} == {stage.record.name}
