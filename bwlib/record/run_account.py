"""What a run's journal and files tell of how it went: what did not finish, what failed, what is not there.

The lines may come from anybody: nothing is expected of them but that they are JSON objects with a `kind`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]
_NOT_FINISHED = {"running": "did not finish", "died": "died", "timed_out": "timed out"}
# What a reader expects, by how its name begins and ends.
_EXPECTED = (
    ("report", "report.html", ""),
    ("PDF of the report", "report.pdf", ""),
    ("notebooks", "notebooks/", ".ipynb"),
    ("HTTP exchanges", "http.jsonl", ""),
    ("SIP messages", "sip.jsonl", ""),
    ("webhooks", "webhooks.jsonl", ""),
    ("screenshots", "screenshots/", ""),
    ("audio", "audio/", ""),
    ("PBX configuration before", "config/before/", ""),
    ("PBX configuration after", "config/after/", ""),
)
_WROTE_FILES = ("report", "screenshot", "picture")


def unfinished_in(lines: Sequence[Line]) -> list[str]:
    """Notebooks, steps and cells whose last word is not an end; notebooks that were to come and did not."""
    found = [
        f"{kind} {name} {_NOT_FINISHED[status]}{_reason(line)}"
        for (kind, name), line in _last_words(lines, ("notebook", "step", "cell")).items()
        if (status := str(line.get("status"))) in _NOT_FINISHED and not _is_the_one_that_sealed(line, lines)
    ]
    notebooks = _last_words(lines, ("notebook",))
    found += [
        f"notebook {name} was skipped{_reason(line)}"
        for (_, name), line in notebooks.items()
        if line.get("status") == "skipped"
    ]
    started: Line = next((line for line in lines if line["kind"] == "run_started"), {})
    planned = started.get("notebooks")
    for name in planned if isinstance(planned, list) else []:
        if ("notebook", str(name)) not in notebooks:
            found.append(f"notebook {name} did not begin")
    return found


def _is_the_one_that_sealed(line: Line, lines: Sequence[Line]) -> bool:
    """By hand the last cell seals the run, and cannot write after that: its own end is the `run_sealed` line."""
    started, last = lines[0], lines[-1]
    if line["kind"] != "cell" or last["kind"] != "run_sealed" or not started.get("interactive"):
        return False
    cells = [other for other in lines if other["kind"] == "cell" and other.get("pid") == last.get("pid")]
    return bool(cells) and cells[-1] is line


def failed_in(lines: Sequence[Line]) -> list[str]:
    """Steps and notebooks whose last word is `failed`, with what came back."""
    return [
        f"{kind} {name} failed{_reason(line)}"
        for (kind, name), line in _last_words(lines, ("notebook", "step")).items()
        if line.get("status") == "failed"
    ]


def missing_in(names: Iterable[str], lines: Sequence[Line]) -> list[str]:
    """What a reader may look for in vain, with the reason that the journal gives; and steps that were not done."""
    names = set(names)
    wrote = {
        str(line.get("file") or f"screenshots/{line.get('step')}"): line
        for line in lines
        if line["kind"] in _WROTE_FILES
    }
    found = []
    for name, line in wrote.items():
        if line.get("status") in ("skipped", "failed"):
            found.append(f"{name}: {line['status']}{_reason(line)}")
        elif line.get("file") and name not in names:
            found.append(f"{name}: the journal says it was written, and it is not there")
    for what, start, end in () if _is_small(lines) else _EXPECTED:
        if not any(name.startswith(start) and name.endswith(end) for name in [*names, *wrote]):
            found.append(f"no {what}")
    for (_, name), line in _last_words(lines, ("step",)).items():
        if line.get("status") == "skipped":
            found.append(f"step {name}: skipped{_reason(line)}")
        elif line.get("status") == "pending":
            found.append(f"step {name}: planned, not applied{_reason(line)}")
    return found


def _is_small(lines: Sequence[Line]) -> bool:
    """A look (drift, diagnose) and a lab's certificate are not meant to hold what the record of a run holds."""
    return _is_look(lines) or bool(lines and "lab" in lines[0])


def _is_look(lines: Sequence[Line]) -> bool:
    return bool(lines) and lines[0].get("command") in ("drift", "diagnose")


def looked_to_its_end(lines: Sequence[Line]) -> bool:
    """Whether this is a look (drift, diagnose) that nothing broke off: one that finds a fault has failed, and ended."""
    steps = [line for line in lines if line.get("kind") == "step"]
    return _is_look(lines) and bool(steps) and steps[-1].get("status") != "running" and "error" not in steps[-1]


def last_event(lines: Sequence[Line]) -> str:
    """How far a run came: the last notebook, step or cell that was begun or ended, and when."""
    for line in reversed(lines):
        if line["kind"] in ("notebook", "step", "cell"):
            return f"{line['kind']} {_name(line)}: {line.get('status')}, {line.get('at')}"
    return "nothing was begun"


def _last_words(lines: Iterable[Line], kinds: Sequence[str]) -> dict[tuple[str, str], Line]:
    """The last line of each notebook, step and cell, by kind and name. A cell's name has its notebook."""
    last: dict[tuple[str, str], Line] = {}
    for line in lines:
        kind = line["kind"]
        if kind in kinds:
            last[kind, _name(line)] = line
    return last


def _name(line: Line) -> str:
    return f"{line.get('notebook')}/{line.get('cell')}" if line["kind"] == "cell" else str(line.get(line["kind"]))


def _reason(line: Line) -> str:
    told = line.get("reason") or line.get("came_back") or line.get("note")
    return f": {told}" if told else ""
