"""The notebooks as people meet them: `bw-runbook lab`, a real Chromium, Run All in each notebook of the guide.

Pictures of every notebook stay in build/screenshots/ (git-ignored), for people to look at.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest
from lab_person import DONE, ERRORS, FLAGS, HEIGHT, NOTEBOOK, OUTPUTS, SCREENSHOTS, chromium, lab

from bwlib.record.journal import read_lines
from bwlib.runner.run_site import GUIDE_NOTEBOOKS, UNDO_NOTEBOOK
from bwlib.sandbox import control
from bwlib.widgets import glossary

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, WebSocket

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(400)]

NOTEBOOKS = (*GUIDE_NOTEBOOKS, UNDO_NOTEBOOK)
# Until then a picture has no size, and so is not to be seen.
LOADED = "outputs => [...document.querySelectorAll(outputs + ' img')].every(image => image.complete)"


@dataclass
class Walk:
    """What was seen in the browser: by notebook the words of its outputs and of its errors; every address asked for."""

    outputs: dict[str, str] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    cards: dict[str, list[str]] = field(default_factory=dict)
    visible: dict[str, int] = field(default_factory=dict)
    given: list[dict[str, str]] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    words: dict[str, list[str]] = field(default_factory=dict)
    tabs_kept_in: list[str] = field(default_factory=list)
    popups: int = 0
    left_running: list[str] = field(default_factory=list)
    exit_code: int | None = None


def watch(page: Page, walk: Walk) -> None:
    """Note every address outside this machine, and let nothing go there."""

    def note(address: str) -> None:
        if urlsplit(address).scheme not in ("data", "blob") and urlsplit(address).hostname != "127.0.0.1":
            walk.outside.append(address)

    def request(seen: Request) -> None:
        note(seen.url)

    def frame(payload: str | bytes) -> None:
        told = payload if isinstance(payload, bytes) else payload.encode()
        if b"update_display_data" in told and b"<svg" in told:
            walk.drawn += [json.loads(text) for text in re.findall(rb'"text/plain": ?("(?:[^"\\]|\\.)*")', told)]

    def websocket(seen: WebSocket) -> None:
        note(seen.url)
        seen.on("framereceived", frame)

    page.on("request", request)
    page.on("websocket", websocket)
    page.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), lambda route: route.abort())


def run_all(page: Page, url: str, name: str, walk: Walk) -> None:
    """Open a notebook, wait for its kernel, run all cells, wait for all of them, keep what is shown."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(re.sub(r"[^/]+\.ipynb", f"{name}.ipynb", url) + "&reset")  # of several tabs, only this one
    page.get_by_text("| Idle").wait_for()
    page.locator('li.lm-MenuBar-item:has-text("Run")').click()
    page.locator('li[data-command="runmenu:run-all"]').click()
    page.wait_for_function(DONE, arg=NOTEBOOK, timeout=120_000)
    page.get_by_text("| Idle").wait_for()
    page.wait_for_function(LOADED, arg=OUTPUTS)
    take_picture(page, name)
    walk.outputs[name] = "\n".join(page.locator(OUTPUTS).all_inner_texts())
    walk.errors[name] = page.locator(ERRORS).all_inner_texts()
    walk.cards[name] = page.locator(f"{OUTPUTS} [data-status]").evaluate_all("all => all.map(e => e.dataset.status)")
    walk.popups += page.locator(".Toastify__toast, .jp-Dialog").count()
    for selector in ("svg[role=img]", "audio", "img"):
        shown = page.locator(f"{OUTPUTS} {selector}")
        walk.visible[f"{name} {selector}"] = sum(one.is_visible() for one in shown.all())


def give_picture(page: Page, home: Path, walk: Walk) -> None:
    """Press the button for a picture, choose a file, wait for its card; then what the record says of it."""
    with page.expect_file_chooser() as chooser:
        page.locator(OUTPUTS).get_by_role("button", name="Add a picture").click()
    chooser.value.set_files(SCREENSHOTS / "00_start.png")
    page.locator(f"{OUTPUTS} img[alt='Picture: 00_start']").wait_for()
    (journal,) = (home / "lab" / "runs").glob("*/*/journal.jsonl")
    walk.given = [line for line in read_lines(journal) if line["kind"] == "picture"]


