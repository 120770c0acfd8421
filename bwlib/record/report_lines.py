"""Read what a record holds without trusting it: half a file, a garbled line, a wrong type never stop a report.

Everything comes out as text that can be shown: control characters, and those that turn the writing direction round,
are made visible, so that nobody's name can disguise itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# C0 and C1 but tab and newline, line and paragraph separators, bidirectional controls, halves of surrogate pairs.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
Line = Mapping[str, Any]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Lines:
    """The readable lines of one file of JSON lines, and how many are not."""

    file: str
    lines: tuple[Line, ...]
    unreadable: int = 0


def read_json_lines(path: Path) -> Lines:
    """Every line that is a JSON object; a missing file has none."""
    lines: list[Line] = []
    unreadable = 0
    for raw in read_bytes(path).split(b"\n"):
        if not raw.strip():
            continue
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict):
            lines.append(line)
        else:
            unreadable += 1
    return Lines(path.name, tuple(lines), unreadable)


def read_bytes(path: Path) -> bytes:
    """A file's bytes; none when it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def read_text(path: Path) -> str:
    """A file's text, ready to be shown; "" when it is missing or cannot be read."""
    return visible(read_bytes(path).decode("utf-8", "replace").replace("\r\n", "\n"))


def visible(text: str) -> str:
    """The text with what cannot be seen written as an escape; tabs and newlines stay."""
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def text(line: Line, key: str) -> str:
    """A value as text for one line; "" when it is absent, empty or no simple value."""
    value = line.get(key)
    if value is None or isinstance(value, Mapping | list):
        return ""
    return visible(str(value).replace("\n", " ").strip())


def paragraph(line: Line, key: str) -> str:
    """A value as text that may have several lines."""
    value = line.get(key)
    return visible(value.replace("\r\n", "\n")) if isinstance(value, str) else ""


def number(line: Line, key: str) -> float:
    """A value as a number; 0 when it is none."""
    value = line.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def items(line: Line, key: str) -> Sequence[Any]:
    """A value as a list; empty when it is none."""
    value = line.get(key)
    return value if isinstance(value, list) else ()


def member(line: Line, key: str) -> Line:
    """A value as an object; empty when it is none."""
    value = line.get(key)
    return value if isinstance(value, Mapping) else {}


def pairs(line: Line, key: str) -> Pairs:
    """An object's simple values as (name, text), in its own order."""
    return tuple((visible(str(name)), text(member(line, key), name)) for name in member(line, key))


def moment(line: Line, key: str = "at") -> datetime | None:
    """A time, in UTC; None when it is none."""
    try:
        at = datetime.fromisoformat(str(line.get(key)))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
