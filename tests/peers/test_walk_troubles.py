"""The walk when something comes between: a wrong answer, an interrupt, a page loaded anew, a kernel that dies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_person import NOTEBOOK, LabPerson, browser_page, lab

from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders
from bwlib.sandbox import control
from bwlib.settings import load_settings
from bwlib.site_file import write_answers

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabPerson, Path, Any]]:
    """JupyterLab with 00 and 10 done, cells that wait for a click, and the sandbox behind it."""
    home = tmp_path_factory.mktemp("troubles") / "home"
    with lab(home) as (url, _), browser_page() as page:
        person = LabPerson(page, url)
        for name in ("00_start", "10_application"):
            person.open(name)
            person.run_all()
        site = home / "lab" / "site.toml"
        write_answers(site, {"walk": "click"})
        sandbox = control.attach(home)
        assert sandbox is not None
        person.open("20_sip_credentials")
        person.run_cell("site_file = None")
        person.run_cell("open_run(")
        person.run_cell("realm = run.realm()")
        yield person, site, sandbox


def realms(site: Path, sandbox: Any) -> list[str]:
    from bwlib.bandwidth.auth import OAuth2
    from bwlib.bandwidth.client import Client

    auth = OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url)
    client = Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url)
    return [realm.fqdn for realm in client.list_realms()]


def test_a_wrong_answer_is_named_while_it_is_typed(stage: tuple[LabPerson, Path, Any]) -> None:
    person, site, _ = stage
    card = person.card("realm")
    card.fill("Realm name", "Not Good")
    card.root.get_by_role("alert").get_by_text("use lower-case letters and digits only").wait_for()
    card.root.locator("button:disabled", has_text="Apply").wait_for()  # the kernel says one after the other
    card.fill("Realm name", load_settings(site).realm.name)
    card.root.get_by_role("alert").wait_for(state="detached")
    card.root.locator("button:enabled", has_text="Apply").wait_for()


def test_an_interrupt_leaves_the_card_usable(stage: tuple[LabPerson, Path, Any]) -> None:
    person, site, sandbox = stage
    card = person.card("realm")
    with sandbox.fault("http-delay", value="40", match={"path": "*/realms*"}):
        card.click("Apply")
        card.root.get_by_text(re.compile(r"working, \d+ s")).wait_for()
        person.menu("Kernel", "kernelmenu:interrupt")
        card.wait_for("failed", 1)
        assert "interrupted" in card.result()
    card.press("Apply", until="passed")
    assert len(realms(site, sandbox)) == 1


def test_a_page_that_is_loaded_anew_shows_cards_that_still_work(stage: tuple[LabPerson, Path, Any]) -> None:
    person, _, _ = stage
    person.save()
    person.page.reload()
    person.page.locator(f"{NOTEBOOK} .bw-step-realm .bw-badge").first.wait_for()
    person.idle()
    person.card("realm").press("Verify", until="passed")
    assert "ACTIVE" in person.card("realm").result()


def test_a_kernel_that_dies_in_the_middle_and_run_all_end_in_one_of_each(stage: tuple[LabPerson, Path, Any]) -> None:
    person, site, sandbox = stage
    person.run_cell("credential = run.sip_credential(realm)")
    card = person.card("sip_credential")
    with sandbox.fault("http-answer-lost", match={"path": "*/sipcredentials*"}):
        card.click("Apply")
        card.root.locator(".bw-badge", has_text="working").wait_for()
        person.menu("Kernel", "kernelmenu:restart")
        person.page.locator(".jp-Dialog .jp-mod-accept").click()
        person.idle()
    write_answers(site, {"walk": "run"})
    person.run_all()
    assert person.errors() == []
    assert set(person.statuses()) == {"passed"}
    assert len(realms(site, sandbox)) == 1
    last = run_folders(load_settings(site).runs_dir)[-1]
    created = [line["step"] for line in read_lines(last / "journal.jsonl") if line["kind"] == "created"]
    assert sorted(created) == ["application", "realm", "sip_credential"]
