"""One step of a site at a time: two tabs, or a tab and an unattended run, must not write at once.

The lock is the kernel's (flock): whoever is killed lets go by that. Looking needs no lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bwlib.errors import StillPending

NAME = ".step.lock"
_POLL_S = 0.2
# Less than an unattended cell may take (300 s), so that the reason is said; longer than a call until it is heard.
WAIT_S = 240.0

_held: set[Path] = set()  # by this process: a step within a step does not wait for itself


@contextmanager
def one_at_a_time(runs_dir: Path, who: str, tell: Callable[[str], None], wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the site's lock within the block; wait for it, and say so, when somebody else is at work.

    who: for the one that has to wait. An interrupt ends the waiting. Raises: StillPending after wait_s seconds.
    """
    path = (runs_dir / NAME).absolute()
    if path in _held:
        yield
        return
    runs_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8") as lock:
        _wait(lock, tell, wait_s)
        _write(lock, who)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)


def _wait(lock: IO[str], tell: Callable[[str], None], wait_s: float) -> None:
    if _take(lock):
        return
    tell(f"{_holder(lock)} is at work on this site; waiting until it has ended")
    ended = threading.Event()
    for _ in range(max(1, int(wait_s / _POLL_S))):
        ended.wait(_POLL_S)  # unlike flock's own waiting, an interrupt ends it
        if _take(lock):
            return
    raise StillPending(
        "work on this site",
        f"{_holder(lock)} has been at work on it for more than {wait_s:.0f} s",
        "wait until it ends, or interrupt it there; then run this again",
    )


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(lock: IO[str], who: str) -> None:
    lock.seek(0)
    lock.truncate()
    json.dump({"who": who, "pid": os.getpid(), "since": datetime.now(UTC).strftime("%H:%M:%S")}, lock)
    lock.flush()


def _holder(lock: IO[str]) -> str:
    """Who holds it, as it wrote down; it may be writing just now."""
    try:
        lock.seek(0)
        said = json.load(lock)
        return f"{said['who']} (process {said['pid']}, since {said['since']} UTC)"
    except (ValueError, KeyError, TypeError, OSError):
        return "somebody else"
