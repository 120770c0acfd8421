"""The command line: exit codes of `band`, three sentences on stderr, data on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def bw_runbook(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bwlib.cli", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command() -> None:
    done = bw_runbook("--help")
    assert done.returncode == 0
    for command in (
        "demo",
        "lab",
        "run",
        "sheet",
        "verify",
        "undo",
        "drift",
        "seal",
        "pack",
        "runs",
        "doctor",
        "readback",
        "sandbox",
        "train",
    ):
        assert command in done.stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    done = bw_runbook("frobnicate")
    assert done.returncode == 6
    assert "frobnicate" in done.stderr
    assert done.stdout == ""


def test_a_usage_error_does_not_repeat_a_value_that_was_typed() -> None:
    done = bw_runbook("frobnicate", "-p", "password=correct-horse-battery")
    assert done.returncode == 6
    assert "correct-horse" not in done.stdout + done.stderr


def test_a_missing_site_file_is_three_sentences_without_a_traceback(tmp_path: Path) -> None:
    done = bw_runbook("run", str(tmp_path / "none.toml"))
    assert done.returncode == 6
    for start in ("Attempted:", "Came back:", "Do next:"):
        assert start in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = bw_runbook("--debug", "run", str(tmp_path / "none.toml"))
    assert done.returncode != 0
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("text", ["", "name =", 'name = "x"\nunknown = 1\n', 'name = "x"\n[realm]\nname = "Not OK"\n'])
def test_a_malformed_site_file_is_refused(tmp_path: Path, text: str) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text)
    done = bw_runbook("run", str(site))
    assert done.returncode == 6
    assert str(site) in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_parameter_without_a_value_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('name = "x"\n')
    assert bw_runbook("run", str(site), "-p", "realm_name").returncode == 6


def test_no_sandbox_is_exit_3(tmp_path: Path) -> None:
    assert bw_runbook("sandbox", "status", BW_RUNBOOK_HOME=str(tmp_path)).returncode == 3


def test_doctor_speaks_json() -> None:
    done = bw_runbook("doctor", "--json")
    assert json.loads(done.stdout)


def test_undo_of_no_record_is_refused(tmp_path: Path) -> None:
    done = bw_runbook("undo", str(tmp_path))
    assert done.returncode == 6
    assert "no run's folder" in done.stderr


def test_a_closed_reader_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m bwlib.cli --help | head -c 1", shell=True, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_a_secret_typed_as_a_parameter_is_refused_before_anything_is_run_and_not_repeated(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('name = "my-site"\n')
    done = bw_runbook("run", str(site), "-p", "sip_password=correct-horse-battery")
    assert done.returncode == 6
    assert "sip_password is given a value" in done.stderr
    assert "file:path" in done.stderr
    assert "correct-horse" not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()
