"""The report as one HTML page. No request leaves it, and it needs no script.

The page is rendered twice: for a screen, with what is long folded away, and for paper, where everything is open, the
HTTP exchanges come last and a sentence stands for each player.
"""

from __future__ import annotations

import base64
import json
import platform
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bwlib.record.manifest import GUIDE
from bwlib.record.report_facts import Attempt, HttpExchange, RunFacts
from bwlib.record.report_lines import Pairs
from bwlib.record.report_parts import guide_parts, overview_in, own_part, road_of
from bwlib.record.report_words import (
    STATUS,
    broken_notebooks,
    counted,
    failures,
    field_name,
    inside,
    open_points,
    outcome,
    sentence,
    title_of,
)
from bwlib.record.signature import NAMESPACE

if TYPE_CHECKING:
    from jinja2 import Environment


_TEMPLATES = Path(__file__).parent / "templates"
_BEFORE_AFTER = ("before", "after")
_COLUMNS = {"planned": ("now", "would be")}
_DRIFT = {
    "still so": "It is still as recorded.",
    "changed": "It is not as recorded any more.",
    "gone": "It is recorded, and gone.",
    "unknown": "Whether it is still as recorded is not known.",
}
_IMAGES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


@dataclass(frozen=True)
class Shown:
    """How one attempt is told: before and after in a sentence, then a table. brief: a repeat that only confirms."""

    attempt: Attempt
    title: str
    told: str
    caption: str
    columns: tuple[str, str]
    changes: tuple[tuple[str, str, str], ...]
    facts: Pairs
    brief: bool


@dataclass(frozen=True)
class Bar:
    """One row of the timings: seconds since the run began, and per cent of its whole time."""

    name: str
    is_notebook: bool
    status: str
    start_s: float
    took_s: float
    left: float
    width: float


def render(run: RunFacts, status: str, *, paper: bool = False) -> str:
    """The page. status: the run's own, from its journal. paper: for print."""
    result = outcome(run, status)
    parts = guide_parts(run)
    picture = overview_in(run)
    template = _environment().get_template("report.html")
    return template.render(
        paper=paper,
        css=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        run=run,
        outcome=result,
        guide=GUIDE,
        road=road_of(run),
        overview=picture.svg(),
        overview_words=picture.text(),
        failures=failures(run),
        broken_notebooks=broken_notebooks(run),
        open_points=open_points(run),
        parts=[(part, shown(part.attempts)) for part in parts],
        loose_pictures=[one for one in run.pictures if not any(one in part.pictures for part in parts)],
        bars=bars(run),
        versions=_versions(run),
        same=_repeats(run.exchanges),
        namespace=NAMESPACE,
        apart=own_part(run),
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "field": field_name,
        "inside": inside,
        "sentence": sentence,
        "pretty": pretty,
        "shell": shlex.quote,
        "day": _day,
        "clock": _clock,
        "seconds": seconds,
        "title_of": title_of,
        "picture": _data_url,
        "sound": lambda wav: "data:audio/wav;base64," + base64.b64encode(wav).decode("ascii"),
        # Only what this package drew itself (its own SVG, its own style sheet): every text in it is escaped there.
        "drawn": lambda svg: Markup(svg),  # noqa: S704
    }
    environment.globals |= {
        "STATUS": STATUS,
        "counted": counted,
        "exchange_words": exchange_words,
        "anchor": _anchor,
        "dict": dict,
    }
    return environment


# ---------------------------------------------------------------- steps


def shown(attempts: Sequence[Attempt]) -> list[Shown]:
    """Each attempt with the table that tells it best; a repeat that only confirms is brief."""
    seen: set[str] = set()
    found = []
    for attempt in attempts:
        repeat = attempt.step in seen and attempt.action in ("unchanged", "passed") and attempt.status == "passed"
        seen.add(attempt.step)
        told, caption, changes, facts = _tables(attempt)
        columns = _COLUMNS.get(
            attempt.action, ("recorded", "now") if attempt.step.startswith("drift") else _BEFORE_AFTER
        )
        found.append(Shown(attempt, title_of(attempt), told, caption, columns, changes, facts, repeat))
    return found


def _tables(attempt: Attempt) -> tuple[str, str, tuple[tuple[str, str, str], ...], Pairs]:
    """What was true before and after, in a sentence; a caption; changes; facts."""
    facts, rows = attempt.facts, attempt.differences
    if attempt.step.startswith("drift"):
        told = _DRIFT.get(attempt.action, "")
        return told, "Recorded, and now", tuple((name, wanted, found) for name, found, wanted in rows), facts
    if attempt.action == "created" and all(found == "absent" for _, found, _ in rows):
        known = dict(facts)
        more = tuple((name, wanted) for name, _, wanted in rows if name not in known and wanted != "not set")
        return "Before: it was not there. After: it is there, as below.", "After, as read back", (), facts + more
    if attempt.action in ("created", "updated"):
        return "It was changed; each field before and after stands below.", "Before and after", rows, facts
    if attempt.action == "unchanged":
        return "Before and after: it was as wanted already, so nothing was written.", "As read back", (), facts
    if attempt.action == "planned":
        return "Only planned: nothing was sent.", "What is there, and what would be", rows, facts
    if attempt.action == "removed":
        return "Before: it was there, as below. After: it is gone.", "What it was", (), facts
    if attempt.action == "kept":
        return "Before and after: it was left as it is.", "What it is", (), facts
    return "", "What was found", rows, facts


