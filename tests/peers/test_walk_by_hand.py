"""The walk by hand: what the cards' tabs say is clicked at the dashboard and written into the PBX's files, as a person
would; *Check what I did* names each wrong entry, then finds everything right, and the call is heard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lab_person import CardPerson, LabPerson, browser_page, lab

from bwlib.run import sandbox_pbx
from bwlib.sandbox import control
from bwlib.site_file import write_answers

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(400)]

CHECK = "Check what I did"
REGISTRATION = """
[of-an-example]
type = registration
server_uri = sip:{realm}
client_uri = sip:{user}@{realm}
outbound_proxy = sip:{proxy}\\;lr
"""


@dataclass
class Stage:
    person: LabPerson
    dashboard: Page
    sandbox: Any
    site: Path

    def tab(self, step: str, cell: str) -> CardPerson:
        """The step's card, its cell run, the tab opened and filled."""
        self.person.run_cell(cell)
        card = self.person.card(step)
        card.tab("By hand")
        card.root.get_by_role("button", name=CHECK, exact=True).wait_for()
        card.root.locator("[aria-label^='Copy '], [role=alert]").first.wait_for()
        return card

    def refused(self, card: CardPerson, *said: str) -> None:
        card.press(CHECK, until="failed")
        for words in said:
            assert words in card.result(), card.result()


def copied(card: CardPerson, label: str) -> str:
    """What the copy button beside this label puts into the clipboard."""
    value = card.root.locator(f"[aria-label='Copy {label}']").first.get_attribute("data-value")
    assert value is not None
    return value


def shown(card: CardPerson, label: str) -> str:
    """The secret, while its button is down."""
    button = card.root.get_by_role("button", name=f"Show {label}")
    button.click()
    code = card.root.locator("code[style*='user-select']")
    code.wait_for()
    secret = code.inner_text()
    button.click()
    code.wait_for(state="detached")
    return secret


def press(page: Page, name: str, inside: str = "") -> None:
    place = page.get_by_role("region", name=inside) if inside else page
    place.get_by_role("link", name=name, exact=True).or_(place.get_by_role("button", name=name, exact=True)).click()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("byhand") / "home"
    with lab(home) as (url, _), browser_page() as page:
        person, site = LabPerson(page, url), home / "lab" / "site.toml"
        person.open("00_start")
        person.run_all()
        write_answers(site, {"walk": "click"})
        sandbox = control.attach(home)
        assert sandbox is not None
        dashboard = page.context.browser.new_page()  # type: ignore[union-attr]
        dashboard.set_default_timeout(60_000)
        yield Stage(person, dashboard, sandbox, site)


def test_step_1_get_instead_of_post_and_a_wrong_type_are_named(stage: Stage) -> None:
    person, page = stage.person, stage.dashboard
    person.open("10_application")
    person.run_cell("site_file = None")
    person.run_cell("open_run(")
    card = stage.tab("application", "application = run.application()")
    page.goto(stage.sandbox.dashboard_url)
    page.get_by_label("User name").fill(stage.sandbox.dashboard_user)
    page.get_by_label("Password").fill(stage.sandbox.dashboard_password.get_secret_value())
    press(page, "Sign in")
    press(page, "Applications")
    press(page, "Create New")
    page.get_by_label("Application name").fill(copied(card, "Application name"))
    page.get_by_label("Voice", exact=True).check()
    page.get_by_label("Call initiated callback URL").fill(copied(card, "Call initiated callback URL"))
    page.get_by_label("Call initiated method").select_option("GET")
    page.get_by_label("Call status callback URL").fill(copied(card, "Call status callback URL"))
    page.get_by_label("Call status method").select_option("POST")
    page.get_by_label("Callback user ID").fill(copied(card, "Callback user ID"))
    page.get_by_label("Callback password").fill(shown(card, "callback password"))
    press(page, "Save changes")
    page.get_by_text("The application is created.").wait_for()
    stage.refused(card, "Call initiated method", "GET", "POST")
    page.get_by_label("Call initiated method").select_option("POST")
    press(page, "Save changes")
    page.get_by_text(re.compile("saved|changed")).first.wait_for()
    card.press(CHECK, until="passed")
    person.run_cell("run.callback()")
    person.card("callback").press("Verify", until="passed")  # so the password was typed rightly
    person.picture("by_hand_10_application")


