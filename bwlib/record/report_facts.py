"""What a record's folder says of a run, as plain values for the report. Reads the folder only, and survives any damage.

The journal is the thread: its `step` lines come in pairs (running, then how it ended), and a pair with the exchanges
it names is an `Attempt`. A step may be attempted several times in one run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from bwlib.record.report_calls import CallFacts, read_calls
from bwlib.record.report_diff import FileDiff, config_changes
from bwlib.record.report_lines import (
    Line,
    Lines,
    Pairs,
    items,
    member,
    moment,
    number,
    pairs,
    paragraph,
    read_bytes,
    read_json_lines,
    read_text,
    text,
    visible,
)

FINAL = ("passed", "failed", "died", "timed_out", "skipped", "pending")
_AFTERWARDS = ("report", "run_sealed")  # kinds of lines that a run's end adds
LONGEST_BODY = 6000  # letters of a body shown in the report; all of it is in http.jsonl


@dataclass(frozen=True)
class HttpExchange:
    """One line of http.jsonl; `number` is its place there, from 1. status 0: no answer came."""

    number: int
    id: str
    method: str
    path: str
    status: int
    elapsed_ms: float
    error: str
    request_body: str
    response_body: str


@dataclass(frozen=True)
class Attempt:
    """One go at one step. status "running": it never ended. differences: (field, before, wanted)."""

    step: str
    title: str
    notebook: str
    status: str
    action: str
    note: str
    began: datetime | None
    elapsed_s: float
    operator: str
    cell: str
    differences: tuple[tuple[str, str, str], ...]
    facts: Pairs
    exchanges: tuple[HttpExchange, ...]
    attempted: str
    came_back: str
    do_next: str
    reason: str
    created_by_run: str


@dataclass(frozen=True)
class NotebookFacts:
    """One notebook's last word, and its cells by status."""

    name: str
    status: str
    reason: str
    began: datetime | None
    elapsed_s: float
    cells: Pairs


@dataclass(frozen=True)
class Picture:
    """A screenshot, or a picture that a person gave. data: its bytes, empty when it was skipped or is missing."""

    kind: str
    file: str
    title: str
    step: str
    notebook: str
    status: str
    reason: str
    page: str
    holds: tuple[str, ...]
    operator: str
    data: bytes


@dataclass(frozen=True)
class RunFacts:
    """Everything that the report tells, in the order of time within each part. reason: why the run itself ended badly.

    lines: of the journal, without what was written after the run's end.
    """

    run: str
    began: datetime | None
    elapsed_s: float
    site: str
    target: str
    account: str
    operator: str
    mode: str
    by_hand: bool
    parameters: Pairs
    about: Pairs
    reason: str
    notebooks: tuple[NotebookFacts, ...]
    attempts: tuple[Attempt, ...]
    calls: tuple[CallFacts, ...]
    pictures: tuple[Picture, ...]
    changes: tuple[FileDiff, ...]
    sheet: str
    exchanges: tuple[HttpExchange, ...]
    pbx: str
    packages: int
    notes: tuple[str, ...]
    damage: tuple[str, ...]
    lines: int

    def last(self, step: str) -> Attempt | None:
        """The last attempt at a step."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.step == step), None)


def read_run(folder: Path) -> RunFacts:
    """Read a run's folder, whatever state it is in."""
    journal, http = read_json_lines(folder / "journal.jsonl"), read_json_lines(folder / "http.jsonl")
    sip, hooks = read_json_lines(folder / "sip.jsonl"), read_json_lines(folder / "webhooks.jsonl")
    lines = journal.lines
    exchanges = tuple(_exchange(place, line) for place, line in enumerate(http.lines, start=1))
    started = next(_of(lines, "run_started"), {})
    attempts = tuple(_attempts(lines, {one.id: one for one in exchanges}, text(started, "operator")))
    worked = _while_it_went_on(lines)
    times = [at for at in map(moment, worked) if at is not None]
    attached = next(iter(reversed(list(_of(lines, "pbx_attached")))), {})
    return RunFacts(
        run=visible(folder.name),
        began=times[0] if times else None,
        elapsed_s=_elapsed(worked[0], worked[-1]) if worked else 0.0,
        site=text(started, "site") or visible(folder.parent.name),
        target=text(started, "target") or _first(lines, "target"),
        account=_first(lines, "account"),
        operator=text(started, "operator") or _first(lines, "operator"),
        mode=text(started, "mode") or _first(lines, "mode"),
        by_hand=started.get("interactive") is True,
        parameters=pairs(started, "parameters"),
        about=tuple(_about(started, next(_of(lines, "cites"), {}))),
        reason=next((text(line, "reason") for line in reversed(lines) if line.get("kind") == "run"), ""),
        notebooks=tuple(_notebooks(lines)),
        attempts=attempts,
        calls=read_calls(folder, sip.lines, hooks.lines, attempts, lines),
        pictures=tuple(_pictures(folder, lines)),
        changes=config_changes(folder),
        sheet=read_text(folder / "settings_sheet.txt"),
        exchanges=exchanges,
        pbx=f"{text(attached, 'product')} {text(attached, 'version')}".strip(),
        packages=len(items(attached, "packages")),
        notes=tuple(text(line, "note") for line in _of(lines, "note") if text(line, "note")),
        damage=_damage(folder, [journal, http, sip, hooks]),
        lines=len(worked),
    )


