"""What the SIP messages at the realm say of a call out of the PBX and of one into it; and what the PBX says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from bwlib.diagnose import ladder
from bwlib.diagnose.facts import Fact, Facts
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
    scene: Scene, events: Sequence[SipEvent], *, outward: bool = True, inward: bool = True, answered: Sequence[str] = ()
) -> list[Fact]:
    """Of all calls in these messages the newest of each way. outward, inward: whether one was tried; answered: the ways
    whose call was answered: another that is still ending is not it.

    Keeps each call's messages, with the one at which it failed, in `scene.ladders`.
    """
    into, out = _sorted(scene, events)
    if not scene.after_call:
        into, out = _to_our_extension(scene, into), _that_we_dialled(scene, out)
    facts = _facts(scene, "outward", "trunk", _meant(out, "outward" in answered)) if outward else []
    return [*facts, *(_facts(scene, "inward", "pbx", _meant(into, "inward" in answered)) if inward else [])]


def _meant(calls: list[CallLadder], answered: bool) -> list[CallLadder]:
    return [call for call in calls if call.word == ladder.ANSWERED] or calls if answered else calls


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
    facts = [Fact(name, call.word, f"{side}: {call.line} ({_SAYS.get(call.word, call.word)})", SOURCE)]
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


def of_pbx(scene: Scene, events: Iterable[Mapping[str, str]]) -> list[Fact]:
    """What Asterisk's events said meanwhile: whether the call came to the trunk, and how each call's trunk leg ended.

    A trunk leg that Asterisk dialled is the call out of it; any other is the call into it.
    """
    trunk, told = scene.run.settings.pbx.trunk, list(events)
    if not told:
        return []
    begun = [one for one in told if one.get("Event") == "DialBegin" and is_leg_of(one.get("DestChannel", ""), trunk)]
    begun = [one for one in begun if number_of(scene) in re.sub(r"\D", "", one.get("DialString", ""))] or begun
    says = f"the PBX dialled {begun[-1].get('DialString', '')}" if begun else "the PBX never dialled the trunk"
    facts = [Fact("outward.left", "yes" if begun else "no", says, "PBX")]
    dialled = {one["DestChannel"] for one in begun}
    for ended in (one for one in told if one.get("Event") == "Hangup" and is_leg_of(one.get("Channel", ""), trunk)):
        name = "outward.hangup" if ended["Channel"] in dialled else "inward.hangup"
        cause, tech = ended.get("Cause", ""), ended.get("TechCause", "")
        words = f"cause {cause} {ended.get('Cause-txt', '')}".strip() + (f", SIP {tech}" if tech else "")
        facts.append(Fact(name, tech or cause, f"the PBX on its trunk leg: {words}", "PBX"))
    refused = [event for event in told if event.get("Event") in ("ChallengeResponseFailed", "InvalidAccountID")]
    if refused:
        one = refused[-1]
        says = f"the PBX: {one['Event']} for {one.get('AccountID', 'nobody')} from {one.get('RemoteAddress', '?')}"
        facts.append(Fact("pbx.security", one["Event"], says, "PBX"))
    return facts
