"""Ladders of SIP messages, as SVG and as its plain-text twin; and what to mask before anyone sees a message. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from bwlib.models import SipEvent

_AUTH_HEADER = re.compile(
    r"^([ \t]*(?:proxy-)?authorization[ \t]*:|[ \t]*authentication-info[ \t]*:)(.*(?:\r?\n[ \t].*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_RESPONSE = re.compile(r'\b(response|rspauth)(\s*=\s*)("(?:[^"\\]|\\.)*"?|[^\s,;"]+)', re.IGNORECASE)
_STRAY = re.compile(r'\b(response|rspauth)(\s*=\s*)"?[0-9a-f]{32,64}"?', re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"^(\s*)(?!digest\b)(\S+)(\s+)\S.*", re.IGNORECASE | re.DOTALL)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

MASK = '"***"'
LANE_PX, ROW_PX, LEFT_PX, TOP_PX = 250, 30, 90, 64


def redact_sip(text: str) -> str:
    """The message with digest responses (and any credentials of other schemes) masked; the rest as it was."""
    text = _AUTH_HEADER.sub(lambda match: match[1] + _mask_value(match[2]), text)
    return _STRAY.sub(rf"\1\2{MASK}", text)  # also in a header whose name was garbled on the way


def _mask_value(value: str) -> str:
    value = _RESPONSE.sub(rf"\1\2{MASK}", value)
    return value if "=" in value.split(",")[0] else _OTHER_SCHEME.sub(rf"\1\2\3{MASK}", value)


@dataclass(frozen=True)
class _Row:
    """One arrow. at_ms counts from the first message; lanes by index."""

    at_ms: float
    source: int
    target: int
    label: str
    text: str
    failed: bool
    is_response: bool


# ---------------------------------------------------------------- what a message says in a few words


def _label(text: str) -> str:
    """`INVITE +19195550100, credentials, SDP` or `200 OK (INVITE)`; never more than a line."""
    first, _, rest = text.lstrip("\r\n").partition("\r\n")
    head = rest.partition("\r\n\r\n")[0]
    response = re.match(r"SIP/2\.0 (\d{3}) ?(.*)", first)
    request = re.match(r"([A-Za-z0-9\-.!%*_+`'~]+) (\S+) SIP/2\.0$", first)
    if response:
        method = re.search(r"^CSeq[ \t]*:[ \t]*\d+[ \t]+(\S+)", head, re.IGNORECASE | re.MULTILINE)
        label = f"{response[1]} {response[2]}" + (f" ({method[1]})" if method else "")
    elif request:
        label = f"{request[1]} {_short_uri(request[2])}"
        if re.search(r"^(proxy-)?authorization[ \t]*:", head, re.IGNORECASE | re.MULTILINE):
            label += ", credentials"
    else:
        label = f"not a SIP message ({len(text)} characters)"
    if (response or request) and re.search(r"^(content-type|c)[ \t]*:[ \t]*application/sdp", head, re.I | re.M):
        label += ", SDP"
    return _CONTROL.sub(" ", label)


def _short_uri(uri: str) -> str:
    user, at, host = re.sub(r"^sips?:", "", uri).partition("@")
    return user if at else user.partition(";")[0] or host


def _status(text: str) -> int:
    match = re.match(r"SIP/2\.0 (\d{3})", text.lstrip("\r\n"))
    return int(match[1]) if match else 0


# ---------------------------------------------------------------- rows and lanes


def _once(events: Sequence[SipEvent]) -> list[SipEvent]:
    """In time order, each datagram once even when both its ends were traced; true repeats stay."""
    witness: dict[tuple[str, str, str], str] = {}
    kept = []
    for event in sorted(events, key=lambda event: event.at):
        key = (event.source, event.target, event.text)
        if witness.setdefault(key, event.seen_by) == event.seen_by:
            kept.append(event)
    return kept


def _lane_name(address: str, names: Mapping[str, str]) -> str:
    return names.get(address) or names.get(address.rpartition(":")[0]) or address


def _rows(events: Sequence[SipEvent], names: Mapping[str, str]) -> tuple[list[str], list[_Row]]:
    """Lane labels (in the order of names, others as they appear) and the arrows."""
    kept = _once(events)
    seen = [_lane_name(address, names) for event in kept for address in (event.source, event.target)]
    lanes = [name for name in dict.fromkeys([*names.values(), *seen]) if name in seen]
    rows: list[_Row] = []
    before: dict[tuple[str, str, str], int] = {}
    for event in kept:
        key = (event.source, event.target, event.text)
        before[key] = before.get(key, 0) + 1
        status = _status(event.text)
        row = _Row(
            at_ms=(event.at - kept[0].at).total_seconds() * 1000,
            source=lanes.index(_lane_name(event.source, names)),
            target=lanes.index(_lane_name(event.target, names)),
            label=_label(event.text),
            text=redact_sip(event.text),
            failed=status >= 400,
            is_response=status > 0,
        )
        rows.append(row if before[key] == 1 else replace(row, label=f"{row.label} (repeat {before[key] - 1})"))
    return lanes, rows


def ladder_text(events: Sequence[SipEvent], names: Mapping[str, str]) -> str:
    """The ladder in words, one line per message: time since the first in ms, from -> to, what it says.

    names maps "host:port" or "host" to a label, such as "Phone 101".
    """
    lanes, rows = _rows(events, names)
    if not rows:
        return "No SIP messages."
    arrows = [f"{lanes[row.source]} -> {lanes[row.target]}" for row in rows]
    width = max(map(len, arrows))
    lines = [f"{row.at_ms:8.0f} ms  {arrow:<{width}}  {row.label}" for row, arrow in zip(rows, arrows, strict=True)]
    return "\n".join(_CONTROL.sub(" ", _NOT_XML.sub("\ufffd", line)) for line in lines)


# ---------------------------------------------------------------- SVG


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text), quote=True)


def ladder_svg(events: Sequence[SipEvent], names: Mapping[str, str], title: str = "") -> str:
    """The ladder as a self-contained SVG. Its description for screen readers is ladder_text().

    Every label is XML-escaped, ids are unique per drawing (many may share a page), digest responses are masked.
    """
    lanes, rows = _rows(events, names)
    unique = "ladder-" + secrets.token_hex(6)
    width = LEFT_PX + LANE_PX * max(len(lanes), 1) + 20
    height = TOP_PX + ROW_PX * (len(rows) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" aria-labelledby="{unique}-title {unique}-desc" font-family="sans-serif" font-size="12">',
        f'<title id="{unique}-title">{_xml(title or "SIP ladder")}</title>',
        f'<desc id="{unique}-desc">{_xml(ladder_text(events, names))}</desc>',
        f"<defs>{_marker(unique, 'ok', '#1b4f8f')}{_marker(unique, 'failed', '#b00020')}</defs>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" font-size="14" font-weight="bold" fill="#222222">{_xml(title)}</text>',
    ]
    parts += [_lane_svg(index, name, height) for index, name in enumerate(lanes)]
    parts += [_row_svg(index, row, unique) for index, row in enumerate(rows)]
    return "\n".join([*parts, "</svg>"])


def _marker(unique: str, kind: str, colour: str) -> str:
    return (
        f'<marker id="{unique}-{kind}" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8" '
        f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{colour}"/></marker>'
    )


def _lane_x(index: int) -> int:
    return LEFT_PX + LANE_PX // 2 + index * LANE_PX


def _lane_svg(index: int, name: str, height: int) -> str:
    x = _lane_x(index)
    return (
        f'<text x="{x}" y="{TOP_PX - 20}" text-anchor="middle" font-weight="bold" fill="#222222">{_xml(name)}</text>'
        f'<line x1="{x}" y1="{TOP_PX - 12}" x2="{x}" y2="{height - 8}" stroke="#999999"/>'
    )


def _row_svg(index: int, row: _Row, unique: str) -> str:
    """An arrow with its label above, the time at the left; responses dashed, failures red (and worded as such)."""
    y = TOP_PX + ROW_PX * (index + 1) - 8
    x1, x2 = _lane_x(row.source), _lane_x(row.target)
    colour, kind = ("#b00020", "failed") if row.failed else ("#1b4f8f", "ok")
    path = f"M{x1} {y} L{x2} {y}" if x1 != x2 else f"M{x1} {y - 6} h40 v10 h-40"
    room = max(abs(x2 - x1), LANE_PX) // 7
    label = row.label if len(row.label) <= room else row.label[: room - 1] + "…"
    middle = (x1 + x2) // 2 if x1 != x2 else x1 + 60
    dash = ' stroke-dasharray="6 3"' if row.is_response else ""
    return (
        f"<g><title>{_xml(row.text)}</title>"
        f'<text x="10" y="{y + 4}" fill="#666666">{row.at_ms:.0f} ms</text>'
        f'<text x="{middle}" y="{y - 5}" text-anchor="middle" fill="{colour}">{_xml(label)}</text>'
        f'<path d="{path}" fill="none" stroke="{colour}"{dash} marker-end="url(#{unique}-{kind})"/></g>'
    )
