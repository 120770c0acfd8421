"""Undo removes what this site's records say we created, newest first, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from memory_pbx import MemoryPbx
from pydantic import SecretStr

from bwlib.errors import PbxUnreachable
from bwlib.guide import Run
from bwlib.models import Extension
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, start_run
from bwlib.undo import created_objects, undo_site


class FakeRun(Run):
    """A Run with an account and a PBX that hold nothing else; its journal lines are what the next undo reads."""

    def __init__(self, runs: Path, pbx: MemoryPbx, *, writes: bool = True, account: str = "9900000") -> None:
        on = SimpleNamespace(
            account_id=account, pbx=lambda: pbx, client=None, target="sandbox", recorder=SimpleNamespace(ids=[])
        )
        super().__init__(
            SimpleNamespace(runs_dir=runs),  # type: ignore[arg-type]
            on,  # type: ignore[arg-type]
            start_run(runs, Redactor()),
            notebook="90_undo",
            mode="apply" if writes else "plan",
            secret=SecretStr,
            seal_here=False,
        )


def made(record: RunRecord, step: str, action: str = "created", account: str = "9900000", **thing: str) -> None:
    record.journal.append("step", step=step, status="passed", action=action, account=account, title=step, object=thing)


@pytest.fixture
def pbx() -> MemoryPbx:
    pbx = MemoryPbx()
    for number in ("101", "102"):
        pbx.put_extension(Extension(number, SecretStr("correct-horse"), "r"))
    pbx.apply()
    pbx.calls.clear()
    return pbx


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "my-site"


def test_only_what_was_created_is_undone(runs: Path, pbx: MemoryPbx) -> None:
    record = start_run(runs, Redactor())
    made(record, "extension", number="101")
    for action in ("unchanged", "updated", "planned"):
        made(record, "extension", action, number="102")
    outcomes = undo_site(FakeRun(runs, pbx))
    assert [(outcome.action, outcome.title) for outcome in outcomes] == [("removed", "Undo extension")]
    assert [number for _, number in pbx.running] == ["102"]


def test_the_phones_side_goes_first_and_the_newest_before_the_older(runs: Path) -> None:
    record = start_run(runs, Redactor())
    for step in ("application", "realm", "sip_credential", "trunk", "route", "extension"):
        made(record, step, number="1", name="n", id="1")
    created = created_objects(FakeRun(runs, MemoryPbx()))  # type: ignore[arg-type]
    assert list(created) == ["extension", "route", "trunk", "sip_credential", "realm", "inbound_sip_uri", "application"]
    assert all(len(lines) == 1 for step, lines in created.items() if step != "inbound_sip_uri")


def test_a_second_undo_has_nothing_to_do(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101")
    assert len(undo_site(FakeRun(runs, pbx))) == 1  # type: ignore[arg-type]
    assert undo_site(FakeRun(runs, pbx)) == []  # type: ignore[arg-type]


def test_what_is_made_anew_after_an_undo_is_undone_again(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101")
    undo_site(FakeRun(runs, pbx))  # type: ignore[arg-type]
    made(start_run(runs, Redactor()), "extension", number="101")
    assert len(created_objects(FakeRun(runs, pbx))["extension"]) == 1  # type: ignore[arg-type]


def test_another_accounts_objects_are_not_ours_to_remove(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", account="5500000", number="101")
    assert undo_site(FakeRun(runs, pbx)) == []  # type: ignore[arg-type]
    assert len(pbx.running) == 2


def test_one_record_can_be_undone_alone(runs: Path, pbx: MemoryPbx) -> None:
    first, second = start_run(runs, Redactor()), start_run(runs, Redactor())
    made(first, "extension", number="101")
    made(second, "extension", number="102")
    undo_site(FakeRun(runs, pbx), second.folder.name)  # type: ignore[arg-type]
    assert [number for _, number in pbx.running] == ["101"]


def test_planning_an_undo_removes_nothing_and_can_be_repeated(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101")
    for _ in range(2):
        [outcome] = undo_site(FakeRun(runs, pbx, writes=False))  # type: ignore[arg-type]
        assert (outcome.action, outcome.note) == ("planned", "would be removed")
    assert pbx.wrote == []


def test_what_belongs_to_somebody_by_now_is_kept_and_reported(runs: Path) -> None:
    pbx = MemoryPbx()
    pbx.others["extension", "101"] = Extension("101", SecretStr("theirs-now"), "r")
    made(start_run(runs, Redactor()), "extension", number="101")
    [outcome] = undo_site(FakeRun(runs, pbx))  # type: ignore[arg-type]
    assert outcome.action == "kept"
    assert "not ours to remove" in outcome.note


def test_a_silent_pbx_stops_the_undo_and_it_can_go_on_later(runs: Path, pbx: MemoryPbx) -> None:
    record = start_run(runs, Redactor())
    made(record, "extension", number="101")
    pbx.down = True
    with pytest.raises(PbxUnreachable):
        undo_site(FakeRun(runs, pbx))  # type: ignore[arg-type]
    pbx.down = False
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx))] == ["removed"]  # type: ignore[arg-type]
