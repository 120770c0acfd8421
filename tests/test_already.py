"""What a notebook says of a step when it is opened again; and that two of them do not write at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from bwlib.already import already_done
from bwlib.errors import StillPending
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, start_run
from bwlib.site_lock import NAME, one_at_a_time

HERE = {"account": "9", "operator": "ada", "mode": "auto"}


def a_run(runs: Path, *lines: dict[str, Any]) -> RunRecord:
    record = start_run(runs, Redactor())
    for line in lines:
        record.journal.append("step", **{**HERE, **line})
    return record


def passed(step: str = "realm", action: str = "created") -> dict[str, Any]:
    return {"step": step, "status": "passed", "action": action}


def test_nothing_was_done(tmp_path: Path) -> None:
    assert already_done(tmp_path / "none", "realm", "9") is None
    a_run(tmp_path, passed("application"))
    assert already_done(tmp_path, "realm", "9") is None


def test_the_newest_outcome_counts_with_when_and_who(tmp_path: Path) -> None:
    a_run(tmp_path, passed())
    a_run(tmp_path, passed(action="unchanged"), passed("application"))
    done = already_done(tmp_path, "realm", "9")
    assert done is not None
    assert (done.badge, done.action, done.operator) == ("passed", "unchanged", "ada")
    assert done.words.startswith("unchanged 20")
    assert done.words.endswith("UTC by ada; verify again?")


def test_a_failure_says_what_came_back(tmp_path: Path) -> None:
    a_run(tmp_path, passed(), {"step": "realm", "status": "failed", "came_back": "403", "account": None})
    done = already_done(tmp_path, "realm", "9")
    assert done is not None
    assert (done.badge, "403" in done.words) == ("failed", True)


def test_one_that_never_ended_is_no_success(tmp_path: Path) -> None:
    a_run(tmp_path, {"step": "realm", "status": "running"})
    done = already_done(tmp_path, "realm", "9")
    assert done is not None
    assert (done.badge, "never ended" in done.words) == ("failed", True)


@pytest.mark.parametrize(("action", "badge"), [("removed", "not done yet"), ("kept", "passed"), ("planned", "passed")])
def test_only_an_undo_that_took_it_back_counts(tmp_path: Path, action: str, badge: str) -> None:
    a_run(tmp_path, passed(), {"step": "undo realm", "status": "passed", "action": action})
    done = already_done(tmp_path, "realm", "9")
    assert done is not None
    assert done.badge == badge


def test_another_account_and_a_broken_journal_say_nothing(tmp_path: Path) -> None:
    a_run(tmp_path, passed())
    a_run(tmp_path, {**passed(action="unchanged"), "account": "8"})
    broken = a_run(tmp_path, passed(action="updated"))
    (broken.folder / "journal.jsonl").write_text("{ no journal\n")
    done = already_done(tmp_path, "realm", "9")
    assert done is not None
    assert done.action == "created"


# ---------------------------------------------------------------- one step at a time


def _hold(runs: Path, held: Any, end: Any) -> None:
    with one_at_a_time(runs, "30_pbx", lambda _: None):
        held.set()
        end.wait(20)


def holder(runs: Path) -> tuple[Any, Any]:
    context = multiprocessing.get_context("fork")
    held, end = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(runs, held, end))
    process.start()
    assert held.wait(10)
    return process, end


def test_a_second_one_waits_and_says_for_whom(tmp_path: Path) -> None:
    process, end = holder(tmp_path)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        end.set()  # the other one ends only now: so this one has waited

    with one_at_a_time(tmp_path, "10_application", tell):
        process.join(10)
    assert process.exitcode == 0
    assert told[0].startswith(f"30_pbx (process {process.pid}, since ")


def test_whoever_is_killed_lets_go(tmp_path: Path) -> None:
    process, _ = holder(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    with one_at_a_time(tmp_path, "me", lambda line: pytest.fail(line)):
        pass


def test_it_gives_up_in_words_and_an_interrupt_ends_the_waiting(tmp_path: Path) -> None:
    process, end = holder(tmp_path)
    with pytest.raises(StillPending, match="30_pbx"), one_at_a_time(tmp_path, "me", lambda _: None, wait_s=0.3):
        pytest.fail("not reached")

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), one_at_a_time(tmp_path, "me", interrupt):
        pytest.fail("not reached")
    end.set()
    process.join(10)


def test_a_step_within_a_step_does_not_wait_for_itself(tmp_path: Path) -> None:
    with (
        one_at_a_time(tmp_path, "a", lambda line: pytest.fail(line)),
        one_at_a_time(tmp_path, "b", lambda line: pytest.fail(line)),
    ):
        assert (tmp_path / NAME).exists()
    started = time.monotonic()
    with one_at_a_time(tmp_path, "c", lambda line: pytest.fail(line)):
        assert time.monotonic() >= started
