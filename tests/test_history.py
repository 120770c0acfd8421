"""A site's runs as a table, whatever state they are in, and what differs between two of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bwlib import cli
from bwlib.errors import SettingsError
from bwlib.history import RUNS, diff_table, run_of, runs_table
from bwlib.record.manifest import seal
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, hold, join_or_start_run, start_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "site.toml").write_text('name = "my-site"\n')
    return tmp_path / "runs" / "my-site"


def started(runs: Path, **facts: object) -> RunRecord:
    return start_run(runs, Redactor(), operator="ada", engine="bw", **facts)


def step(
    record: RunRecord, name: str, action: str = "unchanged", notebook: str = "10_application", **facts: Any
) -> None:
    facts = {"status": "passed", "object": {"id": "1"}, "cell": "10app-09", **facts}
    record.journal.append("step", step=name, notebook=notebook, action=action, **facts)


def notebook(record: RunRecord, name: str, status: str) -> None:
    record.journal.append("notebook", notebook=name, status=status, reason="")


def rows(runs: Path) -> list[dict[str, Any]]:
    table = runs_table(runs)
    assert list(table.columns) == list(RUNS)
    found: list[dict[str, Any]] = table.to_dict("records")
    return found


def test_a_site_without_runs_has_an_empty_table(runs: Path) -> None:
    assert rows(runs) == []


def test_a_sealed_run_says_when_by_whom_how_it_ended_and_what_it_changed(runs: Path) -> None:
    record = started(runs)
    notebook(record, "10_application", "running")
    step(record, "application", "created")
    step(record, "realm", "updated")
    step(record, "dns", "passed")
    notebook(record, "10_application", "passed")
    seal(record)
    [row] = rows(runs)
    assert row["duration_s"] >= 0
    assert row["when"][:10] == record.folder.name[:4] + "-" + record.folder.name[4:6] + "-" + record.folder.name[6:8]
    told = ("by", "kind", "about", "status", "sealed", "signed", "changed", "stopped_in", "note")
    assert [row[name] for name in told] == ["ada", "run", "", "passed", True, True, 2, "", ""]


def test_a_signature_is_seen_beside_the_manifest(runs: Path) -> None:
    record = started(runs)
    seal(record)
    (record.folder / "manifest.json.sig").write_text("x")
    assert rows(runs)[0]["signed"] is True


@pytest.mark.parametrize(
    ("facts", "kind", "about"),
    [
        ({"interactive": True}, "by hand", ""),
        ({"command": "drift", "cites": {"run": "one", "manifest_sha256": ""}}, "drift", "one"),
        ({"notebooks": ["90_undo"]}, "undo", ""),
        ({"resumes": {"run": "one", "manifest_sha256": ""}}, "resume", "one"),
        ({}, "run", ""),
    ],
)
def test_the_kind_of_a_run_and_what_it_is_about(runs: Path, facts: dict[str, Any], kind: str, about: str) -> None:
    start_run(runs, Redactor(), **facts)
    assert [(row["kind"], row["about"]) for row in rows(runs)] == [(kind, about)]


def test_an_undo_that_was_told_its_record_in_the_notebook_is_about_it(runs: Path) -> None:
    record = start_run(runs, Redactor(), notebooks=["90_undo"])
    record.journal.append("cites", run="one", manifest_sha256="")
    assert [(row["kind"], row["about"]) for row in rows(runs)] == [("undo", "one")]


def test_a_failed_run_names_the_notebook_it_stopped_in(runs: Path) -> None:
    record = started(runs)
    notebook(record, "10_application", "passed")
    step(record, "trunk", status="failed", notebook="30_pbx")
    notebook(record, "30_pbx", "failed")
    notebook(record, "40_test_calls", "skipped")
    seal(record)
    assert [(row["status"], row["stopped_in"]) for row in rows(runs)] == [("failed", "30_pbx")]


def test_a_run_by_hand_that_failed_once_and_then_passed_stopped_nowhere(runs: Path) -> None:
    record = join_or_start_run(runs, Redactor(), operator="ada")
    step(record, "trunk", status="failed", notebook="30_pbx")
    assert [(row["status"], row["stopped_in"], row["note"]) for row in rows(runs)] == [
        ("failed", "30_pbx", "not sealed")
    ]
    step(record, "trunk", "created", notebook="30_pbx")
    assert [(row["status"], row["stopped_in"]) for row in rows(runs)] == [("passed", "")]


def test_a_run_that_goes_on_is_running_and_one_whose_runner_is_gone_has_died(runs: Path) -> None:
    record = started(runs)
    with hold(record):
        notebook(record, "30_pbx", "running")
        assert [(row["status"], row["note"]) for row in rows(runs)] == [("running", "not sealed")]
    [row] = rows(runs)
    assert (row["status"], row["stopped_in"], row["note"]) == ("died", "30_pbx", "cut off, not sealed")


def test_half_a_line_is_a_half_run_and_no_broken_one(runs: Path) -> None:
    record = started(runs)
    step(record, "application")
    with record.journal.path.open("ab") as stream:
        stream.write(b'{"half": ')
    assert [(row["status"], row["note"]) for row in rows(runs)] == [("passed", "not sealed")]


def replaced(record: RunRecord, old: bytes, new: bytes) -> None:
    before = record.journal.path.read_bytes()
    assert old in before
    record.journal.path.write_bytes(before.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"step": "application"', b'"step": "applicatiom"', "does not follow the line before it"),
        (b'{"', b"{'", "line 1 is not a journal line"),
        (b'"at": "2', b'"at": "x', "not as it should be"),
        (b'"run_started"', b"\xff\xfe", "line 1 is not a journal line"),
    ],
)
def test_a_broken_run_appears_as_broken_beside_the_others(runs: Path, old: bytes, new: bytes, said: str) -> None:
    for record in (started(runs), started(runs)):
        step(record, "application")
        step(record, "realm")
    replaced(record, old, new)
    whole, broken = rows(runs)
    assert whole["status"] == "passed"
    assert (broken["run"], broken["status"]) == (record.folder.name, "broken")
    assert said in broken["note"]


def test_an_empty_journal_is_a_row_like_any_other(runs: Path) -> None:
    (runs / "20260101T000000.000000Z-abcdef").mkdir(parents=True)
    (runs / "20260101T000000.000000Z-abcdef" / "journal.jsonl").touch()
    [row] = rows(runs)
    assert (row["status"], row["note"]) == ("pending", "nothing is written in it")


# ---------------------------------------------------------------- two runs


def test_two_runs_are_compared_step_by_step_and_the_cell_is_named(runs: Path) -> None:
    first, second = started(runs), started(runs)
    step(first, "application", "created", object={"id": "1", "url": "a", "call id": "x"})
    step(second, "application", object={"id": "1", "url": "b", "name": "n", "call id": "y"})
    for record in (first, second):
        step(record, "realm")
    step(first, "trunk", "created")
    step(second, "trunk", "", status="failed", object=None, notebook="30_pbx", cell="30pbx-7", came_back="no answer")
    step(second, "route", notebook="30_pbx")
    table = diff_table(first.folder, second.folder)
    assert [tuple(row) for row in table.to_numpy()] == [
        ("application", "10_application 10app-09", "action", "created", "unchanged"),
        ("application", "10_application 10app-09", "name", "not set", "n"),
        ("application", "10_application 10app-09", "url", "a", "b"),
        ("trunk", "30_pbx 30pbx-7", "status", "passed", "failed"),
        ("trunk", "30_pbx 30pbx-7", "action", "created", ""),
        ("trunk", "30_pbx 30pbx-7", "came_back", "", "no answer"),
        ("route", "30_pbx 10app-09", "step", "not there", "unchanged"),
    ]


def test_a_run_is_found_by_its_name_or_its_path_and_nothing_else_is(runs: Path) -> None:
    record = started(runs)
    assert run_of(runs, record.folder.name) == run_of(runs, f"{record.folder}/") == record.folder
    for name in ("", "..", "nothing", str(runs)):
        with pytest.raises(SettingsError, match="none of that name"):
            run_of(runs, name)


# ---------------------------------------------------------------- the command line


def command_line(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bw-runbook", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


def test_the_command_prints_a_table_without_columns_that_say_nothing(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = start_run(runs, Redactor(), operator="a\x1b[31mda")
    seal(record)
    assert command_line(monkeypatch, "runs", str(runs.parents[1] / "site.toml")) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "when", "by", "kind", "status", "duration_s", "sealed", "signed", "changed"]
    assert row.split()[0] == record.folder.name
    assert "a\\x1b[31mda" in row
    assert head.index("status") == row.index("pending")


def test_the_command_speaks_json(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = started(runs), started(runs)
    step(first, "application", "created")
    step(second, "application")
    site = str(runs.parents[1] / "site.toml")
    assert command_line(monkeypatch, "runs", site, "--json") == 0
    assert [row["changed"] for row in json.loads(capsys.readouterr().out)] == [1, 0]
    assert command_line(monkeypatch, "runs", site, "--json", "--diff", first.folder.name, second.folder.name) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["what"], row["first"], row["second"]) == ("action", "created", "unchanged")


def test_two_runs_alike_and_a_site_without_runs_say_so(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = str(runs.parents[1] / "site.toml")
    assert command_line(monkeypatch, "runs", site) == 0
    assert "no runs in" in capsys.readouterr().err
    name = started(runs).folder.name
    assert command_line(monkeypatch, "runs", site, "--diff", name, name) == 0
    assert capsys.readouterr() == ("", "the two runs do not differ\n")
    assert command_line(monkeypatch, "runs", site, "--diff", name, "another") == 6


def test_looking_at_runs_needs_no_sandbox(runs: Path, tmp_path: Path) -> None:
    started(runs)
    program = """
import sys
from bwlib.cli import main
try:
    main()
finally:
    print([name for name in sys.modules if name.startswith(("bwlib.sandbox", "bwlib.bandwidth"))])
"""
    argv = [sys.executable, "-c", program, "runs", str(tmp_path / "site.toml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
