"""What is already true of a step, by the site's records: shown when a notebook is opened again. Evidence, not state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bwlib.errors import RecordError
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders

# Older ones hardly say what is true now, and each costs the reading of its journal.
_NEWEST_RUNS = 20
_BADGES = {"pending": "planned", "passed": "passed", "skipped": "skipped", "failed": "failed"}


@dataclass(frozen=True)
class Done:
    """The last thing that happened to a step. at: UTC, "2026-11-27 06:00:05"; action "" when it failed."""

    step: str
    status: str
    action: str
    at: str
    operator: str
    run: str
    came_back: str = ""
    undone: bool = False

    @property
    def badge(self) -> str:
        """The word for a card's badge."""
        return "not done yet" if self.undone else _BADGES.get(self.status, "failed")

    @property
    def words(self) -> str:
        """In a line: what, when, by whom; and what to do about it."""
        who = f"{self.at} UTC by {self.operator}" if self.operator else f"{self.at} UTC"
        if self.undone:
            return f"undone {who}"
        if self.badge == "failed":
            return f"failed {who}: {self.came_back or 'it never ended'}"
        return f"{self.action or self.status} {who}; verify again?"


def already_done(runs_dir: Path, step: str, account: str) -> Done | None:
    """The newest outcome of this step in the site's newest runs on this account; None when there is none.

    A journal that cannot be read is passed over: `bw-runbook verify` says what is wrong with it.
    """
    for folder in islice(reversed(run_folders(runs_dir)), _NEWEST_RUNS):
        found = _last(folder, step, account)
        if found is not None:
            return found
    return None


def _last(folder: Path, step: str, account: str) -> Done | None:
    last: Mapping[str, Any] | None = None
    try:
        for line in read_lines(folder / "journal.jsonl"):
            if line.get("kind") == "step" and _is_about(line, step, account):
                last = line
    except (RecordError, OSError, ValueError):
        return None
    return None if last is None else _done(last, step, folder.name)


def _is_about(line: Mapping[str, Any], step: str, account: str) -> bool:
    """An undo counts when it took something back; a step that failed names no account."""
    if line.get("account") not in (None, account):
        return False
    if line.get("step") == f"undo {step}":
        return line.get("action") in ("removed", "updated")  # "updated": put back as it was before us
    return line.get("step") == step and line.get("mode") != "plan"


def _done(line: Mapping[str, Any], step: str, run: str) -> Done:
    return Done(
        step,
        status=str(line.get("status", "")),
        action=str(line.get("action") or ""),
        at=str(line.get("at", ""))[:19].replace("T", " "),
        operator=str(line.get("operator") or ""),
        run=run,
        came_back=str(line.get("came_back") or ""),
        undone=str(line.get("step")).startswith("undo "),
    )
