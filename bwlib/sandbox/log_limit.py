"""A log that garbage cannot fill: so many lines of a kind in a while, then a count of the rest."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

LINES = 20  # of one kind
WINDOW_S = 10.0


@dataclass
class _Kind:
    """Lines of one text, whatever their arguments: since when, how many were let through, how many left out."""

    logger: str
    since: float
    passed: int = 0
    left_out: int = 0


class LogLimit(logging.Filter):
    """Put it on a handler. Lines are of a kind when logger and text (before its arguments go in) are the same.

    `say_left_out()` logs "N more" for each kind whose window is over; call it now and then, and at the end.
    """

    def __init__(self, lines: int = LINES, window_s: float = WINDOW_S) -> None:
        super().__init__()
        self._lines = lines
        self._window_s = window_s
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that is one too many."""
        if record.name == __name__:
            return True
        with self._lock:
            kind = self._kinds.setdefault((record.name, str(record.msg)), _Kind(record.name, time.monotonic()))
            if kind.passed < self._lines:
                kind.passed += 1
                return True
            kind.left_out += 1
            return False

    def say_left_out(self, *, all_of_them: bool = False) -> None:
        """Log the counts of the windows that are over (or of all), and let their kinds through again."""
        over = time.monotonic() - self._window_s
        with self._lock:
            ended = [key for key, kind in self._kinds.items() if all_of_them or kind.since <= over]
            kinds = [(text, self._kinds.pop((name, text))) for name, text in ended]
        for text, kind in kinds:
            if kind.left_out:
                logging.getLogger(__name__).warning("%d more of %s: %s", kind.left_out, kind.logger, text)
