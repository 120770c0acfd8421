"""The dashboard and the report for everybody: axe-core (WCAG 2.2 A and AA), colour never alone, Tab and Enter only,
200 % and 400 % zoom, forced colours. Step cards and pictures in JupyterLab: test_walk_by_keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from accessibility import faults, findings, moving, tab_faults, too_wide
from dashboard_person import PAGES
from lab_person import SCREENSHOTS, browser_page
from reported_run import empty_run, good_run, notebook, step
from sandbox_world import World, callbacks
from test_dashboard_browser import one_good_and_one_refused_call, press, sign_in

from bwlib.record import report as report_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

BAD = """<!DOCTYPE html><html lang="en"><head><title>Bad</title></head><body><main><h1>Bad</h1>
<p style="color:#aaa">faint</p> <input id="nameless"> <button></button> <img src="data:,">
<div data-status="failed" style="background:#9b1c1c;color:#fff">!</div>
<span style="display:inline-block;width:12px;height:12px;background:#1a6b33"></span>
<a href="#x" style="outline:none">a link</a> <a href="#y" style="position:absolute;top:300px">below</a>
<div style="position:absolute;top:280px;left:0;width:400px;height:80px;background:#fff">over it</div>
<button tabindex="3">out of order</button>
<div onclick="1" style="width:700px;transition:all 1s">not by keyboard, and wide</div></main></body></html>"""


@dataclass
class Looked:
    """What was wrong, in words, by what was asked; pages: those that were looked at."""

    pages: list[str] = field(default_factory=list)
    axe: list[str] = field(default_factory=list)
    tabs: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)


def look(page: Page, name: str, looked: Looked) -> None:
    """All that is asked of one page, as it stands."""
    looked.pages.append(name)
    looked.axe += faults(page, name)
    looked.tabs += [f"{name}: {one}" for one in tab_faults(page)]
    looked.wide += [f"{name}: {one}" for one in too_wide(page, 640, 320)]
    looked.moves += [f"{name}: {one}" for one in moving(page)]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser_page() as page:
        yield page


@pytest.fixture(scope="module")
def dashboard(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    """Every page of a dashboard in which something has happened, and the pages that say no."""
    world, looked = World(tmp_path_factory.mktemp("dashboard")), Looked()
    try:
        with callbacks() as server:
            one_good_and_one_refused_call(world, server.url, server.answers)
        world.sandbox.switch_fault_on("http-status", value="503", times=2, match={"path": "*/never*"})
        world.sandbox.set_switch("options", "silent")
        page.goto(world.sandbox.dashboard_url)
        look(page, "dashboard_sign_in", looked)
        press(page, "Sign in")
        look(page, "dashboard_sign_in_refused", looked)
        sign_in(page, world.sandbox)
        for path in paths_of(page, world):
            page.goto(f"{world.sandbox.dashboard_url}{path}")
            open_all(page)
            look(page, "dashboard" + re.sub(r"[^a-z]+", "_", re.sub(r"/[\w-]{20,}|\d+", "/one", path)), looked)
        refused_forms(page, world, looked)
        page.emulate_media(forced_colors="active")
        page.goto(f"{world.sandbox.dashboard_url}/applications")
        looked.tabs += [f"forced colours: {one}" for one in tab_faults(page)]
        page.emulate_media(forced_colors="none")
        yield looked
    finally:
        world.close()


def paths_of(page: Page, world: World) -> list[str]:
    """The pages by their names, and those that they link to; of several of one kind the first."""
    found: dict[str, str] = {}
    for path in PAGES:
        page.goto(f"{world.sandbox.dashboard_url}{path}")
        links = page.locator("a[href^='/dashboard/']").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        for link in [f"/dashboard{path}", *map(str, links)]:
            if not link.endswith(".wav"):
                kind = re.sub(r"/[\w-]{20,}|\d+", "/one", link.partition("?")[0])
                found.setdefault(kind, link.removeprefix("/dashboard"))
    return sorted(found.values())


def refused_forms(page: Page, world: World, looked: Looked) -> None:
    """What a form says to an empty answer, and a page that is not there."""
    for path, button in (
        ("/applications/new", "Save changes"), ("/account/realms/new", "Add"),
        ("/account/sip-credentials/new", "Add SIP Credentials"),
    ):  # fmt: skip
        page.goto(f"{world.sandbox.dashboard_url}{path}")
        page.locator("form").evaluate_all("all => all.forEach(form => form.noValidate = true)")
        page.get_by_role("main").get_by_role("button", name=button, exact=True).click()
        page.locator(".refused, [aria-invalid=true]").first.wait_for()
        look(page, "dashboard_refused" + path.replace("/", "_"), looked)
    page.goto(f"{world.sandbox.dashboard_url}/applications/nobody")
    look(page, "dashboard_stopped", looked)


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('main details').forEach(one => one.open = true)")


@pytest.fixture(scope="module")
def report(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """Of a run that passed and of one that failed; all that is folded is open, its pictures too."""
    looked, good = Looked(), good_run(tmp_path_factory.mktemp("good"))
    failed = empty_run(tmp_path_factory.mktemp("failed"))
    notebook(failed, "20_sip_credentials", "running")
    step(failed, "realm", "failed", "20_sip_credentials", attempted="a", came_back="HTTP 403", do_next="ask")
    notebook(failed, "20_sip_credentials", "failed", "NotEntitled in cell 9")
    for name, record in (("report_passed", good), ("report_failed", failed)):
        record.write_text("report.html", report_of._page(record.folder))  # without the PDF, which takes its time
        page.goto((record.folder / "report.html").as_uri())
        open_all(page)
        look(page, name, looked)
        page.emulate_media(forced_colors="active", color_scheme="dark")
        page.screenshot(path=SCREENSHOTS / f"{name}_forced_colours.png", full_page=True)
        page.emulate_media(forced_colors="none", color_scheme="light")
    return looked


def test_the_checks_of_this_file_find_what_is_wrong(page: Page, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(BAD)
    page.goto((tmp_path / "bad.html").as_uri())
    rules = {one.rule for one in findings(page)}
    assert rules >= {"color-contrast", "label", "button-name", "image-alt"}
    assert {one.rule for one in findings(page, "button") if one.ours} == {"button-name"}
    alone = [one for one in faults(page, "self_test") if "colour alone" in one]
    assert ["data-status" in one for one in alone] == [True, False]
    said = tab_faults(page)
    for words in ("see the focus", "covered", "page's order"):
        assert [one for one in said if words in one], words
    assert too_wide(page, 640) != []
    assert len(moving(page)) == 1


def test_every_page_was_looked_at(dashboard: Looked) -> None:
    assert len(dashboard.pages) >= 20
    assert any("_calls_one" in name for name in dashboard.pages)


def test_axe_finds_nothing_in_the_dashboard(dashboard: Looked) -> None:
    assert dashboard.axe == []


def test_tab_leads_everywhere_in_the_dashboard_and_one_sees_where_one_is(dashboard: Looked) -> None:
    assert dashboard.tabs == []


def test_the_dashboard_is_not_scrolled_sideways_at_200_and_400_percent(dashboard: Looked) -> None:
    assert dashboard.wide == []


def test_axe_finds_nothing_in_the_report(report: Looked) -> None:
    assert report.axe == []


def test_tab_leads_everywhere_in_the_report_and_one_sees_where_one_is(report: Looked) -> None:
    assert report.tabs == []


def test_the_report_is_not_scrolled_sideways_at_200_and_400_percent(report: Looked) -> None:
    assert report.wide == []


def test_nothing_moves_for_those_who_asked_for_less_motion(dashboard: Looked, report: Looked) -> None:
    assert dashboard.moves + report.moves == []
