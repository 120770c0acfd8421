"""The pictures of the tab *By hand* show the dashboard as it is, and their numbers are those of the clicks.

Without a browser: every picture is there, small, and as the tool wrote it. With one: the tool's walk, once more.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_jupyterlab import chromium

from bwlib.by_hand_walk import ByHand, application_by_hand, realm_by_hand, sip_credential_by_hand

PROJECT = Path(__file__).resolve().parents[2]
AGAIN = "python tools/by_hand_pictures.py, then look at what it drew"
LIVE = "https://dashboard.bandwidth.com"


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("by_hand_pictures", PROJECT / "tools" / "by_hand_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # its dataclasses look themselves up there
    spec.loader.exec_module(made)
    return made


TOOL = tool()
GUIDES = (
    application_by_hand(TOOL.APPLICATION, dashboard=LIVE),
    realm_by_hand(TOOL.REALM, TOOL.DESCRIPTION, dashboard=LIVE),
    sip_credential_by_hand(TOOL.USERNAME, "file:sip_password", None, TOOL.APPLICATION, dashboard=LIVE),
)


def written() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(files("bwlib.widgets").joinpath("pictures", "pictures.json").read_text())
    return read


def guide_of(picture: str) -> ByHand:
    (found,) = (guide for guide in GUIDES for click in guide.clicks if click.picture == picture)
    return found


# ---------------------------------------------------------------- without a browser


def test_every_picture_that_a_click_names_is_packaged_and_no_other() -> None:
    named = {click.picture for guide in GUIDES for click in guide.clicks if click.picture}
    there = {path.name for path in (PROJECT / "bwlib" / "widgets" / "pictures").glob("*.png")}
    assert named == there == set(written())


def test_each_picture_is_the_one_that_was_written_and_small() -> None:
    for name, facts in written().items():
        image = files("bwlib.widgets").joinpath("pictures", name).read_bytes()
        assert sha256(image).hexdigest() == facts["sha256"], f"{name} was changed: {AGAIN}"
        assert len(image) < 60_000


@pytest.mark.parametrize("name", sorted(written()))
def test_each_number_in_a_picture_is_a_click_that_speaks_of_what_is_marked(name: str) -> None:
    clicks = {click.number: click for click in guide_of(name).clicks}
    (first,) = (click.number for click in clicks.values() if click.picture == name)
    assert min(number for number, _ in written()[name]["marks"]) == first, "the picture stands at its first click"
    for number, marked in written()[name]["marks"]:
        click = clicks[number]
        labels = [value.label for value in click.values]
        assert marked in labels or marked in click.words or marked == TOOL.USERNAME, f"{number}: {marked}"


def test_every_value_to_type_has_its_place_in_a_picture() -> None:
    drawn = {(name, number, label) for name, facts in written().items() for number, label in facts["marks"]}
    for guide in GUIDES:
        pictures = {click.picture for click in guide.clicks}
        for click in guide.clicks:
            for value in click.values:
                assert {(name, click.number, value.label) for name in pictures} & drawn, value.label


# ---------------------------------------------------------------- with the dashboard as it is now


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    chromium()
    from playwright.sync_api import Error

    try:
        return TOOL.facts(TOOL.in_new_sandbox(TOOL.walk))
    except Error as error:
        pytest.fail(f"the dashboard has not what by_hand_walk.py and the pictures name: {error}. Then: {AGAIN}")


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.timeout(300)
def test_the_dashboard_says_what_it_said_when_the_pictures_were_taken(now: dict[str, Any]) -> None:
    before = {name: {key: facts[key] for key in ("labels", "marks")} for name, facts in written().items()}
    assert set(now) == set(before), AGAIN
    for name, facts in now.items():
        assert facts["labels"] == before[name]["labels"], f"{name} is out of date: {AGAIN}"
        assert facts["marks"] == before[name]["marks"], f"{name} is out of date: {AGAIN}"


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.timeout(300)
def test_no_picture_says_an_address_or_a_name_of_this_machine(now: dict[str, Any]) -> None:
    """What the pictures show is read out, so that what is read out here is what can be seen there."""
    for facts in now.values():
        text = "\n".join(facts["labels"])
        assert "127.0.0.1" not in text
        assert "trainee-" not in text
