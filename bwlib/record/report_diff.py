"""What a run changed in the PBX's configuration, file by file, as marked lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bwlib.record.report_lines import read_text

_HUNK = re.compile(r"@@ -\d+(?:,(\d{1,9}))? \+\d+(?:,(\d{1,9}))? @@")


@dataclass(frozen=True)
class DiffLine:
    """One line. mark: "+" added, "-" removed, " " as it was, "@" a gap between hunks."""

    mark: str
    text: str


@dataclass(frozen=True)
class FileDiff:
    """One file's lines; its name stands for before and after."""

    name: str
    lines: tuple[DiffLine, ...]

    @property
    def added(self) -> int:
        return sum(line.mark == "+" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.mark == "-" for line in self.lines)


def config_changes(folder: Path) -> tuple[FileDiff, ...]:
    """By config/changes.diff when the record has one, else by comparing config/before with config/after."""
    written = read_text(folder / "config" / "changes.diff")
    return tuple(_parsed(written if written.strip() else "\n".join(_compared(folder / "config"))))


def _compared(config: Path) -> Iterator[str]:
    before, after = config / "before", config / "after"
    if not after.is_dir():  # a run that only looked
        return
    names = {
        path.relative_to(side).as_posix() for side in (before, after) for path in side.rglob("*") if path.is_file()
    }
    for name in sorted(names):
        old, new = read_text(before / name).splitlines(), read_text(after / name).splitlines()
        yield from difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", lineterm="")


def _parsed(diff: str) -> Iterator[FileDiff]:
    """The files of a unified diff. Within a hunk its own count says what a line is: "--- x" may be a removed "-- x"."""
    name, lines = "", list[DiffLine]()
    old = new = 0  # lines of the hunk that are still to come
    rows = diff.splitlines()
    for place, row in enumerate(rows):
        mark = row[:1] or " "
        hunk = _HUNK.match(row)
        if old > 0 or new > 0:
            lines.append(DiffLine(mark, row[1:]) if mark in "+- " else DiffLine(" ", row))
            old, new = old - (mark != "+"), new - (mark != "-")
        elif row.startswith("--- ") and rows[place + 1 : place + 2] and rows[place + 1].startswith("+++ "):
            if lines:
                yield FileDiff(name, tuple(lines))
            name, lines = _file_name(row, rows[place + 1]), []
        elif hunk:
            old, new = (int(count) if count else 1 for count in hunk.groups())
            lines.append(DiffLine("@", row))
        elif not (row.startswith("+++ ") and place and rows[place - 1].startswith("--- ")):
            lines.append(DiffLine(" ", row))  # what fits nowhere is shown as it is
    if lines:
        yield FileDiff(name, tuple(lines))


def _file_name(old: str, new: str) -> str:
    names = [row[4:].partition("\t")[0].strip() for row in (new, old)]
    name = next((name for name in names if name != "/dev/null"), "")
    for prefix in ("config/", "before/", "after/", "a/", "b/"):
        name = name.removeprefix(prefix)
    return name
