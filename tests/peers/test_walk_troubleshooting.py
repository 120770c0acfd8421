"""Notebook 50 in a real browser: a trunk is broken, the cause is named, Apply on its card mends it, a call is heard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_person import LabPerson, browser_page, lab
from peers import asterisk

from bwlib.sandbox import control
from bwlib.settings import load_settings
from bwlib.training.breaking import BY_NAME
from bwlib.training.stage import open_stage

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabPerson, Path]]:
    """JupyterLab with the guide walked up to 30."""
    asterisk()
    home = tmp_path_factory.mktemp("trouble") / "home"
    before = os.environ["BW_RUNBOOK_HOME"]
    os.environ["BW_RUNBOOK_HOME"] = str(home)
    try:
        with lab(home) as (url, _), browser_page() as page:
            one = LabPerson(page, url)
            for name in ("00_start", "10_application", "20_sip_credentials", "30_pbx"):
                one.open(name)
                one.run_all()
            yield one, home / "lab" / "site.toml"
    finally:
        os.environ["BW_RUNBOOK_HOME"] = before


def test_the_cause_is_named_and_its_card_mends_it(person: tuple[LabPerson, Path]) -> None:
    one, site = person
    sandbox = control.attach()
    assert sandbox is not None
    BY_NAME["wrong-password"].put_in(open_stage(load_settings(site), sandbox, "walk"))
    one.open("50_troubleshoot")
    one.run_all()
    one.picture("50_troubleshoot_broken")
    assert one.errors() == []
    said = one.outputs()
    assert "The trunk's password is not the credential's" in said
    assert "403" in said
    assert "failed here" in said
    one.card("trunk").press("Apply", until="passed")
    one.card("diagnose").click("Look again")
    one.page.get_by_text("nothing is wrong: both calls were heard").first.wait_for(timeout=60_000)
    one.picture("50_troubleshoot_mended")
    assert one.outside == []
