"""The whole walk without a mouse, 00 to 40 and 90 in a real JupyterLab, and axe-core on what each notebook shows: the
cards and pictures of the walk, and every kind of card, in the light and in the dark theme."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from keyboard_person import PANEL, KeyboardPerson
from lab_person import NOTEBOOK, browser_page, lab
from test_walk import STEPS, Walked, bind, press, start

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(900)]

EVERY_CARD = "every_card"
SOURCE = """import sys
sys.path.insert(0, {tests!r})
from every_card import show_every_card
show_every_card()"""
BAD = """from IPython.display import HTML
HTML('<p style="color:#aaa;background:#fff">faint</p><div data-status="failed">red</div><input>')"""


def leave(person: KeyboardPerson, walked: Walked, name: str) -> None:
    walked.errors[name] = person.errors()
    person.picture(f"keyboard_{name}")


@dataclass
class ByKeyboard(Walked):
    """mouse: one was used. faults: of the notebooks as they were left, of every card, in both themes.

    bad: of an output that is wrong on purpose.
    """

    mouse: bool = True
    statuses: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def set_up(person: KeyboardPerson, walked: Walked, name: str) -> None:
    """10, 20 or 30: each step applied; of the first all buttons, and what its tab By hand says."""
    bind(person, name)
    for step in STEPS[name]:
        person.run_cell(f"= run.{step}(")
        if step == "realm":
            person.card(step).fill("Description", "made by keys")
        if step == "application":
            press(person, walked, step, "Plan", "planned")
        press(person, walked, step, "Apply", "passed")
        card = person.card(step)
        card.tab("By hand")
        person.page.locator(f"{NOTEBOOK} .bw-step-{step} ol, .bw-step-{step} table").first.wait_for()
        press(person, walked, step, "Check what I did", "passed")
    leave(person, walked, name)


def calls_and_undo(person: KeyboardPerson, walked: Walked) -> None:
    bind(person, "40_test_calls")
    person.run_cell("run.ready()")
    press(person, walked, "ready", "Verify", "passed")
    press(person, walked, "callback", "Verify", "passed")
    for step in ("call_from_extension", "call_to_extension"):
        person.run_cell(f"run.{step}()")
        press(person, walked, step, "Place the call", "passed")
    person.play(person.page.locator(f"{NOTEBOOK} audio").first)
    person.run_cell("run.overview()")
    walked.said["overview"] = person.card("overview").result()
    person.run_cell("run.seal()")
    press(person, walked, "seal", "Seal the record", "passed")
    leave(person, walked, "40_test_calls")
    bind(person, "90_undo")
    person.run_cell("outcomes = run.undo(record)")
    press(person, walked, "undo", "Undo all of it", "passed")
    leave(person, walked, "90_undo")


def write_every_card(notebooks: Path) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    good = {**cell, "id": "good", "source": SOURCE.format(tests=str(Path(__file__).resolve().parent))}
    cells = [good, {**cell, "id": "bad", "source": BAD}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    content = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    notebooks.mkdir(parents=True, exist_ok=True)
    (notebooks / f"{EVERY_CARD}.ipynb").write_text(json.dumps(content))


def every_card(person: KeyboardPerson, walked: ByKeyboard) -> None:
    """By mouse again: a notebook that shows every kind of card; then each open notebook in the dark theme."""
    page = person.page
    page.locator(f'.jp-DirListing-item:has-text("{EVERY_CARD}.ipynb")').dblclick()
    page.locator(f"{PANEL} .jp-Cell", has_text="show_every_card").first.wait_for()
    person.run_cell("show_every_card()")
    walked.statuses = person.statuses()
    leave(person, walked, EVERY_CARD)
    page.locator('li.lm-MenuBar-item:has-text("Settings")').click()
    page.locator('.lm-Menu-item:has-text("Theme")').first.hover()
    page.locator('li[data-command="apputils:change-theme"]:has-text("JupyterLab Dark")').first.click()
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")
    for tab in page.locator("#jp-main-dock-panel .lm-DockPanel-tabBar .lm-TabBar-tab").all():
        tab.click()
        title = tab.inner_text().strip().removesuffix(".ipynb")
        person.picture(f"keyboard_{title}_dark")
    person.run_cell("faint")
    walked.bad = person.judged("keyboard_bad")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> ByKeyboard:
    home, seen = tmp_path_factory.mktemp("keyboard") / "home", ByKeyboard()
    with lab(home) as (url, process), browser_page() as page:
        write_every_card(home / "lab" / "notebooks")
        person = KeyboardPerson(page, url, seen.outside, seen.faults)
        start(person)
        leave(person, seen, "00_start")
        for name in STEPS:
            set_up(person, seen, name)
        calls_and_undo(person, seen)
        seen.mouse = person.mouse_used
        every_card(person, seen)
        process.terminate()
        process.wait(60)
    return seen


def test_every_step_is_done_without_a_mouse(walked: ByKeyboard) -> None:
    words = {"Plan": "planned"}
    assert [(step, button) for step, button, word in walked.badges if word != words.get(button, "passed")] == []
    assert len(walked.badges) >= 19
    assert not walked.mouse


def test_no_cell_failed(walked: ByKeyboard) -> None:
    assert {name: said for name, said in walked.errors.items() if said} == {}


def test_what_was_typed_counts_and_the_whole_is_green(walked: ByKeyboard) -> None:
    assert "made by keys" in walked.said["realm Check what I did"]
    assert "not proven" not in walked.said["overview"]


def test_every_kind_of_card_was_shown(walked: ByKeyboard) -> None:
    assert set(walked.statuses) == {"passed", "pending", "failed", "skipped"}


def test_axe_finds_nothing_in_what_is_ours_in_either_theme(walked: ByKeyboard) -> None:
    assert walked.faults == []


def test_the_check_finds_what_is_wrong_in_an_output(walked: ByKeyboard) -> None:
    rules = [re.sub(r"^keyboard_bad: (colour alone|[a-z-]+).*", r"\1", one, flags=re.DOTALL) for one in walked.bad]
    assert sorted(rules) == ["color-contrast", "colour alone", "label"]
