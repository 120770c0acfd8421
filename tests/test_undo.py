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
from bwlib.record.journal import read_lines
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


HERE = {"config_dir": "/memory", "ami_host": "127.0.0.1"}


def made(
    record: RunRecord,
    step: str,
    action: str = "created",
    account: str = "9900000",
    pbx: dict[str, str] | None = None,
    **thing: str,
) -> None:
    """A journal line, as a step writes it. The phone's route is "r"."""
    thing = {"route": "r", **thing} if step == "extension" else thing
    facts = {"pbx": HERE if pbx is None else pbx} if step in ("extension", "route", "trunk") else {}
    record.journal.append(
        "step", step=step, status="passed", action=action, account=account, title=step, object=thing, **facts
    )


def last_step(run: Run) -> dict[str, object]:
    return [line for line in read_lines(run.record.journal.path) if line["kind"] == "step"][-1]


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
    assert [(outcome.action, outcome.title) for outcome in outcomes] == [("removed", "Undo extension 101")]
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


def test_what_was_made_at_bandwidth_counts_for_its_own_account_only(runs: Path) -> None:
    record = start_run(runs, Redactor())
    for account in ("5500000", "9900000"):
        made(record, "application", account=account, id=f"id-{account}", name="n")
    created = created_objects(FakeRun(runs, MemoryPbx()))  # type: ignore[arg-type]
    assert [line["object"]["id"] for line in created["application"]] == ["id-9900000"]


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


def test_what_was_changed_since_is_kept_and_the_reason_names_the_field(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101")
    pbx.put_extension(Extension("101", SecretStr("correct-horse"), "r", "The boss"))
    pbx.apply()
    [outcome] = undo_site(FakeRun(runs, pbx))
    assert outcome.action == "kept"
    assert "display_name is The boss, recorded not set" in outcome.note
    assert ("extension", "101") in pbx.running


def test_what_we_changed_ourselves_is_still_ours_to_remove(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101")
    made(start_run(runs, Redactor()), "extension", "updated", number="101", display_name="The boss")
    pbx.put_extension(Extension("101", SecretStr("correct-horse"), "r", "The boss"))
    pbx.apply()
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx))] == ["removed"]


def test_another_sites_object_of_that_name_is_kept(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101")
    pbx.others["extension", "101"] = pbx.written.pop(("extension", "101"))
    pbx.apply()
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx))] == ["kept"]


def test_objects_on_another_pbx_are_left_out(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", pbx={**HERE, "config_dir": "/elsewhere"}, number="101")
    assert undo_site(FakeRun(runs, pbx)) == []
    pbx.place = "/elsewhere"
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx))] == ["removed"]


def test_an_undo_on_one_pbx_leaves_the_same_object_on_another_to_be_undone(runs: Path, pbx: MemoryPbx) -> None:
    record = start_run(runs, Redactor())
    made(record, "extension", number="101")
    made(record, "extension", pbx={**HERE, "config_dir": "/elsewhere"}, number="101")
    assert len(undo_site(FakeRun(runs, pbx))) == 1
    pbx.place = "/elsewhere"
    assert len(created_objects(FakeRun(runs, pbx))["extension"]) == 1


def test_a_record_that_names_no_pbx_counts_as_of_this_one(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", pbx={}, number="101")
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx))] == ["removed"]
    assert undo_site(FakeRun(runs, pbx)) == []


def test_a_plan_says_what_would_be_kept(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101", display_name="The boss")
    [outcome] = undo_site(FakeRun(runs, pbx, writes=False))
    assert (outcome.action, pbx.wrote) == ("kept", [])


def test_a_plan_asked_again_says_once_that_nothing_was_removed(runs: Path, pbx: MemoryPbx) -> None:
    made(start_run(runs, Redactor()), "extension", number="101")
    run = FakeRun(runs, pbx, writes=False)
    assert len(undo_site(run)) == 1
    assert undo_site(run) == []
    line = last_step(run)
    assert (line["step"], line["status"], line["note"]) == ("undo", "pending", "plan only: nothing was removed")


@pytest.mark.parametrize("writes", [True, False])
def test_nothing_to_undo_is_a_line_of_the_journal(runs: Path, pbx: MemoryPbx, writes: bool) -> None:
    run = FakeRun(runs, pbx, writes=writes)
    for _ in range(2):
        assert undo_site(run) == []
        line = last_step(run)
        assert (line["step"], line["action"], line["note"]) == ("undo", "unchanged", "nothing to undo")


def test_what_was_created_by_a_step_that_failed_afterwards_is_known_to_undo(runs: Path) -> None:
    record = start_run(runs, Redactor())
    record.journal.append(
        "created", step="realm", title="Realm", account="9900000", object={"id": "7", "fqdn": "late-1a.example"}
    )
    record.journal.append("step", step="realm", status="failed", error="StillPending")
    created = created_objects(FakeRun(runs, MemoryPbx()))
    assert [line["object"]["id"] for line in created["realm"]] == ["7"]


def test_what_was_written_down_at_once_and_as_an_outcome_is_one_object(runs: Path) -> None:
    record = start_run(runs, Redactor())
    thing = {"id": "7", "fqdn": "x-1a.example"}
    record.journal.append("created", step="realm", title="Realm", account="9900000", object=thing)
    made(record, "realm", **thing)
    assert len(created_objects(FakeRun(runs, MemoryPbx()))["realm"]) == 1
