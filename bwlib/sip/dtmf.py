"""DTMF as named telephone events in RTP (RFC 4733)."""

from __future__ import annotations

import re
import struct
from collections import deque
from dataclasses import dataclass

from bwlib.errors import SettingsError

DIGITS = "0123456789*#ABCD"  # the position is the event code, RFC 4733 table 3; 16 (flash) is no digit
FRAME_MS = 20
FRAME_SAMPLES = 160
END_PACKETS = 3  # RFC 4733 section 2.5.1.4
_VOLUME_DBM0 = 10
_MAX_DURATION = 0xFFFF


@dataclass(frozen=True)
class EventFrame:
    """What one 20 ms slot sends: an event packet's payload, or (payload b"") the silence between digits.

    first: begins a new event, so it takes a new RTP timestamp and the marker bit.
    """

    payload: bytes
    first: bool = False


def check_digits(digits: str) -> str:
    """The digits in upper case. Raises SettingsError for anything that is no DTMF digit."""
    wrong = sorted(set(digits.upper()) - set(DIGITS))
    if wrong:
        raise SettingsError("send DTMF", f"{''.join(wrong)!r} is no DTMF digit", f"use only {DIGITS}")
    return digits.upper()


def frames(digits: str, tone_ms: int = 160, gap_ms: int = 100) -> list[EventFrame]:
    """The slots, 20 ms each, that send `digits`: growing durations, three END packets, then the gap."""
    count = max(2, -(-tone_ms // FRAME_MS))
    if count * FRAME_SAMPLES > _MAX_DURATION:
        raise SettingsError("send DTMF", f"a tone of {tone_ms} ms does not fit one event", "use at most 8 s")
    gap = [EventFrame(b"")] * max(1, -(-gap_ms // FRAME_MS))
    result: list[EventFrame] = []
    for digit in check_digits(digits):
        code = DIGITS.index(digit)
        growing = [_payload(code, n * FRAME_SAMPLES, end=False) for n in range(1, count)]
        ends = [_payload(code, count * FRAME_SAMPLES, end=True)] * END_PACKETS
        result += [EventFrame(payload, first=i == 0) for i, payload in enumerate(growing + ends)]
        result += gap
    return result


def _payload(code: int, duration: int, *, end: bool) -> bytes:
    return struct.pack("!BBH", code, (0x80 if end else 0) | _VOLUME_DBM0, duration)


def digit_of_info(content_type: str, body: bytes) -> str | None:
    """The digit of a SIP INFO, application/dtmf-relay ("Signal=5") or application/dtmf ("5"); None for others.

    Not standardised; this is what phones and PBXs with "DTMF by INFO" send.
    """
    text = body[:200].decode("ascii", "replace").strip()
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/dtmf-relay":
        found = re.search(r"^\s*signal\s*=\s*(\S+)", text, re.IGNORECASE | re.MULTILINE)
        text = found.group(1) if found else ""
    elif kind != "application/dtmf":
        return None
    return text.upper() if len(text) == 1 and text.upper() in DIGITS else None


class DtmfReceiver:
    """Turns event packets into digits, each once.

    An event is one RTP timestamp (RFC 4733 section 2.2), so its first packet to arrive, whichever that is,
    reports the digit; lost START or END packets change nothing. A key held so long that the sender cuts it
    into segments (section 2.5.1.3) is still one digit.
    """

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=16)
        self._last = (-1, 0, 0)  # event code, timestamp, duration

    def feed(self, timestamp: int, payload: bytes) -> str | None:
        """The digit that this packet begins, or None. Short payloads and events above 15 are ignored."""
        if len(payload) < 4:
            return None
        code, flags, duration = struct.unpack("!BBH", payload[:4])
        if code >= len(DIGITS):
            return None
        last_code, last_timestamp, last_duration = self._last
        continues = (
            code == last_code
            and last_duration == _MAX_DURATION
            and (timestamp - last_timestamp) & 0xFFFFFFFF == _MAX_DURATION
        )
        if timestamp == last_timestamp:
            duration = max(duration, last_duration)
        known = timestamp in self._seen
        if not known or timestamp == last_timestamp:
            self._last = (code, timestamp, 0 if flags & 0x80 else duration)
        if known:
            return None
        self._seen.append(timestamp)
        return None if continues else DIGITS[code]
