"""A person at JupyterLab in a real Chromium: opens notebooks, runs cells, fills in cards, presses buttons."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from peers import missing, module

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Request, Response, WebSocket

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = PROJECT / "build" / "screenshots"
# Chromium would otherwise look up its maker's hosts at every start.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook"
OUTPUTS = f"{NOTEBOOK} .jp-OutputArea-output"
ERRORS = f'{NOTEBOOK} [data-mime-type="application/vnd.jupyter.stderr"]'  # JupyterLab renders exceptions as this too
# Run All marks every cell with a star at once; a cell that is done has a number, one below a failure has nothing.
DONE = """(notebook) => {
    const prompts = [...document.querySelectorAll(notebook + ' .jp-CodeCell .jp-InputPrompt')].map(p => p.textContent);
    return prompts.some(text => /\\d/.test(text)) && !prompts.some(text => text.includes('*'));
}"""
HEIGHT = """(notebook) => Math.max(...[...document.querySelectorAll(notebook + ',' + notebook + ' *')]
    .map(part => part.scrollHeight))"""

# Where the last cell ends, once JupyterLab has followed the window and all cells are in sight.
IN_SIGHT = """(notebook) => {
    const outer = document.querySelector(notebook + ' .jp-WindowedPanel-outer');
    outer.scrollTop = 0;
    const ends = [...document.querySelectorAll(notebook + ' .jp-Cell')].at(-1).getBoundingClientRect().bottom;
    return ends <= outer.getBoundingClientRect().bottom + 1 && ends;
}"""


def chromium() -> str:
    """Where it is. Missing: a failure where CI is set, else a skip with the line that installs it."""
    module("playwright", "playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or missing("chromium", "apt-get install -y --no-install-recommends chromium")


@contextlib.contextmanager
def lab(home: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`bw-runbook lab` with a home of its own; its address."""
    home.mkdir(parents=True)
    variables = {"HOME": home, "BW_RUNBOOK_HOME": home, "BW_RUNBOOK_SITE": home / "lab" / "site.toml"}
    variables |= {"BW_RUNBOOK_CACHE": os.environ.get("BW_RUNBOOK_CACHE") or Path("~/.cache/bw-runbook").expanduser()}
    with subprocess.Popen(
        [sys.executable, "-m", "bwlib.cli", "lab", "--no-browser"],
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            if process.poll() is None:
                process.terminate()


@contextlib.contextmanager
def browser_page() -> Iterator[Page]:
    """A page of a real browser, nothing shared with another test."""
    executable = chromium()
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=list(FLAGS)) as browser,
    ):
        page = browser.new_page()
        page.set_default_timeout(60_000)
        yield page