def read_words(page: Page, url: str, home: Path, walk: Walk) -> None:
    """What the sanitizer leaves of the glossary: in a Markdown cell, and in an output that is not trusted."""
    html, text = glossary.glossary()
    output = {"output_type": "display_data", "data": {"text/html": html, "text/plain": text}, "metadata": {}}
    code = {"cell_type": "code", "source": "", "metadata": {}, "outputs": [output], "execution_count": None, "id": "c"}
    words = {"cell_type": "markdown", "source": glossary.explained("A trunk and BXML."), "metadata": {}, "id": "m"}
    notebook = {"cells": [words, code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (home / "lab" / "notebooks" / "words.ipynb").write_text(json.dumps(notebook))
    page.goto(re.sub(r"[^/]+\.ipynb", "words.ipynb", url) + "&reset")
    page.locator(f"{NOTEBOOK} abbr").first.wait_for()
    page.locator(f"{OUTPUTS} dt").first.wait_for()
    walk.words = {
        "titles": page.locator(f"{NOTEBOOK} .jp-MarkdownOutput abbr").evaluate_all("all => all.map(e => e.title)"),
        "list": page.locator(f"{OUTPUTS} dt").all_inner_texts(),
    }


def take_picture(page: Page, name: str) -> None:
    """The whole notebook in one picture: the window is made as tall as its content."""
    page.locator(f"{NOTEBOOK} .jp-Cell").first.scroll_into_view_if_needed()
    page.set_viewport_size({"width": 1280, "height": min(int(page.evaluate(HEIGHT, NOTEBOOK)) + 160, 12_000)})
    last = page.locator(f"{NOTEBOOK} .jp-Cell").last
    last.scroll_into_view_if_needed()
    box = last.bounding_box()
    assert box is not None
    page.set_viewport_size({"width": 1280, "height": int(box["y"] + box["height"]) + 60})
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def show_in_dark(page: Page) -> None:
    """The same page in JupyterLab's dark theme."""
    page.locator('li.lm-MenuBar-item:has-text("Settings")').click()
    page.locator('.lm-Menu-item:has-text("Theme")').first.hover()
    page.locator('li[data-command="apputils:change-theme"]:has-text("JupyterLab Dark")').first.click()
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """All notebooks in their order in one browser; then Ctrl-C."""
    executable = chromium()
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    home, walked = tmp_path_factory.mktemp("jupyterlab") / "home", Walk()
    with lab(home) as (url, process):
        with (
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=executable, args=list(FLAGS)) as browser,
        ):
            page = browser.new_page()
            page.set_default_timeout(60_000)
            watch(page, walked)
            for name in NOTEBOOKS:
                run_all(page, url, name, walked)
                if name == "30_pbx":
                    give_picture(page, home, walked)
                if name == "40_test_calls":
                    show_in_dark(page)
                    page.screenshot(path=SCREENSHOTS / f"{name}_dark.png")
            read_words(page, url, home, walked)
        started = processes_of(process, home)
        process.send_signal(signal.SIGINT)
        walked.exit_code = process.wait(60)
        _, alive = psutil.wait_procs(started, timeout=60)
        walked.left_running = [str(one) for one in alive]
        kept = home.rglob("*.jupyterlab-workspace")
        walked.tabs_kept_in = [path.parent.relative_to(home).as_posix() for path in kept]
    return walked


def processes_of(process: subprocess.Popen[str], home: Path) -> list[psutil.Process]:
    """JupyterLab, its kernels, and the sandbox with its children, which is no child of JupyterLab's."""
    sandbox = control.attach(home)
    roots = [process.pid, *([int(sandbox.status()["pid"])] if sandbox else [])]
    return [one for root in roots for one in (psutil.Process(root), *psutil.Process(root).children(recursive=True))]


def test_which_tabs_were_open_is_kept_with_this_site_and_comes_back_in_no_other(walk: Walk) -> None:
    assert walk.tabs_kept_in == ["jupyter/workspaces"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_run_all_ends_without_an_error(walk: Walk, name: str) -> None:
    assert walk.errors[name] == []


@pytest.mark.parametrize(("name", "cards"), [
    ("00_start", 1), ("10_application", 3), ("20_sip_credentials", 7), ("30_pbx", 7), ("40_test_calls", 4),
    ("90_undo", 7),
])  # fmt: skip
def test_every_step_has_a_card_that_says_passed(walk: Walk, name: str, cards: int) -> None:
    assert walk.cards[name] == ["passed"] * cards


def test_the_cards_say_what_was_done_in_words(walk: Walk) -> None:
    assert walk.outputs["20_sip_credentials"].count("unchanged") >= 2
    assert walk.outputs["90_undo"].count("removed") >= 6
    assert "nothing to undo" in walk.outputs["90_undo"]
    assert all("SANDBOX" in shown for shown in walk.outputs.values())


def test_both_calls_show_their_ladder_and_what_was_heard(walk: Walk) -> None:
    assert walk.visible["40_test_calls svg[role=img]"] == 3  # both calls, and the whole
    assert walk.visible["40_test_calls audio"] == 4


@pytest.mark.parametrize(("title", "begins"), [
    ("Call from the extension to the application", "407 Proxy Authentication Required"),
    ("Programmatic call to the extension", "180 Ringing"),
])  # fmt: skip
def test_a_call_is_drawn_while_it_goes_on(walk: Walk, title: str, begins: str) -> None:
    drawn = [text.partition("\n… ")[0] for text in walk.drawn if text.startswith(title)]  # without what is told below
    before_its_end = [text for text in drawn if "disconnect, cause hangup" not in text]
    assert len(set(before_its_end)) >= 2
    assert all(word in drawn[-1] for word in (
        "INVITE", begins, "200 OK", "presses 4 (DTMF)", "gather, digits 4", "BYE", "disconnect, cause hangup",
    ))  # fmt: skip


def test_each_step_of_the_guide_shows_its_pictures(walk: Walk) -> None:
    shown = [walk.visible[f"{name} img"] for name in ("10_application", "20_sip_credentials", "30_pbx")]
    assert shown == [1, 2, 1]


def test_a_picture_that_a_person_chooses_goes_into_the_record(walk: Walk) -> None:
    assert [(line["title"], line["file"]) for line in walk.given] == [("00_start", "screenshots/by_hand_1.png")]


def test_the_glossary_passes_jupyterlabs_sanitizer(walk: Walk) -> None:
    assert walk.words["titles"] == [glossary.meaning("trunk"), glossary.meaning("BXML")]
    assert set(walk.words["list"]) == set(glossary.WORDS)


def test_nothing_is_fetched_from_outside(walk: Walk) -> None:
    assert walk.outside == []


def test_no_popup_covers_the_page(walk: Walk) -> None:
    assert walk.popups == 0


def test_ctrl_c_ends_all_that_was_started(walk: Walk) -> None:
    assert walk.left_running == []
    assert walk.exit_code == 0
