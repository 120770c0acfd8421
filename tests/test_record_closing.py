"""How a run ends: sealed by whoever ran it, or by the next one when a killed process left it open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bwlib.errors import RecordError
from bwlib.record.closing import close, close_abandoned
from bwlib.record.journal import reserve_of
from bwlib.record.manifest import manifest_faults, run_status
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, hold, start_run, wait_for_writers


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return start_run(tmp_path / "runs" / "my-site", Redactor())


def manifest(record: RunRecord) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((record.folder / "manifest.json").read_bytes())
    return read


def test_a_closed_run_is_sealed_and_gives_its_reserve_back(record: RunRecord) -> None:
    assert reserve_of(record.folder).stat().st_size > 0
    close(record, operator="ada")
    assert (manifest(record)["operator"], manifest_faults(record.folder)) == ("ada", [])
    assert not reserve_of(record.folder).exists()


def test_a_run_that_is_going_on_is_not_closed(record: RunRecord) -> None:
    with hold(record), pytest.raises(RecordError, match="still going on"):
        close_abandoned(record)
    assert not record.is_sealed


def test_what_a_killed_runner_left_running_is_closed_as_died(record: RunRecord) -> None:
    write = record.journal.append
    write("notebook", notebook="10_application", status="passed")
    write("notebook", notebook="20_sip_credentials", status="running")
    write("cell", notebook="20_sip_credentials", cell=3, status="passed")
    write("cell", notebook="20_sip_credentials", cell=5, status="running")
    write("step", step="realm", status="running")
    close_abandoned(record)
    assert manifest(record)["status"] == "died"
    died = [line for line in record.journal.lines() if line.get("reason")]
    assert [(line["kind"], line.get("cell")) for line in died] == [("notebook", None), ("step", None), ("cell", 5)]
    assert manifest_faults(record.folder) == []


def test_a_runner_killed_between_two_notebooks_has_not_passed(tmp_path: Path) -> None:
    record = start_run(tmp_path / "runs" / "my-site", Redactor(), notebooks=["one", "two"])
    record.journal.append("notebook", notebook="one", status="running")
    record.journal.append("notebook", notebook="one", status="passed")
    assert run_status(record.folder) == "running"
    close_abandoned(record)
    assert manifest(record)["status"] == "died"
    last = {line["notebook"]: line["status"] for line in record.journal.lines() if line["kind"] == "notebook"}
    assert last == {"one": "passed", "two": "skipped"}


WRITER = """
import sys
from pathlib import Path
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, write_into
write_into(RunRecord(Path(sys.argv[1]), Redactor()))
print("here", flush=True)
sys.stdin.read()
"""


def test_a_process_that_still_writes_is_waited_for_and_a_killed_one_lets_go(record: RunRecord) -> None:
    argv = [sys.executable, "-c", WRITER, str(record.folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "here\n"
        with pytest.raises(RecordError, match="has not ended"):
            wait_for_writers(record, limit_s=0.3)
        writer.kill()
        wait_for_writers(record)
    close_abandoned(record)
