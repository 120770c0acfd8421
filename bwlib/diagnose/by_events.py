"""What Asterisk's events said while the test calls were placed: whether a call came to the trunk, and how it ended.

A PBX has other calls going on. Ours is known by its first leg, and all legs of one call have the Linkedid of the first:
from the extension, to the dialled number; or on the trunk, from the site's number to the extension. A call that is not
known by that is nobody's here; where two of them are alike, they count only when the same is true of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from bwlib.diagnose.by_ladder import is_leg_of, number_in, number_of
from bwlib.diagnose.facts import UNKNOWN, Fact
from bwlib.diagnose.scene import Scene
from bwlib.pbx.ami_events import MOST, OF_CALLS

SOURCE = "PBX"
Event = Mapping[str, str]


def read(scene: Scene, events: Iterable[Event]) -> list[Fact]:
    """() where nobody listened: it is not known then whether the call left."""
    told = list(events)
    if not told:
        return []
    return [*_outward(scene, told), *_inward(scene, told), *_security(scene, told)]


def _outward(scene: Scene, told: Sequence[Event]) -> list[Fact]:
    table = scene.run.settings.pbx
    ours = {
        one.get("Linkedid", "")
        for one in _of(told, "Newchannel", table.extension)
        if _is_to(one.get("Exten", ""), number_of(scene))
    }
    begun = [one for one in _of(told, "DialBegin", table.trunk, "DestChannel") if one.get("DestLinkedid") in ours]
    left = {one["DestLinkedid"] for one in begun}
    says = f"the PBX dialled {begun[-1].get('DialString', '')}" if begun else "the PBX never dialled the trunk"
    says += f" ({len(left)} of {len(ours)} calls of this extension to that number)" if len(ours) > 1 else ""
    word = "no" if not left else "yes" if left == ours else UNKNOWN
    if word == "no" and not _all_told(told):
        word, says = UNKNOWN, "the PBX did not tell all of its calls: it is not known whether it dialled the trunk"
    legs = {one["DestChannel"] for one in begun}
    return [Fact("outward.left", word, says, SOURCE), *_ended(told, "outward", legs)]


def _all_told(told: Sequence[Event]) -> bool:
    """Whether the manager user is told of calls at all, and there were not too many of them to keep."""
    return len(told) < MOST and any(one.get("Event") in OF_CALLS for one in told)


def _inward(scene: Scene, told: Sequence[Event]) -> list[Fact]:
    """The leg that Bandwidth made: it begins with the extension's number, which one that is dialled does not."""
    table, number = scene.run.settings.pbx, number_in(scene.run.on.number)
    legs = {
        one["Channel"]
        for one in _of(told, "Newchannel", table.trunk)
        if one.get("Exten") == table.extension and _is_to(one.get("CallerIDNum", ""), number)
    }
    return _ended(told, "inward", legs)


def _of(told: Sequence[Event], event: str, name: str, channel: str = "Channel") -> list[Event]:
    return [one for one in told if one.get("Event") == event and is_leg_of(one.get(channel, ""), name)]


def _is_to(said: str, number: str) -> bool:
    """Whether the PBX says this number, in whatever form."""
    return re.sub(r"\D", "", said).endswith(number)


def _ended(told: Sequence[Event], way: str, legs: set[str]) -> list[Fact]:
    """How the trunk's leg ended, and of a call that was answered who ended it: a HangupRequest came from outside."""
    hangups = [one for one in told if one.get("Event") == "Hangup" and one.get("Channel") in legs]
    if not hangups:
        return []
    ended = hangups[-1]
    of_more = f" (the last of {len(legs)} alike)" if len(legs) > 1 else ""
    cause, tech = ended.get("Cause", ""), ended.get("TechCause", "")
    words = f"cause {cause} {ended.get('Cause-txt', '')}".strip() + (f", SIP {tech}" if tech else "")
    facts = [Fact(f"{way}.hangup", tech or cause, f"the PBX on its trunk leg{of_more}: {words}", SOURCE)]
    answered = [
        one
        for one in told
        if one.get("Event") == "DialEnd" and one.get("DialStatus") == "ANSWER"
        and ended["Channel"] in (one.get("Channel"), one.get("DestChannel"))
    ]  # fmt: skip
    if answered and len(legs) == 1:
        asked = [one for one in told if one.get("Event") == "HangupRequest" and one.get("Channel") in legs]
        who = "the realm" if asked else "the PBX"
        facts.append(Fact(f"{way}.bye", "realm" if asked else "pbx", f"{who} ended the call on the trunk", SOURCE))
    return facts


def _security(scene: Scene, told: Sequence[Event]) -> list[Fact]:
    """A login that was refused, of this site's names or from Bandwidth's addresses: strangers try all day."""
    table, addresses = scene.run.settings.pbx, scene.run.on.bandwidth_ips
    refused = [
        one
        for one in told
        if one.get("Event") in ("ChallengeResponseFailed", "InvalidAccountID")
        and (
            one.get("AccountID") in (table.extension, table.trunk)
            or any(f"/{address}/" in one.get("RemoteAddress", "") for address in addresses)
        )
    ]
    if not refused:
        return []
    one = refused[-1]
    says = f"the PBX: {one['Event']} for {one.get('AccountID', 'nobody')} from {one.get('RemoteAddress', '?')}"
    return [Fact("pbx.security", one["Event"], says, SOURCE)]
