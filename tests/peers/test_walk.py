"""The guided walk: a newcomer clicks through 00 to 40 and 90 in a real JupyterLab, and hears the calls.

Every cell is told to wait for a click. Pictures of every step stay in build/screenshots/ for people to look at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lab_person import LabPerson, browser_page, lab

from bwlib.record.journal import read_lines
from bwlib.record.manifest import run_status
from bwlib.record.run_record import run_folders
from bwlib.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(900)]

STEPS = {
    "10_application": ("application",),
    "20_sip_credentials": ("realm", "sip_credential"),
    "30_pbx": ("trunk", "route", "extension"),
}
WAITS = "it waits for my click"


@dataclass
class Walked:
    """What was seen on the way: each press with the badge's word; what stood below the card; the notebooks' errors."""

    site: Path = Path()
    badges: list[tuple[str, str, str]] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    audio: int = 0
    outside: list[str] = field(default_factory=list)
    undone: str = ""


def start(person: LabPerson) -> None:
    """00: the site file is written, and cells are told to wait."""
    person.open("00_start")
    for cell in ("site_file = None", "start_site(", "open_run(", "run.answers()"):
        person.run_cell(cell)
    card = person.card("answers")
    card.choose("When a cell is run", WAITS)
    card.click("Save")
    person.page.get_by_text("walk: run -> click").wait_for()
    for cell in ("run.environment()", "run.rights()", "run.overview()", "run.glossary()"):
        person.run_cell(cell)


def press(person: LabPerson, walked: Walked, step: str, button: str, until: str) -> None:
    card = person.card(step)
    card.press(button, until=until)
    walked.badges.append((step, button, card.badge()))
    walked.said[f"{step} {button}"] = card.result()


def bind(person: LabPerson, name: str) -> None:
    person.open(name)
    person.run_cell("site_file = None")
    person.run_cell("open_run(")


def set_up(person: LabPerson, walked: Walked, name: str) -> None:
    """10, 20 or 30 by API: each step planned, applied, verified."""
    bind(person, name)
    for step in STEPS[name]:
        person.run_cell(f"= run.{step}(")
        assert person.card(step).badge() == "not done yet"
        if step == "realm":  # an answer of one's own
            person.card(step).fill("Description", "made by clicks")
        press(person, walked, step, "Plan", "planned")
        press(person, walked, step, "Apply", "passed")
        press(person, walked, step, "Verify", "passed")
    if name == "20_sip_credentials":
        person.run_cell("sip_uri = run.inbound_sip_uri()")  # not on this road, and says so
    checks = {"10_application": ("callback",), "20_sip_credentials": ("dns",), "30_pbx": ("no_registration",)}
    for step in checks[name]:
        person.run_cell(f"run.{step}(")
        press(person, walked, step, "Verify", "passed")
    if name == "30_pbx":
        person.run_cell("run.check_pbx()")
        press(person, walked, "check_pbx", "Check what I did", "passed")
    person.run_cell("run.capture(")
    press(person, walked, "capture", "Take the picture", "passed")
    leave(person, walked, name)


def leave(person: LabPerson, walked: Walked, name: str) -> None:
    walked.errors[name] = person.errors()
    person.picture(f"walk_{name}")


def test_calls(person: LabPerson, walked: Walked) -> None:
    """40: both calls are placed and heard; the record is closed."""
    bind(person, "40_test_calls")
    person.run_cell("run.ready()")
    press(person, walked, "ready", "Verify", "passed")
    press(person, walked, "callback", "Verify", "passed")
    for step in ("call_from_extension", "call_to_extension"):
        person.run_cell(f"run.{step}()")
        press(person, walked, step, "Place the call", "passed")
    walked.audio = person.page.locator(".jp-OutputArea-output audio").count()
    person.run_cell("run.overview()")
    person.run_cell("run.export()")
    press(person, walked, "export", "Write the files", "passed")
    walked.said["overview"] = person.card("overview").result()
    person.run_cell("run.seal()")
    press(person, walked, "seal", "Seal the record", "passed")
    leave(person, walked, "40_test_calls")


test_calls.__test__ = False  # type: ignore[attr-defined]


def undo(person: LabPerson, walked: Walked) -> None:
    """90: planned, then all of it undone; the second cell finds nothing left."""
    bind(person, "90_undo")
    person.run_cell("outcomes = run.undo(record)")
    press(person, walked, "undo", "Plan", "planned")
    press(person, walked, "undo", "Undo all of it", "passed")
    leave(person, walked, "90_undo")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    home, seen = tmp_path_factory.mktemp("walk") / "home", Walked()
    with lab(home) as (url, process), browser_page() as page:
        person = LabPerson(page, url, seen.outside)
        start(person)
        leave(person, seen, "00_start")
        seen.site = home / "lab" / "site.toml"
        for name in STEPS:
            set_up(person, seen, name)
        test_calls(person, seen)
        undo(person, seen)
        process.terminate()
        process.wait(60)
    return seen


def test_every_badge_came_out_as_it_should(walked: Walked) -> None:
    words = {"Plan": "planned"}
    assert [(step, button) for step, button, word in walked.badges if word != words.get(button, "passed")] == []
    assert len(walked.badges) >= 30


def test_no_cell_failed(walked: Walked) -> None:
    assert {name: said for name, said in walked.errors.items() if said} == {}


def test_apply_made_what_plan_had_said_and_verify_read_it_back(walked: Walked) -> None:
    for steps in STEPS.values():
        for step in steps:
            assert "would be created" in walked.said[f"{step} Plan"], step
            assert "created" in walked.said[f"{step} Apply"], step
            assert "what was found" in walked.said[f"{step} Verify"], step
    assert "made by clicks" in walked.said["realm Verify"]
    assert load_settings(walked.site).realm.description == "made by clicks"


def test_both_calls_were_heard_and_can_be_listened_to(walked: Walked) -> None:
    for step in ("call_from_extension", "call_to_extension"):
        said = walked.said[f"{step} Place the call"]
        heard = [float(word) for word in re.findall(r"correlation (\S+) over", said)]
        assert len(heard) == 2, said
        assert min(heard) > 0.99
    assert walked.audio == 4


def test_the_whole_is_green_in_the_end(walked: Walked) -> None:
    assert "not proven" not in walked.said["overview"]
    assert walked.said["overview"].count("proven") >= 6


def test_the_record_is_sealed_and_says_who_clicked_what(walked: Walked) -> None:
    runs = run_folders(load_settings(walked.site).runs_dir)
    assert len(runs) == 2  # the walk, and its undoing
    assert run_status(runs[0]) == "passed"
    assert (runs[0] / "manifest.json.sig").exists()
    lines = [line for line in read_lines(runs[0] / "journal.jsonl") if line["kind"] == "step" and line.get("clicked")]
    assert {line["clicked"] for line in lines} == {"plan", "apply", "verify"}
    assert all(line["cell"] and line["operator"] for line in lines)


def test_other_sites_can_follow(walked: Walked) -> None:
    folder = walked.site.parent / "export"
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "site.toml", "sites.csv"]
    assert "made by clicks" in (folder / "site.toml").read_text()


def test_undo_took_everything_back(walked: Walked) -> None:
    assert walked.said["undo Plan"].count("would be removed") == 6
    assert walked.said["undo Undo all of it"].count("removed") >= 5


def test_nothing_was_fetched_from_outside(walked: Walked) -> None:
    assert walked.outside == []
