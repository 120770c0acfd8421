"""What a record holds of each test call: its picture, its webhooks, what was heard, the audio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bwlib.models import Digits, SipEvent, Webhook
from bwlib.record.call_timeline import bxml_words, call_timeline_svg, call_timeline_text
from bwlib.record.report_lines import Line, Pairs, member, moment, number, paragraph, read_bytes, text, visible
from bwlib.record.waveform import seconds_of, waveform_svg

if TYPE_CHECKING:
    from bwlib.record.report_facts import Attempt

TITLES = {
    "call_from_extension": "Call from the extension to the application",
    "call_to_extension": "Programmatic call to the extension",
}
#: what the file's name ends with -> what it is, and whether the report plays it
AUDIO = {
    "phone_heard": ("What the phone heard: the application's voice", True),
    "phone_said": ("What the phone said", True),
    "bandwidth_said": ("What Bandwidth's side sent", False),
    "bandwidth_heard": ("What Bandwidth's side received", False),
}
_TELLING = ("from", "to", "digits", "cause", "errorMessage")


@dataclass(frozen=True)
class Sound:
    """One recording. wav: its bytes, for a player."""

    what: str
    title: str
    file: str
    seconds: float
    wav: bytes
    picture: str
    played: bool


@dataclass(frozen=True)
class HookRow:
    """One webhook in words."""

    time: str
    event: str
    says: str
    answered: str
    answer: str
    credentials: str


@dataclass(frozen=True)
class CallFacts:
    """One call. svg and words show the same; facts are what the step said of it, empty when it did not pass."""

    name: str
    title: str
    status: str
    svg: str
    words: str
    facts: Pairs
    hooks: tuple[HookRow, ...]
    sounds: tuple[Sound, ...]


def read_calls(
    folder: Path,
    sip: Sequence[Line],
    hooks: Sequence[Line],
    attempts: Sequence[Attempt],
    journal: Sequence[Line] = (),
) -> tuple[CallFacts, ...]:
    """Every call that left a trace: a SIP message, a webhook or a recording. journal: says what was pressed."""
    named = [*TITLES, *(text(line, "call") for line in [*sip, *hooks])]
    audio = sorted((folder / "audio").glob("*.wav")) if (folder / "audio").is_dir() else []
    ends = _phone_name(attempts), _realm_name(attempts)
    found = []
    for name in dict.fromkeys(filter(None, named)):
        mine = [attempt for attempt in attempts if attempt.step == name]
        events = [event for event in map(_event, [one for one in sip if text(one, "call") == name]) if event]
        told = [hook for hook in map(_webhook, [one for one in hooks if text(one, "call") == name]) if hook]
        pressed = [one for one in map(_digits, journal) if one and one[0] == name]
        sounds = tuple(_sounds(name, audio))
        if events or told or sounds:
            traces = events, told, [digits for _, digits in pressed]
            found.append(_call(name, mine[-1] if mine else None, traces, sounds, ends))
    return tuple(found)


def _phone_name(attempts: Sequence[Attempt]) -> str:
    facts = [dict(attempt.facts) for attempt in attempts if attempt.step in ("extension", "ready")]
    return next(
        (f"Phone {one}" for fact in facts for one in (fact.get("number"), fact.get("extension")) if one), "Phone"
    )


def _realm_name(attempts: Sequence[Attempt]) -> str:
    return "SIP URI" if any(attempt.step == "inbound_sip_uri" for attempt in attempts) else "Realm"


def _call(
    name: str,
    last: Attempt | None,
    traces: tuple[Sequence[SipEvent], Sequence[Webhook], Sequence[Digits]],
    sounds: tuple[Sound, ...],
    ends: tuple[str, str],
) -> CallFacts:
    (phone, realm), (events, hooks, digits) = ends, traces
    title = TITLES.get(name, name.replace("_", " "))
    lanes = (phone, "PBX", realm, "Application")
    names = lanes_of(events, lanes)
    seen = bool(events or hooks)
    return CallFacts(
        name=name,
        title=title,
        status=last.status if last else "",
        svg=call_timeline_svg(events, hooks, names, title, digits=digits, lanes=lanes) if seen else "",
        words=call_timeline_text(events, hooks, names, digits=digits, lanes=lanes) if seen else "",
        facts=last.facts if last and last.action == "passed" else (),
        hooks=tuple(map(_hook_row, hooks)),
        sounds=sounds,
    )


def lanes_of(events: Sequence[SipEvent], lanes: tuple[str, str, str, str]) -> Mapping[str, str]:
    """Address -> lane. The phone writes down what it sees under its own address; what it talks to is the PBX.

    Messages that another witness saw are between the PBX and the realm.
    """
    phone, pbx, realm, _ = lanes
    names: dict[str, str] = {}
    for event in events:
        if event.seen_by in (event.source, event.target):
            other = event.target if event.seen_by == event.source else event.source
            names.setdefault(event.seen_by, phone)
            names.setdefault(other, pbx)
    for event in events:
        ends = (event.source, event.target)
        if event.seen_by not in ends and any(names.get(end) == pbx for end in ends):
            for end in ends:
                names.setdefault(end, realm)
    return names


def _event(line: Line) -> SipEvent | None:
    at = moment(line)
    message = line.get("message")
    if at is None or not isinstance(message, str):
        return None
    return SipEvent(at, text(line, "from"), text(line, "to"), message, text(line, "seen_by"))


def _digits(line: Line) -> tuple[str, Digits] | None:
    """(the call, what was pressed) of a journal line that says so."""
    at = moment(line, "pressed_at") if line.get("kind") == "digits" else None
    return None if at is None else (text(line, "call"), Digits(at, text(line, "digits")))


def _webhook(line: Line) -> Webhook | None:
    at = moment(line)
    if at is None:
        return None
    return Webhook(
        id=int(number(line, "id")),
        at=at,
        event_type=text(line, "event_type"),
        call_id=text(line, "call_id"),
        path=text(line, "path"),
        body=member(line, "body"),
        answer_status=int(number(line, "answer_status")),
        answer_body=paragraph(line, "answer_body"),
        authenticated=line.get("authenticated") is True,
    )


def _hook_row(hook: Webhook) -> HookRow:
    says = [f"{name} {visible(str(hook.body[name]))}" for name in _TELLING if hook.body.get(name)]
    if hook.dialled not in ("", hook.body.get("to")):
        says.append(f"dialled {visible(hook.dialled)}")
    return HookRow(
        time=hook.at.strftime("%H:%M:%S.%f")[:-3],
        event=hook.event_type,
        says=", ".join(says),
        answered=str(hook.answer_status),
        answer=visible(bxml_words(hook.answer_body)),
        credentials="yes" if hook.authenticated else "no",
    )


def _sounds(call: str, files: Sequence[Path]) -> Iterator[Sound]:
    for path in files:
        what = path.stem.removeprefix(call + "_")
        if path.stem == f"{call}_{what}":
            title, played = AUDIO.get(what, (what.replace("_", " "), False))
            wav = read_bytes(path)
            picture = waveform_svg(wav, title)
            yield Sound(what, visible(title), visible(f"audio/{path.name}"), seconds_of(wav), wav, picture, played)
