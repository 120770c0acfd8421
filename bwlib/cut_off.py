"""Creations that were cut off: a run ended between the journal's `creating` and its `created`.

Whether the object came to be is then not written anywhere. The next run looks before it creates, so there is never a
second one; and when it finds the object, it writes down that the killed run created it, so that undo knows whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwlib.look import NAMED_BY
from bwlib.made import is_named_alike
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders

# A step that failed with one of these was told no: nothing was created.
_TOLD_NO = ("Refused", "NotEntitled", "NotAuthenticated", "PbxRefused", "SettingsError")
_MARK = b'"kind": "creating"'


@dataclass(frozen=True)
class Creation:
    """A creation that may or may not have come about. wanted: public facts of the object; run: the record's name."""

    account: str
    step: str
    wanted: Mapping[str, str]
    pbx: Mapping[str, str]
    run: str

    def fits(self, account: str, step: str, found: Mapping[str, str], pbx: Mapping[str, str]) -> bool:
        """Whether this object is the one that was being created."""
        if (account, step, dict(pbx)) != (self.account, self.step, dict(self.pbx)):
            return False
        return step in NAMED_BY and is_named_alike(step, self.wanted, found)


def open_creations(runs_dir: Path) -> list[Creation]:
    """The creations of a site's runs of which nobody has said yet how they ended, oldest first.

    Raises: RecordError when a journal cannot be read: who created what is then unknown.
    """
    found: dict[tuple[str, str], Creation] = {}
    for folder in run_folders(runs_dir):
        path = folder / "journal.jsonl"
        if not found and _MARK not in path.read_bytes():
            continue
        for line in read_lines(path):
            _follow(found, line, folder.name)
    return list(found.values())


def _follow(found: dict[tuple[str, str], Creation], line: Mapping[str, Any], run: str) -> None:
    key = (str(line.get("account", "")), str(line.get("step", "")))
    if line["kind"] == "creating":
        found[key] = Creation(*key, line.get("object") or {}, line.get("pbx") or {}, run)
    elif line["kind"] == "created":
        found.pop(key, None)
    elif line["kind"] == "step" and line.get("error") in _TOLD_NO:
        for open_key in [open_key for open_key in found if open_key[1] == key[1] and found[open_key].run == run]:
            del found[open_key]
