"""A step's card in a notebook: a form, buttons, a badge, and a tab for those who do it by hand.

It asks and shows, and knows neither Bandwidth nor a PBX: what a button does is given to it. What the buttons bring
stands in the `Place` below the card, as ordinary output, so that a saved notebook keeps it without any widget.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from bwlib.errors import BwlibError
from bwlib.widgets import card, show
from bwlib.widgets.by_hand import ByHandTab
from bwlib.widgets.glossary import explained
from bwlib.widgets.main_thread import in_main_thread
from bwlib.widgets.place import Place

log = logging.getLogger(__name__)

Answers = Mapping[str, Any]
Check = Callable[[str, object], str]
"""(entry, value) -> what is wrong with it, in words; "" when nothing is."""

#: word in the badge -> (sign, colour)
BADGES = {
    "not done yet": ("○", "#4a4f55"),
    "working": ("…", "#1a4f8b"),
    "planned": ("…", "#6b4e00"),
    **{word: card.STATUS[word] for word in ("passed", "failed", "skipped")},
}
CHECK = "Check what I did"
# The tab that is not open is too faint in both of JupyterLab's themes (4.45:1 and 4.22:1).
_TABS = "<style>.bw-card .lm-TabBar-tabLabel{color:var(--jp-content-font-color1,inherit)}</style>"
# A second press counts as an answer from the first to the second of these, in seconds after the first.
CONFIRM_S = (1.5, 30.0)
_NOTHING_ASKED: tuple[str, float, dict[str, Any]] = ("", 0.0, {})
_LABEL = {"description_width": "12em"}
_WIDE = {"width": "100%", "max_width": "44em"}


@dataclass(frozen=True)
class Entry:
    """A field of the form. name: its dotted entry in the site file; label: the guide's own; choices: (word, value)."""

    name: str
    label: str
    help: str
    choices: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Button:
    """do(what was changed in the form) -> a word of BADGES, "" for no badge.

    confirm: what a second press is asked for; "" for none.

    needs_form: not to be pressed while the form has a fault.
    """

    word: str
    tip: str
    do: Callable[[Answers], str]
    confirm: str = ""
    needs_form: bool = True
    disabled: bool = False