def _of(lines: Sequence[Line], kind: str) -> Iterator[Line]:
    return (line for line in lines if line.get("kind") == kind)


def _first(lines: Sequence[Line], key: str) -> str:
    return next((text(line, key) for line in lines if text(line, key)), "")


def _while_it_went_on(lines: Sequence[Line]) -> list[Line]:
    """Without what was written afterwards: the report's own lines, and what somebody who closed the run found open."""
    at_work = {line.get("pid") for line in lines if not _is_afterword(line) and isinstance(line.get("pid"), int)}
    return [
        line
        for line in lines
        if line.get("kind") not in _AFTERWARDS and not (_is_afterword(line) and line.get("pid") not in at_work)
    ]


def _is_afterword(line: Line) -> bool:
    return line.get("kind") in _AFTERWARDS or line.get("status") in ("died", "skipped")


def _about(started: Line, cites: Line) -> Iterator[tuple[str, str]]:
    """The run that this one goes on with, or is about."""
    about = (("goes on with run", member(started, "resumes")), ("is about run", member(started, "cites") or cites))
    for words, other in about:
        if text(other, "run"):
            digest = text(other, "manifest_sha256")
            yield words, text(other, "run") + (f" (manifest sha256 {digest})" if digest else " (not sealed then)")


def _damage(folder: Path, files: Sequence[Lines]) -> tuple[str, ...]:
    found = [f"{one.file}: {one.unreadable} line(s) cannot be read" for one in files if one.unreadable]
    if not (folder / "journal.jsonl").exists():
        found.insert(0, "there is no journal.jsonl: nothing is known of what happened")
    return tuple(found)


def _elapsed(first: Line, last: Line) -> float:
    """Seconds between two lines, by the clock that cannot be set back, else by the time of day."""
    seconds = number(last, "mono_s") - number(first, "mono_s")
    begin, end = moment(first), moment(last)
    by_day = (end - begin).total_seconds() if begin and end else 0.0
    # Another boot of the machine has another monotonic clock.
    return round(seconds if seconds > 0 and abs(seconds - by_day) < 3600 else max(by_day, 0.0), 3)


# ---------------------------------------------------------------- exchanges


def exchanges_of(folder: Path, ids: Collection[str]) -> list[HttpExchange]:
    """The exchanges of these ids, redacted as they lie in http.jsonl, in the order in which they were made."""
    lines = read_json_lines(folder / "http.jsonl").lines
    return [_exchange(place, line) for place, line in enumerate(lines, start=1) if text(line, "id") in ids]


def _exchange(place: int, line: Line) -> HttpExchange:
    url = text(line, "url")
    try:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
    except ValueError:
        path = url
    return HttpExchange(
        number=place,
        id=text(line, "id"),
        method=text(line, "method"),
        path=path or url,
        status=int(number(line, "status")),
        elapsed_ms=number(line, "elapsed_s") * 1000,
        error=text(line, "error"),
        request_body=_shortened(paragraph(line, "request_body")),
        response_body=_shortened(paragraph(line, "response_body")),
    )


def _shortened(body: str) -> str:
    rest = len(body) - LONGEST_BODY
    return body if rest <= 0 else f"{body[:LONGEST_BODY]}\n… and {rest} more characters, in http.jsonl"


# ---------------------------------------------------------------- steps