def exchange_words(exchanges: Sequence[HttpExchange]) -> str:
    """`6 HTTP exchanges: 5 GET, 1 POST`."""
    methods = [one.method for one in exchanges]
    counts = ", ".join(f"{methods.count(method)} {method}" for method in dict.fromkeys(sorted(methods)))
    return f"{counted(len(exchanges), 'HTTP exchange')}: {counts}"


def _repeats(exchanges: Sequence[HttpExchange]) -> dict[int, int]:
    """Number -> the number of an earlier exchange with the same bodies, 0 for none: paper need not say it twice."""
    first: dict[tuple[str, str, int, str, str], int] = {}
    repeats = {}
    for one in exchanges:
        key = (one.method, one.path, one.status, one.request_body, one.response_body)
        repeats[one.number] = first.get(key, 0) if one.request_body or one.response_body else 0
        first.setdefault(key, one.number)
    return repeats


# ---------------------------------------------------------------- timings


def bars(run: RunFacts) -> list[Bar]:
    """Notebooks with their steps below them, in the order of time."""
    if run.began is None:
        return []
    whole = max(run.elapsed_s, 0.001)
    rows: list[tuple[datetime, int, str, bool, str, float]] = []
    for notebook in run.notebooks:
        if notebook.began and notebook.status != "skipped":
            rows.append((notebook.began, 0, notebook.name, True, notebook.status, notebook.elapsed_s))
    for attempt in run.attempts:
        if attempt.began:
            rows.append((attempt.began, 1, title_of(attempt), False, attempt.status, attempt.elapsed_s))
    found = []
    for at, _, name, is_notebook, status, took_s in sorted(rows, key=lambda row: row[:2]):
        start_s = max((at - run.began).total_seconds(), 0.0)
        left = min(100 * start_s / whole, 99.6)
        width = max(min(100 * took_s / whole, 100 - left), 0.4)
        found.append(Bar(name, is_notebook, status, start_s, took_s, round(left, 2), round(width, 2)))
    return found


# ---------------------------------------------------------------- small words


def pretty(body: str) -> str:
    """JSON and XML with one member or element a line; anything else as it is."""
    text = body.strip()
    try:
        return (
            json.dumps(json.loads(text), indent=2, ensure_ascii=False) if text[:1] in ("{", "[") else _xml_lines(text)
        )
    except (ValueError, RecursionError):
        return body


def _xml_lines(text: str) -> str:
    if not text.startswith("<"):
        return text
    depth, lines = 0, []
    for line in re.sub(r">\s*<", ">\n<", text).split("\n"):
        closes = line.startswith("</")
        depth -= closes
        lines.append("  " * max(min(depth, 20), 0) + line)
        opens = not closes and re.match(r"<[A-Za-z]", line) and "</" not in line and not line.endswith("/>")
        depth += bool(opens)
    return "\n".join(lines)


def seconds(value: float) -> str:
    """`0.014 s`, `10.5 s`, `2 min 05 s`."""
    if value >= 120:
        return f"{int(value) // 60} min {int(value) % 60:02d} s"
    return f"{value:.1f} s" if value >= 1 else f"{value:.3f} s"


def _day(at: datetime | None) -> str:
    return f"{at.day} {at:%B %Y}, {at:%H:%M:%S} UTC" if at else "not known"


def _clock(at: datetime | None) -> str:
    return f"{at:%H:%M:%S}" if at else "time not known"


def _data_url(data: bytes) -> str:
    """A picture as a data: URL; "" for what is no PNG or JPEG."""
    kind = next((kind for start, kind in _IMAGES if data.startswith(start)), "")
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}" if kind else ""


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _versions(run: RunFacts) -> list[tuple[str, str]]:
    """What took part, as far as it can be told from here; all of it is in the manifest."""
    try:
        own = version("bw-runbook")
    except PackageNotFoundError:
        own = "not installed"
    rows = [("bw-runbook", own), ("Python", platform.python_version())]
    rows.append(("system", f"{platform.system()} {platform.release()} {platform.machine()}"))
    if run.pbx:
        rows.append(("PBX", run.pbx + (f", {run.packages} packages unpacked (in the journal)" if run.packages else "")))
    return rows
