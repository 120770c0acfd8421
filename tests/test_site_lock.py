"""Two notebooks of a site do not write at once: the second one says for whom it waits."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bwlib.errors import StillPending
from bwlib.site_lock import NAME, one_at_a_time


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
    with one_at_a_time(tmp_path, "c", lambda line: pytest.fail(line), wait_s=0):
        pass  # free again: whoever waits tells it, and would give up
