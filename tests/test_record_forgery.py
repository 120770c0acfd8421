"""Whatever is done to a sealed record without its signer's key, `verify` names it. By properties, over every file."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_made import made_record, tree

from bwlib.record.manifest import file_digests
from bwlib.record.signature import SigningKey, public_key_of, sign
from bwlib.record.signers import allowed_signers_file
from bwlib.record.verdict import Verdict, as_json, as_text
from bwlib.record.verify import verify

FILES = (
    "audio/phone_heard.wav",
    "config/after/bw-runbook/pjsip.conf",
    "config/after/pjsip.conf",
    "config/before/pjsip.conf",
    "http.jsonl",
    "journal.jsonl",
    "manifest.json",
    "manifest.json.sig",
    "notebooks/10_application.ipynb",
    "notebooks/20_sip_credentials.ipynb",
    "settings_sheet.txt",
    "sip.jsonl",
    "webhooks.jsonl",
)
any_file = st.sampled_from(FILES)
not_the_seal = st.sampled_from([name for name in FILES if not name.startswith("manifest.json")])
at = st.integers(min_value=0, max_value=10**6)  # a place in a file, taken modulo its length
examples = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Sealed:
    """A sealed record, another run of the same site, and the list of those who are trusted: their signer."""

    folder: Path
    other: Path
    signers: Path

    @contextmanager
    def copy(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as made:
            yield Path(shutil.copytree(self.folder, Path(made) / self.folder.name))

    def verify(self, folder: Path) -> Verdict:
        return verify(folder, signers=self.signers)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    place = tmp_path_factory.mktemp("forgery")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BW_RUNBOOK_CONFIG", str(place / "config"))
        patch.delenv("BW_RUNBOOK_SIGNING_KEY", raising=False)
        other, record = (made_record(place / "runs" / "demo").folder for _ in range(2))
        yield Sealed(record, other, allowed_signers_file())


def names(verdict: Verdict, *said: str) -> bool:
    """Whether the record is refused, and some fault has all these words."""
    return verdict.exit_code == 9 and any(all(word in fault for word in said) for fault in verdict.faults)


def the_forger() -> SigningKey:
    private = Ed25519PrivateKey.generate()
    return SigningKey(Path("forger"), public_key_of(private), private)


def flip(path: Path, place: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)


def test_the_list_of_files_is_whole_and_the_untouched_record_holds(sealed: Sealed) -> None:
    assert tuple(sorted(tree(sealed.folder))) == FILES
    with sealed.copy() as copy:
        assert sealed.verify(copy).exit_code == 0


# ---------------------------------------------------------------- one file


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_file_is_named(name: str, sealed: Sealed) -> None:
    with sealed.copy() as copy:
        (copy / name).unlink()
        assert names(sealed.verify(copy), name, "is missing")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_first_or_last_byte_is_named(name: str, place: int, sealed: Sealed) -> None:
    with sealed.copy() as copy:
        flip(copy / name, place)
        assert names(sealed.verify(copy), name, "changed")


@examples
@given(name=any_file, place=at, bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_named(sealed: Sealed, name: str, place: int, bit: int) -> None:
    with sealed.copy() as copy:
        flip(copy / name, place, bit)
        assert names(sealed.verify(copy), name, "changed")


@examples
@given(name=any_file, place=at, more=st.binary(min_size=1, max_size=20))
def test_inserted_bytes_are_named(sealed: Sealed, name: str, place: int, more: bytes) -> None:
    with sealed.copy() as copy:
        data = (copy / name).read_bytes()
        cut = place % (len(data) + 1)
        (copy / name).write_bytes(data[:cut] + more + data[cut:])
        assert names(sealed.verify(copy), name, "changed")


@examples
@given(name=any_file, place=at)
def test_a_file_cut_off_is_named(sealed: Sealed, name: str, place: int) -> None:
    with sealed.copy() as copy:
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data[: place % len(data)])
        assert names(sealed.verify(copy), name, "changed")


@examples
@given(
    folder=st.sampled_from(["", "audio/", "config/after/", "new/", "new/er/", "notebooks/", ".hidden/"]),
    name=st.text("abcxyz0189._- é", min_size=1, max_size=20).filter(lambda name: set(name) != {"."}),
    data=st.binary(max_size=10),
)
def test_an_added_file_is_named(sealed: Sealed, folder: str, name: str, data: bytes) -> None:
    with sealed.copy() as copy:
        path = copy / folder / name
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        assert names(sealed.verify(copy), f"{folder}{name} was added")


@examples
@given(pair=st.lists(not_the_seal, min_size=2, max_size=2, unique=True))
def test_two_files_in_each_others_place_are_both_named(sealed: Sealed, pair: list[str]) -> None:
    with sealed.copy() as copy:
        one, two = ((copy / name).read_bytes() for name in pair)
        (copy / pair[0]).write_bytes(two)
        (copy / pair[1]).write_bytes(one)
        if one != two:
            assert all(names(sealed.verify(copy), f"{name} was changed") for name in pair)


@examples
@given(name=any_file)
def test_a_renamed_file_is_missing_here_and_added_there(sealed: Sealed, name: str) -> None:
    with sealed.copy() as copy:
        (copy / name).rename(copy / f"{name}.bak")
        verdict = sealed.verify(copy)
        assert names(verdict, name, "is missing")
        assert (
            names(verdict, f"{name}.bak was added") or name == "manifest.json"
        )  # without it nothing says what belongs


# ---------------------------------------------------------------- the journal


def journal_of(folder: Path) -> list[bytes]:
    return (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)


@examples
@given(data=st.data())
def test_two_swapped_journal_lines_are_named_by_number(sealed: Sealed, data: st.DataObject) -> None:
    with sealed.copy() as copy:
        lines = journal_of(copy)
        numbers = st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True)
        one, two = sorted(data.draw(numbers))
        lines[one], lines[two] = lines[two], lines[one]
        (copy / "journal.jsonl").write_bytes(b"".join(lines))
        verdict = sealed.verify(copy)
        assert names(verdict, "journal.jsonl was changed")
        assert names(verdict, f"journal.jsonl: line {one + 1} does not follow the line before it")


@examples
@given(data=st.data())
def test_a_journal_without_its_last_lines_is_named(sealed: Sealed, data: st.DataObject) -> None:
    with sealed.copy() as copy:
        lines = journal_of(copy)
        kept = data.draw(st.integers(0, len(lines) - 1))
        (copy / "journal.jsonl").write_bytes(b"".join(lines[:kept]))
        verdict = sealed.verify(copy)
        assert names(verdict, "journal.jsonl was changed")
        assert names(verdict, f"journal.jsonl: line {kept}, the last one, does not say that the run was sealed")


@examples
@given(data=st.data())
def test_a_line_taken_out_is_named_by_number(sealed: Sealed, data: st.DataObject) -> None:
    with sealed.copy() as copy:
        lines = journal_of(copy)
        gone = data.draw(st.integers(0, len(lines) - 2))
        del lines[gone]
        (copy / "journal.jsonl").write_bytes(b"".join(lines))
        assert names(sealed.verify(copy), f"journal.jsonl: line {gone + 1} does not follow the line before it")


@examples
@given(data=st.data())
def test_a_journal_that_was_chained_anew_is_still_not_the_one_that_was_sealed(
    sealed: Sealed, data: st.DataObject
) -> None:
    """The forger knows how the chain is made, and mends it behind the change."""
    with sealed.copy() as copy:
        lines: list[dict[str, Any]] = [json.loads(line) for line in journal_of(copy)]
        lines[data.draw(st.integers(0, len(lines) - 2))]["operator"] = "somebody else"
        encoded, before = [], b""
        for line in lines:
            line["prev"] = hashlib.sha256(before).hexdigest() if before else "0" * 64
            before = json.dumps(line, sort_keys=True).encode()
            encoded.append(before + b"\n")
        (copy / "journal.jsonl").write_bytes(b"".join(encoded))
        verdict = sealed.verify(copy)
        assert names(verdict, "journal.jsonl was changed")
        assert names(verdict, "is not the last line that manifest.json names")


# ---------------------------------------------------------------- the seal


def seal_as(key: SigningKey, folder: Path, **changed: object) -> None:
    """Write a manifest that fits the folder as it is now, and sign it with a key of one's own."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest.update({"files": file_digests(folder), **changed})
    data = json.dumps(manifest, sort_keys=True, indent=1).encode() + b"\n"
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.json.sig").write_bytes(sign(data, key))


