"""What a run came to, in words: its outcome, what went wrong, what is open. Pure.

A sentence is only as strong as what the journal says: *proven* is what was read back or heard in this run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bwlib.record.report_facts import Attempt, NotebookFacts, RunFacts

#: our own statuses, worst first -> how they are said
STATUS = {
    "died": "died",
    "timed_out": "timed out",
    "failed": "failed",
    "running": "never ended",
    "pending": "planned",
    "skipped": "skipped",
    "passed": "passed",
}
BROKEN = ("died", "timed_out", "failed", "running")
CHANGES = ("created", "updated", "removed")
TITLES = {
    "rights": "The account answers",
    "application": "Voice application",
    "callback": "Callback URL answers",
    "realm": "Realm",
    "sip_credential": "SIP credential",
    "inbound_sip_uri": "Inbound SIP URI",
    "dns": "DNS",
    "settings_sheet": "Settings for the PBX",
    "trunk": "Trunk",
    "route": "Outbound route",
    "extension": "Extension",
    "no_registration": "No registration at the realm",
    "ready": "Everything a call needs is in place",
    "call_from_extension": "Call from the extension to the application",
    "call_to_extension": "Programmatic call to the extension",
    "diagnose": "Diagnosis",
}
CALLS = ("call_from_extension", "call_to_extension")


@dataclass(frozen=True)
class Outcome:
    """The first thing a reader sees. status: a key of STATUS; headline: one sentence; lines: what else matters."""

    status: str
    headline: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Open:
    """Something that was not done: what, how it is called (a key of STATUS), why."""

    what: str
    status: str
    why: str


# ---------------------------------------------------------------- the outcome


def outcome(run: RunFacts, status: str) -> Outcome:
    """What the run came to. status: the run's own, from its journal."""
    if run.damage and not run.lines:
        return Outcome("failed", "Nothing can be said: the journal is missing or cannot be read.")
    broken = failures(run)
    looked_again = [attempt for attempt in run.attempts if attempt.step.startswith("drift ")]
    if looked_again and not any(attempt.step == "drift" for attempt in broken):
        return Outcome(status if status in STATUS else "failed", *_drifted(looked_again))
    if status in BROKEN or (broken and status not in STATUS):
        return _broken(run, status if status in STATUS else "failed", broken)
    undone = [attempt for attempt in run.attempts if attempt.step.startswith("undo ")]
    if undone:
        return Outcome(status, *_undone(undone))
    if status == "pending":
        return Outcome(status, *_planned(run))
    return Outcome(status if status in STATUS else "pending", *_done(run, status))


def failures(run: RunFacts) -> list[Attempt]:
    """Every attempt that went wrong or never ended, and was not made good later; newest last."""
    broken = [attempt for attempt in run.attempts if attempt.status in BROKEN]
    return [attempt for attempt in broken if (last := run.last(attempt.step)) is None or last.status in BROKEN]


def broken_notebooks(run: RunFacts) -> list[NotebookFacts]:
    """Every notebook that went wrong or never ended."""
    return [notebook for notebook in run.notebooks if notebook.status in BROKEN]


def _broken(run: RunFacts, status: str, broken: Sequence[Attempt]) -> Outcome:
    notebooks = broken_notebooks(run)
    where = f" in {notebooks[-1].name}" if notebooks else ""
    failed = [attempt for attempt in broken if attempt.status != "running"]
    lines = []
    if any("interrupted" in one.reason for one in notebooks[-1:]) or _was_interrupted(failed):
        headline = f"Interrupted{where}: what follows did not run."
    elif failed:
        last = failed[-1]
        headline = f"{title_of(last)}: {STATUS.get(last.status, last.status)}{where}."
        lines += [sentence(last.came_back or last.reason)]
        if last.do_next:
            lines.append("Do next: " + sentence(last.do_next))
    elif notebooks:
        reason = (notebooks[-1].reason or STATUS[notebooks[-1].status]).splitlines()[0]
        headline = f"{notebooks[-1].name}: {reason}."
    else:
        headline = "The run never ended." if status == "running" else f"The run {STATUS[status]}."
        lines.append(sentence(run.reason))
    lines += [f"{title_of(one)} never ended; how far it came is not known." for one in broken if one not in failed]
    heard = [call for call in CALLS if (last_call := run.last(call)) and last_call.status == "passed"]
    if heard:
        lines.append("Heard before that: " + ", ".join(inside(TITLES[call]) for call in heard) + ".")
    return Outcome(status, headline, tuple(filter(None, lines)))


def _was_interrupted(failed: Sequence[Attempt]) -> bool:
    return bool(failed) and failed[-1].came_back == "interrupted"


