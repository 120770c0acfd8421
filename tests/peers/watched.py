"""The command line, run as a person runs it, while somebody looks at what `ps` would show."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from bwlib.record.journal import read_lines


@dataclass
class Watch:
    """Every command line that was to be seen on this machine meanwhile, as `ps` shows them."""

    seen: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        while not self.over.wait(0.02):
            self.seen |= command_lines()


def command_lines() -> set[str]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # ended meanwhile
            found.add(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


@dataclass(frozen=True)
class Walk:
    """What one call of the command line printed, and what could be seen of it."""

    stdout: str
    stderr: str
    code: int
    command_lines: set[str]

    @property
    def record(self) -> Path:
        return Path(self.stdout.strip().splitlines()[-1])

    def steps(self) -> dict[str, dict[str, object]]:
        """What each step came to when it was first taken; a later notebook looks again."""
        lines = read_lines(self.record / "journal.jsonl")
        return {line["step"]: line for line in reversed(list(lines)) if line["kind"] == "step" and "elapsed_s" in line}


def bw_runbook(*arguments: str) -> Walk:
    watch = Watch()
    looking = threading.Thread(target=watch.look)
    looking.start()
    try:
        argv = [sys.executable, "-m", "bwlib.cli", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=500, check=False)
    finally:
        watch.over.set()
        looking.join()
    return Walk(done.stdout, done.stderr, done.returncode, watch.seen)
