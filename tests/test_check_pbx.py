"""*Check what I did*: the same comparison whoever set the PBX up, field by field, and the traps of a FreePBX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from freepbx_site import A_ROUTE, A_TRUNK, ALL, AN_EXTENSION, SIP_SECRET, adapter
from freepbx_stand_in import freepbx
from memory_pbx import MemoryPbx
from pydantic import SecretStr

from bwlib import check_pbx
from bwlib.errors import NotAsExpected
from bwlib.guide import Run
from bwlib.record.journal import read_lines
from bwlib.record.redact import Redactor
from bwlib.record.run_record import start_run
from bwlib.steps.pbx import ensure_on_pbx


def a_run(folder: Path, pbx: Any, *, writes: bool = True) -> Run:
    """A Run that knows what it wants and has a PBX."""
    on = SimpleNamespace(
        account_id="9900000", pbx=lambda: pbx, client=None, target="sandbox", recorder=SimpleNamespace(ids=[])
    )
    settings: Any = SimpleNamespace(runs_dir=folder, road="realm", pbx=SimpleNamespace(kind="freepbx"))
    mode = "apply" if writes else "plan"
    return Run(
        settings, on, start_run(folder, Redactor()), notebook="30_pbx", mode=mode, secret=SecretStr, seal_here=False
    )


@pytest.fixture(autouse=True)
def wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, thing in (("trunk", A_TRUNK), ("route", A_ROUTE), ("extension", AN_EXTENSION)):
        monkeypatch.setattr(check_pbx, f"wanted_{name}", lambda run, thing=thing: thing)


def last_step(run: Run) -> dict[str, Any]:
    return [line for line in read_lines(run.record.journal.path) if line["kind"] == "step"][-1]


def test_a_pbx_that_is_as_the_guide_asks_passes(tmp_path: Path) -> None:
    with freepbx() as (_, url):
        for kind, thing in ALL:
            ensure_on_pbx(adapter(url), kind, thing)
        run = a_run(tmp_path, adapter(url))
        run.check_pbx()
    assert (last_step(run)["action"], last_step(run)["differences"]) == ("passed", [])


def test_what_is_missing_wrong_and_a_trap_are_named_together(tmp_path: Path) -> None:
    with freepbx() as (state, url):
        for kind, thing in ALL[:2]:
            ensure_on_pbx(adapter(url), kind, thing)
        state.trunks["1"] |= {"qualify_frequency": "60", "secret": "another-secret"}
        posted = len(state.posted)
        run = a_run(tmp_path, adapter(url))
        with pytest.raises(NotAsExpected) as caught:
            run.check_pbx()
        assert len(state.posted) == posted
    said = caught.value.came_back
    assert "trunk.qualify_s is 60, wanted 0" in said
    assert "extension is there is none" in said
    assert "sends no INVITE at all" in said
    assert "another-secret" not in said
    assert SIP_SECRET not in said


def test_a_run_that_only_plans_lists_it_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with freepbx() as (_, url):
        run = a_run(tmp_path, adapter(url), writes=False)
        run.check_pbx()
    assert [row["field"] for row in last_step(run)["differences"]] == ["trunk", "route", "extension"]
    assert last_step(run)["status"] == "pending"
    assert "there is none -> as on the settings sheet" in capsys.readouterr().out


def test_a_pbx_without_known_traps_is_compared_all_the_same(tmp_path: Path) -> None:
    pbx = MemoryPbx()
    for kind, thing in ALL:
        kind.put(pbx, thing)
    pbx.put_trunk(replace(A_TRUNK, dtmf="auto"))
    pbx.apply()
    with pytest.raises(NotAsExpected, match=r"trunk\.dtmf is auto, wanted rfc4733"):
        a_run(tmp_path, pbx).check_pbx()


def test_registration_left_on_is_named_with_its_fix(tmp_path: Path) -> None:
    """FreePBX presets Registration to Send: a person who does not look leaves it so."""
    with freepbx() as (state, url):
        for kind, thing in ALL:
            ensure_on_pbx(adapter(url), kind, thing)
        state.trunks["1"] |= {"registration": "send"}
        with pytest.raises(NotAsExpected) as caught:
            a_run(tmp_path, adapter(url)).check_pbx()
    assert "trunk.registration is True, wanted False" in caught.value.came_back
    assert "Registration is left on: the trunk registers at the realm (Registration: send)" in caught.value.came_back
    assert "pjsip Settings > General: Registration None, Submit, Apply Config." in caught.value.do_next
