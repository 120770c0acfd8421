"""What the PBX's dialplan does with the dialled number, and with the number of a call that comes in.

Route and inbound context are read by the lines that this program writes. Where others stand there, what counts is what
the PBX says that it does with the number; of what cannot be read nothing is said to be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bwlib.diagnose.at_fields import rows
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import Scene
from bwlib.models import NUMBER_HEADER, OutboundRoute, Trunk
from bwlib.pbx.asterisk_read import NOT_AS_WRITTEN, steps_from_text
from bwlib.pbx.asterisk_text import outbound_context, route_dialplan, route_patterns
from bwlib.pbx.dial_pattern import regex
from bwlib.pbx.state import Dialled

SOURCE = "PBX"
# Applications that go on in lines which are not read here.
_GO_ON = ("Goto", "Gosub", "GoSub", "Macro", "Exec", "Queue", "AGI", "Stasis")
_FIELDS = ("trunk", "caller_id", "request_uri", "number_header")


def wanted_route(scene: Scene, found: OutboundRoute) -> OutboundRoute:
    """As the guide asks; what is not known at Bandwidth is taken as it is."""
    uri = scene.account.sip_uri
    request_uri = uri.uri if uri else found.request_uri if scene.run.settings.road == "sip-uri" else ""
    header = NUMBER_HEADER if request_uri else ""
    table = scene.run.settings.pbx
    return OutboundRoute(
        found.name, found.pattern, found.prepend, table.trunk, scene.run.on.number,
        request_uri=request_uri, number_header=header,
    )  # fmt: skip


def route(scene: Scene, found: OutboundRoute) -> list[Fact]:
    """Field by field, and whether the dialled number fits."""
    compared = rows("route", found, wanted_route(scene, found), _FIELDS)
    if found.trunk == NOT_AS_WRITTEN:
        return _in_other_lines(scene, found, compared)
    dial = scene.run.settings.test.dial
    patterns = [pattern for pattern, _ in route_patterns(found.pattern, found.prepend)]
    fits = any(re.fullmatch(regex(pattern), dial) for pattern in patterns)
    says = f"{dial} {'fits' if fits else 'fits none of'} the route's patterns {', '.join(patterns)}"
    return [*compared, Fact("route.matches", "yes" if fits else "no", says, SOURCE)]


# ---------------------------------------------------------------- other lines than this program's


def _in_other_lines(scene: Scene, found: OutboundRoute, compared: Sequence[Fact]) -> list[Fact]:
    """What was read of such a route, and what the PBX says that it does with the number."""
    dialled = scene.dialled
    if dialled is None or dialled.context != outbound_context(found.name):  # the extension dials elsewhere
        dialled = None
    empty = [f"route.{field}" for field in _FIELDS if not getattr(found, field)]
    kept = [
        _unread(fact) if fact.name in empty and fact.value == "differs" else fact
        for fact in compared
        if fact.name != "route.trunk"
    ]
    return [*kept, _route_trunk(scene, dialled), _route_matches(dialled), _lines(scene, found, dialled)]


def _unread(fact: Fact) -> Fact:
    return replace(fact, value="unread", says=f"{fact.name} cannot be read from the lines that stand there")


def _route_trunk(scene: Scene, dialled: Dialled | None) -> Fact:
    """Wrong only where the PBX dials, and no leg over the site's trunk."""
    name, trunk = "route.trunk", scene.run.settings.pbx.trunk
    dials = _dials(dialled)
    if dials and not any(_leads_to(trunk, step) for step in dials):
        return Fact(name, "differs", f"the PBX runs {'; '.join(dials)}, wanted the trunk {trunk}", SOURCE)
    return Fact(name, "unread", f"the route dials {'; '.join(dials) or 'in lines that cannot be read'}", SOURCE)


def _route_matches(dialled: Dialled | None) -> Fact:
    name = "route.matches"
    if dialled is None:
        return Fact(name, UNKNOWN, "the PBX does not say what it does with the number in the route's context", SOURCE)
    if not dialled.pattern:
        return Fact(name, "no", f"{dialled.number} matches nothing in the context {dialled.context}", SOURCE)
    return Fact(name, "yes", f"{dialled.number} matches {dialled.pattern} in {dialled.context}", SOURCE)


def _lines(scene: Scene, found: OutboundRoute, dialled: Dialled | None) -> Fact:
    """Quotes what stands there in place of this program's lines, of the dialled number where it can."""
    context = outbound_context(found.name)
    ours = {
        f"{step.application}({step.data})"
        for prepend in ("", f"+{scene.run.on.number[1:2]}")
        for step in steps_from_text(
            route_dialplan(replace(wanted_route(scene, found), pattern="X", prepend=prepend)), context
        )
    }
    odd = [step for step in dialled.steps if step not in ours] if dialled else []
    of_number = f", for {dialled.number}: {'; '.join(odd)}" if dialled and odd else ""
    says = f"the context {context} holds lines that this runbook does not write{of_number}"
    return Fact("route.lines", "other", says, SOURCE)


def _dials(dialled: Dialled | None) -> list[str]:
    return [step for step in dialled.steps if step.startswith("Dial(")] if dialled else []


def _leads_to(name: str, dial: str) -> bool:
    """Whether a Dial() has a leg over this trunk, or to this extension: PJSIP/...@NAME, PJSIP/NAME, PJSIP/NAME/..."""
    return re.search(rf"(?:PJSIP/|@){re.escape(name)}(?=[/,&)@]|$)", dial) is not None


# ---------------------------------------------------------------- calls that come in


def inbound(scene: Scene, found: Trunk, compared: Iterable[Fact]) -> list[Fact]:
    """The comparison of the trunk's inbound extension, by what the PBX does with its number where other lines stand."""
    name, dials = "trunk.inbound_extension", _dials(scene.inbound)
    if found.inbound_extension == scene.run.settings.pbx.extension or scene.inbound is None:
        return list(compared)
    leads = any(_leads_to(scene.run.settings.pbx.extension, step) for step in dials)
    elsewhere = not dials and any(step.startswith(_GO_ON) for step in scene.inbound.steps)
    runs = "; ".join(scene.inbound.steps) or "nothing"
    says = f"for {scene.inbound.number} the PBX runs in {scene.inbound.context}: {runs}"
    word = "unread" if leads or elsewhere else "differs"
    return [Fact(name, word, says, SOURCE) if fact.name == name else fact for fact in compared]
