"""One call on one time axis: SIP between phone, PBX and realm, digits, webhooks, BXML. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bwlib import bxml
from bwlib.errors import BwlibError
from bwlib.models import Digits, SipEvent, Webhook
from bwlib.sip.ladder import FOUR_LANES, Row, draw_svg, draw_text, sip_rows

PHONE, PBX, REALM, APPLICATION = "Phone", "PBX", "Realm", "Application"
LEGEND = (
    "solid: request, webhook · dashed: answer · brown: asks for credentials · red: refused · violet: webhook · "
    "crimson: digit"
)
_ROOTS = ("Response", "Bxml")


def call_timeline_svg(
    events: Sequence[SipEvent],
    webhooks: Sequence[Webhook],
    names: Mapping[str, str],
    title: str = "",
    *,
    digits: Sequence[Digits] = (),
    lanes: tuple[str, str, str, str] = (PHONE, PBX, REALM, APPLICATION),
) -> str:
    """The call as a picture; seconds count from its first message. Digest values are masked.

    names: address -> lane, as for `ladder_svg`. lanes: how phone, PBX, realm and application are called; they are
    drawn in this order, also where nothing is known about one. digits: what the phone pressed.
    """
    where, rows = _rows(events, webhooks, digits, names, lanes)
    return draw_svg(where, rows, title, layout=FOUR_LANES, legend=LEGEND, silence="without messages")


def call_timeline_text(
    events: Sequence[SipEvent],
    webhooks: Sequence[Webhook],
    names: Mapping[str, str],
    *,
    digits: Sequence[Digits] = (),
    lanes: tuple[str, str, str, str] = (PHONE, PBX, REALM, APPLICATION),
) -> str:
    """The same in words, one line per message."""
    where, rows = _rows(events, webhooks, digits, names, lanes)
    return draw_text(where, rows) if rows else "No SIP messages, no webhooks."


def _rows(
    events: Sequence[SipEvent],
    webhooks: Sequence[Webhook],
    digits: Sequence[Digits],
    names: Mapping[str, str],
    lanes: tuple[str, str, str, str],
) -> tuple[list[str], list[Row]]:
    seen, sip = sip_rows(events, names)
    where = list(dict.fromkeys([*lanes[:3], *seen, lanes[3]]))
    rows = [replace(row, source=where.index(seen[row.source]), target=where.index(seen[row.target])) for row in sip]
    times = [one.at for one in events] + [one.at for one in webhooks] + [one.at for one in digits]
    start = min(times, default=None)
    if start is None:
        return where, []
    late_ms = (min((event.at for event in events), default=start) - start).total_seconds() * 1000
    rows = [replace(row, at_ms=row.at_ms + late_ms) for row in rows]
    for hook in webhooks:
        at_ms = (hook.at - start).total_seconds() * 1000
        rows += _hook_rows(hook, at_ms, where.index(lanes[2]), where.index(lanes[3]))
    for one in digits:
        at_ms = (one.at - start).total_seconds() * 1000
        said = f"{one.digits}, DTMF as telephone events in RTP (RFC 4733)"
        label = f"presses {one.digits} (DTMF)"
        rows.append(Row(at_ms, where.index(lanes[0]), where.index(lanes[1]), label, said, "digits"))
    return where, sorted(rows, key=lambda row: row.at_ms)  # stable: an answer stays below its webhook


def _hook_rows(hook: Webhook, at_ms: float, realm: int, application: int) -> Iterator[Row]:
    label = hook.event_type or "webhook"
    if hook.body.get("digits"):
        label += f", digits {hook.body['digits']}"
    if hook.body.get("cause"):
        label += f", cause {hook.body['cause']}"
    if hook.authenticated:
        label += ", credentials"
    said = "\n".join(f"{name}: {value}" for name, value in hook.body.items() if value is not None)
    yield Row(at_ms, realm, application, label, f"POST {hook.path}\n{said}", "webhook")
    verbs = ", ".join(bxml_verbs(hook.answer_body))
    words = verbs or {204: "nothing to do", 401: "asks for credentials"}.get(hook.answer_status, "no BXML")
    kind = "challenge" if hook.answer_status == 401 else "refusal" if hook.answer_status >= 400 else "answer"
    answer = f"{hook.answer_status} {words}"
    yield Row(at_ms, application, realm, answer, f"{hook.answer_status}\n{hook.answer_body}", kind, is_answer=True)


def bxml_verbs(answer: str) -> tuple[str, ...]:
    """The verbs in an answer as Bandwidth carries them out, those within a Gather left out; none when it is no BXML."""
    try:
        return tuple(verb.name for verb in bxml.read(answer).verbs) if answer.strip() else ()
    except BwlibError:  # masked in an unlucky place, or cut off: what can be recognised is still told
        return tuple(name for name in re.findall(r"<([A-Z][A-Za-z]*)[\s/>]", answer) if name not in _ROOTS)


def bxml_words(answer: str) -> str:
    """An answer's verbs with what they say: `SpeakSentence "Goodbye.", Hangup`."""
    try:
        verbs = bxml.read(answer).verbs if answer.strip() else ()
    except BwlibError:
        return ", ".join(bxml_verbs(answer))
    return ", ".join(map(_words, verbs))


def _words(verb: bxml.ReadVerb) -> str:
    said = f" “{verb.text}”" if verb.text else ""
    return verb.name + said + (f" ({', '.join(map(_words, verb.children))})" if verb.children else "")
