"""Ladders of SIP messages, as SVG and as its plain-text twin; and what to mask before anyone sees a message. Pure.

A ladder is lanes and rows. `sip_rows` makes them from SIP messages; `draw_svg` and `draw_text` draw any rows, also
those of a call whose webhooks stand on the same time axis.
"""

from __future__ import annotations

import re
import secrets
import textwrap
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

MASK = '"«redacted»"'
TOP_PX, BOTTOM_PX = 84, 42
PAUSE_MS = 1000  # a silence longer than this gets a row of its own
INK, QUIET, LINE = "#1f2328", "#57606a", "#c9d1d9"
GROUND = "#ffffff"  # a picture brings its own ground, so that it is the same in a light and in a dark theme
LINE_PX = 15  # from line to line within a label: its outline leaves the line above whole
LABEL_LINES, NAME_LINES = 6, 3  # more of one is cut: then it is somebody's prank, and the hover has all of it
# What an arrow says -> its colour on GROUND, each with a contrast of more than 5:1.
COLOURS = {
    "request": "#1b4f8f",
    "progress": "#57606a",
    "success": "#1a6b33",
    "challenge": "#8a4b00",
    "refusal": "#b00020",
    "webhook": "#6b2fa0",
    "answer": "#0b5d6b",
    "digits": "#8f1d5f",
}
FAILED_HERE = "✘ failed here:"
LEGEND = "solid: request · dashed: answer · green: accepted · brown: asks for credentials · red: refused"


def redact_sip(text: str) -> str:
    """The message with digest responses (and any credentials of other schemes) masked; the rest as it was."""
    text = _AUTH_HEADER.sub(lambda match: match[1] + _mask_value(match[2]), text)
    return _STRAY.sub(rf"\1\2{MASK}", text)  # also in a header whose name was garbled on the way


def _mask_value(value: str) -> str:
    value = _RESPONSE.sub(rf"\1\2{MASK}", value)
    return value if "=" in value.split(",")[0] else _OTHER_SCHEME.sub(rf"\1\2\3{MASK}", value)


@dataclass(frozen=True)
class Layout:
    """Sizes in CSS pixels: middle of the first lane, from lane to lane, right of the last, a row.

    label_letters fit between two lanes, name_letters into a name's box, in the widest of the usual fonts (DejaVu Sans).
    """

    left: int = 160
    lane: int = 300
    right: int = 110
    row: int = 32
    label_letters: int = 40
    name_letters: int = 22

    def x(self, index: int) -> int:
        """Where lane `index` stands."""
        return self.left + index * self.lane


WIDE = Layout()
FOUR_LANES = Layout(left=150, lane=240, right=92, row=28, label_letters=32, name_letters=22)  # as wide as paper bears


@dataclass(frozen=True)
class Row:
    """One arrow. at_ms counts from the first message; lanes by index; kind: a key of COLOURS; text: shown on hover."""

    at_ms: float
    source: int
    target: int
    label: str
    text: str
    kind: str
    is_answer: bool = False


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


def _kind(status: int) -> str:
    """A key of COLOURS. A challenge is no failure: the caller is expected to come back with credentials."""
    if status in (401, 407):
        return "challenge"
    borders = ((400, "refusal"), (200, "success"), (100, "progress"))
    return next((kind for least, kind in borders if status >= least), "request")


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


def sip_rows(
    events: Sequence[SipEvent], names: Mapping[str, str], failing: SipEvent | None = None
) -> tuple[list[str], list[Row]]:
    """Lane labels (in the order of names, others as they appear) and the arrows, oldest first.

    names maps "host:port" or "host" to a label, such as "Phone 101". failing: the message at which the call failed,
    which is marked. Digest responses are masked.
    """
    kept = _once(events)
    seen = [_lane_name(address, names) for event in kept for address in (event.source, event.target)]
    lanes = [name for name in dict.fromkeys([*names.values(), *seen]) if name in seen]
    rows: list[Row] = []
    before: dict[tuple[str, str, str], int] = {}
    for event in kept:
        key = (event.source, event.target, event.text)
        before[key] = before.get(key, 0) + 1
        status = _status(event.text)
        row = Row(
            at_ms=(event.at - kept[0].at).total_seconds() * 1000,
            source=lanes.index(_lane_name(event.source, names)),
            target=lanes.index(_lane_name(event.target, names)),
            label=_label(event.text),
            text=redact_sip(event.text),
            kind=_kind(status),
            is_answer=status > 0,
        )
        row = row if before[key] == 1 else replace(row, label=f"{row.label} (repeat {before[key] - 1})")
        rows.append(replace(row, label=f"{FAILED_HERE} {row.label}", kind="refusal") if event is failing else row)
    return lanes, rows


