"""The cards at work: what a click does at a real sandbox's account and on a PBX in memory, and what it writes down."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from memory_pbx import MemoryPbx

from bwlib import open_run, start_site
from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.guide import Run
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders
from bwlib.sandbox import control
from bwlib.settings import load_settings
from bwlib.widgets.step_card import CHECK, StepCard

pytestmark = pytest.mark.slow

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("home")
    before = os.environ["BW_RUNBOOK_HOME"]
    os.environ["BW_RUNBOOK_HOME"] = str(folder)
    running = control.start(folder)
    running.set_switch("realm_create_s", "0")
    yield running
    os.environ["BW_RUNBOOK_HOME"] = before
    running.down()


@pytest.fixture
def client(sandbox: Any) -> Client:
    auth = OAuth2(sandbox.client_id, sandbox.client_secret, sandbox.token_url)
    return Client(sandbox.account_id, auth=auth, api_url=sandbox.api_url, voice_url=sandbox.voice_url)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> dict[str, StepCard]:
    """The newest card of each step that was shown, with somebody at the front end and a PBX in memory."""
    seen: dict[str, StepCard] = {}
    pbx = MemoryPbx()
    monkeypatch.setattr("bwlib.run.is_attended", lambda: True)
    monkeypatch.setattr("bwlib.run.sandbox_pbx", lambda *_: pbx)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    build = StepCard.__init__

    def remember(self: StepCard, step: str, *args: Any, **more: Any) -> None:
        build(self, step, *args, **more)
        seen[step] = self

    monkeypatch.setattr(StepCard, "__init__", remember)
    return seen


@pytest.fixture
def site(sandbox: Any, tmp_path: Path) -> Path:
    """A site whose cells wait for a click."""
    path = tmp_path / "site.toml"
    start_site(path, name=f"asked-{next(NUMBERS)}")
    path.write_text(re.sub(r'walk = "run"', 'walk = "click"', path.read_text()))
    assert load_settings(path).walk == "click"
    return path


def badge(card: StepCard) -> str:
    word = re.search(r'class="bw-badge"[^>]*>.*?<span>([^<]*)</span></span></span>', card._head.value)
    assert word is not None
    return word[1]


def shown(card: StepCard) -> str:
    return "\n".join(text for _, text in card.place._parts)


def steps(run: Run) -> list[dict[str, Any]]:
    lines = read_lines(run.record.folder / "journal.jsonl")
    return [line for line in lines if line["kind"] == "step" and line["status"] != "running"]


def test_a_cell_that_waits_does_nothing_until_it_is_clicked(
    site: Path, client: Client, cards: dict[str, StepCard]
) -> None:
    run = open_run(site, notebook="10_application")
    name = run.settings.application.name
    assert run.application() is None
    assert badge(cards["application"]) == "not done yet"
    assert steps(run) == []

    cards["application"].press("Plan")
    assert badge(cards["application"]) == "planned"
    assert "would be created" in shown(cards["application"])
    assert name not in [one.name for one in client.list_applications()]

    cards["application"].press("Verify")
    assert badge(cards["application"]) == "failed"
    assert "there is none" in shown(cards["application"])

    cards["application"].press("Apply")
    assert badge(cards["application"]) == "passed"
    assert [one.name for one in client.list_applications()].count(name) == 1

    cards["application"].press("Verify")
    assert badge(cards["application"]) == "passed"
    assert "the exchange behind it" in shown(cards["application"])
    assert re.search(r"GET \S+applications\S* → 200, \d+ ms", shown(cards["application"]))
    cards["application"].press("Undo")
    assert badge(cards["application"]) == "not done yet"
    assert name not in [one.name for one in client.list_applications()]

    lines = steps(run)
    assert [(line["clicked"], line.get("action", line["status"])) for line in lines] == [
        ("plan", "planned"), ("verify", "failed"), ("apply", "created"), ("verify", "passed"), ("undo", "removed"),
    ]  # fmt: skip


def test_all_of_steps_1_to_3_by_clicks_and_what_it_found_travels_on(
    site: Path, client: Client, cards: dict[str, StepCard]
) -> None:
    run = open_run(site, notebook="by_hand")
    application, realm = run.application(), run.realm()
    credential = run.sip_credential(realm)
    trunk, route, extension = run.trunk(), run.route(), run.extension()
    run.no_registration(trunk)
    assert [application, realm, credential, trunk, route, extension] == [None] * 6
    order = ["application", "realm", "sip_credential", "trunk", "route", "extension"]
    for step in order:
        cards[step].press("Apply")
        assert badge(cards[step]) == "passed", shown(cards[step])
    cards["no_registration"].press("Verify")
    assert badge(cards["no_registration"]) == "passed", shown(cards["no_registration"])
    for step in order:
        cards[step].press("Verify")
        assert badge(cards[step]) == "passed", shown(cards[step])
    again = open_run(site, notebook="by_hand")
    assert again.application() is None  # another kernel: it waits, and says what is already true
    assert badge(cards["application"]) == "passed"
    for step in reversed(order):
        cards[step].press("Undo")
        assert badge(cards[step]) == "not done yet", shown(cards[step])


def test_what_is_missing_is_named_with_the_notebook_that_makes_it(site: Path, cards: dict[str, StepCard]) -> None:
    run = open_run(site, notebook="20_sip_credentials")
    run.sip_credential(run.realm())
    cards["sip_credential"].press("Plan")
    assert badge(cards["sip_credential"]) == "planned"
    cards["sip_credential"].press("Apply")
    assert badge(cards["sip_credential"]) == "failed"
    assert "10_application" in shown(cards["sip_credential"])


def test_an_answer_is_saved_by_apply_and_not_by_plan(site: Path, client: Client, cards: dict[str, StepCard]) -> None:
    run = open_run(site, notebook="20_sip_credentials")
    run.realm()
    before = site.read_bytes()
    name = f"other{next(NUMBERS)}"
    cards["realm"]._fields["realm.name"].value = name
    cards["realm"].press("Plan")
    assert badge(cards["realm"]) == "planned"
    assert site.read_bytes() == before
    cards["realm"].press("Apply")
    assert load_settings(site).realm.name == name
    assert [one for one in client.list_realms() if one.fqdn.startswith(f"{name}-")]
    assert run.settings.realm.name == name


def test_a_forms_answer_wins_over_the_notebooks_parameter(site: Path, cards: dict[str, StepCard]) -> None:
    run = open_run(site, notebook="20_sip_credentials", realm_name="fromparameter")
    run.realm()
    assert cards["realm"]._fields["realm.name"].value == "fromparameter"
    cards["realm"]._fields["realm.name"].value = f"fromform{next(NUMBERS)}"
    cards["realm"].press("Apply")
    assert badge(cards["realm"]) == "passed", shown(cards["realm"])
    assert run.settings.realm.name.startswith("fromform")
    cards["realm"].press("Verify")
    assert run.settings.realm.name.startswith("fromform")


def test_a_wrong_answer_is_said_at_once_and_never_saved(site: Path, cards: dict[str, StepCard]) -> None:
    open_run(site, notebook="20_sip_credentials").realm()
    cards["realm"]._fields["realm.name"].value = "Not Good"
    assert "bw-fault" in cards["realm"]._faults["realm.name"].value
    assert cards["realm"]._pressed["Apply"].disabled


def test_what_another_tab_has_saved_counts_at_the_next_click(site: Path, cards: dict[str, StepCard]) -> None:
    one = open_run(site, notebook="10_application")
    one.application()
    mine = cards["application"]
    open_run(site, notebook="10_application").application()
    cards["application"]._fields["application.name"].value = "Named by the other tab"
    cards["application"].press("Apply")
    mine.press("Verify")
    assert badge(mine) == "passed"
    assert one.settings.application.name == "Named by the other tab"
    assert mine._fields["application.name"].value == "Named by the other tab"


def test_a_click_after_the_record_was_sealed_goes_into_a_new_one(site: Path, cards: dict[str, StepCard]) -> None:
    run = open_run(site, notebook="10_application")
    run.application()
    cards["application"].press("Apply")
    run.seal()
    cards["seal"].press("Seal the record")
    first = run.record
    assert first.is_sealed
    cards["application"].press("Verify")
    assert badge(cards["application"]) == "passed", shown(cards["application"])
    assert run.record.folder != first.folder
    assert len(run_folders(run.settings.runs_dir)) == 2
    assert not run.record.is_sealed


def test_mode_plan_offers_no_button_that_writes(site: Path, cards: dict[str, StepCard]) -> None:
    open_run(site, notebook="10_application", mode="plan").application()
    disabled = {word: one.disabled for word, one in cards["application"]._pressed.items()}
    assert disabled == {"Plan": False, "Apply": True, "Verify": False, "Undo": True, CHECK: False}
    assert badge(cards["application"]) == "planned"  # the cell has planned it


def test_a_cell_that_does_not_wait_does_its_step_and_shows_the_card(site: Path, cards: dict[str, StepCard]) -> None:
    site.write_text(site.read_text().replace('walk = "click"', 'walk = "run"'))
    run = open_run(site, notebook="10_application")
    assert run.application() is not None
    assert badge(cards["application"]) == "passed"
    assert steps(run)[0]["action"] == "created"
    assert "clicked" not in steps(run)[0]


def test_a_step_of_the_other_road_has_no_card(site: Path, cards: dict[str, StepCard]) -> None:
    open_run(site, notebook="20_sip_credentials").inbound_sip_uri()
    assert "inbound_sip_uri" not in cards


def test_a_second_cell_for_a_step_only_looks_again(
    site: Path, cards: dict[str, StepCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(site, notebook="10_application")
    where = iter(["cell-1", "cell-2", "cell-1"])
    monkeypatch.setattr("bwlib.asking.running_cell", lambda *_: next(where))
    words = []
    for _ in range(3):
        run.application()
        words.append(list(cards["application"]._pressed))
    whole = ["Plan", "Apply", "Verify", "Undo", CHECK]
    assert words == [whole, ["Verify"], whole]


def test_unattended_there_is_no_card_and_walk_does_not_count(
    site: Path, cards: dict[str, StepCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bwlib.run.is_attended", lambda: False)
    run = open_run(site, notebook="10_application")
    assert run.application() is not None
    assert cards == {}
