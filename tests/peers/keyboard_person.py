"""A person at JupyterLab without a mouse: Tab, Shift+Tab, arrows, Enter, Space, and letters in fields.

`mouse_used` says whether that was kept. Where JupyterLab takes a key for itself another is used: the arrows of a closed
list move from cell to cell, so Space opens the list first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accessibility import IN_LAB, faults
from lab_person import NOTEBOOK, SCREENSHOTS, CardPerson, LabPerson

if TYPE_CHECKING:
    from playwright.sync_api import Locator

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
MANY_TABS = 250  # more stops than any notebook of ours has between two places
_COUNT_MOUSE = "addEventListener('mousedown', event => { if (event.isTrusted) window.bwMouse = true; }, true);"
# The kernel of the notebook in front is idle, and none of its cells is queued or runs.
_IDLE = """panel => document.querySelector(panel + ' .jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'
    && ![...document.querySelectorAll(panel + ' .jp-InputPrompt')].some(prompt => prompt.textContent.includes('*'))"""
_RAN = """([cell, before]) => { const now = cell.querySelector('.jp-InputPrompt').textContent;
    return /\\d/.test(now) && now !== before; }"""
# Which way to go from where the focus is: "" when it is there, else the key. A browser that has lost the focus (its
# button was disabled) goes on from where it was.
_WAY = """target => {
    const now = document.activeElement;
    if (now === target) return '';
    return now !== document.body && now.compareDocumentPosition(target) & Node.DOCUMENT_POSITION_PRECEDING
        ? 'Shift+Tab' : 'Tab';
}"""
# A player shows the focus on the one of its own buttons that has it.
_LOOK = """element => {
    const style = getComputedStyle(element);
    return element.tagName === 'AUDIO' ? element.contains(document.activeElement)
        : [style.outlineStyle, style.outlineWidth, style.boxShadow, style.borderColor, style.backgroundColor].join();
}"""
# Where arrows choose a cell: in a notebook, and in nothing that takes them for itself.
_AMONG_CELLS = """notebook => document.querySelector(notebook).contains(document.activeElement)
    && !document.activeElement.matches('input, textarea, select, audio, [role=tab], .cm-content')"""
_CELL = """([notebook, words]) => [...document.querySelectorAll(notebook + ' .jp-Cell')].findIndex(cell =>
    cell.querySelector('.jp-InputArea-editor')?.textContent.includes(words))"""
_ACTIVE = """notebook => [...document.querySelectorAll(notebook + ' .jp-Cell')].findIndex(cell =>
    cell.classList.contains('jp-mod-active'))"""


_CHOSEN = "([box, wanted]) => box.selectedIndex === wanted"


@dataclass
class KeyboardPerson(LabPerson):
    """faults: what is wrong with what is ours in each notebook that was left, and where one does not see the focus."""

    faults: list[str] = field(default_factory=list)
    _at: str = field(default="", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.page.add_init_script(_COUNT_MOUSE)

    @property
    def mouse_used(self) -> bool:
        return bool(self.page.evaluate("window.bwMouse === true"))

    def open(self, name: str) -> None:
        """The first by its address; from then on by the link of the notebook before, as its *Next* has it."""
        if self._at:
            self.activate(self.page.locator(NOTEBOOK).get_by_role("link", name=name, exact=True).last)
            title = f'#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current:has-text("{name}.ipynb")'
            self.page.locator(title).first.wait_for()
            self.idle()
        else:
            super().open(name)
        self._at = name

    def idle(self) -> None:
        super().idle()  # before the kernel is connected the indicator of the notebook says idle too
        self.page.wait_for_function(_IDLE, arg=PANEL, timeout=60_000)

    def run_cell(self, source: str) -> Locator:
        """By arrows to the cell, Shift+Enter, wait until it has a new number; the cell."""
        self.idle()
        self.cell(source).first.wait_for(state="attached")
        wanted = int(self.page.evaluate(_CELL, [NOTEBOOK, source]))
        self._among_cells()
        while (now := int(self.page.evaluate(_ACTIVE, NOTEBOOK))) != wanted:
            self.page.keyboard.press("ArrowDown" if now < wanted else "ArrowUp")
        cell = self.page.locator(f"{NOTEBOOK} .jp-Cell").nth(wanted)
        before = cell.locator(".jp-InputPrompt").text_content()
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_function(_RAN, arg=[cell.element_handle(), before], timeout=120_000)
        self.idle()
        return cell

    def _among_cells(self) -> None:
        for _ in range(MANY_TABS):
            if self.page.evaluate(_AMONG_CELLS, NOTEBOOK):
                return
            self.page.keyboard.press("Shift+Tab")
        raise AssertionError("no way back among the cells")

    def card(self, step: str) -> KeyboardCard:
        return KeyboardCard(self, self.page.locator(f"{NOTEBOOK} .bw-step-{step}").first)

    def go_to(self, target: Locator) -> None:
        """Put the focus there by Tab or Shift+Tab."""
        handle = target.element_handle()
        assert handle is not None
        before, pressed = handle.evaluate(_LOOK), False
        for _ in range(MANY_TABS):
            if not (key := self.page.evaluate(_WAY, handle)):
                if pressed and handle.evaluate(_LOOK) == before:
                    self.faults.append(f"one does not see the focus: {handle.evaluate('e => e.outerHTML')[:200]}")
                return
            self.page.keyboard.press(key)
            pressed = True
        raise AssertionError(f"no way by Tab to {handle.evaluate('e => e.outerHTML.slice(0, 200)')}")

    def activate(self, target: Locator, key: str = "Enter") -> None:
        """Go there and press Enter."""
        self.go_to(target)
        self.page.keyboard.press(key)

    def play(self, player: Locator) -> None:
        """Start a player. It has stops of its own, and its button is the first."""
        self.go_to(player)
        while player.evaluate("player => player === document.activeElement"):
            self.page.keyboard.press("Shift+Tab")
        self.activate(player, "Space")
        self.page.wait_for_function("player => player.played.length > 0", arg=player.element_handle(), timeout=60_000)

    def picture(self, name: str) -> None:
        """A picture, and what axe-core says of the notebook: it judges contrast only where something is in sight."""
        self.faults += self.judged(name)

    def judged(self, name: str) -> list[str]:
        self.stretch()
        found = faults(self.page, name, f"{PANEL} {IN_LAB}")
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        return found


@dataclass
class KeyboardCard(CardPerson):
    """At one card, without a mouse."""

    person: KeyboardPerson

    def press(self, button: str, *, until: str) -> None:
        self.person.idle()
        ended = self.ended()
        self.click(button)
        self.wait_for(until, ended + 1)

    def click(self, button: str) -> None:
        self.person.activate(self.root.get_by_role("button", name=button, exact=True))

    def fill(self, label: str, value: str) -> None:
        keyboard = self.person.page.keyboard
        self.person.go_to(self.root.get_by_label(label, exact=True))
        keyboard.press("ControlOrMeta+a")
        keyboard.type(value)
        keyboard.press("Tab")

    def choose(self, label: str, option: str) -> None:
        box, keyboard = self.root.get_by_label(label, exact=True), self.person.page.keyboard
        self.person.go_to(box)
        now, wanted = box.evaluate(
            "(box, words) => [box.selectedIndex, [...box.options].findIndex(one =>"
            " one.textContent.replaceAll('\\u00a0', ' ') === words)]", option
        )  # fmt: skip
        keyboard.press("Space")
        for _ in range(abs(wanted - now)):
            keyboard.press("ArrowDown" if wanted > now else "ArrowUp")
        keyboard.press("Enter")
        assert wanted >= 0
        self.person.page.wait_for_function(_CHOSEN, arg=[box.element_handle(), wanted])

    def tab(self, name: str) -> None:
        """By arrows to the tab, then Enter."""
        tab = self.root.get_by_role("tab", name=re.compile(f"^{name}$"))
        self.person.go_to(self.root.locator('[role=tab][tabindex="0"]'))
        for _ in range(self.root.get_by_role("tab").count()):
            if tab.get_attribute("tabindex") == "0":  # the one that has the focus
                break
            self.person.page.keyboard.press("ArrowRight")
        self.person.page.keyboard.press("Enter")
        self.root.locator('[role=tab][aria-selected="true"]', has_text=re.compile(f"^{name}$")).wait_for()