def is_distrusted(verdict: Verdict, key: SigningKey) -> bool:
    signer = verdict.signer
    return (
        verdict.exit_code == 9
        and signer is not None
        and signer.fingerprint == key.public.fingerprint
        and signer.distrust == "nobody in your allowed_signers has this key"
    )


def test_the_same_manifest_signed_by_another_is_named(sealed: Sealed) -> None:
    key = the_forger()
    with sealed.copy() as copy:
        (copy / "manifest.json.sig").write_bytes(sign((copy / "manifest.json").read_bytes(), key))
        verdict = sealed.verify(copy)
        assert names(verdict, "manifest.json.sig was made by another key than manifest.json says")
        assert is_distrusted(verdict, key)


@examples
@given(name=not_the_seal, place=at)
def test_an_edit_sealed_anew_with_another_key_names_the_key(sealed: Sealed, name: str, place: int) -> None:
    key = the_forger()
    with sealed.copy() as copy:
        flip(copy / name, place)
        seal_as(key, copy, signed_by={"fingerprint": key.public.fingerprint})
        assert is_distrusted(sealed.verify(copy), key)


@examples
@given(name=not_the_seal, place=at)
def test_an_edit_sealed_anew_in_the_first_signers_name_is_named(sealed: Sealed, name: str, place: int) -> None:
    key = the_forger()
    with sealed.copy() as copy:
        flip(copy / name, place)
        seal_as(key, copy)
        verdict = sealed.verify(copy)
        assert names(verdict, "manifest.json.sig was made by another key than manifest.json says")
        assert is_distrusted(verdict, key)


