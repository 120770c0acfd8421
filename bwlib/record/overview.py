"""The picture of the whole: phone, PBX, trunk, realm, application, webhooks, with a site's own values. Pure.

Each part says whether it is proven, in a sign and a word; colour only helps. A record's report draws it from the
journal; before a run it can be drawn from the answers alone, with no state.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

State = Literal["", "proven", "not proven", "failed"]
INK, QUIET = "#1f2328", "#57606a"
#: state -> (colour on white, ground)
COLOURS: dict[State, tuple[str, str]] = {
    "": ("#57606a", "#ffffff"),
    "proven": ("#1a6b33", "#f0f8f2"),
    "not proven": ("#6b4e00", "#fdf8ea"),
    "failed": ("#9b1c1c", "#fdf1f0"),
}
_SIGNS: dict[State, str] = {
    "": "",
    "proven": "M-4 0.5 L-1 3.5 L4.5 -3",
    "not proven": "M-3.6 0 H3.6",
    "failed": "M-3.2 -3.2 L3.2 3.2 M3.2 -3.2 L-3.2 3.2",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
WIDTH, CALL_PX = 880, 34
_PHONE, _PBX, _TRUNK, _REALM = (24, 64, 176, 120), (240, 64, 190, 120), (460, 64, 144, 120), (640, 64, 216, 120)
_WEBHOOKS, _APPLICATION = (24, 240, 406, 120), (640, 240, 216, 120)


@dataclass(frozen=True)
class Part:
    """One part of the picture: its name, this site's values (most telling first), and what is known about it.

    when: "done at 2026-11-27 05:06 UTC by anna", where that is worth telling.
    """

    name: str
    values: tuple[str, ...] = ()
    state: State = ""
    when: str = ""


def overview_svg(
    *,
    phone: Part,
    pbx: Part,
    trunk: Part,
    realm: Part,
    application: Part,
    webhooks: Part,
    calls: Sequence[Part] = (),
    bandwidth: str = "Bandwidth",
) -> str:
    """The picture as a self-contained SVG; its description for screen readers is `overview_text`.

    realm: the realm or, by the second road, the SIP URI. bandwidth: what that side is called, "Bandwidth (sandbox)".
    """
    unique = "overview-" + secrets.token_hex(6)
    parts = (phone, pbx, trunk, realm, application, webhooks)
    places = (_PHONE, _PBX, _TRUNK, _REALM, _APPLICATION, _WEBHOOKS)
    height = 396 + CALL_PX * len(calls) + (14 if calls else 0)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="7 7 {WIDTH - 14} {height - 7}" '
        f'width="{WIDTH - 14}" height="{height - 7}" aria-labelledby="{unique}-title {unique}-desc" '
        'style="max-width:100%;height:auto" font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13">',
        f'<title id="{unique}-title">How the parts are connected</title>',
        f'<desc id="{unique}-desc">{_xml(overview_text([*parts, *calls]))}</desc>',
        f'<defs><marker id="{unique}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" fill="{QUIET}"/></marker></defs>',
        # A ground of its own: the page's may be dark.
        f'<rect x="7" y="7" width="{WIDTH - 14}" height="{height - 7}" rx="10" fill="#ffffff"/>',
        _side(8, 8, 438, 368, "Your side"),
        _side(624, 8, 248, 368, bandwidth),
        _links(unique),
    ]
    drawn += [_part(part, place) for part, place in zip(parts, places, strict=True)]
    drawn += [_call(call, 396 + 14 + CALL_PX * index) for index, call in enumerate(calls)]
    return "\n".join([*drawn, "</svg>"])


def overview_text(parts: Sequence[Part]) -> str:
    """The same in words, one line for each part."""
    lines = []
    for part in parts:
        state = f": {part.state}" if part.state else ""
        more = "; ".join(filter(None, (*part.values, part.when)))
        lines.append(f"{part.name}{state}" + (f" ({more})" if more else ""))
    return "\n".join(" ".join(_NOT_XML.sub("\ufffd", line).split()) for line in lines)


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text), quote=True)


def _side(x: int, y: int, width: int, height: int, name: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="#f6f8fa" stroke="#d5dae0"/>'
        f'<text x="{x + 16}" y="{y + 28}" font-size="14" font-weight="bold" fill="{QUIET}">{_xml(name)}</text>'
    )


def _links(unique: str) -> str:
    """What runs between the parts; double-headed where calls go both ways."""
    line = f'fill="none" stroke="{QUIET}" stroke-width="1.6"'
    both = f'{line} marker-start="url(#{unique})" marker-end="url(#{unique})"'
    note = f'font-size="12" fill="{QUIET}"'
    return (
        f'<path d="M202 124 H238" {both}/><path d="M432 124 H458" {both}/><path d="M606 124 H638" {both}/>'
        f'<path d="M748 186 V238" {both}/><path d="M638 286 H432" {line} marker-end="url(#{unique})"/>'
        f'<path d="M432 322 H638" {line} stroke-dasharray="6 3" marker-end="url(#{unique})"/>'
        f'<text x="535" y="278" text-anchor="middle" {note}>webhooks (POST)</text>'
        f'<text x="535" y="342" text-anchor="middle" {note}>answers (BXML)</text>'
        f'<text x="758" y="217" {note}>bound to</text>'
    )


def _part(part: Part, place: tuple[int, int, int, int]) -> str:
    """A box: name, values, and at the foot the sign and the word of its state."""
    x, y, width, height = place
    colour, ground = COLOURS[part.state]
    letters = max(int((width - 24) / 6.9), 8)
    dash = ' stroke-dasharray="5 4"' if part.state == "not proven" else ""
    drawn = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{ground}" stroke="{colour}" '
        f'stroke-width="1.8"{dash}/><text x="{x + 12}" y="{y + 23}" font-size="14" font-weight="bold" '
        f'fill="{INK}">{_xml(_short(part.name, int((width - 20) / 8.6)))}</text>'
    )
    lines: list[str] = []
    room = 3 if part.state else 4
    for nth, value in enumerate(part.values[:room], start=1):  # each of the later ones has a line of its own
        lines += _wrapped(value, letters, max(room - len(lines) - len(part.values[nth:room]), 1))
    for index, line in enumerate(lines):
        drawn += f'<text x="{x + 12}" y="{y + 43 + 17 * index}" font-size="12.5" fill="{INK}">{_xml(line)}</text>'
    if part.when:
        when = _dated(part.when, int((width - 24) / 5.9))
        drawn += f'<text x="{x + 12}" y="{y + 91}" font-size="11" fill="{QUIET}">{_xml(when)}</text>'
    return f"<g>{drawn}{_state(part.state, x + 18, y + height - 15)}</g>"


def _dated(when: str, letters: int) -> str:
    """In so many letters: the hour goes first, the words for people have it."""
    shorter = when.removeprefix("done at ")
    words = (when, shorter, re.sub(r" \d\d:\d\d UTC", "", shorter))
    return next((each for each in words if len(each) <= letters), _short(words[-1], letters))


def _state(state: State, x: int, y: int) -> str:
    """The sign in a disc, and the word."""
    if not state:
        return ""
    colour = COLOURS[state][0]
    return (
        f'<circle cx="{x}" cy="{y}" r="7.5" fill="{colour}"/><path d="{_SIGNS[state]}" fill="none" stroke="#ffffff" '
        f'stroke-width="2" transform="translate({x} {y})"/><text x="{x + 13}" y="{y + 4.5}" font-weight="bold" '
        f'fill="{colour}">{state}</text>'
    )


def _call(call: Part, y: int) -> str:
    """One call below the picture: its state, who called whom, what came of it."""
    words = " · ".join([call.name, *call.values])
    return (
        f'<g><rect x="8" y="{y - 14}" width="{WIDTH - 16}" height="{CALL_PX - 6}" rx="6" fill="#ffffff" '
        f'stroke="#d5dae0"/>{_state(call.state, 26, y)}'
        f'<text x="132" y="{y + 4.5}" fill="{INK}">{_xml(_short(words, 84 if call.when else 112))}</text>'
        f'<text x="{WIDTH - 20}" y="{y + 4.5}" text-anchor="end" font-size="11" '
        f'fill="{QUIET}">{_xml(_dated(call.when, 30))}</text></g>'
    )


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _wrapped(text: str, letters: int, most: int) -> list[str]:
    """A value on at most `most` lines, cut where it does not fit; a URI is broken after a separator, if one is near."""
    text = " ".join(text.split())
    lines: list[str] = []
    while len(text) > letters and len(lines) < most - 1:
        cut = max(text.rfind(mark, letters // 2, letters) for mark in " @/.-_") + 1 or letters
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*lines, _short(text, letters)]
