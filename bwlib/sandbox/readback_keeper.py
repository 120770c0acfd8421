"""Readback's life under the supervisor: waited for, and started again on its port when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bwlib.sandbox.children import Child

log = logging.getLogger(__name__)
RESTARTS = 3  # within a minute: what dies more often will not get better by itself
_MINUTE_S = 60.0
_PATIENCE_S = 45.0  # one that is started again while it comes up never does, on a machine that is busy enough
_LOOK_S = 0.1

Answered = dict[str, Any]  # what readback writes about itself: url, token, ca_file, pid, ...


class ReadbackKeeper:
    """`child` is running; `start(port)` starts another. `answered` is its state while it listens, else None."""

    def __init__(self, directory: Path, child: Child, start: Callable[[int], Child]) -> None:
        self.child = child
        self.answered: Answered | None = None
        self.given_up = False
        self._file = directory / "readback.json"
        self._log_file = directory / "readback.log"
        self._start = start
        self.port = 0  # where it listened, once it did
        self._restarts: deque[float] = deque(maxlen=RESTARTS)

    @property
    def state(self) -> str:
        """up, starting, or down: for good."""
        if self.given_up:
            return "down"
        return "up" if self.answered is not None and self.child.alive() else "starting"

    async def wait_until_up(self) -> None:
        """Returns when readback listens, or when it ended or took too long (the log says so)."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.child.alive() and time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                loaded = json.loads(self._file.read_text(encoding="utf-8"))
                if isinstance(loaded, dict) and loaded.get("pid") == self.child.pid:
                    self.port = urlsplit(loaded["url"]).port or 0
                    self.answered = loaded
                    return
            await asyncio.sleep(0.02)
        log.error("readback did not come up; see %s", self._log_file)

    async def keep(self, on_change: Callable[[], None]) -> None:
        """Until cancelled, or given up: start it again whenever it is gone. on_change: after each change of state."""
        while not self.given_up:
            if self.answered is not None and self.child.alive():
                await asyncio.sleep(_LOOK_S)
                continue
            self.answered = None
            self.given_up = not self._may_restart()
            if self.given_up:
                log.error("readback died %d times within a minute: not started again", RESTARTS + 1)
            else:
                await self._restart()
                await self.wait_until_up()
            on_change()

    def _may_restart(self) -> bool:
        now = time.monotonic()
        if len(self._restarts) == RESTARTS and now - self._restarts[0] < _MINUTE_S:
            return False
        self._restarts.append(now)
        return True

    async def _restart(self) -> None:
        log.warning("readback (pid %d) is gone: starting it again; see %s", self.child.pid, self._log_file)
        await asyncio.to_thread(self.child.stop)  # what is left of its group, or a child that never answered
        try:  # not in a thread: the kernel ends it with the thread that started it
            self.child = self._start(self.port)
        except OSError as error:
            log.error("readback could not be started: %s", error)
