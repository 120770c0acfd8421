"""The guide's headings with what a run did under each, and what its picture of the whole shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bwlib.record.manifest import GUIDE
from bwlib.record.overview import State
from bwlib.record.overview_parts import CONFIRMS, Known, Overview, confirmed, overview_of
from bwlib.record.report_facts import Attempt, Picture, RunFacts
from bwlib.record.report_words import BROKEN, STATUS, TITLES

_HEADINGS = [str(heading) for heading in GUIDE["headings"]]
#: (heading, its notebook, its steps); the realm's steps or the SIP URI's, by the road that was taken
GUIDE_PARTS = (
    ("Before the guide", "00_start", ("rights",)),
    (_HEADINGS[0], "10_application", ("application", "callback")),
    (_HEADINGS[1], "20_sip_credentials", ("realm", "sip_credential", "inbound_sip_uri", "dns")),
    (_HEADINGS[2], "30_pbx", ("settings_sheet", "trunk", "route", "extension", "no_registration")),
    (_HEADINGS[3], "40_test_calls", ("ready", "callback", "call_from_extension", "call_to_extension")),
)


@dataclass(frozen=True)
class GuidePart:
    """One heading of the guide. missing: titles of its steps that this run never began, and why."""

    heading: str
    status: str
    attempts: tuple[Attempt, ...]
    missing: tuple[str, ...]
    why_missing: str
    pictures: tuple[Picture, ...]


# ---------------------------------------------------------------- the guide's parts


def guide_parts(run: RunFacts) -> list[GuidePart]:
    """The guide's headings in order, then what belongs to none. Of an undo or a drift check only what it did."""
    taken: set[int] = set()
    parts = []
    road = road_of(run)
    apart = own_part(run)
    for heading, notebook, steps in GUIDE_PARTS:
        wanted = [step for step in steps if step not in _other_road(road)]
        mine = [
            (place, attempt)
            for place, attempt in enumerate(run.attempts)
            if attempt.step in steps and (attempt.step != "callback" or _notebook_of(attempt) == notebook)
        ]
        taken |= {place for place, _ in mine}
        begun = {attempt.step for _, attempt in mine}
        missing = tuple(TITLES[step] for step in wanted if step not in begun)
        if mine or not apart:
            attempts = tuple(attempt for _, attempt in mine)
            parts.append(_part(run, heading, notebook, attempts, missing))
    rest = tuple(attempt for place, attempt in enumerate(run.attempts) if place not in taken)
    if rest:
        parts.append(_part(run, apart or "Other steps", "", rest, ()))
    return parts


def own_part(run: RunFacts) -> str:
    """ "Undo" or "Drift" for a run that looks back on another, "" for one that follows the guide."""
    begins = (("Undo", "undo"), ("Drift", "drift"))
    return next((name for name, start in begins if any(one.step.startswith(start) for one in run.attempts)), "")


def _notebook_of(attempt: Attempt) -> str:
    return "40_test_calls" if attempt.notebook == "40_test_calls" else "10_application"


def _part(
    run: RunFacts, heading: str, notebook: str, attempts: tuple[Attempt, ...], missing: tuple[str, ...]
) -> GuidePart:
    last = {attempt.step: attempt.status for attempt in attempts}
    order = list(STATUS)
    status = min(last.values(), key=lambda one: order.index(one) if one in order else 0) if last else ""
    mine = [picture for picture in run.pictures if notebook and _belongs(picture, notebook, attempts)]
    return GuidePart(heading, status, attempts, missing, _why_missing(run, notebook), tuple(mine))


def _belongs(picture: Picture, notebook: str, attempts: Sequence[Attempt]) -> bool:
    return picture.notebook == notebook or (
        not picture.notebook and picture.step in {attempt.step for attempt in attempts}
    )


def _why_missing(run: RunFacts, notebook: str) -> str:
    for one in run.notebooks:
        if one.name == notebook:
            if one.status == "skipped":
                return one.reason or "its notebook was skipped"
            return "the notebook ended before it" if one.status in BROKEN else "its cell wrote no step down"
    return "not part of this run"


def road_of(run: RunFacts) -> str:
    """The road that the run took: "realm" or "sip-uri", by its steps, else by its parameters."""
    steps = {attempt.step for attempt in run.attempts}
    if "inbound_sip_uri" in steps or ("sip_credential" not in steps and dict(run.parameters).get("road") == "sip-uri"):
        return "sip-uri"
    return "realm"


def _other_road(road: str) -> tuple[str, ...]:
    return ("realm", "sip_credential") if road == "sip-uri" else ("inbound_sip_uri",)


# ---------------------------------------------------------------- the picture of the whole


def overview_in(run: RunFacts) -> Overview:
    """The picture by what this run's journal says."""
    hooks = (row.event for call in run.calls for row in call.hooks)
    known = {step: _known(run, step) for step in TITLES}
    return overview_of(known, road=road_of(run), target=run.target, pbx=run.pbx, hooks=hooks)


def _known(run: RunFacts, step: str) -> Known:
    told = [one for one in run.attempts if one.step == step or (step in CONFIRMS.get(one.step, ()) and _passed(one))]
    if not told:
        return Known(reason="not placed in this run")
    last = told[-1]
    state: State = "failed" if last.status in BROKEN else "proven" if last.status == "passed" else "not proven"
    reason = last.came_back or last.note or last.reason or STATUS.get(last.status, last.status)
    # An attempt without an object says nothing of it.
    facts = next((dict(one.facts) for one in reversed(told) if one.step == step and one.facts), None)
    return Known(state, confirmed(step, dict(last.facts)) if facts is None else facts, reason=reason)


def _passed(attempt: Attempt) -> bool:
    return attempt.status == "passed"
