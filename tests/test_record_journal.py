"""The journal: a chain that holds under two writers and a killed one, and shows every later change."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bwlib.errors import RecordError
from bwlib.record.journal import FIRST_PREVIOUS, Journal, chain_faults, read_lines
from bwlib.record.redact import Redactor, redactor_for

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl", Redactor())


def write_many(path: Path, start: Any, count: int) -> None:
    start.wait(20)
    journal = Journal(path, Redactor())
    for number in range(count):
        journal.append("note", number=number)


# ---------------------------------------------------------------- lines


def test_each_line_holds_the_hash_of_the_one_before(journal: Journal) -> None:
    for number in range(5):
        journal.append("note", number=number)
    lines = journal.lines()
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0]["prev"] == FIRST_PREVIOUS
    assert len({line["prev"] for line in lines}) == 5
    assert chain_faults(journal.path) == []


def test_what_append_returns_is_what_is_on_the_disk(journal: Journal) -> None:
    written = journal.append("step", step="realm", status="passed")
    assert json.loads(journal.path.read_bytes()) == written
    assert written["pid"] == os.getpid()


def test_the_file_is_private(journal: Journal) -> None:
    journal.append("note")
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


@settings(max_examples=40)
@given(facts=st.lists(st.dictionaries(st.sampled_from(["text", "object", "ünï"]), JSON, max_size=3), max_size=5))
def test_whatever_is_written_comes_back_and_the_chain_holds(
    tmp_path_factory: pytest.TempPathFactory, facts: list[dict[str, Any]]
) -> None:
    journal = Journal(tmp_path_factory.mktemp("j") / "journal.jsonl", Redactor())
    for one in facts:
        journal.append("note", **one)
    back = [{name: line[name] for name in one} for line, one in zip(journal.lines(), facts, strict=True)]
    assert back == facts
    assert journal.path.exists() == bool(facts)
    assert not facts or chain_faults(journal.path) == []


def test_text_that_utf8_cannot_carry_comes_back_too(journal: Journal) -> None:
    journal.append("note", name=os.fsdecode(b"caf\xe9"))
    assert journal.lines()[0]["name"] == "caf\udce9"
    assert chain_faults(journal.path) == []


@pytest.mark.parametrize("secret", ["12345678", "note-kind", "0000000a", '": "xyz', "number"])
def test_a_secret_never_breaks_a_line_whatever_it_looks_like(tmp_path: Path, secret: str) -> None:
    journal = Journal(tmp_path / "journal.jsonl", redactor_for([("file:a", secret)]))
    for number in (1, 12345678):
        journal.append("note-kind", number=number, text=f"it is {secret} now", nested={"deep": [secret]})
    assert chain_faults(journal.path) == []
    assert journal.lines()[1]["text"] == "it is «redacted:file:a» now"
    assert journal.lines()[1]["nested"] == {"deep": ["«redacted:file:a»"]}
    assert journal.lines()[1]["number"] == 12345678


def test_a_path_or_a_secret_str_is_written_as_redacted_text(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", redactor_for([("where", "secret-folder")]))
    assert journal.append("note", path=Path("/x/secret-folder"))["path"] == "/x/«redacted:where»"


@pytest.mark.parametrize("name", ["seq", "prev", "at", "pid", "mono_s"])
def test_a_fact_cannot_take_the_place_of_the_chains_own(journal: Journal, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        journal.append("note", **{name: 1})
    assert not journal.path.exists()


# ---------------------------------------------------------------- several writers


@pytest.mark.slow
def test_two_processes_at_once_write_one_chain(journal: Journal) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [context.Process(target=write_many, args=(journal.path, start, 40)) for _ in range(2)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    lines = journal.lines()
    assert len(lines) == 80
    assert len({line["pid"] for line in lines}) == 2
    assert chain_faults(journal.path) == []


KILLED_IN_THE_MIDDLE = """
import os, signal, sys
from pathlib import Path
from bwlib.record import journal
from bwlib.record.redact import Redactor

book = journal.Journal(Path(sys.argv[1]), Redactor())
book.append("note", number=1)

