"""Undo removes what this site's records say we created, newest first, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from account_under_test import OTHER_PASSWORD, PASSWORD, Account, wanted_application
from memory_pbx import MemoryPbx
from pydantic import SecretStr
from sandbox_world import World

from bwlib.bandwidth.client import Client
from bwlib.errors import PbxRefused, PbxUnreachable, RecordError, SettingsError
from bwlib.guide import Run
from bwlib.models import Extension, Outcome
from bwlib.record.cited import citation
from bwlib.record.journal import read_lines
from bwlib.record.manifest import seal
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, start_run
from bwlib.steps.application import ensure_application
from bwlib.steps.sip_credential import ensure_sip_credential
from bwlib.undo import created_objects, undo_site
from bwlib.widgets.show import object_facts


class FakeRun(Run):
    """A Run with an account and a PBX that hold nothing else; its journal lines are what the next undo reads."""

    def __init__(
        self,
        runs: Path,
        pbx: MemoryPbx,
        *,
        writes: bool = True,
        account: str = "9900000",
        client: Client | None = None,
    ) -> None:
        on = SimpleNamespace(
            account_id=account, pbx=lambda: pbx, client=client, target="sandbox", recorder=SimpleNamespace(ids=[])
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


# ---------------------------------------------------------------- the record that is undone


def test_a_record_that_was_tampered_with_is_refused_before_anything_is_touched(runs: Path, pbx: MemoryPbx) -> None:
    record = start_run(runs, Redactor())
    made(record, "extension", number="101")
    seal(record)
    record.journal.path.write_bytes(record.journal.path.read_bytes().replace(b'"101"', b'"102"'))
    for name in (record.folder.name, None):
        with pytest.raises(RecordError, match="it is not what it was"):
            undo_site(FakeRun(runs, pbx), name)
    assert len(pbx.running) == 2
    assert pbx.calls == []


def test_half_a_line_that_a_killed_run_left_does_not_stand_in_the_way(runs: Path, pbx: MemoryPbx) -> None:
    record = start_run(runs, Redactor())
    made(record, "extension", number="101")
    with record.journal.path.open("ab") as stream:
        stream.write(b'{"kind": "st')
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx), record.folder.name)] == ["removed"]


def test_the_undo_of_one_record_cites_it_once(runs: Path, pbx: MemoryPbx) -> None:
    record = start_run(runs, Redactor())
    made(record, "extension", number="101")
    seal(record)
    run = FakeRun(runs, pbx)
    for _ in range(2):
        undo_site(run, record.folder.name)
    [cites] = [line for line in read_lines(run.record.journal.path) if line["kind"] == "cites"]
    assert {name: cites[name] for name in ("run", "manifest_sha256")} == citation(record.folder)


def test_a_record_that_the_site_has_not_is_refused(runs: Path, pbx: MemoryPbx) -> None:
    with pytest.raises(SettingsError, match="there is no such run"):
        undo_site(FakeRun(runs, pbx), "20260101T000000.000000Z-abcdef")


# ---------------------------------------------------------------- what was changed, not created


def changed(record: RunRecord, step: str, thing: dict[str, str], **fields: tuple[str, str]) -> None:
    """A journal line of an update: field=(was, made)."""
    rows = [{"field": field, "found": was, "wanted": wanted} for field, (was, wanted) in fields.items()]
    facts = {"pbx": HERE} if step in ("extension", "route", "trunk") else {}
    record.journal.append(
        "step", step=step, status="passed", action="updated", account="9900000", title=step, object=thing,
        differences=rows, **facts,
    )  # fmt: skip


SAME = {"number": "101", "route": "r"}


def test_what_a_run_changed_gets_its_earlier_settings_back_and_a_secret_is_said_to_be_lost(
    runs: Path, pbx: MemoryPbx
) -> None:
    first, second = start_run(runs, Redactor()), start_run(runs, Redactor())
    changed(first, "extension", SAME, display_name=("Front desk", "The boss"))
    changed(second, "extension", SAME, display_name=("The boss", "not set"), secret=("differs", "as referred to"))
    lost = "its secret was replaced and cannot be restored: no record holds a secret"
    [plan] = undo_site(FakeRun(runs, pbx, writes=False))
    assert (plan.action, plan.note) == ("planned", f"would be put back as it was before; {lost}")
    assert [vars(row) for row in plan.differences] == [
        {"field": "display_name", "found": "not set", "wanted": "Front desk"}
    ]
    assert pbx.wrote == []
    [outcome] = undo_site(FakeRun(runs, pbx))
    assert (outcome.action, outcome.title) == ("updated", "Undo extension 101")
    assert outcome.note == f"put back as it was before; {lost}"
    assert pbx.running["extension", "101"] == Extension("101", SecretStr("correct-horse"), "r", "Front desk")
    assert undo_site(FakeRun(runs, pbx)) == [], "taken back: a second undo has nothing to do"


def test_what_a_person_changed_since_is_kept_and_told_every_time(runs: Path, pbx: MemoryPbx) -> None:
    changed(start_run(runs, Redactor()), "extension", SAME, display_name=("Front desk", "The boss"))
    for writes in (True, False, True):
        [outcome] = undo_site(FakeRun(runs, pbx, writes=writes))
        assert (outcome.action, outcome.note) == (
            "kept",
            "it was there before us; display_name was changed since: it is not set",
        )
    assert pbx.wrote == []


def test_what_the_pbx_does_not_let_us_put_back_is_kept_with_its_reason(runs: Path, pbx: MemoryPbx) -> None:
    changed(start_run(runs, Redactor()), "extension", SAME, display_name=("Front desk", "not set"))
    pbx.refusal = PbxRefused("write it", "it is another site's by now", "leave it")
    for writes in (True, False):
        [outcome] = undo_site(FakeRun(runs, pbx, writes=writes))
        assert outcome.action == "kept"
        assert outcome.note == "it was there before us; not put back: it is another site's by now"
    assert pbx.wrote == []


def test_what_was_changed_and_is_as_it_was_says_so(runs: Path, pbx: MemoryPbx) -> None:
    changed(start_run(runs, Redactor()), "extension", SAME, display_name=("not set", "The boss"))
    [outcome] = undo_site(FakeRun(runs, pbx))
    assert outcome.note == "it was there before us; it is as it was"


def test_what_an_earlier_run_created_and_this_one_changed_is_put_back_and_is_still_ours_to_remove(
    runs: Path, pbx: MemoryPbx
) -> None:
    made(start_run(runs, Redactor()), "extension", number="101", display_name="Front desk")
    second = start_run(runs, Redactor())
    changed(second, "extension", SAME, display_name=("Front desk", "not set"))
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx), second.folder.name)] == ["updated"]
    assert pbx.running["extension", "101"].display_name == "Front desk"
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx))] == ["removed"]
    assert undo_site(FakeRun(runs, pbx)) == []


def test_what_was_changed_and_is_gone_is_told_once(runs: Path) -> None:
    changed(start_run(runs, Redactor()), "extension", SAME, display_name=("Front desk", "not set"))
    assert [outcome.note for outcome in undo_site(FakeRun(runs, MemoryPbx()))] == ["already gone"]
    assert undo_site(FakeRun(runs, MemoryPbx())) == []


# ---------------------------------------------------------------- what a run was cut off while creating


def begun(record: RunRecord, step: str, **thing: str) -> None:
    """The line that stands before a create."""
    thing = {"route": "r", **thing} if step == "extension" else thing
    facts = {"pbx": HERE} if step in ("extension", "route", "trunk") else {}
    record.journal.append("creating", step=step, title=step, account="9900000", object=thing, **facts)


def test_what_a_run_was_cut_off_while_putting_on_the_pbx_is_removed_when_the_pbx_says_that_it_is_ours(
    runs: Path, pbx: MemoryPbx
) -> None:
    pbx.others["extension", "103"] = Extension("103", SecretStr("theirs-now"), "r")
    record = start_run(runs, Redactor())
    for number in ("101", "103", "104"):
        begun(record, "extension", number=number)
    outcomes = undo_site(FakeRun(runs, pbx))
    assert [(outcome.title, outcome.action) for outcome in outcomes] == [
        ("Undo extension 104", "unchanged"),
        ("Undo extension 103", "kept"),
        ("Undo extension 101", "removed"),
    ]


@pytest.mark.parametrize(
    ("ends", "known"),
    [
        ({"status": "passed", "action": "created", "title": "Realm"}, True),
        ({"status": "failed", "error": "Refused"}, False),
        ({"status": "failed", "error": "KeyboardInterrupt"}, True),
        ({"status": "failed", "error": "Unavailable"}, True),
        ({"status": "died", "reason": "found unfinished when it was sealed"}, True),
    ],
)
def test_the_steps_outcome_says_what_became_of_a_create(runs: Path, ends: dict[str, str], known: bool) -> None:
    record = start_run(runs, Redactor())
    begun(record, "realm", name="acme")
    thing = {"object": {"id": "7", "fqdn": "acme-1a.auth.example"}, "account": "9900000"}
    record.journal.append("step", step="realm", **ends, **(thing if "action" in ends else {}))
    lines = created_objects(FakeRun(runs, MemoryPbx()))["realm"]
    assert [bool(line.get("cut_off")) for line in lines] == ([ends["status"] != "passed"] if known else [])


def test_what_failed_on_the_pbx_may_be_there_and_the_pbx_says_whose_it_is(runs: Path, pbx: MemoryPbx) -> None:
    record = start_run(runs, Redactor())
    begun(record, "extension", number="101")
    record.journal.append("step", step="extension", status="failed", error="PbxRefused")
    assert [outcome.action for outcome in undo_site(FakeRun(runs, pbx))] == ["removed"]


def test_what_a_later_run_claims_is_ours_and_no_more_in_doubt(runs: Path) -> None:
    first = start_run(runs, Redactor())
    begun(first, "realm", name="acme")
    begun(first, "realm", name="acme-two")
    later = start_run(runs, Redactor())
    thing = {"id": "7", "fqdn": "acme-1a.auth.example"}
    later.journal.append(
        "created", step="realm", title="Realm", account="9900000", object=thing, found_after_cut_off=True
    )
    both = created_objects(FakeRun(runs, MemoryPbx()))["realm"]
    assert [line["object"].get("id", line["object"].get("name")) for line in both] == ["acme-two", "7"]
    only_first = created_objects(FakeRun(runs, MemoryPbx()), first.folder.name)["realm"]
    assert [line["object"]["name"] for line in only_first] == ["acme-two"]


# ---------------------------------------------------------------- at Bandwidth


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("home"))
    yield world
    world.close()


@pytest.fixture
def account(world: World) -> Account:
    world.sandbox.reset()
    account = Account(world)
    account.switch("realm_create_s", "0")
    return account


def noted(record: RunRecord, step: str, outcome: Outcome[object]) -> None:
    """The journal line of a real step."""
    record.journal.append(
        "step", step=step, status="passed", action=outcome.action, account="9900000", title=outcome.title,
        object=object_facts(outcome.found), differences=[vars(row) for row in outcome.differences],
    )  # fmt: skip


def undone(runs: Path, account: Account, **options: bool) -> list[tuple[str, str]]:
    run = FakeRun(runs, MemoryPbx(), client=account.client, **options)  # type: ignore[arg-type]
    return [(outcome.action, outcome.note) for outcome in undo_site(run)]


@pytest.mark.parametrize("writes", [True, False])
def test_a_callback_url_that_was_changed_is_told_and_not_put_back(runs: Path, account: Account, writes: bool) -> None:
    before = account.client.create_application(wanted_application())
    wanted = replace(before, id="", call_initiated_url="https://new.example.com/initiate")
    noted(start_run(runs, Redactor()), "application", ensure_application(account.client, wanted))  # type: ignore[arg-type]
    account.wire.sent.clear()
    assert undone(runs, account, writes=writes) == [
        (
            "kept",
            f"it was there before us; call_initiated_url was {before.call_initiated_url}, "
            "is https://new.example.com/initiate; not put back",
        )
    ]
    assert account.wire.written == []


def test_a_rotated_password_cannot_be_restored_and_no_hash_is_told(runs: Path, account: Account) -> None:
    realm, application = account.realm(), account.application()
    ensure_sip_credential(account.client, realm, "pbx", PASSWORD, application)
    rotated = ensure_sip_credential(account.client, realm, "pbx", OTHER_PASSWORD, application, rotate=True)
    record = start_run(runs, Redactor())
    noted(record, "sip_credential", rotated)  # type: ignore[arg-type]
    said = "it was there before us; its password was replaced and cannot be restored: no record holds a secret"
    assert undone(runs, account) == [("kept", said)]
    account.client.delete_sip_credential(realm, rotated.found.id)  # type: ignore[union-attr]
    assert undone(runs, account) == [("unchanged", "already gone")]
    assert undone(runs, account) == []


def test_what_has_the_name_of_a_create_that_was_cut_off_is_kept_and_named_by_its_id(
    runs: Path, account: Account
) -> None:
    realm, application = account.realm(), account.application("PBX Interconnect")
    credential = account.client.create_sip_credential(realm, "pbx", PASSWORD, application.id)
    record = start_run(runs, Redactor())
    begun(record, "application", name="PBX Interconnect")
    begun(record, "realm", name="acme", description="a realm")
    begun(record, "sip_credential", username="pbx", realm_id=realm.id, realm_fqdn=realm.fqdn)
    begun(record, "realm", name="never-made")
    account.wire.sent.clear()
    by_hand = "a run was cut off while creating it; remove it by hand if it is yours, id"
    left = [
        ("kept", f"{by_hand} {credential.id}"),
        ("kept", f"{by_hand} {realm.id}"),
        ("kept", f"{by_hand} {application.id}"),
    ]
    never = ("unchanged", "a run was cut off before it was there")
    assert undone(runs, account) == [left[0], never, *left[1:]]
    assert undone(runs, account) == left
    assert account.wire.written == []


def test_two_applications_of_the_name_of_a_cut_off_create_are_both_named(runs: Path, account: Account) -> None:
    both = [account.application("PBX").id, account.application("PBX").id]
    begun(start_run(runs, Redactor()), "application", name="PBX")
    [(action, note)] = undone(runs, account)
    assert action == "kept"
    assert all(each in note for each in both)