@examples
@given(status=st.sampled_from(["passed", "failed", "skipped"]), name=not_the_seal, place=at)
def test_a_manifest_for_an_edited_record_under_the_old_signature_is_named(
    sealed: Sealed, status: str, name: str, place: int
) -> None:
    with sealed.copy() as copy:
        armored = (copy / "manifest.json.sig").read_bytes()
        flip(copy / name, place)
        seal_as(the_forger(), copy, status=status)
        (copy / "manifest.json.sig").write_bytes(armored)
        verdict = sealed.verify(copy)
        assert names(verdict, "manifest.json or manifest.json.sig was changed")
        assert verdict.signer is None


@pytest.mark.parametrize("taken", [("manifest.json", "manifest.json.sig"), ("manifest.json",), ("manifest.json.sig",)])
def test_the_seal_of_another_run_does_not_fit(taken: tuple[str, ...], sealed: Sealed) -> None:
    with sealed.copy() as copy:
        for name in taken:
            shutil.copy(sealed.other / name, copy / name)
        verdict = sealed.verify(copy)
        assert names(verdict, "journal.jsonl" if len(taken) == 2 else "manifest.json.sig", "changed")


@examples
@given(name=not_the_seal)
def test_a_file_of_another_run_does_not_fit(sealed: Sealed, name: str) -> None:
    with sealed.copy() as copy:
        shutil.copy(sealed.other / name, copy / name)
        same = (sealed.other / name).read_bytes() == (sealed.folder / name).read_bytes()
        assert names(sealed.verify(copy), f"{name} was changed") is not same


def test_a_run_made_to_look_unsealed_is_still_refused(sealed: Sealed) -> None:
    with sealed.copy() as copy:
        for name in ("manifest.json", "manifest.json.sig"):
            (copy / name).unlink()
        assert names(sealed.verify(copy), "manifest.json is missing")


# ---------------------------------------------------------------- anything at all

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
of_a_manifest = ("run", "site", "status", "sealed_at", "files", "previous_run", "signed_by", "operator", "format")
of_a_line = ("kind", "notebook", "notebooks", "step", "cell", "status", "reason", "file", "pid", "interactive", "at")
kinds = st.sampled_from(["run_started", "notebook", "step", "cell", "report", "screenshot", "picture", "run_sealed"])


@examples
@given(
    facts=st.dictionaries(st.sampled_from(of_a_manifest), anything, min_size=1),
    lines=st.lists(st.tuples(kinds, st.dictionaries(st.sampled_from(of_a_line), anything)), max_size=4),
)
def test_a_signed_record_of_any_content_gets_a_verdict_that_can_be_shown(
    sealed: Sealed, facts: dict[str, Any], lines: list[tuple[str, dict[str, Any]]]
) -> None:
    with sealed.copy() as copy:
        with (copy / "journal.jsonl").open("a") as stream:
            stream.writelines(json.dumps({"kind": kind, **line}) + "\n" for kind, line in lines)
        seal_as(the_forger(), copy, **facts)
        verdict = sealed.verify(copy)
        assert verdict.exit_code == 9
        assert all(line.isprintable() for line in as_text(verdict).split("\n"))
        assert json.loads(json.dumps(as_json(verdict)))["holds"] is False
