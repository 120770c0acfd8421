"""The HTML that cards are made of: frames, chips, tables. Pure; every text that comes in is escaped here.

Colours come from JupyterLab's theme where it has one for the purpose, else from the surroundings, so that a card can
be read in a light and in a dark theme and in an exported page. A chip brings its own background: white on it has at
least 6:1 contrast in every theme. Styles stand in the elements, because exported pages keep those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

#: status -> (sign, colour of chip and edge)
STATUS = {
    "passed": ("✔", "#1a6b33"),
    "pending": ("…", "#6b4e00"),
    "failed": ("✘", "#9b1c1c"),
    "skipped": ("–", "#4a4f55"),
}
BLUE, RED = "#1a4f8b", "#9b1c1c"
_QUIET = "color:var(--jp-content-font-color2,inherit)"
_LINE = "1px solid var(--jp-border-color2,#c4c4c4)"
_CODE = "font-family:var(--jp-code-font-family,monospace);font-size:.93em"
_FRAME = (
    f"border:{_LINE};border-radius:4px;padding:.6em .9em;margin:.3em 0;max-width:60em;"
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);line-height:1.5"
)
_CELL = f"text-align:left;vertical-align:top;padding:.2em 1.4em .2em 0;background:none;border:none;border-top:{_LINE}"


def frame(body: str, edge: str = "var(--jp-border-color1,#8a8a8a)", role: str = "group", status: str = "") -> str:
    """A card; the left edge carries its colour. status: for programs that look at a page."""
    state = f' data-status="{escape(status)}"' if status else ""
    return f'<div role="{role}"{state} style="{_FRAME};border-left:5px solid {edge}">{body}</div>'


def chip(sign: str, word: str, colour: str) -> str:
    """A word on a coloured ground, its sign before it."""
    before = f'<span aria-hidden="true">{escape(sign)}</span> ' if sign else ""
    style = f"background:{colour};color:#ffffff;border-radius:3px;padding:.1em .55em;font-weight:600;margin-right:.5em"
    return f'<span style="{style}">{before}<span>{escape(word)}</span></span>'


def heading(text: str) -> str:
    return f"<strong>{escape(text)}</strong>"


def quiet(text: str) -> str:
    """Words of the second rank, within a line."""
    return f'<span style="{_QUIET}">{escape(text)}</span>'


def line(text: str) -> str:
    return f'<div style="margin-top:.25em">{escape(text)}</div>'


def code(text: str) -> str:
    """A value. A short one stays on its line, so that only long ones give way in a narrow window."""
    wrap = "white-space:nowrap" if len(text) <= 24 else "white-space:normal;overflow-wrap:anywhere"
    return f'<code style="{_CODE};background:none;padding:0;{wrap}">{escape(text)}</code>'


def link(address: str) -> str:
    """An address to open, in a tab of its own: in JupyterLab's the notebook stays."""
    return f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(address)}</a>'


def preformatted(text: str) -> str:
    """Text whose columns count."""
    style = f"{_CODE};background:none;margin:.5em 0 0;padding:0;white-space:pre;overflow-x:auto"
    return f'<pre style="{style}">{escape(text)}</pre>'


def folded(summary: str, body: str) -> str:
    """Shown on a click; in the text twin it is always there."""
    return (
        f'<details style="margin-top:.5em"><summary style="cursor:pointer">{escape(summary)}</summary>{body}</details>'
    )


def facts(pairs: Iterable[tuple[str, str]], caption: str, *, plain: bool = False, links: Collection[str] = ()) -> str:
    """Name and value in two columns. plain: the values are sentences, which may break anywhere between words.

    links: names of the values that are addresses of our own; nobody else's becomes a link.
    """

    def shown(name: str, value: str) -> str:
        return link(value) if name in links else escape(value) if plain else code(value)

    rows = "".join(
        f'<tr style="background:none"><th scope="row" style="{_CELL};{_QUIET};font-weight:normal">{escape(name)}</th>'
        f'<td style="{_CELL}">{shown(name, value)}</td></tr>'
        for name, value in pairs
    )
    return _table(caption, "", rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Several columns under their names."""
    names = "".join(f'<th scope="col" style="{_CELL};border-top:none">{escape(cell)}</th>' for cell in head)
    body = "".join(
        '<tr style="background:none">'
        + "".join(f'<td style="{_CELL}">{code(str(cell))}</td>' for cell in row)
        + "</tr>"
        for row in rows
    )
    return _table(caption, f'<thead><tr style="background:none">{names}</tr></thead>', body)


def _table(caption: str, head: str, rows: str) -> str:
    title = f'<caption style="caption-side:top;text-align:left;padding:0 0 .2em;{_QUIET}">{escape(caption)}</caption>'
    style = "border-collapse:collapse;border:none;margin:.5em 0 0;table-layout:auto;font-size:inherit;color:inherit"
    return (
        f'<div style="overflow-x:auto"><table style="{style}">{title if caption else ""}{head}'
        f"<tbody>{rows}</tbody></table></div>"
    )


def picture(description: str, data_url: str) -> str:
    """A picture, as wide as there is room."""
    style = f"max-width:100%;height:auto;border:{_LINE};background:#ffffff"
    return (
        f'<figure style="margin:.5em 0 0"><img style="{style}" alt="{escape(description)}" src="{data_url}"></figure>'
    )


def player(label: str, data_url: str) -> str:
    """An audio player under its label."""
    name = escape(label)
    return (
        f'<figure style="margin:.4em 0"><figcaption style="margin-bottom:.2em">{name}</figcaption>'
        f'<audio controls preload="metadata" aria-label="{name}" src="{data_url}"></audio></figure>'
    )