def _drifted(looked_again: Sequence[Attempt]) -> tuple[str, tuple[str, ...]]:
    changed = [one for one in looked_again if one.status in BROKEN]
    unknown = [one for one in looked_again if one.status == "skipped"]
    count = counted(len(looked_again), "recorded fact")
    if changed:
        headline = f"Drift: of {count}, {len(changed)} no longer hold{'s' if len(changed) == 1 else ''}."
    elif len(unknown) == len(looked_again):
        headline = "Nothing could be looked at again."
    else:
        headline = f"No drift: of {count}, {len(looked_again) - len(unknown)} looked at and still so."
    lines = [f"{title_of(one)}: {sentence(one.came_back or one.action)}" for one in changed]
    lines += [f"{title_of(one)}: not known. {sentence(one.note)}" for one in unknown]
    return headline, tuple(lines)


def _undone(undone: Sequence[Attempt]) -> tuple[str, tuple[str, ...]]:
    by = {
        action: [one for one in undone if one.action == action]
        for action in ("removed", "updated", "unchanged", "kept")
    }
    planned = [one for one in undone if one.action == "planned"]
    if planned:
        restored = sum(bool(one.differences) for one in planned)  # what is removed has none
        also = f", {counted(restored, 'object')} would be put back as before" if restored else ""
        return f"Planned only: {counted(len(planned) - restored, 'object')} would be removed{also}; nothing was.", ()
    lines = [f"{sentence(one.title)} Kept: {sentence(one.note)}" for one in by["kept"]]
    gone = f", {len(by['unchanged'])} were gone already" if by["unchanged"] else ""
    kept = f", {counted(len(by['kept']), 'object')} kept" if by["kept"] else ", nothing kept back"
    back = f", {counted(len(by['updated']), 'object')} put back as before" if by["updated"] else ""
    return f"Undone: {counted(len(by['removed']), 'object')} removed{back}{gone}{kept}.", tuple(lines)


def _planned(run: RunFacts) -> tuple[str, tuple[str, ...]]:
    would = [one for one in run.attempts if one.action == "planned" and one.differences]
    changes = ", ".join(dict.fromkeys(inside(title_of(one)) for one in would))
    line = f"Would change: {changes}." if changes else "What is there is as wanted already, as far as it was read."
    return "Planned only: nothing was written and no call was placed.", (line,)


def _done(run: RunFacts, status: str) -> tuple[str, tuple[str, ...]]:
    if not run.attempts:
        return "No step was carried out in this run.", ()
    changed = [one for one in run.attempts if one.action in CHANGES]
    heard = [call for call in CALLS if (last := run.last(call)) and last.action == "passed"]
    tail = {0: "no test call was placed in this run", 1: "one test call was placed and heard"}.get(
        len(heard), "both test calls were placed and heard"
    )
    if not changed:
        head = "Nothing had to be changed"
    elif heard:
        head = "The guide is carried out"
    else:
        head = "What this run did is read back and as wanted"
    by = {action: [one for one in changed if one.action == action] for action in CHANGES}
    lines = [
        f"{action.capitalize()}: {', '.join(inside(title_of(one)) for one in ones)}."
        for action, ones in by.items()
        if ones
    ]
    if status == "skipped":
        lines.append("Something was skipped; what and why stands below.")
    return f"{head}; {tail}.", tuple(lines)


def open_points(run: RunFacts) -> list[Open]:
    """What was skipped, only planned, or not reached: each with its reason."""
    found = []
    for notebook in run.notebooks:
        if notebook.status == "skipped":
            found.append(Open(f"Notebook {notebook.name}", "skipped", notebook.reason or "no reason is given"))
    for attempt in {attempt.step: attempt for attempt in run.attempts}.values():
        if attempt.status in ("skipped", "pending"):
            found.append(
                Open(title_of(attempt), attempt.status, attempt.note or attempt.reason or "no reason is given")
            )
    for picture in run.pictures:
        if picture.status != "passed" or not picture.data:
            status = picture.status if picture.status in STATUS else "failed"
            found.append(Open(f"Picture: {picture.title}", status, picture.reason or "no reason is given"))
    return found


# ---------------------------------------------------------------- words


def title_of(attempt: Attempt) -> str:
    """A step's title, also where it failed before it could say it."""
    named = TITLES.get(attempt.step)
    return named if named and attempt.title == attempt.step.replace("_", " ") else attempt.title or attempt.step


def sentence(words: str) -> str:
    """With a capital at its beginning, where that is a plain word, and a full stop at its end."""
    words = words.strip()
    if re.match(r"[a-z]+[ ,;:']", words):
        words = words[0].upper() + words[1:]
    return words if not words or words[-1] in ".!?" else words + "."


def inside(title: str) -> str:
    """A title within a sentence: `outbound route`, but `SIP credential`."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def counted(count: int, noun: str) -> str:
    """`1 object`, `2 objects`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


_CAPITALS = {
    "fqdn": "FQDN",
    "id": "id",
    "url": "URL",
    "uri": "URI",
    "ips": "IPs",
    "pai": "P-Asserted-Identity",
    "dtmf": "DTMF",
}


def field_name(name: str) -> str:
    """`call_initiated_url` as a person says it."""
    return " ".join(_CAPITALS.get(word, word) for word in name.replace("_", " ").split(" "))
