"""Every bad ending of a run, by the real thing: no cell that did not finish is called passed, and verify says so.

The same endings by stock papermill are in benchmarks/truth.py, which prints both.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from peers import missing

from benchmarks.truth import ENDINGS, Ending, Left, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# What the run is called, and a word of the reason that the journal gives.
SAID = {
    "kernel never starts": ("died", "did not start"),
    "SIGSEGV in cell 2 of 3": ("died", "the kernel died"),
    "SIGKILL of the kernel": ("died", "the kernel died"),
    "SIGKILL of the runner": ("running", ""),
    "cell timeout": ("timed_out", "longer than 4 s"),
    "disk full": ("failed", "No space left"),
    "interrupt": ("failed", "interrupted"),
    "SIGTERM": ("failed", "interrupted"),
    "sys.exit(0) in cell 2 of 3": ("failed", "SystemExit"),
}


def came_to(name: str, folder: Path) -> Left:
    try:
        return run("bw-runbook", ENDINGS[name], folder)
    except PermissionError as error:
        missing(f"a small file system ({error})", "run the tests as root")


@pytest.mark.parametrize("name", ENDINGS)
def test_a_run_that_ends_badly_says_so(tmp_path: Path, name: str) -> None:
    left = came_to(name, tmp_path)
    assert left.exit_code != 0
    assert left.false(ENDINGS[name]) == []
    status, reason = SAID[name]
    assert left.run == status
    words = [line.get("reason", "") for line in left.journal if line["kind"] == "notebook"]
    assert any(reason in word for word in words), words
    passed = {line["cell"] for line in left.journal if line["kind"] == "cell" and line["status"] == "passed"}
    assert len(passed) <= ENDINGS[name].finished
    assert left.verdict.startswith("9 "), left.verdict
    assert "INCOMPLETE" in left.verdict.upper()


def test_every_ending_has_its_words() -> None:
    assert SAID.keys() == ENDINGS.keys()


def test_a_good_run_is_not_called_incomplete(tmp_path: Path) -> None:
    left = run("bw-runbook", Ending("x = 2", finished=3), tmp_path)
    assert (left.exit_code, left.cells, left.run) == (0, ["passed"] * 3, "passed")
    assert left.verdict.startswith("0 "), left.verdict