def test_step_2_a_credential_bound_to_another_application_is_named(stage: Stage) -> None:
    person, page = stage.person, stage.dashboard
    press(page, "Create New")
    page.get_by_label("Application name").fill("Another one")
    page.get_by_label("Voice", exact=True).check()
    page.get_by_label("Call initiated callback URL").fill("https://127.0.0.1:9/")
    press(page, "Save changes")
    person.open("20_sip_credentials")
    person.run_cell("site_file = None")
    person.run_cell("open_run(")
    card = stage.tab("realm", "realm = run.realm()")
    stage.refused(card, "there is none of that name")
    page.goto(f"{stage.sandbox.dashboard_url}/account/sip-credentials")
    press(page, "Add", "Manage Realms")
    page.get_by_label("Name").fill(copied(card, "Name"))
    page.get_by_label("Description").fill(copied(card, "Description"))
    press(page, "Add")
    page.get_by_text("is being created.").wait_for()
    while page.get_by_text("CREATE_PENDING").count():
        press(page, "Reload")
        page.wait_for_load_state()
    card.press(CHECK, until="passed")
    card = stage.tab("sip_credential", "credential = run.sip_credential(realm)")
    press(page, "Add", "SIP Credentials")
    page.get_by_label("User name").fill(copied(card, "User name"))
    page.get_by_label("Password").fill(shown(card, "password"))
    page.get_by_label("Realm", exact=True).select_option(copied(card, "Realm"))
    page.get_by_label("Application", exact=True).select_option("Another one")
    press(page, "Add SIP Credentials")
    page.get_by_text("is added.").wait_for()
    stage.refused(card, "Another one")
    person.picture("by_hand_20_sip_credentials")
    page.get_by_role("link", name=copied(card, "User name")).first.click()
    page.get_by_label("Application", exact=True).select_option(copied(card, "Application"))
    press(page, "Save changes")
    page.get_by_text("is changed.").wait_for()
    card.press(CHECK, until="passed")


def test_step_3_registration_left_on_is_named(stage: Stage) -> None:
    person = stage.person
    person.open("30_pbx")
    person.run_cell("site_file = None")
    person.run_cell("open_run(")
    pbx = sandbox_pbx(stage.sandbox)
    folder = Path(stage.sandbox.get_note("pbx")["config_dir"])
    cards = {}
    for step, secret in (("trunk", "password"), ("route", ""), ("extension", "password")):
        card = cards[step] = stage.tab(step, f"{step} = run.{step}()")
        password = shown(card, secret) if secret else ""
        for file in ("pjsip.conf", "extensions.conf"):
            if card.root.locator(f"[aria-label='Copy {file}']").count():
                text = copied(card, file).replace("(not shown)", password.replace(";", "\\;"))
                with (folder / file).open("a", encoding="utf-8") as config:
                    config.write(f"\n{text}\n")
    before = (folder / "pjsip.conf").read_text()
    realm = re.findall(r"([a-z0-9.-]+\.auth\.bandwidth\.test)", before)[0]
    proxy = "{}:{}".format(*stage.sandbox.edge)
    (folder / "pjsip.conf").write_text(before + REGISTRATION.format(realm=realm, user="x", proxy=proxy))
    pbx.apply()
    stage.refused(cards["trunk"], "Registration is left on", "type registration")
    (folder / "pjsip.conf").write_text(before)
    pbx.apply()
    for card in cards.values():
        card.press(CHECK, until="passed")
    person.run_cell("run.check_pbx()")
    person.card("check_pbx").press(CHECK, until="passed")
    person.picture("by_hand_30_pbx")


def test_the_call_over_what_was_made_by_hand_is_heard(stage: Stage) -> None:
    person = stage.person
    person.open("40_test_calls")
    person.run_cell("site_file = None")
    person.run_cell("open_run(")
    for step in ("call_from_extension", "call_to_extension"):
        person.run_cell(f"run.{step}()")
        person.card(step).press("Place the call", until="passed")
        assert "correlation 0.99" in person.card(step).result()


def test_no_secret_was_saved(stage: Stage) -> None:
    stage.person.save()
    secrets = [path.read_text().strip() for path in (stage.site.parent / "secrets").iterdir()]
    assert len(secrets) >= 2
    for path in stage.site.parent.rglob("*"):
        if path.is_file() and path.parent.name != "secrets":
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path
