"""SDP for one G.711 audio stream: offer, answer, and reading what the far end wrote.

RFC 8866 (SDP), RFC 3264 (offer/answer), RFC 4733 (telephone-event). Only RTP/AVP over IPv4; further media of
an offer are answered with port 0. Whatever cannot be agreed on raises SdpError, which is a SIP 488.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

CODECS = ("PCMU", "PCMA")
STATIC_PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8}  # RFC 3551 table 4
MAX_SDP_CHARS = 16_384
_DIRECTIONS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_TOKEN = re.compile(r"[A-Za-z0-9.+*_/-]{1,64}")


class SdpError(ValueError):
    """The session description is malformed, or has nothing we can talk: answer 488 Not Acceptable Here."""


@dataclass(frozen=True)
class Negotiated:
    """What both sides agreed on.

    host, port: where our RTP goes; rtcp_port: where our RTCP goes. payload_type: of `codec` ("PCMU", "PCMA").
    telephone_event: payload type of RFC 4733 events, None when the far end has none. direction: ours
    ("sendonly" = we may only send). answer: the SDP to send back, "" when the far end's SDP was the answer.
    """

    host: str
    port: int
    rtcp_port: int
    codec: str
    payload_type: int
    telephone_event: int | None
    direction: str
    answer: str = ""


@dataclass
class _MediaLine:
    kind: str
    port: int
    protocol: str
    formats: list[str]
    host: str
    direction: str
    rtcp_port: int | None = None
    rtpmap: dict[int, str] = field(default_factory=dict)


def offer(
    host: str,
    port: int,
    codecs: Sequence[str] = CODECS,
    telephone_event: int | None = 101,
    direction: str = "sendrecv",
    *,
    session_id: int | None = None,
    version: int = 1,
) -> str:
    """An SDP offer of one audio stream. `session_id` None makes a random one."""
    formats = [(STATIC_PAYLOAD_TYPES[codec], codec) for codec in codecs]
    return _head(host, session_id, version) + _audio(port, formats, telephone_event, direction)


def negotiate(
    remote_sdp: str,
    host: str,
    port: int,
    codecs: Sequence[str] = CODECS,
    *,
    session_id: int | None = None,
    version: int = 1,
) -> Negotiated:
    """Answer the far end's offer: its first codec that is also ours, its telephone-event number echoed.

    Raises SdpError when the offer is malformed or has no usable audio.
    """
    lines = _parse(remote_sdp)
    index = next((i for i, line in enumerate(lines) if _is_usable_audio(line)), None)
    if index is None:
        raise SdpError("no audio over RTP/AVP with a port in the offer")
    remote = lines[index]
    payload_type, codec = _first_common(remote, codecs)
    event = _telephone_event(remote)
    direction = _DIRECTIONS[remote.direction]
    body = "".join(
        _audio(port, [(payload_type, codec)], event, direction) if i == index else _refused(line)
        for i, line in enumerate(lines)
    )
    return _negotiated(remote, codec, payload_type, _head(host, session_id, version) + body)


def accept(remote_sdp: str, codecs: Sequence[str] = CODECS) -> Negotiated:
    """Read the far end's answer to our offer. Raises SdpError when it took none of our codecs."""
    lines = _parse(remote_sdp)
    if not lines or not _is_usable_audio(lines[0]):
        raise SdpError("the answer refuses our audio stream")
    payload_type, codec = _first_common(lines[0], codecs)
    return _negotiated(lines[0], codec, payload_type, "")


def _negotiated(remote: _MediaLine, codec: str, payload_type: int, answer: str) -> Negotiated:
    rtcp_port = remote.rtcp_port or min(remote.port + 1, 65_535)
    direction = _DIRECTIONS[remote.direction]
    event = _telephone_event(remote)
    return Negotiated(remote.host, remote.port, rtcp_port, codec, payload_type, event, direction, answer)


def _head(host: str, session_id: int | None, version: int) -> str:
    number = secrets.randbits(32) if session_id is None else session_id
    return f"v=0\r\no=- {number} {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"


def _audio(port: int, formats: Sequence[tuple[int, str]], telephone_event: int | None, direction: str) -> str:
    numbers = [str(number) for number, _ in formats]
    attributes = [f"a=rtpmap:{number} {codec}/8000" for number, codec in formats]
    if telephone_event is not None:
        numbers.append(str(telephone_event))
        attributes += [f"a=rtpmap:{telephone_event} telephone-event/8000", f"a=fmtp:{telephone_event} 0-15"]
    attributes += ["a=ptime:20", f"a={direction}"]
    return "\r\n".join([f"m=audio {port} RTP/AVP {' '.join(numbers)}", *attributes, ""])


