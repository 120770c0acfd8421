"""What the SIP messages at the realm say of a call out of the PBX and of one into it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from bwlib.diagnose import ladder
from bwlib.diagnose.facts import UNKNOWN, Fact, Facts
from bwlib.diagnose.ladder import CallLadder
from bwlib.diagnose.scene import Scene
from bwlib.models import SipEvent

SOURCE = "SIP"
_SAYS = {
    ladder.SILENT: "no answer of any kind",
    ladder.TRYING: "no final answer",
    ladder.NOT_RETRIED: "challenged, and no second INVITE came",
    ladder.REFUSED_BEFORE: "refused before credentials were sent",
    ladder.REFUSED_AFTER: "refused after credentials were sent",
    ladder.REFUSED_AFTER_TRYING: "taken back by the caller",
    ladder.ANSWERED: "answered",
}


def read(
    scene: Scene, events: Sequence[SipEvent], *, outward: bool = True, inward: bool = True,
    answered: Collection[str] = (), unanswered: Collection[str] = (), left: bool = True,
) -> list[Fact]:  # fmt: skip
    """Of all calls in these messages the newest of each way. outward, inward: whether one was tried; answered: the ways
    whose call was answered, and unanswered, whose was not: one that went otherwise is another's. left: False when the
    PBX says that it did not send ours.

    Keeps each call's messages, with the one at which it failed, in `scene.ladders`.
    """
    into, out = _sorted(scene, events)
    if not scene.after_call:
        into, out = _to_our_extension(scene, into), _that_we_dialled(scene, out)
    out = out if left else []
    facts = []
    for way, what, tried, calls in (("outward", "trunk", outward, out), ("inward", "pbx", inward, into)):
        if way in answered:
            calls = [call for call in calls if call.word == ladder.ANSWERED] or calls
        elif way in unanswered:
            calls = [call for call in calls if call.word != ladder.ANSWERED] or calls
        facts += _facts(scene, way, what, calls) if tried else []
    return facts


def of_phone(facts: Facts) -> list[Fact]:
    """Where nobody of ours sees the realm's messages: what the phone and the PBX say of the call outward."""
    said = facts.get("outward.phone")
    if said is None or said.value == "answered":
        return []
    word = ladder.UNANSWERED if "nobody answered" in said.says else ladder.REFUSED_SOMEWHERE
    if facts.value("outward.left") == "no":
        word = ladder.NO_INVITE
    leg = facts.get("outward.hangup")
    return [Fact("outward.trunk", word, f"{said.says}; {leg.says}" if leg else said.says, "phone")]


def ways_of(scene: Scene, events: Sequence[SipEvent]) -> set[str]:
    """Which ways the calls in these messages go: "outward", "inward"."""
    into, out = _sorted(scene, events)
    return {way for way, calls in (("inward", into), ("outward", out)) if calls}


def _sorted(scene: Scene, events: Sequence[SipEvent]) -> tuple[list[CallLadder], list[CallLadder]]:
    """(into the PBX, out of it)."""
    calls = ladder.calls_in(events, scene.our_calls)
    into = [call for call in calls if _is_inward(scene, call)]
    return into, [call for call in calls if call not in into]


def _that_we_dialled(scene: Scene, calls: list[CallLadder]) -> list[CallLadder]:
    """Those to the number that the test dials; else those with this site's realm: a PBX has other calls going on."""
    number = number_of(scene)
    ours = [call for call in calls if number in re.sub(r"\D", "", call.request_uri.partition("@")[0])]
    return ours or [call for call in calls if scene.host.lower() in call.events[0].text.lower()]


def _to_our_extension(scene: Scene, calls: list[CallLadder]) -> list[CallLadder]:
    ours = [call for call in calls if f"sip:{scene.run.settings.pbx.extension}@" in call.request_uri]
    return ours or calls


def number_of(scene: Scene) -> str:
    """The dialled number without country and area, as a route may add or leave out those."""
    return number_in(scene.run.settings.test.dial)


def number_in(text: str) -> str:
    return re.sub(r"\D", "", text)[-7:]


def is_leg_of(channel: str, trunk: str) -> bool:
    """Whether Asterisk's channel is of this trunk, and not of one whose name only begins alike (acme, acme-2)."""
    return re.fullmatch(rf"(PJSIP/)?{re.escape(trunk)}-[0-9a-f]+", channel) is not None


def _is_inward(scene: Scene, call: CallLadder) -> bool:
    edge = scene.run.on.trunk_proxy
    if edge:
        return call.source == edge
    return f"sip:{scene.run.settings.pbx.extension}@" in call.request_uri


def _facts(scene: Scene, way: str, what: str, calls: Sequence[CallLadder]) -> list[Fact]:
    name = f"{way}.{what}"
    if not calls:
        says = "no INVITE of the PBX reached the realm" if way == "outward" else "no INVITE to the PBX was seen"
        return [Fact(name, ladder.NO_INVITE, says, SOURCE)]
    call = calls[-1]
    scene.ladders[way] = (list(call.events), call.failing)
    side = "PBX to realm" if way == "outward" else "realm to PBX"
    says = f"{side}: {call.line} ({_SAYS.get(call.word, call.word)})"
    says += f", the newest of {len(calls)} calls alike" if len(calls) > 1 else ""
    alike = len({call.word for call in calls}) == 1
    facts = [Fact(name, call.word if alike or scene.after_call else UNKNOWN, says, SOURCE)]
    if call.code:
        facts.append(Fact(f"{way}.code", str(call.code), f"the last status was {call.code}", SOURCE))
    facts += _bye(way, call)
    if way == "outward":
        facts += _sdp(call)
    if way == "inward":
        facts += _identified(call)
    return facts


def _bye(way: str, call: CallLadder) -> list[Fact]:
    """Who ended the call on the trunk, the PBX or the realm; nothing while it was up."""
    bye = next((event for event in call.events if event.text.startswith("BYE ")), None)
    if bye is None:
        return []
    by_pbx = (bye.source == call.source) == (way == "outward")
    says = f"on the trunk {'the PBX' if by_pbx else 'the realm'} sent the BYE"
    return [Fact(f"{way}.bye", "pbx" if by_pbx else "realm", says, SOURCE)]


def _identified(call: CallLadder) -> list[Fact]:
    """Whether the PBX took the INVITE for the trunk's, as far as it answered at all."""
    if call.word == ladder.SILENT:
        return []
    if call.word == ladder.NOT_RETRIED or call.code in (401, 407):
        return [Fact("inward.identified", "no", "the PBX asked Bandwidth's INVITE for credentials", SOURCE)]
    return [Fact("inward.identified", "yes", "the PBX took the INVITE for the trunk's", SOURCE)]


def _sdp(call: CallLadder) -> list[Fact]:
    """Where the PBX wants the audio, against where its packets come from."""
    offer = next((event.text for event in call.events if event.text.startswith("INVITE ")), "")
    named, host = re.search(r"^c=IN IP[46] ([^\r\n]+)", offer, re.MULTILINE), call.source.rpartition(":")[0]
    if named is None:
        return []
    word = "own" if named[1].strip() == host else "elsewhere"
    says = f"the PBX's INVITE comes from {host} and wants its audio at {named[1].strip()}"
    return [Fact("outward.sdp", word, says, SOURCE)]