def ladder_text(events: Sequence[SipEvent], names: Mapping[str, str], *, failing: SipEvent | None = None) -> str:
    """The ladder in words, one line per message: time since the first in ms, from -> to, what it says.

    names maps "host:port" or "host" to a label, such as "Phone 101".
    """
    return draw_text(*sip_rows(events, names, failing))


def draw_text(lanes: Sequence[str], rows: Sequence[Row]) -> str:
    """Rows in words, one line each."""
    if not rows:
        return "No SIP messages."
    arrows = [f"{lanes[row.source]} -> {lanes[row.target]}" for row in rows]
    width = max(map(len, arrows))
    lines = [f"{row.at_ms:8.0f} ms  {arrow:<{width}}  {row.label}" for row, arrow in zip(rows, arrows, strict=True)]
    return "\n".join(_CONTROL.sub(" ", _NOT_XML.sub("\ufffd", line)) for line in lines)


# ---------------------------------------------------------------- SVG


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text), quote=True)


def ladder_svg(
    events: Sequence[SipEvent], names: Mapping[str, str], title: str = "", *, failing: SipEvent | None = None
) -> str:
    """The ladder as a self-contained SVG on a ground of its own. Its description for screen readers is ladder_text().

    Every label is XML-escaped, ids are unique per drawing (many may share a page), digest responses are masked.
    """
    return draw_svg(*sip_rows(events, names, failing), title)


