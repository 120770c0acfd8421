"""bwlib.doctor: says what is missing, on a bare interpreter too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bwlib import doctor

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bare(tmp_path: Path) -> list[str]:
    """doctor.py alone in a folder without .venv, on an interpreter that sees no site-packages."""
    folder = tmp_path / "checkout" / "bwlib"
    folder.mkdir(parents=True)
    shutil.copy(PROJECT / "bwlib" / "doctor.py", folder)
    return [sys._base_executable, "-I", "-S", str(folder / "doctor.py")]  # type: ignore[attr-defined]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def test_a_bare_interpreter_gets_exit_1_and_the_line_that_fixes_it(bare: list[str]) -> None:
    done = run(bare)
    assert done.returncode == 1
    assert "missing   packages" in done.stdout
    assert "Do next: make venv" in done.stdout
    assert "Traceback" not in done.stderr


def test_json_says_the_same_as_text(bare: list[str]) -> None:
    answer = json.loads(run([*bare, "--json"]).stdout)
    assert answer["ok"] is False
    assert {check["name"]: check["status"] for check in answer["checks"]}["packages"] == "missing"


def test_every_check_that_is_not_ok_says_what_to_do_next(bare: list[str], tmp_path: Path) -> None:
    answer = json.loads(run([*bare, "--json"], PATH=str(tmp_path), BW_RUNBOOK_CACHE=str(tmp_path)).stdout)
    assert [check["name"] for check in answer["checks"] if check["status"] != "ok" and not check["fix"]] == []


def test_an_empty_path_makes_the_tools_missing_and_the_peers_optional(bare: list[str], tmp_path: Path) -> None:
    answer = json.loads(run([*bare, "--json"], PATH=str(tmp_path), PLAYWRIGHT_BROWSERS_PATH=str(tmp_path)).stdout)
    status = {check["name"]: check["status"] for check in answer["checks"]}
    assert status["set-up tools"] == "missing"
    assert status["browser"] == status["test peers"] == "optional"


def test_the_packages_asked_for_are_those_of_pyproject() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(doctor.PACKAGES) == {Requirement(line).name for line in declared}


def test_here_where_the_tests_run_the_packages_are_found() -> None:
    checks = {check.name: check for check in doctor.report()}
    assert checks["packages"].status == "ok"
    assert checks["Python"].status == "ok"


def test_a_home_that_cannot_be_written_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocker = tmp_path / "a file"
    blocker.write_text("in the way")
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(blocker / "home"))
    check = doctor.check_home()
    assert check.status == "missing"
    assert "BW_RUNBOOK_HOME" in check.fix


def test_looking_creates_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BW_RUNBOOK_CACHE", str(tmp_path / "cache"))
    doctor.report()
    assert list(tmp_path.iterdir()) == []


def test_asterisk_on_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "asterisk"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.check_asterisk() == doctor.Check("Asterisk", "ok", str(fake))


def test_no_asterisk_to_be_had_is_missing_with_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BW_RUNBOOK_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(doctor, "os_release", lambda: {"ID": "fedora", "PRETTY_NAME": "Fedora Linux 43"})
    check = doctor.check_asterisk()
    assert check.status == "missing"
    assert "Fedora Linux 43" in check.found


def test_only_127_0_0_1_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "can_bind", lambda host: host == "127.0.0.1")
    assert doctor.check_loopback().status == "optional"
    monkeypatch.setattr(doctor, "can_bind", lambda host: False)
    assert doctor.check_loopback().status == "missing"


def test_the_exit_code_counts_only_what_the_demo_needs() -> None:
    fine = doctor.Check("a", "ok", "")
    assert doctor.exit_code([fine, doctor.Check("b", "optional", "")]) == 0
    assert doctor.exit_code([fine, doctor.Check("b", "missing", "")]) == 1
