"""A record as one file: the same bytes whoever packs it, and metadata that archives can read."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bwlib.errors import RecordError
from bwlib.record.manifest import file_digests, seal
from bwlib.record.pack import pack
from bwlib.record.redact import Redactor
from bwlib.record.ro_crate import NAME, write_ro_crate
from bwlib.record.run_record import RunRecord, start_run


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    made = start_run(tmp_path / "runs" / "my-site", Redactor(), site="my-site", target="sandbox")
    made.write_bytes("audio/x.wav", b"RIFF")
    made.write_text("notebooks/10_application.ipynb", "{}")
    return made


def test_the_same_record_gives_the_same_bytes(record: RunRecord, tmp_path: Path) -> None:
    seal(record)
    first = pack(record.folder)
    for path in record.folder.rglob("*"):
        os.utime(path, (1, 1))
    second = pack(record.folder, tmp_path / "again.zip")
    assert first.read_bytes() == second.read_bytes()
    assert stat.S_IMODE(first.stat().st_mode) == 0o600


def test_a_packed_record_holds_every_file_and_nothing_else(record: RunRecord, tmp_path: Path) -> None:
    seal(record)
    with zipfile.ZipFile(pack(record.folder)) as archive:
        archive.extractall(tmp_path / "out")
    assert file_digests(tmp_path / "out" / record.folder.name) == file_digests(record.folder)
    assert (tmp_path / "out" / record.folder.name / "manifest.json").exists()


def test_an_open_run_is_not_packed(record: RunRecord) -> None:
    with pytest.raises(RecordError, match="not sealed"):
        pack(record.folder)


def test_a_file_that_is_there_is_not_written_over(record: RunRecord) -> None:
    seal(record)
    target = record.folder.with_name("mine.zip")
    target.write_text("mine")
    with pytest.raises(RecordError, match="there is one already"):
        pack(record.folder, target)
    assert target.read_text() == "mine"


# ---------------------------------------------------------------- RO-Crate


def crate(record: RunRecord) -> dict[str, dict[str, Any]]:
    write_ro_crate(record)
    return {one["@id"]: one for one in json.loads((record.folder / NAME).read_text())["@graph"]}


def notebook(record: RunRecord, name: str, status: str, **facts: str) -> None:
    record.journal.append("notebook", notebook=name, status="running", operator="ada")
    record.journal.append("notebook", notebook=name, status=status, **facts)


def test_every_file_is_a_part_with_its_media_type(record: RunRecord) -> None:
    things = crate(record)
    assert {part["@id"] for part in things["./"]["hasPart"]} == set(file_digests(record.folder)) - {NAME}
    assert things["audio/x.wav"]["encodingFormat"] == "audio/wav"


def test_a_notebook_is_an_action_of_its_operator_with_its_end_and_its_file(record: RunRecord) -> None:
    notebook(record, "10_application", "passed")
    notebook(record, "20_sip_credentials", "failed", reason="Refused in cell 4")
    things = crate(record)
    done, failed = things["#10_application"], things["#20_sip_credentials"]
    assert done["actionStatus"]["@id"].endswith("CompletedActionStatus")
    assert (done["agent"], done["result"]) == ({"@id": "#ada"}, [{"@id": "notebooks/10_application.ipynb"}])
    assert failed["actionStatus"]["@id"].endswith("FailedActionStatus")
    assert failed["error"] == "Refused in cell 4"
    assert things["#ada"]["name"] == "ada"


def test_everything_that_is_referred_to_is_described(record: RunRecord) -> None:
    notebook(record, "10_application", "died")
    things = crate(record)

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["@id"]] if set(value) == {"@id"} else []
            return own + [name for inner in value.values() for name in references(inner)]
        return [name for inner in value for name in references(inner)] if isinstance(value, list) else []

    outside = {"https://w3id.org/ro/crate/1.1"}
    missing = {name for thing in things.values() for name in references(list(thing.values()))} - set(things) - outside
    assert {name for name in missing if not name.startswith("http://schema.org/")} == set()
