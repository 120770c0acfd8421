"""Guide steps 1 and 2 by hand in a real Chromium, with and without JavaScript, by keyboard too; then the same checks
as after the API path. Pictures stay in build/screenshots/ (git-ignored), for people to look at."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from dashboard_person import Person, call_page
from lab_person import FLAGS, SCREENSHOTS, chromium
from sandbox_world import Pbx, World, callbacks, eventually

from bwlib import open_run, start_site
from bwlib.errors import NotAsExpected
from bwlib.record.run_record import latest_steps
from bwlib.sandbox import control
from bwlib.sandbox.control import Sandbox
from bwlib.settings import load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    from playwright.sync_api import sync_playwright

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=list(FLAGS)) as browser,
    ):
        yield browser


@contextlib.contextmanager
def window(browser: Browser, script: bool = True, width: int = 1280) -> Iterator[Page]:
    """A page in a fresh window. Afterwards: nothing was asked of another host, no script or style was refused."""
    asked, complaints = [], []
    context = browser.new_context(java_script_enabled=script, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("request", lambda request: asked.append(urlsplit(request.url).hostname))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert set(asked) <= {"127.0.0.1"}
    assert [text for text in complaints if "Content Security Policy" in text or "rror:" in text] == []


def picture(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"dashboard_{name}.png", full_page=True)


def press(page: Page, name: str, inside: str = "") -> None:
    """A link or a button by its exact name, as the guide prints it; `inside` the section of this name."""
    place = page.get_by_role("region", name=inside) if inside else page
    place.get_by_role("link", name=name, exact=True).or_(place.get_by_role("button", name=name, exact=True)).click()


def sign_in(page: Page, sandbox: Sandbox) -> None:
    page.goto(sandbox.dashboard_url)
    page.get_by_label("User name").fill(sandbox.dashboard_user)
    page.get_by_label("Password").fill(sandbox.dashboard_password.get_secret_value())
    press(page, "Sign in")
    page.get_by_role("heading", name="Applications").wait_for()


def guide_step_1(page: Page, sandbox: Sandbox, name: str, shots: str) -> None:
    press(page, "Applications")
    press(page, "Create New")
    page.get_by_label("Application name").fill(name)
    page.get_by_label("Voice", exact=True).check()
    page.get_by_label("Call initiated callback URL").fill(f"{sandbox.readback.url}/initiate")
    page.get_by_label("Call initiated method").select_option("POST")
    page.get_by_label("Call status callback URL").fill(f"{sandbox.readback.url}/disconnect")
    page.get_by_label("Call status method").select_option("POST")
    page.get_by_label("Callback user ID").fill(sandbox.readback.user)
    page.get_by_label("Callback password").fill(sandbox.readback.password.get_secret_value())
    picture(page, f"{shots}_1_create_new")
    press(page, "Save changes")
    page.get_by_text("The application is created.").wait_for()
    picture(page, f"{shots}_2_application")


def guide_step_2(page: Page, sandbox: Sandbox, site: Path, shots: str) -> None:
    settings = load_settings(site)
    page.get_by_text(sandbox.dashboard_user).click()
    press(page, "Account")
    press(page, "SIP Credentials")
    press(page, "Add", "Manage Realms")
    page.get_by_label("Name").fill(settings.realm.name)
    page.get_by_label("Description").fill(settings.realm.description)
    picture(page, f"{shots}_3_realm")
    press(page, "Add")
    while page.get_by_text("CREATE_PENDING").count():
        press(page, "Reload")
    page.get_by_text("ACTIVE", exact=True).wait_for()
    press(page, "Add", "SIP Credentials")
    page.get_by_label("User name").fill(settings.sip_credential.username)
    page.get_by_label("Password").fill((site.parent / "secrets" / "sip_password").read_text().strip())
    page.get_by_label("Realm", exact=True).select_option(index=0)
    page.get_by_label("Application", exact=True).select_option(settings.application.name)
    picture(page, f"{shots}_4_credential")
    press(page, "Add SIP Credentials")
    page.get_by_text("is added.").wait_for()
    picture(page, f"{shots}_5_sip_credentials")


def checked(site: Path) -> dict[str, tuple[str, str]]:
    """(status, action) of each step, by what notebooks 10 and 20 call."""
    run = open_run(site, notebook="10_application")
    run.application()
    run.callback()
    run.sip_credential(run.realm())
    steps = latest_steps(run.record.folder)
    run.seal()
    return {name: (step["status"], step["action"]) for name, step in steps.items()}


@pytest.mark.parametrize("script", [True, False], ids=["with-javascript", "without-javascript"])
def test_what_a_person_sets_up_by_hand_passes_the_checks_of_the_api_path(
    browser: Browser, home: Path, script: bool
) -> None:
    site = home / "by-hand" / "site.toml"
    start_site(site, name="by-hand")
    sandbox = control.start()
    with window(browser, script) as page:
        sign_in(page, sandbox)
        guide_step_1(page, sandbox, load_settings(site).application.name, "script" if script else "plain")
        guide_step_2(page, sandbox, site, "script" if script else "plain")
    since = max(exchange["id"] for exchange in sandbox.exchanges())
    passed = ("passed", "unchanged")
    steps = checked(site)
    assert {name: steps[name] for name in ("application", "realm", "sip_credential")} == {
        "application": passed, "realm": passed, "sip_credential": passed}  # fmt: skip
    assert steps["callback"][0] == "passed"
    written = [one["method"] for one in sandbox.exchanges(since) if "/accounts/" in one["path"]]
    assert set(written) == {"GET"}


def test_a_wrong_password_typed_by_hand_is_found_by_the_check(browser: Browser, home: Path) -> None:
    site = home / "by-hand" / "site.toml"
    start_site(site, name="by-hand")
    (site.parent / "secrets" / "sip_password").write_text("what-was-typed")
    sandbox = control.start()
    with window(browser) as page:
        sign_in(page, sandbox)
        guide_step_1(page, sandbox, load_settings(site).application.name, "wrong")
        guide_step_2(page, sandbox, site, "wrong")
    (site.parent / "secrets" / "sip_password").write_text("what-the-site-file-means")
    with pytest.raises(NotAsExpected, match="password"):
        checked(site)


def test_the_guides_path_can_be_walked_by_keyboard(browser: Browser, home: Path) -> None:
    sandbox = control.start()
    with window(browser) as page:
        sign_in(page, sandbox)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        tab_to(page, sandbox.dashboard_user)
        page.keyboard.press("Enter")
        tab_to(page, "Account")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Account").wait_for()
        tab_to(page, "SIP Credentials")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Manage Realms").wait_for()
        tab_to(page, "Add")
        page.keyboard.press("Enter")
        page.get_by_label("Name").focus()
        page.keyboard.type("bykeyboard")
        page.keyboard.press("Enter")
        page.get_by_text("Realm bykeyboard is being created.").wait_for()


def tab_to(page: Page, words: str) -> None:
    for _ in range(40):
        if page.evaluate("document.activeElement.textContent.trim()") == words:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no way by Tab to {words}")


def test_nothing_is_wider_than_a_narrow_window(browser: Browser, home: Path) -> None:
    sandbox = control.start()
    with window(browser, width=360) as page:
        sign_in(page, sandbox)
        for path in ("applications/new", "account/sip-credentials", "calls", "webhooks", "sandbox"):
            page.goto(f"{sandbox.dashboard_url}/{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_a_stored_script_does_not_run(browser: Browser, home: Path) -> None:
    sandbox = control.start()
    with window(browser) as page:
        sign_in(page, sandbox)
        guide_step_1(
            page, sandbox, "<script>document.title='run'</script><img src=x onerror=document.title='run'>", "x"
        )
        for path in ("applications", "account/sip-credentials/new"):
            page.goto(f"{sandbox.dashboard_url}/{path}")
            assert "SANDBOX dashboard" in page.title()
            assert page.locator("img, script").count() == 0


def test_pictures_of_a_call_and_of_what_can_be_turned(browser: Browser, home: Path) -> None:
    world = World(home)
    with callbacks() as server, window(browser) as page:
        one_good_and_one_refused_call(world, server.url, server.answers)
        world.sandbox.switch_fault_on("http-status", value="503", times=2, match={"path": "*/realms*"})
        world.sandbox.set_switch("options", "silent")
        sign_in(page, world.sandbox)
        for name in ("Calls", "Webhooks", "Switches and faults"):
            press(page, name)
            picture(page, name.lower().replace(" ", "_"))
        press(page, "Calls")
        page.get_by_role("link", name="Ladder, webhooks, BXML").first.click()
        page.locator(".events summary").first.click()
        picture(page, "call")
        assert page.locator("svg[role=img]").is_visible()
        assert page.locator("audio").first.is_visible()
    world.close()


def one_good_and_one_refused_call(world: World, url: str, answers: dict[str, object]) -> None:
    answers["/i"] = (
        '<Response><SpeakSentence>Press one digit</SpeakSentence><Gather gatherUrl="/g" maxDigits="1"/></Response>'
    )
    answers["/g"] = "<Response><SpeakSentence>Goodbye</SpeakSentence><Hangup/></Response>"
    realm = world.realm("pictures")
    world.credential(realm, "pbx", world.application(f"{url}/i", CallStatusCallbackUrl=f"{url}/d"))
    person = Person(world.sandbox)
    person.sign_in()

    async def call() -> None:
        async with Pbx(world, realm[1]) as pbx:
            assert await pbx.refused(password="wrong") == 403
            talking, media = await pbx.talk()
            await asyncio.to_thread(eventually, lambda: "<Gather" in call_page(person).words.partition("carried")[2])
            await media.send_digits("4")
            await asyncio.wait_for(talking.ended.wait(), 20)
            await media.close()

    with ThreadPoolExecutor(1) as aside:  # Playwright's own event loop runs in this thread
        aside.submit(asyncio.run, call()).result()
    person.close()
    eventually(lambda: world.sandbox.calls()[0]["state"] == "disconnected")
