"""What the picture of the whole says of each part, by what is known of each step. Pure.

The report's head and the start of a walk draw the same picture: of one run, or of what all runs of a site prove by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bwlib.record.overview import Part, State, overview_svg, overview_text
from bwlib.record.report_words import CALLS, TITLES

_NOTHING: Mapping[str, str] = {}
#: a check that passed -> the steps whose things it has read back field by field, however they came there
CONFIRMS = {
    "check_pbx": ("trunk", "route", "extension"),
    "ready": ("trunk", "route", "extension", "no_registration"),
}


@dataclass(frozen=True)
class Known:
    """What is known of one step.

    facts: what it found last, the step's object. when: "done at T by U", where that is worth telling. reason: why it
    is not proven.
    """

    state: State = "not proven"
    facts: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    reason: str = ""


UNKNOWN = Known()


def confirmed(step: str, facts: Mapping[str, str]) -> dict[str, str]:
    """What a check that confirms `step` says of its thing: its name. facts: the check's own."""
    name = "number" if step == "extension" else "name"
    return {name: facts[step]} if facts.get(step) else {}


@dataclass(frozen=True)
class Overview:
    """The parts by the names that `overview_svg` has for them, and the calls below them."""

    parts: Mapping[str, Part]
    calls: tuple[Part, ...]
    target: str = ""

    def svg(self) -> str:
        side = {"sandbox": "Bandwidth (sandbox)", "live": "Bandwidth (LIVE)"}.get(self.target, "Bandwidth")
        return overview_svg(**self.parts, calls=self.calls, bandwidth=side)

    def text(self) -> str:
        return overview_text([*self.parts.values(), *self.calls])


def overview_of(
    known: Mapping[str, Known],
    *,
    road: str,
    target: str = "",
    pbx: str = "",
    hooks: Iterable[str] = (),
    names: Mapping[str, str] = _NOTHING,
) -> Overview:
    """known: by step. pbx: product and version. hooks: webhooks seen in calls.

    names: this site's own, for where no step has found one yet: application, url, status_url, realm, credential, trunk,
    route, extension, number.
    """
    parts = {**_your_side(known, pbx, names), **_bandwidths_side(known, road, tuple(hooks), names)}
    return Overview(parts, tuple(_call(step, known.get(step, UNKNOWN)) for step in CALLS), target)


def _your_side(known: Mapping[str, Known], pbx: str, names: Mapping[str, str]) -> dict[str, Part]:
    trunk, extension, ready = (_facts(known, step) for step in ("trunk", "extension", "ready"))
    number = extension.get("number") or ready.get("extension") or names.get("extension", "")
    named = extension.get("display_name", "")
    user = trunk.get("username") or _facts(known, "sip_credential").get("username") or names.get("credential")
    registers = "no registration" if _state(known, "no_registration") == "proven" else ""
    caller_id = trunk.get("from_user") or names.get("number")
    route = _facts(known, "route").get("name") or names.get("route")
    return {
        "phone": Part(
            "Phone",
            _told(_named("extension", number), named.removeprefix(f"Extension {number}")),
            _ear(known),
        ),
        "pbx": _part(
            known,
            "PBX",
            (pbx.partition(" (")[0], _named("route", route), _named("caller id", caller_id)),
            ("extension", "route"),
        ),
        "trunk": _part(
            known,
            "Trunk",
            (trunk.get("name") or ready.get("trunk") or names.get("trunk", ""), registers, _named("as", user)),
            ("trunk", "no_registration"),
        ),
    }


def _bandwidths_side(
    known: Mapping[str, Known], road: str, hooks: tuple[str, ...], names: Mapping[str, str]
) -> dict[str, Part]:
    application = _facts(known, "application")
    username = _facts(known, "sip_credential").get("username") or names.get("credential")
    urls = [application.get(field) or names.get(ours, "") for field, ours in _URLS]
    seen = _named("seen in calls:", ", ".join(dict.fromkeys(hooks)))
    realm = _part(
        known,
        "Realm",
        (_facts(known, "realm").get("fqdn") or names.get("realm", ""), _named("credential", username)),
        ("realm", "sip_credential"),
    )
    uri = _part(known, "SIP URI", (_facts(known, "inbound_sip_uri").get("uri", ""),), ("inbound_sip_uri",))
    return {
        "realm": uri if road == "sip-uri" else realm,
        "application": _part(
            known,
            "Application",
            (application.get("name") or names.get("application", ""), application.get("service_type", "")),
            ("application",),
        ),
        "webhooks": _part(known, "Webhooks, your application", (*urls, seen), ("callback",)),
    }


_URLS = (("call_initiated_url", "url"), ("call_status_url", "status_url"))


def _call(step: str, known: Known) -> Part:
    """One of the test calls, below the picture."""
    heard, digits = known.facts.get("heard by the phone", ""), known.facts.get("digits", "")
    if known.state != "proven":
        return Part(TITLES[step], _told(known.reason), known.state, known.when)
    values = _told(_named("heard,", heard.partition(" over ")[0]), _named("digits", digits))
    return Part(TITLES[step], values, known.state, known.when)


def _part(known: Mapping[str, Known], name: str, values: Sequence[str | None], steps: Sequence[str]) -> Part:
    return Part(name, _told(*values), _state(known, *steps), _when(known, steps))


def _told(*values: str | None) -> tuple[str, ...]:
    return tuple(value for value in values if value)


def _named(what: str, name: str | None) -> str:
    return f"{what} {name}" if name else ""


def _facts(known: Mapping[str, Known], step: str) -> Mapping[str, str]:
    return known.get(step, UNKNOWN).facts


def _state(known: Mapping[str, Known], *steps: str) -> State:
    """Proven when every step is, failed when one has."""
    states = [known.get(step, UNKNOWN).state for step in steps]
    return next((state for state in ("failed", "not proven") if state in states), "proven")


def _when(known: Mapping[str, Known], steps: Sequence[str]) -> str:
    """Of the step that decides the state; where all agree, of the first."""
    state = _state(known, *steps)
    return next((known[step].when for step in steps if step in known and known[step].state == state), "")


def _ear(known: Mapping[str, Known]) -> State:
    """The phone is proven by a call that it heard. A call that failed does not say that the phone is to blame."""
    return "proven" if any(_state(known, step) == "proven" for step in CALLS) else "not proven"
