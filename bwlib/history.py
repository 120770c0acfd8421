"""A site's runs as a table, and two of them side by side. Reads records, broken and half ones too; changes none."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwlib.errors import RecordError, SettingsError
from bwlib.record.cited import is_sealed
from bwlib.record.journal import MANIFEST, chain_faults, read_lines
from bwlib.record.manifest import run_status
from bwlib.record.run_record import run_folders

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

RUNS = (
    "run",
    "when",
    "by",
    "kind",
    "about",
    "status",
    "duration_s",
    "sealed",
    "signed",
    "changed",
    "stopped_in",
    "note",
)
DIFFERENCES = ("step", "cell", "what", "first", "second")
_CHANGES = ("created", "updated", "removed")
_STOPPED = ("failed", "died", "timed_out")
# Facts of a step that are another in every run, and tell nothing about the site.
EACH_RUN = ("call id",)

Line = Mapping[str, Any]


def runs_table(runs_dir: Path) -> pandas.DataFrame:
    """A site's runs, oldest first, one row each.

    when: UTC, its start. kind: run, by hand, resume, undo, drift. about: the run that it cites or resumes. status: its
    own, or broken (the journal is not whole). duration_s: from the first line to the last, in seconds. signed: there is
    a signature; `bw-runbook verify` says whose. changed: steps that created, updated or removed something. stopped_in:
    the notebook. note: what is wrong with it.
    """
    import pandas

    return pandas.DataFrame([_row(folder) for folder in run_folders(runs_dir)], columns=list(RUNS))


def diff_table(first: Path, second: Path) -> pandas.DataFrame:
    """What differs between two runs: per step its status, action, error and the fields of its object.

    cell: the notebook and cell that it comes from, in the second run where that has the step.
    Raises: RecordError for a journal that cannot be read.
    """
    import pandas

    return pandas.DataFrame(list(_differences(_steps(first), _steps(second))), columns=list(DIFFERENCES))


def run_of(runs_dir: Path, name: str) -> Path:
    """The folder of the run of this name; the last part of a path will do. Raises: SettingsError."""
    folder = runs_dir / Path(name).name
    if folder not in run_folders(runs_dir):
        raise SettingsError(
            f"find the run {name}",
            f"there is none of that name in {runs_dir}",
            "take a name from: bw-runbook runs SITE",
        )
    return folder


# ---------------------------------------------------------------- one run


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(RUNS, "")
    row |= {"run": folder.name, "duration_s": None, "changed": 0}
    row |= {"sealed": is_sealed(folder), "signed": (folder / f"{MANIFEST}.sig").exists()}
    try:
        lines = list(read_lines(folder / "journal.jsonl"))
        row |= _facts(folder, lines)
        fault = _fault(folder / "journal.jsonl")
    except (RecordError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fault = error.came_back if isinstance(error, RecordError) else f"a line is not as it should be: {error!r}"
    if fault:
        row |= {"status": "broken", "note": fault}
    return row


def _facts(folder: Path, lines: Sequence[Line]) -> dict[str, Any]:
    if not lines:
        return {"status": "pending", "note": "nothing is written in it"}
    first, last = lines[0], lines[-1]
    status = run_status(folder)
    if status == "running" and not first.get("interactive") and not _is_held(folder):
        status = "died"
    open_still = {} if is_sealed(folder) else {"note": "cut off, not sealed" if status == "died" else "not sealed"}
    return {
        "when": str(first["at"])[:19].replace("T", " "),
        "by": first.get("operator", ""),
        "kind": _kind(first),
        "about": (_cited(lines) or {}).get("run", ""),
        "status": status,
        "duration_s": round((_time(last) - _time(first)).total_seconds(), 1),
        "changed": sum(line["kind"] == "step" and line.get("action") in _CHANGES for line in lines),
        "stopped_in": _stopped_in(lines, status),
        **open_still,
    }


def _time(line: Line) -> datetime:
    return datetime.fromisoformat(str(line["at"]))


def _kind(first: Line) -> str:
    if first.get("command"):
        return str(first["command"])
    if first.get("resumes"):
        return "resume"
    if first.get("notebooks") == ["90_undo"]:
        return "undo"
    return "by hand" if first.get("interactive") else "run"


def _cited(lines: Sequence[Line]) -> Line | None:
    """The run that this one is about: said at its start, or by an undo when it was told which one."""
    about = [line.get("resumes") or line.get("cites") for line in lines if line["kind"] == "run_started"]
    about += [line for line in lines if line["kind"] == "cites"]
    return next((each for each in about if each), None)


def _stopped_in(lines: Sequence[Line], status: str) -> str:
    """The notebook of the first thing that did not end well; of a run that was cut off, the one that was running."""
    if status not in _STOPPED:
        return ""
    last: dict[str, Line] = {}
    for line in lines:
        if line["kind"] in ("notebook", "step"):
            last[f"{line['kind']} {line.get('step') or line['notebook']}"] = line
    bad = [line for line in last.values() if line.get("status") in (*_STOPPED, "running")]
    return str(bad[0].get("notebook", "")) if bad else ""


def _is_held(folder: Path) -> bool:
    """Whether a runner owns this run. It takes its lock before the first notebook begins."""
    try:
        with (folder.parent / f".{folder.name}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _fault(journal: Path) -> str:
    """What is wrong with the journal, "" when nothing is. Half a line at the end of an open one is no fault of it."""
    faults = chain_faults(journal)
    if faults and not is_sealed(journal.parent) and not journal.read_bytes().endswith(b"\n"):
        faults = faults[1:]
    return faults[0] if faults else ""


# ---------------------------------------------------------------- two runs


def _steps(folder: Path) -> dict[str, Line]:
    """The last word on each step."""
    lines = read_lines(folder / "journal.jsonl")
    return {str(line["step"]): line for line in lines if line["kind"] == "step" and line.get("status") != "running"}


def _differences(first: Mapping[str, Line], second: Mapping[str, Line]) -> Iterator[dict[str, str]]:
    for step in [*first, *(step for step in second if step not in first)]:
        one, other = first.get(step, {}), second.get(step, {})
        cell = _cell(other or one)
        if not one or not other:
            there = {"first": _word(one), "second": _word(other)}
            yield {"step": step, "cell": cell, "what": "step", **there}
            continue
        for what, have, want in [*_outcome(one, other), *_object(one, other)]:
            if have != want:
                yield {"step": step, "cell": cell, "what": what, "first": have, "second": want}


def _word(line: Line) -> str:
    return str(line.get("action") or line.get("status") or "not there")


def _cell(line: Line) -> str:
    return " ".join(str(line[name]) for name in ("notebook", "cell") if line.get(name) not in (None, ""))


def _outcome(one: Line, other: Line) -> Iterator[tuple[str, str, str]]:
    for what in ("status", "action", "came_back"):
        yield what, str(one.get(what) or ""), str(other.get(what) or "")


def _object(one: Line, other: Line) -> Iterator[tuple[str, str, str]]:
    have, want = one.get("object") or {}, other.get("object") or {}
    if have and want:  # a step that failed has none: its error says enough
        for field in sorted({*have, *want} - set(EACH_RUN)):
            yield field, str(have.get(field, "not set")), str(want.get(field, "not set"))
