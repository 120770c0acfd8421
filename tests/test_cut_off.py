"""What a run that was cut off in the middle of a create has left: found again, once, and whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bwlib.cut_off import Creation, open_creations
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, start_run

ACCOUNT = "9900000"
PBX = {"config_dir": "/etc/asterisk"}


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return start_run(tmp_path / "runs" / "my-site", Redactor())


def write(record: RunRecord, kind: str, step: str, account: str = ACCOUNT, **facts: Any) -> None:
    record.journal.append(kind, step=step, account=account, **facts)


def left(record: RunRecord) -> list[tuple[str, str]]:
    return [(creation.step, creation.run) for creation in open_creations(record.folder.parent)]


def test_a_creation_without_an_end_is_open(record: RunRecord) -> None:
    write(record, "creating", "realm", object={"name": "acme"})
    assert left(record) == [("realm", record.folder.name)]


def test_a_creation_that_was_written_down_is_not(record: RunRecord) -> None:
    write(record, "creating", "realm", object={"name": "acme"})
    write(record, "created", "realm", object={"fqdn": "acme.x", "id": "1"})
    assert left(record) == []


@pytest.mark.parametrize(("error", "is_open"), [
    ("Refused", False), ("NotEntitled", False), ("PbxRefused", False),
    ("Unavailable", True), ("KeyboardInterrupt", True), ("RecordError", True), ("PbxUnreachable", True),
])  # fmt: skip
def test_a_no_ends_it_and_no_answer_does_not(record: RunRecord, error: str, is_open: bool) -> None:
    write(record, "creating", "realm", object={"name": "acme"})
    record.journal.append("step", step="realm", status="failed", error=error)
    assert bool(left(record)) is is_open


def test_another_steps_failure_ends_nothing(record: RunRecord) -> None:
    write(record, "creating", "realm", object={"name": "acme"})
    record.journal.append("step", step="application", status="failed", error="Refused")
    assert left(record) == [("realm", record.folder.name)]


def test_a_later_run_that_claims_it_ends_it_and_one_that_creates_anew_takes_its_place(record: RunRecord) -> None:
    write(record, "creating", "realm", object={"name": "acme"})
    write(record, "creating", "application", object={"name": "PBX"})
    later = start_run(record.folder.parent, Redactor())
    write(later, "created", "realm", object={"fqdn": "acme.x"}, found_after_cut_off=record.folder.name)
    write(later, "creating", "application", object={"name": "PBX"})
    assert left(record) == [("application", later.folder.name)]


def test_another_account_is_another_matter(record: RunRecord) -> None:
    write(record, "creating", "realm", object={"name": "acme"})
    write(record, "created", "realm", account="1", object={"fqdn": "acme.x"})
    assert left(record) == [("realm", record.folder.name)]


def test_a_site_without_runs_has_none(tmp_path: Path) -> None:
    assert open_creations(tmp_path / "none") == []


@pytest.mark.parametrize(("step", "wanted", "found", "fits"), [
    ("application", {"name": "PBX"}, {"name": "PBX", "id": "7"}, True),
    ("application", {"name": "PBX"}, {"name": "PBX 2", "id": "7"}, False),
    ("realm", {"name": "acme"}, {"fqdn": "acme.ab12.auth.bandwidth.com"}, True),
    ("realm", {"name": "acme"}, {"fqdn": "other.ab12.auth.bandwidth.com"}, False),
    ("realm", {}, {"fqdn": "acme.ab12.auth.bandwidth.com"}, False),
    ("sip_credential", {"username": "pbx", "realm_id": "1"}, {"username": "pbx", "realm_id": "1"}, True),
    ("sip_credential", {"username": "pbx", "realm_id": "1"}, {"username": "pbx", "realm_id": "2"}, False),
    ("callback", {}, {}, False),
])  # fmt: skip
def test_only_the_object_that_was_being_created_fits(
    step: str, wanted: dict[str, str], found: dict[str, str], fits: bool
) -> None:
    assert Creation(ACCOUNT, step, wanted, {}, "run").fits(ACCOUNT, step, found, {}) is fits


def test_an_object_on_another_pbx_or_account_does_not_fit() -> None:
    creation = Creation(ACCOUNT, "trunk", {"name": "t"}, PBX, "run")
    assert creation.fits(ACCOUNT, "trunk", {"name": "t"}, PBX)
    assert not creation.fits(ACCOUNT, "trunk", {"name": "t"}, {"config_dir": "/elsewhere"})
    assert not creation.fits("1", "trunk", {"name": "t"}, PBX)
