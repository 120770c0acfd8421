"""The seal: what it refuses, what it says, and what it shows of later changes. With the run's folder it closes."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bwlib.errors import RecordError
from bwlib.models import Exchange, SipEvent
from bwlib.record.manifest import file_digests, manifest_faults, run_status, seal
from bwlib.record.redact import Redactor, redactor_for
from bwlib.record.run_record import RunRecord, join_or_start_run, latest_steps, run_folders, start_run

SECRET = "correct-horse-battery"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "my-site"


def new_run(runs: Path, **secrets: str) -> RunRecord:
    return start_run(runs, redactor_for(secrets.items()), site="my-site")


def step(record: RunRecord, name: str, status: str) -> None:
    record.journal.append("step", step=name, status=status)


def manifest(record: RunRecord) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((record.folder / "manifest.json").read_bytes())
    return read


def exchange(body: str, headers: dict[str, str] | None = None) -> Exchange:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Exchange("1", at, "POST", "https://x/", headers or {}, body, 200, {}, "", 0.1)


# ---------------------------------------------------------------- a sealed run


def test_the_manifest_holds_every_files_hash_and_its_own_facts(runs: Path) -> None:
    record = new_run(runs)
    record.write_bytes("audio/x.wav", b"RIFF")
    step(record, "realm", "passed")
    seal(record, target="sandbox", operator="ada")
    told = manifest(record)
    assert told["files"]["audio/x.wav"] == hashlib.sha256(b"RIFF").hexdigest()
    assert sorted(told["files"]) == ["audio/x.wav", "journal.jsonl"]
    assert (told["status"], told["target"], told["operator"], told["site"]) == ("passed", "sandbox", "ada", "my-site")
    assert told["guide"]["headings"]
    assert manifest_faults(record.folder) == []


def test_the_last_line_of_a_sealed_journal_says_so(runs: Path) -> None:
    record = new_run(runs)
    seal(record)
    last = (record.folder / "journal.jsonl").read_bytes().splitlines()[-1]
    assert json.loads(last)["kind"] == "run_sealed"
    assert manifest(record)["journal_last_line"] == hashlib.sha256(last).hexdigest()


def test_a_sealed_run_is_never_reopened(runs: Path) -> None:
    record = new_run(runs)
    seal(record)
    attempts = [
        lambda: seal(record),
        lambda: record.journal.append("note"),
        lambda: record.write_text("late.txt", "x"),
        lambda: record.write_bytes("late.wav", b"x"),
        lambda: record.append_exchange(exchange("x")),
        lambda: record.append_sip([SipEvent(datetime.now(UTC), "a", "b", "x")], "c"),
    ]
    for attempt in attempts:
        with pytest.raises(RecordError, match="sealed"):
            attempt()
    assert manifest_faults(record.folder) == []


def test_everything_in_a_run_is_private(runs: Path) -> None:
    record = new_run(runs)
    record.write_text("a.txt", "x")
    record.write_config("before", {"/etc/asterisk/pjsip.conf": "x"})
    record.append_exchange(exchange("x"))
    seal(record)
    for path in [record.folder, *record.folder.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


# ---------------------------------------------------------------- what is refused


FORMS = {
    "plain": SECRET.encode(),
    "in a picture": b"\x89PNG\xff\xfe" + SECRET.encode(),
    "base64": base64.b64encode(b"user:" + SECRET.encode()),
    "hex": SECRET.encode().hex().encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_any_file_refuses_the_seal_by_name_and_never_by_value(runs: Path, form: str) -> None:
    record = new_run(runs, **{"file:sip": SECRET})
    record.write_bytes("deep/er/file.bin", FORMS[form])
    with pytest.raises(RecordError) as caught:
        seal(record)
    assert caught.value.came_back == "deep/er/file.bin holds a secret: file:sip"
    assert SECRET not in str(caught.value)
    assert not record.is_sealed


def test_a_secret_by_its_place_refuses_the_seal_too(runs: Path) -> None:
    record = new_run(runs)
    record.write_bytes("trace.txt", b'Digest username="101", response="0123456789abcdef0123456789abcdef"')
    with pytest.raises(RecordError, match=r"trace.txt holds a secret: digest-response"):
        seal(record)


def test_a_refused_seal_leaves_no_line_that_says_sealed_and_can_be_repeated(runs: Path) -> None:
    record = new_run(runs, password=SECRET)
    path = record.write_bytes("a.bin", SECRET.encode())
    with pytest.raises(RecordError):
        seal(record)
    assert [line["kind"] for line in record.journal.lines()] == ["run_started"]
    path.unlink()
    seal(record)
    assert manifest_faults(record.folder) == []


def test_whatever_the_record_itself_writes_passes_the_scan(runs: Path) -> None:
    record = new_run(runs, password=SECRET)
    digest = 'Proxy-Authorization: Digest response="0123456789abcdef0123456789abcdef"'
    record.append_exchange(
        exchange(f"<Password>{SECRET}</Password><Hash1>abc</Hash1>", {"authorization": "Basic eA=="})
    )
    record.append_exchange(exchange('{"access_token": "unknown-to-us"}', {"Authorization": "Bearer eyJ"}))
    record.append_sip([SipEvent(datetime.now(UTC), "a", "b", f"INVITE\r\n{digest}\r\n")], "call")
    record.write_text("sheet.txt", f"password {SECRET}")
    record.write_config("after", {"pjsip.conf": f"password={SECRET}"})
    record.journal.append("note", text=SECRET, header={"authorization": "Basic eA=="})
    seal(record, operator=SECRET)
    assert manifest_faults(record.folder) == []
    assert not [path for path in record.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert b"0123456789abcdef0123" not in (record.folder / "sip.jsonl").read_bytes()
    assert b"unknown-to-us" not in (record.folder / "http.jsonl").read_bytes()


def test_every_line_of_http_and_sip_is_json(runs: Path) -> None:
    record = new_run(runs, password="12345678")
    record.append_exchange(exchange('<Hash1> and no end, then 12345678"\\ \u2028 \udcff'))
    record.append_sip([SipEvent(datetime.now(UTC), "a", "b", "</x> 12345678")], "call")
    for name in ("http.jsonl", "sip.jsonl"):
        assert json.loads((record.folder / name).read_bytes())


@pytest.mark.parametrize("spoil", [lambda data: data[:-5], lambda data: data.replace(b"my-site", b"xx-site") + b"{}\n"])
def test_a_broken_journal_refuses_the_seal(runs: Path, spoil: Any) -> None:
    record = new_run(runs)
    step(record, "realm", "passed")
    path = record.journal.path
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(RecordError, match="its journal is broken"):
        seal(record)
    assert not record.is_sealed


def test_a_run_without_a_journal_is_not_sealed(runs: Path) -> None:
    record = new_run(runs)
    record.journal.path.unlink()
    with pytest.raises(RecordError, match="there is none"):
        seal(record)


# ---------------------------------------------------------------- later changes


def test_a_changed_a_missing_and_an_added_file_are_named(runs: Path) -> None:
    record = new_run(runs)
    for name in ("one.txt", "two.txt"):
        record.write_text(name, "x")
    seal(record)
    (record.folder / "one.txt").write_text("y")
    (record.folder / "two.txt").unlink()
    (record.folder / "three.txt").write_text("z")
    assert manifest_faults(record.folder) == ["two.txt is missing", "three.txt was added", "one.txt was changed"]


def test_a_line_added_to_a_sealed_journal_is_named_twice(runs: Path) -> None:
    record = new_run(runs)
    seal(record)
    with record.journal.path.open("a") as stream:
        stream.write('{"kind": "step"}\n')
    faults = manifest_faults(record.folder)
    assert "journal.jsonl was changed" in faults
    assert any(fault.startswith("journal: line 3") for fault in faults)


def test_a_missing_journal_is_named(runs: Path) -> None:
    record = new_run(runs)
    seal(record)
    record.journal.path.unlink()
    assert manifest_faults(record.folder) == ["journal.jsonl is missing"]


def test_a_signature_beside_the_manifest_is_no_added_file(runs: Path) -> None:
    record = new_run(runs)
    seal(record)
    (record.folder / "manifest.json.sig").write_text("sig")
    assert manifest_faults(record.folder) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1}', '{"files": ["a"]}', "{"])
def test_an_unreadable_manifest_is_a_fault_and_not_a_traceback(runs: Path, text: str) -> None:
    record = new_run(runs)
    (record.folder / "manifest.json").write_text(text)
    assert manifest_faults(record.folder) == ["the manifest cannot be read"]


def test_an_unsealed_run_is_told_apart(runs: Path) -> None:
    assert manifest_faults(new_run(runs).folder) == ["the run is not sealed: there is no manifest"]


# ---------------------------------------------------------------- the site's chain of runs


def test_the_previous_sealed_run_is_chained_by_its_manifests_hash(runs: Path) -> None:
    first, unsealed, second = (new_run(runs) for _ in range(3))
    seal(first)
    seal(second)
    digest = hashlib.sha256((first.folder / "manifest.json").read_bytes()).hexdigest()
    assert manifest(first)["previous_run"] is None
    assert manifest(second)["previous_run"] == {"run": first.folder.name, "manifest_sha256": digest}
    assert not unsealed.is_sealed


def test_no_sealed_run_falls_out_of_the_chain_when_an_older_one_ends_later(runs: Path) -> None:
    older, newer = new_run(runs), new_run(runs)
    seal(newer)
    seal(older)
    last = new_run(runs)
    seal(last)
    told = [manifest(record)["previous_run"] for record in (older, last)]
    assert [previous["run"] for previous in told] == [newer.folder.name, older.folder.name]


def test_another_sites_runs_do_not_count(tmp_path: Path) -> None:
    seal(new_run(tmp_path / "runs" / "a"))
    other = new_run(tmp_path / "runs" / "b")
    seal(other)
    assert manifest(other)["previous_run"] is None


# ---------------------------------------------------------------- status


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([], "pending"),
        ([("a", "passed"), ("b", "passed")], "passed"),
        ([("a", "running"), ("a", "passed")], "passed"),
        ([("a", "failed"), ("a", "passed")], "passed"),
        ([("a", "passed"), ("a", "failed")], "failed"),
        ([("a", "passed"), ("b", "pending")], "pending"),
        ([("a", "passed"), ("b", "skipped")], "skipped"),
        ([("a", "pending"), ("b", "running")], "running"),
        ([("a", "failed"), ("b", "running"), ("c", "passed")], "failed"),
        ([("a", "passed"), ("b", "a word nobody knows")], "a word nobody knows"),
    ],
)
def test_a_run_is_as_good_as_the_worst_of_its_last_words(runs: Path, steps: list[tuple[str, str]], status: str) -> None:
    record = new_run(runs)
    for name, said in steps:
        step(record, name, said)
    assert run_status(record.folder) == status


@pytest.mark.parametrize("status", ["died", "timed_out", "failed"])
def test_a_dead_notebook_outweighs_its_passed_steps(runs: Path, status: str) -> None:
    record = new_run(runs)
    step(record, "realm", "passed")
    record.journal.append("notebook", notebook="20", status="running")
    record.journal.append("notebook", notebook="20", status=status)
    record.journal.append("notebook", notebook="30", status="skipped")
    assert run_status(record.folder) == status


# ---------------------------------------------------------------- the folder


def test_runs_sort_in_the_order_they_began(runs: Path) -> None:
    made = [new_run(runs).folder for _ in range(20)]
    assert run_folders(runs) == made


def test_an_interactive_run_is_joined_until_it_is_sealed(runs: Path) -> None:
    redactor = Redactor()
    unattended = new_run(runs)
    first = join_or_start_run(runs, redactor, site="my-site")
    assert join_or_start_run(runs, redactor, site="my-site").folder == first.folder != unattended.folder
    seal(first)
    assert join_or_start_run(runs, redactor, site="my-site").folder != first.folder


def test_the_first_config_before_stays_and_no_name_leaves_the_folder(runs: Path) -> None:
    record = new_run(runs)
    record.write_config("before", {"/etc/asterisk/../pjsip.conf": "first"})
    record.write_config("before", {"/etc/asterisk/../pjsip.conf": "second"})
    files = [path for path in record.folder.rglob("*") if path.is_file() and path.name != "journal.jsonl"]
    assert [path.read_text() for path in files] == ["first"]
    assert files[0].is_relative_to(record.folder / "config" / "before")


def test_the_last_word_on_each_step_is_found(runs: Path) -> None:
    record = new_run(runs)
    step(record, "realm", "running")
    step(record, "realm", "passed")
    assert latest_steps(record.folder)["realm"]["status"] == "passed"


def test_what_cannot_be_written_is_a_record_error(runs: Path) -> None:
    record = new_run(runs)
    (record.folder / "audio").write_text("a file in the way")
    with pytest.raises(RecordError, match="nothing goes on unrecorded"):
        record.write_bytes("audio/x.wav", b"x")
    (runs.parent / "blocked").write_text("")
    with pytest.raises(RecordError):
        start_run(runs.parent / "blocked" / "site", Redactor())


def test_digests_leave_only_the_manifest_and_its_signature_out(runs: Path) -> None:
    record = new_run(runs)
    record.write_text("sub/manifest.json", "{}")
    assert sorted(file_digests(record.folder)) == ["journal.jsonl", "sub/manifest.json"]
