"""The tab *By hand* of a step's card: where to click, what to paste, and a button that checks what was done.

Plain ipywidgets and HTML. A copy button is HTML with its own small handler: where a front end forbids that (VS Code
may), the value beside it can be selected. A secret is named; its value is shown only while its button is down.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bwlib.errors import BwlibError
from bwlib.widgets import card
from bwlib.widgets.glossary import explained
from bwlib.widgets.main_thread import in_main_thread

if TYPE_CHECKING:
    from bwlib.by_hand_walk import ByHand, Click, Value

Reveal = Callable[[Any, str, Callable[[], None]], None]
_COPY = "navigator.clipboard.writeText(this.dataset.value);this.textContent='copied'"


class ByHandTab:
    """The tab as a widget; it is filled when it is opened, each time anew.

    guide(): what it says; a BwlibError of it is said instead. check(): what *Check what I did* does.
    reveal(widget, reference, hidden): shows a secret in an HTML widget for a while, then calls hidden(); "" hides it.
    give(name, bytes): takes a picture.
    """

    def __init__(
        self,
        guide: Callable[[], ByHand],
        *,
        check: Callable[[], None],
        reveal: Reveal,
        give: Callable[[str, bytes], None],
    ) -> None:
        from ipywidgets import HTML, Button, Layout, VBox  # type: ignore[import-untyped]

        from bwlib.widgets.upload import upload

        self._guide, self._reveal = guide, reveal
        done = Button(
            description="Check what I did",
            tooltip="Read back what is there, whoever made it, and compare it field by field. Writes nothing",
            layout=Layout(width="auto", align_self="flex-start"),
        )
        done.on_click(lambda _: check())
        self.button = done
        self._clicks = VBox([HTML("working out what to click")])
        self.widget = VBox([self._clicks, done, upload("Add a picture of what you see", give)])

    def open(self) -> None:
        """Say what is to be done by now: the realm's full name is known only once there is a realm."""
        from ipywidgets import HTML

        try:
            guide = self._guide()
        except Exception as error:
            said = f"{error.came_back}. {error.do_next}" if isinstance(error, BwlibError) else type(error).__name__
            self._clicks.children = (HTML(f'<p role="alert">{escape(said)}</p>'),)
            return
        parts: list[Any] = [HTML(f"<p>{escape(guide.where)}{_link(guide.address)}</p>")]
        for click in guide.clicks:
            parts.append(HTML(_click(click)))
            parts += [_secret(value, self._reveal) for value in click.values if value.secret]
        self._clicks.children = tuple(parts)


def _link(address: str) -> str:
    return f": {card.link(address)}" if address else ""


def _click(click: Click) -> str:
    number = card.chip("", str(click.number), card.BLUE)
    html = f"<div>{number}{explained(click.words)}</div>"
    rows = "".join(_value(value) for value in click.values if not value.secret)
    if rows:
        html += f'<table style="border-collapse:collapse;margin:.2em 0 .2em 2.4em">{rows}</table>'
    if click.picture:
        html += card.picture(f"The page, with the place of step {click.number} marked", _data_url(click.picture))
    return f'<div style="line-height:1.5;margin:.3em 0;max-width:60em">{html}</div>'


def _value(value: Value) -> str:
    name, text = escape(value.label), escape(value.text)
    button = (
        f'<button type="button" class="jupyter-button" style="width:auto;padding:0 .8em" data-value="{text}" '
        f'aria-label="Copy {name}" onclick="{_COPY}">Copy</button>'
        if value.text
        else ""
    )
    # Lines for a file keep their lines.
    shown = card.preformatted(value.text) if "\n" in value.text else card.code(value.text or "(leave empty)")
    cell = '<td style="vertical-align:top;padding:.1em .8em .1em 0">'
    head = '<th scope="row" style="text-align:left;vertical-align:top;font-weight:normal;padding-right:.8em">'
    return f"<tr>{head}{name}</th>{cell}{shown}</td>{cell}{button}</td></tr>"


def _secret(value: Value, reveal: Reveal) -> Any:
    """Its label and where it is kept; the value for as long as the button is down."""
    from ipywidgets import HTML, HBox, Layout, ToggleButton

    shown = HTML()
    button = ToggleButton(
        description=f"Show {value.label.lower()}",
        tooltip="Shown here for half a minute; it is saved nowhere",
        layout=Layout(width="auto"),
    )

    def hidden() -> None:
        button.value = False

    def press(change: dict[str, Any]) -> None:
        in_main_thread(lambda: reveal(shown, value.secret if change["new"] else "", hidden))

    button.observe(press, names="value")
    kept = HTML(f"{escape(value.label)}: {card.code(value.secret)}")
    return HBox([kept, button, shown], layout=Layout(margin="0 0 0 2.4em", align_items="center"))


def _data_url(name: str) -> str:
    image = files("bwlib.widgets").joinpath("pictures", name).read_bytes()
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")