def half(line, whole=journal.encode_line):
    with open(sys.argv[1], "ab") as stream:  # what a kill between two write calls leaves
        stream.write(whole(line)[:40])
    os.kill(os.getpid(), signal.SIGKILL)

journal.encode_line = half
book.append("note", number=2)
"""


@pytest.mark.slow
def test_a_killed_writers_half_line_is_set_aside_and_mentioned(journal: Journal) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_IN_THE_MIDDLE, str(journal.path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert chain_faults(journal.path) == ["the last line is not whole"]
    assert [line["number"] for line in journal.lines()] == [1]
    line = journal.append("note", number=3)  # and the killed one's lock is gone
    assert line["after_fragment_bytes"] == 40
    assert [line["number"] for line in journal.lines()] == [1, 3]
    assert chain_faults(journal.path) == []


@pytest.mark.parametrize("kept", [1, 30, -1])
def test_a_first_line_cut_off_anywhere_leaves_a_sound_journal(journal: Journal, kept: int) -> None:
    journal.append("note", number=1)
    journal.path.write_bytes(journal.path.read_bytes()[:kept])
    assert journal.append("note", number=2)["seq"] == 1
    assert chain_faults(journal.path) == []


# ---------------------------------------------------------------- tampering


@settings(max_examples=60)
@given(where=st.integers(0, 10_000), byte=st.integers(1, 255))
def test_any_changed_byte_but_in_the_last_line_breaks_the_chain(
    tmp_path_factory: pytest.TempPathFactory, where: int, byte: int
) -> None:
    journal = Journal(tmp_path_factory.mktemp("j") / "journal.jsonl", Redactor())
    for number in range(4):
        journal.append("note", number=number)
    data = bytearray(journal.path.read_bytes())
    where %= data.rstrip(b"\n").rindex(b"\n")
    data[where] ^= byte
    journal.path.write_bytes(data)
    assert chain_faults(journal.path)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [lines[0], lines[0], *lines[1:]],
        lambda lines: [lines[0], b"", *lines[1:]],
        lambda lines: [b"not json", *lines[1:]],
        lambda lines: [*lines, b"[]"],
        lambda lines: [*lines, b"\xff\xfe"],
    ],
)
def test_removed_swapped_repeated_and_foreign_lines_are_found(journal: Journal, change: Any) -> None:
    for number in range(4):
        journal.append("note", number=number)
    lines = change(journal.path.read_bytes().splitlines())
    journal.path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert chain_faults(journal.path)


def test_faults_name_the_line(journal: Journal) -> None:
    for number in range(3):
        journal.append("note", number=number)
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"number": 1', b'"number": 7'))
    assert chain_faults(journal.path) == ["line 3 does not follow the line before it"]


def test_a_missing_journal_is_a_fault_and_not_a_traceback(tmp_path: Path) -> None:
    assert chain_faults(tmp_path / "journal.jsonl") == ["there is none"]


def test_nothing_is_added_to_a_journal_that_somebody_else_wrote_in(journal: Journal) -> None:
    journal.path.write_text("hello\n")
    with pytest.raises(RecordError, match="not a journal line"):
        journal.append("note")
    assert journal.path.read_text() == "hello\n"


@pytest.mark.parametrize("line", ["{", "[]", '"kind"', "{}"])
def test_reading_a_spoilt_journal_is_a_clear_error(journal: Journal, line: str) -> None:
    journal.append("note")
    with journal.path.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(RecordError, match="line 2"):
        list(read_lines(journal.path))


# ---------------------------------------------------------------- what cannot be recorded


def test_nothing_goes_on_unrecorded_when_the_disk_refuses(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="nothing goes on unrecorded"):
        Journal(tmp_path / "no" / "journal.jsonl", Redactor()).append("note")


def test_a_sealed_run_takes_no_further_line(journal: Journal) -> None:
    journal.append("note")
    before = journal.path.read_bytes()
    (journal.path.parent / "manifest.json").write_text("{}")
    with pytest.raises(RecordError, match="sealed"):
        journal.append("note")
    assert journal.path.read_bytes() == before
