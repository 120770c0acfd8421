"""What a run changed in the PBX's configuration, file by file, as marked lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bwlib.record.report_lines import read_text


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
    """The files of a unified diff; a line that fits nowhere is shown as it is."""
    name, lines = "", list[DiffLine]()
    rows = diff.splitlines()
    for place, row in enumerate(rows):
        following = rows[place + 1] if place + 1 < len(rows) else ""
        if row.startswith("--- ") and following.startswith("+++ "):
            if lines:
                yield FileDiff(name, tuple(lines))
            name, lines = _file_name(row, following), []
        elif row.startswith("+++ ") and place and rows[place - 1].startswith("--- "):
            continue
        elif row.startswith("@@"):
            lines.append(DiffLine("@", row))
        elif row[:1] in ("+", "-", " "):
            lines.append(DiffLine(row[0], row[1:]))
        else:
            lines.append(DiffLine(" ", row))
    if lines:
        yield FileDiff(name, tuple(lines))


def _file_name(old: str, new: str) -> str:
    names = [row[4:].partition("\t")[0].strip() for row in (new, old)]
    name = next((name for name in names if name != "/dev/null"), "")
    for prefix in ("config/", "before/", "after/", "a/", "b/"):
        name = name.removeprefix(prefix)
    return name