@dataclass
class LabPerson:
    """At one page. url: the lab's address, with its token. outside: every address asked for beyond this machine."""

    page: Page
    url: str
    outside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note every address outside this machine, and let nothing go there."""
        self.page.on("request", self._note_request)
        self.page.on("websocket", self._note_websocket)
        self.page.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), lambda route: route.abort())

    def _note_request(self, seen: Request) -> None:
        self._note(seen.url)

    def _note_websocket(self, seen: WebSocket) -> None:
        self._note(seen.url)

    def _note(self, address: str) -> None:
        if urlsplit(address).scheme not in ("data", "blob") and urlsplit(address).hostname != "127.0.0.1":
            self.outside.append(address)

    # ------------------------------------------------------------ notebooks

    def open(self, name: str) -> None:
        """Of several tabs, only this one; its kernel is ready."""
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.goto(re.sub(r"[^/]+\.ipynb", f"{name}.ipynb", self.url) + "&reset")
        self.idle()

    def idle(self) -> None:
        self.page.get_by_text("| Idle").wait_for()

    def run_all(self) -> None:
        self.menu("Run", "runmenu:run-all")
        self.page.wait_for_function(DONE, arg=NOTEBOOK, timeout=120_000)
        self.idle()

    def menu(self, menu: str, command: str) -> None:
        self.page.locator(f'li.lm-MenuBar-item:has-text("{menu}")').click()
        self.page.locator(f'li[data-command="{command}"]').click()

    def save(self) -> None:
        """By the menu; it is on the disk then."""

        def is_saved(answer: Response) -> bool:
            return answer.request.method == "PUT" and "/api/contents/" in answer.url

        with self.page.expect_response(is_saved):
            self.menu("File", "docmanager:save")

    def cell(self, source: str) -> Locator:
        """The code cell whose source has these words."""
        return self.page.locator(f"{NOTEBOOK} .jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea-editor", has_text=source)
        )

    def run_cell(self, source: str) -> Locator:
        """Click into it, press the toolbar's button, wait until it has a number; the cell."""
        self.idle()
        cell = self.cell(source).first
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").click()
        self.page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) [data-jp-item-name="run"] jp-button').click()
        cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]")).wait_for(timeout=120_000)
        self.idle()
        return cell

    def errors(self) -> list[str]:
        return self.page.locator(ERRORS).all_inner_texts()

    def outputs(self) -> str:
        return "\n".join(self.page.locator(OUTPUTS).all_inner_texts())

    def statuses(self) -> list[str]:
        """Of every card with a result, in their order."""
        return self.page.locator(f"{OUTPUTS} [data-status]").evaluate_all("all => all.map(e => e.dataset.status)")

    def card(self, step: str) -> CardPerson:
        """The card with the step's form."""
        return CardPerson(self, self.page.locator(f"{NOTEBOOK} .bw-step-{step}").first)

    # ------------------------------------------------------------ pictures

    def picture(self, name: str) -> None:
        """The whole notebook in one picture."""
        self.stretch()
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
        self.page.set_viewport_size({"width": 1280, "height": 900})

    def stretch(self) -> None:
        """Make the window as tall as the notebook, so that all of it is in sight."""
        page = self.page
        page.set_viewport_size({"width": 1280, "height": min(int(page.evaluate(HEIGHT, NOTEBOOK)) + 160, 12_000)})
        bottom = page.wait_for_function(IN_SIGHT, arg=NOTEBOOK).json_value()
        page.set_viewport_size({"width": 1280, "height": int(bottom) + 60})
        page.wait_for_function(IN_SIGHT, arg=NOTEBOOK)


@dataclass
class CardPerson:
    """At one card."""

    person: LabPerson
    root: Locator

    def press(self, button: str, *, until: str) -> None:
        """Click the button and wait for this word in the badge."""
        self.person.idle()
        one = self.root.get_by_role("button", name=button, exact=True)
        one.scroll_into_view_if_needed()
        ended = self.ended()
        one.click()
        self.wait_for(until, ended + 1)

    def click(self, button: str) -> None:
        self.root.get_by_role("button", name=button, exact=True).click()

    def wait_for(self, word: str, ended: int) -> None:
        """Until so many presses have ended; then the badge says so, or what the card brought is told."""
        self.root.locator(f'.bw-badge[data-ended="{ended}"]').wait_for(timeout=60_000)
        self.person.idle()
        assert self.badge() == word, self.result()

    def ended(self) -> int:
        return int(self.root.locator(".bw-badge").get_attribute("data-ended") or 0)

    def badge(self) -> str:
        return self.root.locator(".bw-badge").inner_text().split(maxsplit=1)[-1].strip()

    def fill(self, label: str, value: str) -> None:
        self.root.get_by_label(label, exact=True).fill(value)

    def choose(self, label: str, option: str) -> None:
        self.root.get_by_label(label, exact=True).select_option(label=option)

    def tab(self, name: str) -> None:
        self.root.get_by_role("tab", name=name).click()

    def says(self) -> str:
        """The words of the card itself."""
        return self.root.inner_text()

    def result(self) -> str:
        """What stands below it: the output that follows the card."""
        return self.root.evaluate("root => root.closest('.jp-OutputArea-child').nextElementSibling?.innerText ?? ''")
