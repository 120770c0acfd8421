"""The picture of the whole by what this site's runs prove by now: its own names, and what was done, when, by whom.

Journals are evidence, not state: the picture says what was proven and when, and nothing is decided by it. An undo takes
a proof back; a call proves the chain as it was then, so what was changed later leaves it unproven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bwlib.errors import RecordError
from bwlib.look import NAMED_BY
from bwlib.made import is_named_alike
from bwlib.record.journal import read_lines
from bwlib.record.overview_parts import CONFIRMS, Known, Overview, confirmed, overview_of
from bwlib.record.report_words import CALLS, CHANGES, TITLES
from bwlib.record.run_record import run_folders
from bwlib.settings import Settings
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.models import Application

Line = Mapping[str, Any]
# Older ones hardly say what is true now, and each costs the reading of its journal when a notebook is opened.
NEWEST_RUNS = 30
_FAILED = ("failed", "died", "timed_out")


@dataclass
class _Site:
    """What the journals say, oldest first, as far as it was read."""

    known: dict[str, Known] = field(default_factory=dict)
    at: dict[str, str] = field(default_factory=dict)  # by step, when that came to be known
    changed: tuple[str, str] = ("", "")  # when something was last made, changed or removed, and what
    pbx: str = ""


def show_overview(run: Run) -> None:
    """Draw it, with its words beside it."""
    on = run.on
    drawn = parts_of(run.settings, on.account_id, number=on.number, application=on.application, pbx=_pbx_of(run))
    redact = run.record.redactor.text
    show.show_drawing(redact(drawn.svg()), redact(f"How the parts are connected\n{drawn.text()}"))


def parts_of(
    settings: Settings, account: str, *, number: str = "", application: Application | None = None, pbx: str = ""
) -> Overview:
    """The parts of the picture, with the site file's names where no run has found an object of that name yet.

    account: what runs did at another one proves nothing here. application: as wanted, for its callback URLs. pbx: what
    the site file says of it, until a run has seen it.
    """
    site = _read(settings.runs_dir, account)
    known = _of(settings, site)
    hooks = [hook for call in CALLS if call in known for hook in known[call].facts.get("webhooks", "").split()]
    names = {
        "application": settings.application.name,
        "url": application.call_initiated_url if application else settings.application.callback_url,
        "status_url": (application.call_status_url or "") if application else settings.application.status_url,
        "realm": settings.realm.name,
        "credential": settings.sip_credential.username if settings.road == "realm" else "",
        "trunk": settings.pbx.trunk,
        "route": settings.pbx.route,
        "extension": settings.pbx.extension,
        "number": number or settings.bandwidth.number,
    }
    for call in CALLS:
        known[call] = _call(known.get(call), site)
    return overview_of(known, road=settings.road, target=settings.target, pbx=site.pbx or pbx, hooks=hooks, names=names)


def known_now(settings: Settings, account: str) -> dict[str, Known]:
    """What the site's runs at this account prove by now, by step; a step that no run has ended is not in it.

    Of a thing that the site file names otherwise by now nothing is known.
    """
    return _of(settings, _read(settings.runs_dir, account))


def _of(settings: Settings, site: _Site) -> dict[str, Known]:
    return {step: one for step, one in site.known.items() if _is_of(settings, step, one.facts)}


# ---------------------------------------------------------------- what the journals say


def _read(runs_dir: Path, account: str) -> _Site:
    site = _Site()
    for folder in run_folders(runs_dir)[-NEWEST_RUNS:]:
        at = ""
        for line in _lines(folder):
            at = str(line.get("account") or at)  # a step that failed does not say it; the notebook that it is in does
            if line.get("kind") == "pbx_attached":
                site.pbx = f"{line.get('product', '')} {line.get('version', '')}".strip()
            if line.get("kind") == "step" and at == account:
                _take(site, line)
    return site


def _lines(folder: Path) -> Iterator[Line]:
    """The lines of a journal up to one that is spoilt: `bw-runbook runs` and `verify` say so, a picture need not."""
    try:
        yield from read_lines(folder / "journal.jsonl")
    except (RecordError, OSError):
        return


def _take(site: _Site, line: Line) -> None:
    step, status, action = str(line.get("step", "")), line.get("status"), str(line.get("action", ""))
    when = _when(line)
    if step.startswith("undo "):
        step = step.removeprefix("undo ")
        taken_back = action in ("removed", "updated", "unchanged")  # "updated": put back as it was before us
        if status == "passed" and taken_back and _is_same(site, step, line.get("undone")):
            site.known[step] = Known("not proven", when=f"undone at {when}")
            site.changed = str(line.get("at")), TITLES.get(step, step)
        return
    found = line.get("object")
    facts = {str(name): str(value) for name, value in found.items()} if isinstance(found, Mapping) else {}
    if status == "passed":
        for thing in CONFIRMS.get(step, ()):
            known = site.known.get(thing, Known()).facts or confirmed(thing, facts)
            site.known[thing] = Known("proven", known, f"done at {when}")
    if status in _FAILED:
        for thing in CONFIRMS.get(step, ()):
            if site.known.get(thing, Known()).state == "proven":
                site.known[thing] = Known(
                    "not proven", site.known[thing].facts, f"checked at {when}", "that check failed"
                )
    if step not in TITLES:
        return
    before = site.known.get(step, Known())
    if status == "passed":
        site.known[step] = Known("proven", facts or before.facts, f"done at {when}")
        if action in CHANGES and step in NAMED_BY:
            site.changed = str(line.get("at")), TITLES[step]
    elif status in _FAILED:
        reason = str(line.get("came_back") or line.get("reason") or "")
        site.known[step] = Known("failed", before.facts, f"failed at {when}", reason)
        if step in NAMED_BY:  # a call that was heard before says nothing about it any more
            site.changed = str(line.get("at")), TITLES[step]
    else:  # planned, skipped, or begun: it proves nothing, and takes nothing back
        return
    site.at[step] = str(line.get("at"))


def _is_same(site: _Site, step: str, undone: object) -> bool:
    """Whether the thing that was removed is the one that we know of."""
    if step not in site.known or step not in NAMED_BY or not isinstance(undone, Mapping):
        return False
    facts = site.known[step].facts
    key = "id" if facts.get("id") and undone.get("id") else NAMED_BY[step]
    return not facts or facts.get(key) == str(undone.get(key))


def _when(line: Line) -> str:
    """`2026-11-27 05:06 UTC by anna`."""
    try:
        at = f"{datetime.fromisoformat(str(line.get('at'))).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        at = "a time unknown"
    return f"{at} by {line['operator']}" if line.get("operator") else at


# ---------------------------------------------------------------- what that means for this site


def _is_of(settings: Settings, step: str, facts: Mapping[str, str]) -> bool:
    """Whether it is about the thing that the site file names now."""
    wanted = {
        "application": {"name": settings.application.name},
        "realm": {"name": settings.realm.name},
        "sip_credential": {"username": settings.sip_credential.username, "realm_id": facts.get("realm_id", "")},
        "trunk": {"name": settings.pbx.trunk},
        "route": {"name": settings.pbx.route},
        "extension": {"number": settings.pbx.extension},
    }
    return not facts or step not in wanted or is_named_alike(step, wanted[step], {"realm_id": "", **facts})


def _call(known: Known | None, site: _Site) -> Known:
    """A call that was heard proves what was there then."""
    if known is None:
        return Known(reason="not placed yet")
    step = next(step for step in CALLS if site.known.get(step) is known)
    changed_at, what = site.changed
    if known.state == "proven" and site.at[step] < changed_at:
        return replace(known, state="not proven", reason=f"heard before the last change ({what})")
    return known


def _pbx_of(run: Run) -> str:
    """What the site file says of the PBX."""
    table = run.settings.pbx
    if not run.settings.has_own_pbx:
        return "the sandbox's Asterisk" if run.on.target == "sandbox" else f"{table.kind} at {table.sip_host}"
    where = re.sub(r"^https?://|/.*$", "", table.url) or table.ssh.partition("@")[2] or table.sip_host
    return f"{'FreePBX' if table.kind == 'freepbx' else 'Asterisk'} at {where}"
