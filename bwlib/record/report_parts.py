"""The guide's headings with what a run did under each, and what its picture of the whole shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bwlib.record.manifest import GUIDE
from bwlib.record.overview import Part, State
from bwlib.record.report_facts import Attempt, Picture, RunFacts
from bwlib.record.report_words import BROKEN, CALLS, STATUS, TITLES

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


def overview_parts(run: RunFacts) -> dict[str, Part]:
    """The arguments of `overview_svg` but `calls`, by what the journal says."""
    return {**_your_side(run), **_bandwidths_side(run)}


def _your_side(run: RunFacts) -> dict[str, Part]:
    trunk, extension, ready = _facts(run, "trunk"), _facts(run, "extension"), _facts(run, "ready")
    number = extension.get("number") or ready.get("extension", "")
    named = extension.get("display_name", "")
    user = trunk.get("username") or _facts(run, "sip_credential").get("username", "")
    registers = "no registration" if _state(run, "no_registration") == "proven" else ""
    return {
        "phone": _shown("Phone", (_named("extension", number), named.removeprefix(f"Extension {number}")), _ear(run)),
        "pbx": _shown(
            "PBX", (run.pbx, _named("route", _facts(run, "route").get("name"))), _state(run, "extension", "route")
        ),
        "trunk": _shown(
            "Trunk",
            (trunk.get("name") or ready.get("trunk", ""), registers, _named("as", user)),
            _state(run, "trunk", "no_registration"),
        ),
    }


def _bandwidths_side(run: RunFacts) -> dict[str, Part]:
    realm, application = _facts(run, "realm"), _facts(run, "application")
    uri = _facts(run, "inbound_sip_uri").get("uri", "")
    credential = _named("credential", _facts(run, "sip_credential").get("username"))
    hooks = dict.fromkeys(row.event for call in run.calls for row in call.hooks)
    urls = (application.get("call_initiated_url", ""), application.get("call_status_url", ""))
    return {
        "realm": _shown("SIP URI", (uri,), _state(run, "inbound_sip_uri"))
        if road_of(run) == "sip-uri"
        else _shown("Realm", (realm.get("fqdn", ""), credential), _state(run, "realm", "sip_credential")),
        "application": _shown(
            "Application",
            (application.get("name", ""), application.get("service_type", "")),
            _state(run, "application"),
        ),
        "webhooks": _shown(
            "Webhooks, your application", (*urls, _named("seen in calls:", ", ".join(hooks))), _state(run, "callback")
        ),
    }


def overview_calls(run: RunFacts) -> list[Part]:
    """The two test calls, below the picture."""
    parts = []
    for step in CALLS:
        last = run.last(step)
        facts = dict(last.facts) if last else {}
        heard, digits = facts.get("heard by the phone", ""), facts.get("digits", "")
        values = (f"heard with {heard}" if heard else "", f"digits {digits}" if digits else "")
        if last is None:
            values = ("not placed in this run", "")
        elif last.status != "passed":
            values = (last.came_back or last.note or last.reason or STATUS.get(last.status, last.status), "")
        parts.append(_shown(TITLES[step], values, _state(run, step)))
    return parts


def _shown(name: str, values: Sequence[str], state: State) -> Part:
    return Part(name, tuple(filter(None, values)), state)


def _named(what: str, name: str | None) -> str:
    return f"{what} {name}" if name else ""


def _facts(run: RunFacts, step: str) -> dict[str, str]:
    """What a step found last; an attempt without an object says nothing."""
    with_facts = [attempt for attempt in run.attempts if attempt.step == step and attempt.facts]
    return dict(with_facts[-1].facts) if with_facts else {}


def _state(run: RunFacts, *steps: str) -> State:
    """Proven when every step's last attempt passed, failed when one broke."""
    last = [run.last(step) for step in steps]
    if any(one is not None and one.status in BROKEN for one in last):
        return "failed"
    return "proven" if all(one is not None and one.status == "passed" for one in last) else "not proven"


def _ear(run: RunFacts) -> State:
    """The phone is proven by a call that it heard. A call that failed does not say that the phone is to blame."""
    return "proven" if any(_state(run, step) == "proven" for step in CALLS) else "not proven"