class StepCard:
    """Shown once; its buttons work for as long as the kernel lives."""

    def __init__(
        self,
        step: str,
        title: str,
        buttons: Sequence[Button],
        *,
        entries: Sequence[Entry] = (),
        values: Callable[[], Answers] = dict,
        check: Check = lambda entry, value: "",
        state: tuple[str, str] = ("not done yet", ""),
        by_hand: Callable[[Callable[[], None]], ByHandTab] | None = None,
    ) -> None:
        """values(): what the form shows, at first and after a press.

        state: (word of BADGES, since when and by whom). by_hand(check): the other tab, given what its button does:
        that of the button with the word CHECK, which is not in the form's row then.
        """
        self.place = Place()
        self._title, self._check = title, check
        self._values_now, self._values = values, dict(values())
        self._entries = tuple(entries)
        self._buttons = tuple(buttons)
        self._by_hand = None if by_hand is None else by_hand(lambda: self._clicked(CHECK))
        self._confirming = _NOTHING_ASKED
        self._taken = False  # a click is being carried out, or waits for that
        self._ended = 0  # presses that have ended: for programs that look at a page
        self._build(step, state)

    # ------------------------------------------------------------ what is seen

    def _build(self, step: str, state: tuple[str, str]) -> None:
        from ipywidgets import HTML, HBox, Layout, VBox  # type: ignore[import-untyped]

        self._head, self._progress = HTML(), HTML()
        self._faults = {entry.name: HTML() for entry in self._entries}
        self._fields = {entry.name: self._field(entry) for entry in self._entries}
        self._pressed = {button.word: self._button(button) for button in self._buttons}
        rows = [part for name, field in self._fields.items() for part in (field, self._faults[name])]
        row = [one for word, one in self._pressed.items() if self._by_hand is None or word != CHECK]
        form = VBox([*rows, HBox(row, layout=Layout(flex_flow="row wrap"))])
        body = form if self._by_hand is None else self._tabs(form, self._by_hand)
        frame = Layout(border_left="5px solid #8a8a8a", padding="2px 0 4px 10px", margin="4px 0", max_width="64em")
        self._root = VBox([self._head, body, self._progress], layout=frame)
        for name in ("bw-card", f"bw-step-{step}"):
            self._root.add_class(name)
        self._say(*state)

    def _tabs(self, form: Any, by_hand: ByHandTab) -> Any:
        from ipywidgets import HTML, Layout, Tab, VBox

        self._pressed[CHECK] = by_hand.button
        tabs = Tab([form, by_hand.widget], titles=("By API", "By hand"), selected_index=0)
        tabs.observe(
            lambda change: in_main_thread(by_hand.open) if change["new"] == 1 else None, names="selected_index"
        )
        return VBox([HTML(_TABS, layout=Layout(display="none")), tabs])

    def _field(self, entry: Entry) -> Any:
        from ipywidgets import Checkbox, Dropdown, Layout, Text

        value = self._values.get(entry.name)
        if entry.choices:
            field = Dropdown(options=list(entry.choices), value=value, description=entry.label)
        elif isinstance(value, bool):
            field = Checkbox(value=value, description=entry.label)
        else:
            field = Text(value="" if value is None else str(value), description=entry.label)
        field.style, field.layout = _LABEL, Layout(**_WIDE)
        field.tooltip = entry.help
        field.observe(lambda _: self._judge(entry), names="value")
        self._faults[entry.name].value = _below(entry.help)
        return field

    def _button(self, button: Button) -> Any:
        from ipywidgets import Button as Widget
        from ipywidgets import Layout

        one = Widget(description=button.word, tooltip=button.tip, layout=Layout(width="auto", min_width="6em"))
        one.disabled = button.disabled
        one.on_click(lambda _: self._clicked(button.word))
        return one

    def show(self) -> None:
        """The card, and below it the place for what its buttons bring."""
        from IPython.display import display

        bundle = dict(self._root._repr_mimebundle_())
        words = ", ".join(button.word for button in self._buttons)
        bundle["text/plain"] = f"{self._title}: buttons {words} (in a running JupyterLab)"
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
        with show.into(self.place):
            pass

    def _say(self, word: str, detail: str = "") -> None:
        badge = ""
        if word:
            sign, colour = BADGES[word]
            chip = card.chip(sign, word, colour)
            badge = f'<span role="status" class="bw-badge" data-ended="{self._ended}">{chip}</span>'
        title = f'<span role="heading" aria-level="4">{card.heading(self._title)}</span>'
        self._head.value = f"{badge}{title}" + (f" · {card.quiet(detail)}" if detail else "")

    # ------------------------------------------------------------ the form

    def _changed(self) -> dict[str, Any]:
        """What is not as it was when the form was filled, in the type that it had."""
        now = {name: _typed(field.value, self._values.get(name)) for name, field in self._fields.items()}
        return {name: value for name, value in now.items() if value != self._values.get(name)}

    def _fill(self) -> None:
        """Show what counts now: what was given here, and what another notebook has changed meanwhile."""
        self._values = dict(self._values_now())
        for name, field in self._fields.items():
            value = self._values.get(name)
            field.value = value if isinstance(value, bool) else "" if value is None else str(value)

    def _judge(self, entry: Entry) -> None:
        """As it is typed: say what is wrong below the field, and hold the buttons back."""
        value = _typed(self._fields[entry.name].value, self._values.get(entry.name))
        fault = self._check(entry.name, value)
        self._faults[entry.name].value = _below(fault or entry.help, wrong=bool(fault))
        self._hold_back()

    def _hold_back(self) -> None:
        """The buttons that may not be pressed now."""
        faults = any("bw-fault" in below.value for below in self._faults.values())
        for button in self._buttons:
            self._pressed[button.word].disabled = button.disabled or (faults and button.needs_form)

    # ------------------------------------------------------------ a press

    def _clicked(self, word: str) -> None:
        """One at a time: a second click while the first one waits for a cell to end, or is at work, is none."""
        if self._taken:
            return
        self._taken = True

        def go() -> None:
            try:
                self.press(word)
            finally:
                self._taken = False

        in_main_thread(go)

    def press(self, word: str) -> None:
        """As if the button of this word were clicked. Raises nothing: what goes wrong is shown in the place."""
        button = next(each for each in self._buttons if each.word == word)
        if button.confirm and not self._is_confirmed(word, self._changed()):
            self._progress.value = _line(f"{button.confirm} Press {word} once more to do it.", role="alert")
            return
        with show.into(self.place), self._working():
            try:
                done = button.do(self._changed() if button.needs_form else {})
                self._fill()
                self._ended += 1
                self._say(done, f"just now, by {word}")
            except (BwlibError, KeyboardInterrupt) as error:
                self._failed(error)
            except Exception as error:
                log.exception("%s: %s", self._title, word)
                self._failed(error)

    def _is_confirmed(self, word: str, answers: Answers) -> bool:
        """A second press of the same button with the same answers; a double click is one press, a late one is none."""
        now, (before, when, asked) = time.monotonic(), self._confirming
        waited = now - when
        if before == word and asked == answers and CONFIRM_S[0] <= waited <= CONFIRM_S[1]:
            self._confirming = _NOTHING_ASKED
            return True
        if before != word or asked != answers or waited > CONFIRM_S[1]:
            self._confirming = (word, now, dict(answers))
        return False

    def _failed(self, error: BaseException) -> None:
        show.show_fault(error)
        with contextlib.suppress(Exception):  # what was saved before it failed is no change any more, what was there is
            self._values = dict(self._values_now())
        self._ended += 1
        self._say("failed", "the reason is below")

    @contextmanager
    def as_cell(self, status: Callable[[], str]) -> Iterator[None]:
        """The cell itself does the step: shown in the place; an error goes on and ends the cell, so Run All stops."""
        with show.into(self.place), self._working():
            try:
                yield
            except BaseException:
                self._say("failed", "the reason is below")
                raise
            self._say(status(), "just now")

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Buttons off, badge on, seconds counted; it all ends with the block, however that ends."""
        self._say("working")
        for one in self._pressed.values():
            one.disabled = True
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(ended,), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            self._hold_back()  # before the waiting, which an interrupt may end
            ticker.join(2)
            self._progress.value = ""

    def _tick(self, ended: threading.Event) -> None:
        started = time.monotonic()
        while not ended.wait(1):
            with contextlib.suppress(Exception):  # a front end that went away must not end the step
                self._progress.value = _line(
                    f"working, {time.monotonic() - started:.0f} s; the stop button (■) of the toolbar interrupts it"
                )


def _typed(value: object, like: object) -> object:
    """A text field's value in the type that the entry had; what is no number stays text, for the check to name."""
    if isinstance(value, str) and isinstance(like, (int, float)) and not isinstance(like, bool):
        with contextlib.suppress(ValueError):
            return type(like)(value)
    return value.strip() if isinstance(value, str) else value


def _below(text: str, *, wrong: bool = False) -> str:
    """The words have the theme's own colour: a red that can be read on white cannot on black."""
    kind, role = ("bw-fault", ' role="alert"') if wrong else ("bw-help", "")
    words = card.chip("", "✘", card.RED) + escape(text) if wrong else explained(text, in_form=True)
    return f'<div class="{kind}"{role} style="font-size:.93em;line-height:1.4;margin-left:13em">{words}</div>'


def _line(text: str, role: str = "status") -> str:
    return f'<div role="{role}">{escape(text)}</div>'
