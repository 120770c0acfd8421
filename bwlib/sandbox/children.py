"""The processes the supervisor owns: readback and the PBX. None of them outlives it."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bwlib.sandbox.home import touch_private

log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Child:
    """A running program in a process group of its own, its output in `log_file`."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log_file: Path) -> None:
        """Raises OSError when the program cannot be started."""
        touch_private(log_file)
        with log_file.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- argv comes from our own caller
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.name = name
        self.pid = self._process.pid
        log.info("started %s, pid %d", name, self.pid)

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask_to_stop(self) -> None:
        """SIGTERM to its group; returns at once."""
        self._signal(signal.SIGTERM)

    def stop(self, patience_s: float = 3.0) -> None:
        """SIGTERM to its group, SIGKILL when that does not help. Blocks up to `patience_s`."""
        self.ask_to_stop()
        deadline = time.monotonic() + patience_s
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._signal(signal.SIGKILL)  # also whatever else is left of its group
        self._process.wait()
        log.info("stopped %s, exit %s", self.name, self._process.returncode)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _die_with_parent() -> None:
    """Linux only: the kernel sends SIGKILL to the child when the supervisor is gone, however it went."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