def _refused(line: _MediaLine) -> str:
    """RFC 3264 section 6: as many m= lines as offered, port 0 for those refused."""
    return f"m={line.kind} 0 {line.protocol} {line.formats[0]}\r\n"


def _is_usable_audio(line: _MediaLine) -> bool:
    return line.kind == "audio" and line.protocol == "RTP/AVP" and line.port > 0


def _first_common(line: _MediaLine, codecs: Sequence[str]) -> tuple[int, str]:
    for text in line.formats:
        number = int(text)
        name = line.rtpmap.get(number, "")
        for codec in codecs:
            if name == f"{codec}/8000" or (not name and STATIC_PAYLOAD_TYPES[codec] == number):
                return number, codec
    known = ", ".join(line.rtpmap.get(int(text), text) for text in line.formats)
    raise SdpError(f"no common codec: the far end has {known}; we have {', '.join(codecs)}")


def _telephone_event(line: _MediaLine) -> int | None:
    for text in line.formats:
        if line.rtpmap.get(int(text)) == "TELEPHONE-EVENT/8000":
            return int(text)
    return None


def _parse(text: str) -> list[_MediaLine]:
    if len(text) > MAX_SDP_CHARS:
        raise SdpError(f"longer than {MAX_SDP_CHARS} characters")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "v=0":
        raise SdpError("does not begin with v=0")
    session_host, session_direction = "", "sendrecv"
    media: list[_MediaLine] = []
    for line in lines[1:]:
        if len(line) < 2 or line[1] != "=":
            raise SdpError(f"not an SDP line: {line[:40]!r}")
        kind, value = line[0], line[2:].strip()
        if kind == "m":
            media.append(_media_line(value, session_host, session_direction))
        elif media:
            _media_attribute(media[-1], kind, value)
        elif kind == "c":
            session_host = _connection(value)
        elif kind == "a" and value in _DIRECTIONS:
            session_direction = value
    for line_ in media:
        _check_host(line_)
    return media


def _media_line(value: str, host: str, direction: str) -> _MediaLine:
    parts = value.split()
    if len(parts) < 4 or not all(_TOKEN.fullmatch(part) for part in parts):
        raise SdpError(f"malformed m= line: {value[:60]!r}")
    kind, port, protocol, *formats = parts
    number = _number(port.split("/")[0], 65_535, "port")
    if kind == "audio" and protocol == "RTP/AVP":
        for text in formats:
            _number(text, 127, "payload type")
    return _MediaLine(kind, number, protocol, formats, host, direction)


def _media_attribute(line: _MediaLine, kind: str, value: str) -> None:
    if kind == "c":
        line.host = _connection(value)
    elif kind != "a":
        return
    elif value in _DIRECTIONS:
        line.direction = value
    elif value.startswith("rtcp:"):
        line.rtcp_port = _number(value[5:].split()[0] if value[5:].split() else "", 65_535, "RTCP port") or None
    elif value.startswith("rtpmap:") and line.kind == "audio":
        number, _, encoding = value[7:].strip().partition(" ")
        name = encoding.strip().upper()
        line.rtpmap[_number(number, 127, "payload type")] = name.removesuffix("/1")


def _connection(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[:2] != ["IN", "IP4"]:
        raise SdpError(f"only IPv4 connections are understood, not {value[:60]!r}")
    return parts[2].split("/")[0]


def _check_host(line: _MediaLine) -> None:
    """An address, never a name: no look-up on behalf of a stranger. 0.0.0.0 is hold as RFC 2543 wrote it."""
    if not _is_usable_audio(line):
        return
    try:
        address = ipaddress.IPv4Address(line.host)
    except ValueError as error:
        raise SdpError(f"connection address {line.host[:60]!r} is not an IPv4 address") from error
    if address.is_multicast:
        raise SdpError(f"connection address {line.host} is a multicast address")
    if address.is_unspecified:
        line.direction = "inactive" if line.direction in ("recvonly", "inactive") else "sendonly"


def _number(text: str, limit: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) <= limit):
        raise SdpError(f"{what} {text[:20]!r} is not a number up to {limit}")
    return int(text)