def draw_svg(
    lanes: Sequence[str],
    rows: Sequence[Row],
    title: str = "",
    *,
    layout: Layout = WIDE,
    legend: str = LEGEND,
    silence: str = "without SIP messages",
) -> str:
    """Rows as an SVG; see `ladder_svg`. silence: what a pause of more than a second is called, after "8.1 s"."""
    unique = "ladder-" + secrets.token_hex(6)
    width = layout.x(max(len(lanes) - 1, 1)) + layout.right
    heading, below = (_wrapped(words, (width - 32) // px, NAME_LINES) for words, px in ((title, 10), (legend, 6)))
    names = [_wrapped(name, layout.name_letters, NAME_LINES) for name in lanes]
    labels = [_wrapped(row.label, _letters(layout, row), LABEL_LINES) for row in rows]
    top = TOP_PX + LINE_PX * (max(map(len, names), default=1) - 1) + 19 * (len(heading) - 1)
    heights = _heights(layout, rows, labels, top)
    foot = (heights[-1] if heights else top + layout.row) + 4
    height = foot + BOTTOM_PX - 4 + LINE_PX * (len(below) - 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" aria-labelledby="{unique}-title {unique}-desc" style="max-width:100%;height:auto" '
        'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="12">',
        f'<title id="{unique}-title">{_xml(title or "SIP ladder")}</title>',
        f'<desc id="{unique}-desc">{_xml(draw_text(lanes, rows))}</desc>',
        "<defs>" + "".join(_marker(unique, kind) for kind in sorted({row.kind for row in rows})) + "</defs>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6" fill="{GROUND}" stroke="{LINE}"/>',
        _text(heading, 16, 26, f'font-size="15" font-weight="bold" fill="{INK}"', 19),
        f'<text x="64" y="{top - 21}" text-anchor="end" font-size="11" fill="{QUIET}">seconds</text>',
    ]
    parts += [
        _lane_svg(layout.x(index), 4 * layout.name_letters - 4, name, top, foot) for index, name in enumerate(names)
    ]
    for row, y, label, last in zip(rows, heights, labels, [None, *rows], strict=False):
        if last is not None and row.at_ms - last.at_ms > PAUSE_MS:
            above = y - layout.row - LINE_PX * (len(label) - 1)
            parts.append(_pause_svg(f"{(row.at_ms - last.at_ms) / 1000:.1f} s {silence}", above, width))
        parts.append(_row_svg(layout, row, y, label, unique, is_last=row.source == len(lanes) - 1))
    parts.append(_text(below, 16, foot + BOTTOM_PX - 18, f'font-size="11" fill="{QUIET}"'))
    return "\n".join([*parts, "</svg>"])


def _heights(layout: Layout, rows: Sequence[Row], labels: Sequence[Sequence[str]], top: int) -> list[int]:
    """Where each arrow lies: below the lines of its label, and below a long silence, which takes a line too."""
    heights: list[int] = []
    for index, label in enumerate(labels):
        paused = index > 0 and rows[index].at_ms - rows[index - 1].at_ms > PAUSE_MS
        above = heights[-1] if heights else top
        heights.append(above + layout.row * (1 + paused) + LINE_PX * (len(label) - 1))
    return heights


def _letters(layout: Layout, row: Row) -> int:
    """How many fit above the arrow of this row."""
    lanes = abs(row.source - row.target)
    return layout.label_letters * lanes if lanes else layout.label_letters - 8  # beside the arrow, not above it


def _wrapped(words: str, letters: int, lines: int) -> list[str]:
    """In lines of so many letters, broken between words where that is possible."""
    return textwrap.wrap(words, letters, max_lines=lines, placeholder="…", break_on_hyphens=False) or [""]


def _text(lines: Sequence[str], x: int, y: int, attributes: str, line_px: int = LINE_PX, bold: str = "") -> str:
    """Text whose first line is at `y`. bold: a pattern of what is set in bold."""
    drawn = [_xml(line) for line in lines]
    if bold:
        drawn = [re.sub(bold, r'<tspan font-weight="bold">\g<0></tspan>', line) for line in drawn]
    # A space ends each line but the last, so that who copies the text gets words.
    rest = [f' <tspan x="{x}" dy="{line_px}">{line}</tspan>' for line in drawn[1:]]
    return f'<text x="{x}" y="{y}" {attributes}>{drawn[0]}{"".join(rest)}</text>'


def _marker(unique: str, kind: str) -> str:
    return (
        f'<marker id="{unique}-{kind}" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{COLOURS[kind]}"/></marker>'
    )


def _lane_svg(x: int, half: int, name: Sequence[str], top: int, foot: int) -> str:
    """A name in a box, which is twice `half` wide, and its life line."""
    box = 28 + LINE_PX * (len(name) - 1)
    return (
        f'<line x1="{x}" y1="{top - 12}" x2="{x}" y2="{foot}" stroke="{LINE}" stroke-width="1.5"/>'
        f'<rect x="{x - half}" y="{top - 12 - box}" width="{2 * half}" height="{box}" rx="5" fill="#f3f5f8" '
        'stroke="#8c959f"/>' + _text(name, x, top + 7 - box, f'text-anchor="middle" font-weight="bold" fill="{INK}"')
    )


def _pause_svg(words: str, y: int, width: int) -> str:
    """Above the row at `y`: for how long there was no message."""
    return (
        f'<rect x="16" y="{y - 17}" width="{width - 32}" height="18" rx="4" fill="#f3f5f8"/>'
        f'<text x="{width // 2}" y="{y - 4}" text-anchor="middle" font-size="11" fill="{QUIET}">'
        f"{_xml(words)}</text>"
    )


def _row_svg(layout: Layout, row: Row, y: int, label: Sequence[str], unique: str, is_last: bool) -> str:
    """An arrow with its label above, the time at the left, and the whole message on hover; answers are dashed.

    is_last: it begins at the last lane, right of which there is no room.
    """
    x1, x2 = layout.x(row.source), layout.x(row.target)
    colour = COLOURS[row.kind]
    path, middle, anchor = f"M{x1} {y} L{x2} {y}", (x1 + x2) // 2, "middle"
    if x1 == x2:
        side, anchor = (-1, "end") if is_last and row.source else (1, "start")
        path, middle = f"M{x1} {y - 6} h{40 * side} v10 h{-40 * side}", x1 + 48 * side
    bold = r"(?<=, )credentials\b|^credentials\b"
    if row.kind in ("challenge", "refusal") and not row.label.startswith(FAILED_HERE):
        bold += r"|^\d{3}\b"
    dash = ' stroke-dasharray="6 3"' if row.is_answer else ""
    # The outline hides the life lines below a label, its spaces too; the arrow is drawn over it.
    style = (
        f'text-anchor="{anchor}" fill="{colour}" stroke="{GROUND}" stroke-width="6" stroke-linejoin="round" '
        'paint-order="stroke"'
    )
    return (
        f"<g><title>{_xml(row.text)}</title>"
        f'<text x="64" y="{y + 4}" text-anchor="end" fill="{QUIET}">{row.at_ms / 1000:.3f}</text>'
        + _text(label, middle, y - 6 - LINE_PX * (len(label) - 1), style, bold=bold)
        + f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash} '
        f'marker-end="url(#{unique}-{row.kind})"/></g>'
    )