def _attempts(lines: Sequence[Line], exchanges: Mapping[str, HttpExchange], operator: str) -> Iterator[Attempt]:
    """Pairs of step lines, in the order in which they began; one that never ended stays `running`."""
    cells: dict[str, str] = {}
    open_ones: dict[tuple[str, str], int] = {}
    found: list[Attempt] = []
    for line in lines:
        notebook = text(line, "notebook")
        if line.get("kind") == "cell" and line.get("status") == "running":
            cells[notebook] = text(line, "cell")
        if line.get("kind") != "step":
            continue
        key = (text(line, "pid"), text(line, "step"))
        attempt = _attempt(line, exchanges, operator, cells.get(notebook, ""))
        if attempt.status == "running":
            open_ones[key] = len(found)
            found.append(attempt)
            continue
        # Whoever seals an abandoned run writes the end with a process id of his own.
        place = open_ones.pop(key, None)
        if place is None:
            other = next((one for one in open_ones if one[1] == key[1] and attempt.status == "died"), None)
            place = open_ones.pop(other) if other else None
        if place is None:
            found.append(attempt)
        else:
            found[place] = _ended(found[place], attempt)
    return iter(found)


def _ended(begun: Attempt, end: Attempt) -> Attempt:
    return replace(
        end,
        began=begun.began,
        notebook=end.notebook or begun.notebook,
        cell=end.cell or begun.cell,
    )


def _attempt(line: Line, exchanges: Mapping[str, HttpExchange], operator: str, cell: str) -> Attempt:
    status = text(line, "status")
    rows = [row for row in items(line, "differences") if isinstance(row, Mapping)]
    step = text(line, "step")
    return Attempt(
        step=step,
        title=text(line, "title") or step.replace("_", " "),
        notebook=text(line, "notebook"),
        status=status if status in (*FINAL, "running") else f"unknown ({status})",
        action=text(line, "action"),
        note=text(line, "note"),
        began=moment(line),
        elapsed_s=number(line, "elapsed_s"),
        operator=text(line, "operator") or operator,
        cell=text(line, "cell") or cell,
        differences=tuple((text(row, "field"), text(row, "found"), text(row, "wanted")) for row in rows),
        facts=pairs(line, "object") or pairs(line, "undone"),
        exchanges=tuple(exchanges[str(one)] for one in items(line, "exchanges") if str(one) in exchanges),
        attempted=text(line, "attempted"),
        came_back=text(line, "came_back"),
        do_next=text(line, "do_next"),
        reason=text(line, "reason"),
        created_by_run=text(line, "created_by_run"),
    )


# ---------------------------------------------------------------- notebooks, pictures


def _notebooks(lines: Sequence[Line]) -> Iterator[NotebookFacts]:
    names = dict.fromkeys(text(line, "notebook") for line in _of(lines, "notebook"))
    for name in names:
        mine = [line for line in _of(lines, "notebook") if text(line, "notebook") == name]
        cells = {
            text(line, "cell"): text(line, "status") for line in _of(lines, "cell") if text(line, "notebook") == name
        }
        counts = {status: list(cells.values()).count(status) for status in dict.fromkeys(cells.values())}
        last = mine[-1]
        yield NotebookFacts(
            name=name,
            status=text(last, "status"),
            reason=paragraph(last, "reason").strip(),
            began=moment(mine[0]),
            elapsed_s=_elapsed(mine[0], last) if len(mine) > 1 else 0.0,
            cells=tuple((status, str(count)) for status, count in counts.items()),
        )


def _pictures(folder: Path, lines: Sequence[Line]) -> Iterator[Picture]:
    """The last word on each picture, in the order of the journal."""
    told = {
        (text(line, "file") or f"{line.get('kind')} {place}"): line
        for place, line in enumerate(lines)
        if line.get("kind") in ("screenshot", "picture")
    }
    for line in told.values():
        file, status = text(line, "file"), text(line, "status") or "passed"
        data = read_bytes(folder / file) if file and _is_inside(folder, file) and status == "passed" else b""
        yield Picture(
            kind=text(line, "kind"),
            file=file,
            title=text(line, "title") or file,
            step=text(line, "step"),
            notebook=text(line, "notebook"),
            status=status,
            reason=text(line, "reason") or ("" if data or status != "passed" else "the file is missing"),
            page=text(line, "page"),
            holds=tuple(visible(str(one)) for one in items(line, "holds")),
            operator=text(line, "operator"),
            data=data,
        )


def _is_inside(folder: Path, file: str) -> bool:
    """A line of the journal never makes the report read a file of somebody else."""
    return (folder / file).resolve().is_relative_to(folder.resolve())
