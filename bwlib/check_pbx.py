"""*Check what I did*: what is on the PBX against what the guide asks for, field by field. Reads only.

The same comparison as after the way by API, so that it says of a PBX set up by hand what it says of one that we set up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from bwlib.errors import NotAsExpected
from bwlib.models import Difference, Finding, Outcome
from bwlib.steps.compare import differences
from bwlib.wanted import wanted_extension, wanted_route, wanted_trunk
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.pbx import Pbx

TITLE = "What is on the PBX"


def check(run: Run, entrance: str) -> None:
    """Compare trunk, route and extension, and look for the PBX's known traps.

    entrance: what the trunk leads to, for people. A run that writes fails by what is not as wanted; one that plans
    lists it.
    """

    def look(*, must_hold: bool) -> Outcome[Any]:
        trunk, route = wanted_trunk(run), wanted_route(run)
        if trunk is None or route is None:
            return run.missing(TITLE, entrance, "20_sip_credentials")
        pbx, extension = run.on.pbx(), wanted_extension(run)
        rows = [
            *_rows("trunk", pbx.get_trunk(trunk.name), trunk),
            *_rows("route", pbx.get_route(route.name), route),
            *_rows("extension", pbx.get_extension(extension.number), extension),
        ]
        found = _findings(pbx)(trunk, route, extension)
        for one in found:
            show.show_text(f"Found on the PBX: {one.cause}", [*one.evidence, f"Fix: {one.fix}"])
        if must_hold:
            _insist(rows, found)
        if rows or found:
            traps = f", {len(found)} known to break calls on this PBX" if found else ""
            note = f"not as the guide asks: {len(rows) + len(found)} differences{traps}"
            return Outcome("planned", TITLE, None, (*rows, *map(_as_row, found)), note)
        facts = {"trunk": trunk.name, "route": route.name, "extension": extension.number}
        return Outcome("passed", TITLE, facts, note="every field as the guide asks")

    insist = lambda: look(must_hold=True)  # noqa: E731
    run.step("check_pbx", lambda: look(must_hold=False), insist, verify=insist)


def check_one(run: Run, word: str, title: str, wanted: Any) -> Outcome[Any]:
    """One thing on the PBX, whoever made it, field by field; with the trunk the PBX's traps. Reads only.

    Raises: NotAsExpected.
    """
    pbx = run.on.pbx()
    get = {"trunk": pbx.get_trunk, "route": pbx.get_route, "extension": pbx.get_extension}[word]
    found = get(wanted.number if word == "extension" else wanted.name)
    route = wanted_route(run) if word == "trunk" else None
    traps = _findings(pbx)(wanted, route, wanted_extension(run)) if route is not None else []
    _insist(_rows(word, found, wanted), traps)
    return Outcome("passed", title, found, note="every field as the guide asks")


def _insist(rows: list[Difference], found: list[Finding]) -> None:
    """Raise NotAsExpected, naming every field and every trap, each trap with its fix."""
    said = [f"{row.field} is {row.found}, wanted {row.wanted}" for row in rows]
    said += [f"{one.cause} ({'; '.join(one.evidence)})" if one.evidence else one.cause for one in found]
    fixes = [f"{one.fix}." for one in found]
    if said:
        do_next = " ".join([*fixes, "Change what is left on the PBX's pages or in its files, and check again"])
        raise NotAsExpected(f"check {TITLE.lower()}", "; ".join(said), do_next)


def _rows(word: str, found: Any, wanted: Any) -> list[Difference]:
    if found is None:
        return [Difference(word, "there is none", "as on the settings sheet")]
    names = [field.name for field in fields(wanted)]
    return [Difference(f"{word}.{row.field}", row.found, row.wanted) for row in differences(found, wanted, names)]


def _findings(pbx: Pbx) -> Callable[..., list[Finding]]:
    """Not every PBX has traps of its own that we know."""
    asked: Callable[..., list[Finding]] = getattr(pbx, "findings", lambda *things: [])
    return asked


def _as_row(finding: Finding) -> Difference:
    return Difference(finding.cause, "; ".join(finding.evidence), finding.fix)
