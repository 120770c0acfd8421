"""One output of a cell that is written anew: there a card shows what its buttons did, also when no cell runs.

A button's message to the kernel belongs to no cell, so what is displayed meanwhile would be lost. A display with an id
can be changed at any time, stays in the saved notebook, and needs no widget to be read later.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

from bwlib.widgets import card


class Place:
    """Parts in their order, each in HTML and in plain text; below them what is being waited for. Thread-safe."""

    def __init__(self) -> None:
        self._display_id = uuid.uuid4().hex
        self._lock = threading.RLock()
        self._parts: list[tuple[str, str]] = []
        self._lines: list[str] = []
        self._shown = False

    def clear(self) -> None:
        """Make room for the next action; the journal keeps the last one."""
        with self._lock:
            self._parts.clear()
            self._lines.clear()
            self._write()

    def add(self, html: str, text: str) -> int:
        """Show one more part; returns its number, for `change`."""
        with self._lock:
            self._parts.append((html, text))
            self._write()
            return len(self._parts) - 1

    def change(self, number: int, html: str, text: str) -> None:
        """Show a part anew. One that was cleared away meanwhile is gone."""
        with self._lock:
            if number < len(self._parts):
                self._parts[number] = (html, text)
                self._write()

    def tell(self, line: str) -> None:
        """What is being waited for now."""
        with self._lock:
            self._lines.append(line)
            self._write()

    def fold(self) -> None:
        """The waiting is over: its lines are folded away, above what follows."""
        with self._lock:
            if self._lines:
                self._parts.append(self._waiting("what happened meanwhile"))
                self._lines.clear()

    def _waiting(self, summary: str) -> tuple[str, str]:
        html = card.folded(summary, "".join(card.line(line) for line in self._lines))
        return html, "\n".join(f"… {line}" for line in self._lines)

    def _write(self) -> None:
        from IPython.display import display

        parts = [*self._parts, *([self._waiting(f"… {self._lines[-1]}")] if self._lines else [])]
        bundle: dict[str, Any] = {
            "text/html": "".join(html for html, _ in parts),
            "text/plain": "\n".join(text for _, text in parts),
        }
        display(bundle, raw=True, display_id=self._display_id, update=self._shown)  # type: ignore[no-untyped-call]
        self._shown = True
