"""What the SIP messages of one call say, message by message. Pure.

A code alone proves little: Bandwidth does not publish which code its edge gives for what. So the words here tell *when*
in the call it ended: before the challenge, at it, or after credentials were sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bwlib.models import SipEvent

_STATUS = re.compile(r"^SIP/2\.0 (\d{3})[ ]?([^\r\n]*)")
_REQUEST = re.compile(r"^([A-Z]+) (\S+) SIP/2\.0")
_CREDENTIALS = re.compile(r"^(?:Proxy-)?Authorization[ \t]*:", re.IGNORECASE | re.MULTILINE)
_CALL_ID = re.compile(r"^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(r"^CSeq[ \t]*:[ \t]*(\d+)[ \t]+(\w+)", re.IGNORECASE | re.MULTILINE)

# How far a call came.
NO_INVITE = "no-invite"  # nothing was sent, or it went elsewhere
SILENT = "silent"  # INVITE, and no answer of any kind
TRYING = "trying"  # 100 or ringing, and no final answer
NOT_RETRIED = "not-retried"  # challenged, and no second INVITE came
REFUSED_BEFORE = "refused-before-credentials"
REFUSED_AFTER = "refused-after-credentials"  # or challenged anew
REFUSED_AFTER_TRYING = "given-up"  # the caller took it back (CANCEL)
ANSWERED = "answered"
# Where nobody of ours sees the messages, and only phone and PBX say how it ended.
REFUSED_SOMEWHERE = "refused"
UNANSWERED = "unanswered"


@dataclass(frozen=True)
class CallLadder:
    """One call as its messages tell it. code: its last final status, 0 without one. line: the messages in a row.

    failing: the message at which it failed, its place among `events`; None when it did not.
    """

    call_id: str
    events: tuple[SipEvent, ...]
    word: str
    code: int
    line: str
    failing: int | None
    with_credentials: bool
    request_uri: str
    source: str
    target: str


def calls_in(events: Sequence[SipEvent], ours: Collection[str] = ()) -> list[CallLadder]:
    """The calls in these messages (oldest first) by Call-ID, in the order of their first INVITE; `ours` left out."""
    by_call: dict[str, list[SipEvent]] = {}
    for event in events:
        call_id = call_id_of(event)
        if call_id and call_id not in ours:
            by_call.setdefault(call_id, []).append(event)
    return [
        call_of(call_id, messages)
        for call_id, messages in by_call.items()
        if any(message.text.startswith("INVITE ") for message in messages)
    ]


def call_id_of(event: SipEvent) -> str:
    """A message's Call-ID, "" without one."""
    found = _CALL_ID.search(event.text)
    return found[1] if found else ""


def call_of(call_id: str, events: Sequence[SipEvent]) -> CallLadder:
    """Read one call's messages."""
    invites = [event for event in events if event.text.startswith("INVITE ")]
    with_credentials = {_number(event) for event in invites if _CREDENTIALS.search(event.text)}
    answers = [
        (index, int(match[1]))
        for index, event in enumerate(events)
        if (match := _STATUS.match(event.text)) and _method(event) == "INVITE"
    ]
    word, failing = _how_far(events, answers, with_credentials)
    first = invites[0] if invites else None
    request = _REQUEST.match(first.text) if first else None
    finals = [code for _, code in answers if code >= 200]
    return CallLadder(
        call_id,
        tuple(events),
        word,
        finals[-1] if finals else 0,
        in_a_row(events),
        failing,
        bool(with_credentials),
        request[2] if request else "",
        first.source if first else "",
        first.target if first else "",
    )


def _how_far(
    events: Sequence[SipEvent], answers: Sequence[tuple[int, int]], with_credentials: Collection[str]
) -> tuple[str, int | None]:
    """with_credentials: the CSeq numbers of the INVITEs that had some. The same answer may come more than once."""
    finals = [(index, code) for index, code in answers if code >= 200]
    if any(code < 300 for _, code in finals):
        return ANSWERED, None
    cancelled = next((i for i, event in enumerate(events) if event.text.startswith("CANCEL ")), None)
    if cancelled is not None and not [i for i, code in finals if code not in (401, 407) and i < cancelled]:
        return (REFUSED_AFTER_TRYING if answers else SILENT), cancelled
    if not answers:
        return (SILENT, len(events) - 1) if events else (NO_INVITE, None)
    if not finals:
        return TRYING, answers[-1][0]
    index, code = finals[-1]
    if code in (401, 407):
        anew = any(_number(events[index]) in with_credentials for index, code in finals if code in (401, 407))
        if with_credentials and not anew:  # the second INVITE has had no final answer
            trying = any(_number(events[index]) in with_credentials for index, _ in answers)
            return (TRYING if trying else SILENT), len(events) - 1
        return (REFUSED_AFTER if with_credentials else NOT_RETRIED), index
    return (REFUSED_AFTER if with_credentials else REFUSED_BEFORE), index


def in_a_row(events: Sequence[SipEvent]) -> str:
    """The messages in one line, as "INVITE 407 ACK INVITE 100 403 ACK"; what is sent again is counted: "INVITE x5"."""
    words: list[tuple[str, int]] = []
    for event in events:
        status, request = _STATUS.match(event.text), _REQUEST.match(event.text)
        word = status[1] if status else request[1] if request else "?"
        if words and words[-1][0] == word:
            words[-1] = (word, words[-1][1] + 1)
        else:
            words.append((word, 1))
    return " ".join(word if count == 1 else f"{word} x{count}" for word, count in words)


def _method(event: SipEvent) -> str:
    found = _CSEQ.search(event.text)
    return found[2].upper() if found else "INVITE"


def _number(event: SipEvent) -> str:
    """The number in CSeq: which request an answer is to."""
    found = _CSEQ.search(event.text)
    return found[1] if found else ""
