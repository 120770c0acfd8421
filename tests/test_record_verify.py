"""`bw-runbook verify`: who signed what, what failed, what is missing; and no record, however made, breaks it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openssh
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from record_made import NOTEBOOKS, made_record, open_record, run_notebooks, tree

from bwlib.errors import RecordError, SettingsError
from bwlib.record import manifest as sealing
from bwlib.record.manifest import seal
from bwlib.record.run_record import RunRecord
from bwlib.record.signature import SigningKey, public_key_of, sign
from bwlib.record.signers import add_signer, allowed_signers, allowed_signers_file, own_principal, signing_key
from bwlib.record.unpack import BadArchive, unpacked
from bwlib.record.verdict import as_json, as_text
from bwlib.record.verify import trust_on_first_use, verify
from bwlib.record.verify_runs import as_text_of_runs, exit_code_of, holds_runs, verify_runs


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv("BW_RUNBOOK_CONFIG", str(folder))
    monkeypatch.delenv("BW_RUNBOOK_SIGNING_KEY", raising=False)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "demo"


def seal_again(record: Path, key: SigningKey | None = None, **changed: object) -> None:
    """Sign a changed manifest anew, as somebody who has a key would."""
    key = key or signing_key()
    manifest = json.loads((record / "manifest.json").read_bytes())
    manifest.update(changed)
    manifest["signed_by"] = {"fingerprint": key.public.fingerprint, "namespace": "bw-runbook"}
    resign(record, json.dumps(manifest).encode(), key)


def resign(record: Path, manifest: bytes, key: SigningKey | None = None) -> None:
    (record / "manifest.json").write_bytes(manifest)
    (record / "manifest.json.sig").write_bytes(sign(manifest, key or signing_key()))


def another_key() -> SigningKey:
    private = Ed25519PrivateKey.generate()
    return SigningKey(Path("another"), public_key_of(private), private)


def zipped(record: Path, path: Path, folder: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in tree(record).items():
            archive.writestr(f"{folder}{name}", data)
    return path


# ---------------------------------------------------------------- a record as it was sealed


def test_an_untouched_record_is_intact_trusted_and_complete(runs: Path) -> None:
    record = made_record(runs)
    verdict = verify(record.folder)
    assert (verdict.exit_code, verdict.holds, verdict.is_trusted, verdict.is_complete) == (0, True, True, True)
    assert verdict.faults == verdict.secrets == verdict.unfinished == verdict.failed == verdict.warnings == ()
    told = (verdict.run, verdict.site, verdict.target, verdict.operator, verdict.status)
    assert told == (record.folder.name, "demo", "sandbox", "ada", "passed")
    assert verdict.signer is not None
    assert (verdict.signer.principal, verdict.signer.fingerprint) == (own_principal(), signing_key().public.fingerprint)
    assert datetime.fromisoformat(verdict.sealed_at).utcoffset() is not None


@pytest.mark.peer
def test_stock_ssh_keygen_agrees_and_refuses_an_edited_copy(runs: Path, tmp_path: Path) -> None:
    files = tree(made_record(runs).folder)
    manifest, armored = files["manifest.json"], files["manifest.json.sig"]
    assert openssh.accepts(manifest, armored, allowed_signers_file(), own_principal(), tmp_path)
    edited = manifest.replace(b'"passed"', b'"failed"')
    assert edited != manifest
    assert not openssh.accepts(edited, armored, allowed_signers_file(), own_principal(), tmp_path)
    assert openssh.principals(armored, allowed_signers_file(), tmp_path) == [own_principal()]


def test_the_manifest_says_whose_signature_to_expect(runs: Path) -> None:
    told = json.loads((made_record(runs).folder / "manifest.json").read_bytes())["signed_by"]
    public = signing_key().public
    assert told == {"public_key": public.line, "fingerprint": public.fingerprint, "namespace": "bw-runbook"}


def test_verify_changes_nothing(runs: Path) -> None:
    record = made_record(runs)
    before, times = tree(record.folder), {p: p.stat().st_mtime_ns for p in record.folder.rglob("*")}
    verify(record.folder)
    assert tree(record.folder) == before
    assert {p: p.stat().st_mtime_ns for p in record.folder.rglob("*")} == times


def test_a_renamed_folder_is_only_a_warning(runs: Path) -> None:
    record = made_record(runs)
    moved = record.folder.rename(runs / "the good one")
    verdict = verify(moved)
    assert verdict.exit_code == 0
    assert verdict.run == record.folder.name
    assert verdict.warnings == (f"the folder is called the good one; the run's own name is {record.folder.name}",)


# ---------------------------------------------------------------- how the seal is made


def test_where_there_is_a_manifest_it_is_signed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seal that is killed before its last step leaves an unsealed run; sealed again, nothing of it is left over."""
    record = open_record(runs)
    run_notebooks(record)
    written: list[str] = []

    def write_bytes(self: RunRecord, name: str, data: bytes) -> Path:
        written.append(name)
        (self.folder / f"{name}.partial").write_bytes(data)
        if name == "manifest.json":
            raise KeyboardInterrupt
        return (self.folder / f"{name}.partial").rename(self.folder / name)

    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "write_bytes", write_bytes)
        with pytest.raises(KeyboardInterrupt):
            seal(record)
    assert written == ["manifest.json.sig", "manifest.json"]
    assert not record.is_sealed
    assert verify(record.folder).exit_code == 9
    seal(record)
    assert verify(record.folder).exit_code == 0
    assert not list(record.folder.glob("*.partial"))


def test_a_disk_that_refuses_leaves_the_run_unsealed_and_says_so(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = open_record(runs, notebooks=[])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "_sync", full)
        with pytest.raises(RecordError, match="No space left"):
            seal(record)
    assert not record.is_sealed
    seal(record)
    assert verify(record.folder).exit_code == 0


def test_without_a_key_the_run_stays_unsealed_and_nothing_says_sealed(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = open_record(runs)
    run_notebooks(record)
    monkeypatch.setenv("BW_RUNBOOK_SIGNING_KEY", str(tmp_path / "none"))
    with pytest.raises(RecordError, match="sign with the key"):
        seal(record)
    assert not record.is_sealed
    assert "run_sealed" not in [line["kind"] for line in record.journal.lines()]
    monkeypatch.delenv("BW_RUNBOOK_SIGNING_KEY")
    seal(record)
    assert verify(record.folder).exit_code == 0


@pytest.mark.peer
def test_a_key_in_the_agent_seals_a_run(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = openssh.make_key(tmp_path / "id_ed25519", passphrase="only the agent knows")
    monkeypatch.setenv("BW_RUNBOOK_SIGNING_KEY", str(key.with_suffix(".pub")))
    with openssh.agent(tmp_path) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        asks = tmp_path / "askpass"
        asks.write_text("#!/bin/sh\necho only the agent knows\n")
        asks.chmod(0o700)
        added = openssh.openssh("ssh-add", "-q", key, SSH_ASKPASS=str(asks), SSH_ASKPASS_REQUIRE="force", DISPLAY=":")
        assert added.returncode == 0, added.stderr
        record = made_record(runs)
    verdict = verify(record.folder)
    assert verdict.exit_code == 0
    assert verdict.signer is not None
    assert verdict.signer.public_key in key.with_suffix(".pub").read_text()


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (lambda folder: (folder / "link").symlink_to("/etc/passwd"), "link is a symbolic link"),
    "a link to a folder": (lambda folder: (folder / "audio" / "all").symlink_to("/"), "audio/all is a symbolic link"),
    "a pipe": (lambda folder: os.mkfifo(folder / "pipe"), "pipe is neither a file nor a folder"),
    "a name with a line break": (
        lambda folder: (folder / "a\nb").write_text(""),
        "a\\nb has a name that cannot be read",
    ),
    "a name that is no text": (
        lambda folder: Path(os.fsdecode(bytes(folder) + b"/\xff")).write_text(""),
        "\\udcff has",
    ),
    "a name that turns round": (
        lambda folder: (folder / "a\u202egnp.exe").write_text(""),
        "a\\u202egnp.exe has a name",
    ),
    "a backslash": (lambda folder: (folder / "..\\x").write_text(""), "..\\x has a name"),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_ordinary_file_is_not_sealed_and_is_named_later(what: str, runs: Path) -> None:
    put, said = ODD[what]
    record = open_record(runs)
    run_notebooks(record)
    put(record.folder)
    with pytest.raises(RecordError):
        seal(record)
    sealed = made_record(runs)
    put(sealed.folder)
    verdict = verify(sealed.folder)
    assert verdict.exit_code == 9
    assert [fault for fault in verdict.faults if said in fault]


def test_empty_folders_go_when_a_run_is_sealed_and_one_that_came_later_is_named(runs: Path) -> None:
    record = open_record(runs)
    (record.folder / "screenshots" / "deep").mkdir(parents=True)
    seal(record)
    assert not (record.folder / "screenshots").exists()
    (record.folder / "extra").mkdir()
    assert verify(record.folder).faults == ("extra is an empty folder",)


# ---------------------------------------------------------------- whom to trust


def test_an_unknown_signer_is_exit_9_until_accepted(runs: Path, config: Path) -> None:
    record = made_record(runs)
    shutil.rmtree(config)
    verdict = verify(record.folder)
    assert (verdict.exit_code, verdict.is_trusted, verdict.faults) == (9, False, ())
    assert verdict.signer is not None
    assert verdict.signer.distrust == "nobody in your allowed_signers has this key"
    assert verdict.sentence == "INTACT, BUT NOT SIGNED BY ANYBODY YOU TRUST"

    assert trust_on_first_use(verdict, "ada@example.com") == "ada@example.com"
    verdict = verify(record.folder)
    assert (verdict.exit_code, verdict.signer and verdict.signer.principal) == (0, "ada@example.com")
    assert trust_on_first_use(verdict, "eve@example.com") == "ada@example.com", "known already: nothing is added"


def test_a_signer_without_a_name_is_called_unknown(runs: Path, config: Path) -> None:
    record = made_record(runs)
    fingerprint = signing_key().public.fingerprint
    shutil.rmtree(config)
    assert trust_on_first_use(verify(record.folder)) == f"unknown-{fingerprint[7:15]}"
    assert verify(record.folder).exit_code == 0


@pytest.mark.parametrize("how", ["changed", "unsigned", "unsealed", "holds a secret"])
def test_nobody_is_trusted_for_a_record_with_anything_else_wrong(how: str, runs: Path, config: Path) -> None:
    record = made_record(runs) if how != "unsealed" else open_record(runs)
    if how == "holds a secret":
        (record.folder / "a.txt").write_text('{"access_token": "abcdefgh"}')
        seal_again(record.folder, files=sealing.file_digests(record.folder))
    elif how == "changed":
        (record.folder / "settings_sheet.txt").write_text("x")
    elif how == "unsigned":
        (record.folder / "manifest.json.sig").unlink()
    shutil.rmtree(config, ignore_errors=True)
    with pytest.raises(RecordError, match="the record is not in order"):
        trust_on_first_use(verify(record.folder))
    assert not allowed_signers_file().exists()


DECIDED = {
    'namespaces="git"': "it is only for git, and not for bw-runbook",
    'valid-before="20200101Z"': "it counted until 2020-01-01",
    "cert-authority": "the line of allowed_signers with it is not used",
}


@pytest.mark.parametrize("options", DECIDED)
def test_a_key_that_the_user_shut_out_is_not_trusted_and_cannot_be_by_first_use(options: str, runs: Path) -> None:
    record = made_record(runs)
    allowed_signers_file().write_text(f"ada@x {options} {signing_key().public.line}\n")
    verdict = verify(record.folder)
    assert verdict.exit_code == 9
    assert verdict.signer is not None
    assert DECIDED[options] in verdict.signer.distrust
    with pytest.raises(RecordError, match="your own decision"):
        trust_on_first_use(verdict, "ada@x")


def test_a_key_that_counted_when_the_record_was_sealed_is_told_apart(runs: Path) -> None:
    record = made_record(runs)
    public = signing_key().public
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    allowed_signers_file().write_text(f'ada@x valid-before="{tomorrow:%Y%m%d}Z" {public.line}\n')
    verdict = verify(record.folder, at=tomorrow + timedelta(days=2))
    assert verdict.exit_code == 9
    assert any("-Overify-time=" in warning for warning in verdict.warnings)
    sealed_at = datetime.fromisoformat(verdict.sealed_at)
    assert verify(record.folder, at=sealed_at).exit_code == 0


def test_a_line_that_is_not_used_is_told_in_the_verdict(runs: Path) -> None:
    record = made_record(runs)
    with allowed_signers_file().open("a") as stream:
        stream.write("ada@x no-such-option ssh-ed25519 AAAA\n")
    assert verify(record.folder).warnings == (
        "line 2 of allowed_signers is not used: it has an unknown option: no-such-option",
    )


def test_trust_never_comes_from_the_record(runs: Path) -> None:
    record = made_record(runs)
    forger = another_key()
    (record.folder / "allowed_signers").write_text(f"{own_principal()} {forger.public.line}\n")
    seal_again(record.folder, forger, files=sealing.file_digests(record.folder))
    verdict = verify(record.folder)
    assert (verdict.faults, verdict.is_trusted, verdict.exit_code) == ((), False, 9)


# ---------------------------------------------------------------- what the run came to


@pytest.mark.parametrize(
    ("status", "exit_code", "listed", "said"),
    [
        ("failed", 9, "failed", "step realm failed"),
        ("died", 9, "unfinished", "notebook 20_sip_credentials died"),
        ("timed_out", 9, "unfinished", "cell 20_sip_credentials/3 timed out"),
        ("running", 9, "unfinished", "step realm did not finish"),
        ("pending", 0, "missing", "step realm: planned, not applied"),
    ],
)
def test_a_run_that_did_not_end_well_is_told_by_its_parts(
    status: str, exit_code: int, listed: str, said: str, runs: Path
) -> None:
    verdict = verify(made_record(runs, {"20_sip_credentials": status}).folder)
    assert (verdict.status, verdict.exit_code, verdict.holds) == (status, exit_code, True)
    assert said in getattr(verdict, listed)


def test_a_notebook_that_was_skipped_or_never_began_makes_a_run_incomplete(runs: Path) -> None:
    record = open_record(runs, notebooks=[*NOTEBOOKS, "30_pbx", "40_test_calls"])
    run_notebooks(record)
    record.journal.append("notebook", notebook="30_pbx", status="skipped", reason="an earlier notebook failed")
    seal(record)
    verdict = verify(record.folder)
    assert verdict.unfinished == (
        "notebook 30_pbx was skipped: an earlier notebook failed",
        "notebook 40_test_calls did not begin",
    )
    assert (verdict.holds, verdict.is_complete, verdict.exit_code) == (True, False, 9)


@pytest.mark.parametrize(("interactive", "complete"), [(True, True), (False, False)])
def test_the_cell_that_seals_a_run_by_hand_cannot_end_before_it(runs: Path, interactive: bool, complete: bool) -> None:
    record = open_record(runs, notebooks=[], interactive=interactive)
    record.journal.append("cell", notebook="10_application", cell="a", status="running")
    record.journal.append("cell", notebook="10_application", cell="a", status="passed")
    record.journal.append("cell", notebook="40_test_calls", cell="b", status="running")
    seal(record)
    assert verify(record.folder).is_complete is complete


def test_another_cell_left_open_by_hand_is_named(runs: Path) -> None:
    record = open_record(runs, notebooks=[], interactive=True)
    record.journal.append("cell", notebook="10_application", cell="a", status="running")
    record.journal.append("cell", notebook="40_test_calls", cell="b", status="running")
    seal(record)
    assert verify(record.folder).unfinished == ("cell 10_application/a did not finish",)


def test_an_unsealed_run_is_incomplete_and_tells_how_far_it_came(runs: Path) -> None:
    record = open_record(runs)
    record.journal.append("notebook", notebook="10_application", status="running")
    record.journal.append("step", step="application", status="running")
    verdict = verify(record.folder)
    assert (verdict.exit_code, verdict.is_sealed, verdict.faults) == (9, False, ())
    assert verdict.sentence.startswith("INCOMPLETE")
    assert verdict.last_line.startswith("step application: running, 20")
    assert "step application did not finish" in verdict.unfinished
    assert "notebook 20_sip_credentials did not begin" in verdict.unfinished
    assert "step application: running" in as_text(verdict)


def test_what_is_missing_is_told_with_its_reason(runs: Path) -> None:
    record = open_record(runs)
    run_notebooks(record)
    record.journal.append("screenshot", step="pbx", status="skipped", reason="no browser")
    record.journal.append("report", file="report.pdf", status="failed", reason="it took too long")
    record.journal.append("report", file="report.html", status="passed")
    record.journal.append("step", step="call_to_extension", status="skipped", reason="the PBX cannot be reached")
    (record.folder / "audio" / "phone_heard.wav").unlink()
    seal(record)
    assert verify(record.folder).missing == (
        "screenshots/pbx: skipped: no browser",
        "report.pdf: failed: it took too long",
        "report.html: the journal says it was written, and it is not there",
        "no audio",
        "step call_to_extension: skipped: the PBX cannot be reached",
    )


def test_a_secret_in_its_place_is_found_without_knowing_it(runs: Path) -> None:
    record = made_record(runs)
    path = record.folder / "sip.jsonl"
    path.write_text('Digest username="101", response="0123456789abcdef0123456789abcdef"')
    seal_again(record.folder, files=sealing.file_digests(record.folder))
    verdict = verify(record.folder)
    assert verdict.secrets == ("sip.jsonl holds what looks like a secret: digest-response",)
    assert (verdict.faults, verdict.exit_code) == ((), 9)
    assert "0123456789abcdef" not in as_text(verdict)


# ---------------------------------------------------------------- signed by a trusted key, and yet not so


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": "failed"}, "journal.jsonl: line 14 says passed, manifest.json says failed"),
        ({"status": "failed"}, "journal.jsonl: by its lines the run passed, manifest.json says failed"),
        ({"journal_last_line": "0" * 64}, "journal.jsonl: line 14 is not the last line that manifest.json names"),
        ({"format": "bw-runbook record 2"}, "manifest.json cannot be read: it is no 'bw-runbook record 1'"),
        ({"files": {}}, "manifest.json cannot be read: its files are no list of SHA-256 with the journal in it"),
        ({"sealed_at": "yesterday"}, "manifest.json cannot be read: its sealed_at is no time"),
        ({"sealed_at": "2026-11-24T00:00:00"}, "manifest.json cannot be read: its sealed_at is no time"),
        ({"sealed_at": "0001-01-01T00:00:00+14:00"}, "manifest.json cannot be read: its sealed_at is no time"),
        ({"run": 7}, "manifest.json cannot be read: it does not say run"),
        ({"previous_run": "x"}, "manifest.json cannot be read: its previous_run is no run"),
        ({"previous_run": {"run": "x"}}, "manifest.json cannot be read: its previous_run is no run"),
    ],
)
def test_a_signature_does_not_make_a_wrong_manifest_right(changed: dict[str, object], said: str, runs: Path) -> None:
    record = made_record(runs)
    seal_again(record.folder, **changed)
    verdict = verify(record.folder)
    assert verdict.is_trusted
    assert said in verdict.faults
    assert verdict.exit_code == 9


def test_a_step_added_to_the_journal_after_the_seal_is_named_though_all_is_signed_again(runs: Path) -> None:
    record = made_record(runs)
    (record.folder / "manifest.json").rename(runs / "kept")
    record.journal.append("step", step="realm", status="passed")
    (runs / "kept").rename(record.folder / "manifest.json")
    last = record.journal.path.read_bytes().splitlines()[-1]
    seal_again(
        record.folder, files=sealing.file_digests(record.folder), journal_last_line=hashlib.sha256(last).hexdigest()
    )
    assert verify(record.folder).faults == (
        "journal.jsonl: line 15, the last one, does not say that the run was sealed",
    )


def test_a_signature_by_another_trusted_key_than_the_manifest_says_is_named(runs: Path) -> None:
    record = made_record(runs)
    other = another_key()
    add_signer(other.public, "bob@example.com")
    resign(record.folder, (record.folder / "manifest.json").read_bytes(), other)
    assert [f for f in verify(record.folder).faults if "by another key than manifest.json says" in f]


# ---------------------------------------------------------------- zips


@pytest.mark.parametrize("folder", ["", "20261124T190003.264068Z-a76e4c/"])
def test_a_zip_says_what_its_folder_says(folder: str, runs: Path, tmp_path: Path) -> None:
    record = made_record(runs)
    verdict = verify(zipped(record.folder, tmp_path / "record.zip", folder))
    expected = verify(record.folder)
    assert (verdict.exit_code, verdict.run, verdict.files) == (0, expected.run, expected.files)
    assert len(verdict.warnings) == bool(folder)


def test_a_changed_file_in_a_zip_is_named(runs: Path, tmp_path: Path) -> None:
    record = made_record(runs)
    (record.folder / "settings_sheet.txt").write_text("x")
    assert verify(zipped(record.folder, tmp_path / "r.zip")).faults == ("settings_sheet.txt was changed",)


def link_in_zip(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(member, "/etc/passwd")


HOSTILE_ZIPS: dict[str, tuple[Callable[[zipfile.ZipFile], object], str]] = {
    "up and out": (lambda z: z.writestr("../../evil", "x"), "leads out of the archive"),
    "absolute": (lambda z: z.writestr("/tmp/evil", "x"), "leads out of the archive"),
    "up in the middle": (lambda z: z.writestr("audio/../../evil", "x"), "leads out of the archive"),
    "backslashes": (lambda z: z.writestr("..\\evil", "x"), "leads out of the archive"),
    "a link": (link_in_zip, "is a link or a device"),
    "twice the same name": (lambda z: z.writestr("manifest.json", "{}"), "File exists"),
    "a file in place of a folder": (lambda z: z.writestr("audio", "x"), "File exists|Is a directory"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE_ZIPS)
def test_a_hostile_zip_is_a_verdict_and_leaves_nothing(what: str, runs: Path, tmp_path: Path) -> None:
    put, said = HOSTILE_ZIPS[what]
    path = zipped(made_record(runs).folder, tmp_path / "record.zip")
    with zipfile.ZipFile(path, "a") as archive:
        put(archive)
    verdict = verify(path)
    assert verdict.exit_code == 9
    assert len(verdict.faults) == 1
    assert any(part in verdict.faults[0] for part in said.split("|"))
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/evil").exists()


def test_a_file_beside_the_record_in_a_zip_is_named(runs: Path, tmp_path: Path) -> None:
    path = zipped(made_record(runs).folder, tmp_path / "record.zip", "run/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "trust me")
    assert verify(path).faults == ("README.txt lies beside the record",)


def test_a_zip_with_no_record_or_two_is_refused(runs: Path, tmp_path: Path) -> None:
    record = made_record(runs)
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("x", "y")
    zipped(record.folder, tmp_path / "two.zip", "one/")
    with zipfile.ZipFile(tmp_path / "two.zip", "a") as archive:
        archive.writestr("two/journal.jsonl", "")
    assert verify(tmp_path / "none.zip").faults == ("the archive holds no record",)
    assert verify(tmp_path / "two.zip").faults == ("the archive holds more than one record",)


def test_a_zip_too_large_or_of_too_many_files_is_not_unpacked(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("journal.jsonl", b"\0" * 3_000_000)
        archive.writestr("x", b"")
    with pytest.raises(BadArchive, match="larger than 2000000 bytes"), unpacked(path, largest=2_000_000):
        pass
    with pytest.raises(BadArchive, match="more than 1 entries"), unpacked(path, most=1):
        pass


def test_a_zip_that_lies_about_its_size_is_stopped_while_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("journal.jsonl", b"\0" * 3_000_000)
    size = (3_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(BadArchive), unpacked(path, largest=2_000_000):
        pass


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -30])
def test_a_cut_off_zip_is_a_verdict(cut: int, runs: Path, tmp_path: Path) -> None:
    path = zipped(made_record(runs).folder, tmp_path / "record.zip")
    path.write_bytes(path.read_bytes()[:cut])
    verdict = verify(path)
    assert verdict.exit_code == 9
    assert "cannot be unpacked" in verdict.faults[0]


# ---------------------------------------------------------------- hostile texts

BOMBS = {
    "empty": b"",
    "not UTF-8": b'{"format": "\xff"}',
    "nested": b"[" * 200_000,
    "nested objects": b'{"a":' * 100_000,
    "a huge number": b'{"files": ' + b"9" * 100_000 + b"}",
    "a huge exponent": b'{"files": 1e999}',
    "NaN": b'{"format": NaN}',
    "a name twice": b'{"format": "bw-runbook record 1", "format": "bw-runbook record 1"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "half a surrogate pair": b'{"format": "\\ud800"}',
    "a list": b"[]",
    "null": b"null",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_hostile_manifest_is_a_verdict_even_when_it_is_signed(what: str, runs: Path) -> None:
    record = made_record(runs)
    resign(record.folder, BOMBS[what])
    verdict = verify(record.folder)
    assert verdict.exit_code == 9
    assert any(fault.startswith("manifest.json cannot be read") for fault in verdict.faults)
    assert json.dumps(as_json(verdict))
    assert as_text(verdict)


def test_a_manifest_that_says_a_thing_twice_is_not_believed_either_way(runs: Path) -> None:
    record = made_record(runs)
    manifest = (record.folder / "manifest.json").read_bytes()
    resign(record.folder, manifest.replace(b' "status":', b' "status": "failed",\n "status":'))
    assert verify(record.folder).faults[0] == "manifest.json cannot be read: it says a name twice"


@pytest.mark.parametrize("what", [name for name in BOMBS if name not in ("empty", "NaN")])
def test_a_hostile_journal_line_is_a_verdict_that_names_it(what: str, runs: Path) -> None:
    record = made_record(runs)
    with (record.folder / "journal.jsonl").open("ab") as stream:
        stream.write(BOMBS[what].replace(b"\n", b"") + b"\n")
    verdict = verify(record.folder)
    assert "journal.jsonl was changed" in verdict.faults
    assert any(fault.startswith("journal.jsonl: line 15") for fault in verdict.faults)


@pytest.mark.parametrize("value", [None, 7, [], {}, [[]], {"a": 1}, "\x1b[2J", "x" * 5000, "\ud800"])
def test_facts_of_any_shape_are_shown_and_never_raise(value: Any, runs: Path) -> None:
    record = made_record(runs)
    keys = (
        "kind",
        "notebook",
        "step",
        "cell",
        "status",
        "reason",
        "file",
        "pid",
        "interactive",
        "notebooks",
        "at",
        "seq",
    )
    with (record.folder / "journal.jsonl").open("a") as stream:
        for key in keys:
            for kind in ("run_started", "step", "cell", "screenshot", "report", "notebook"):
                stream.write(json.dumps({"kind": kind, "status": "running", "step": "s", key: value}) + "\n")
    seal_again(record.folder, site="\x1b[31m", operator=value, target=value)
    verdict = verify(record.folder)
    text = as_text(verdict)
    assert text.isprintable() or all(line.isprintable() for line in text.split("\n"))
    assert json.dumps(as_json(verdict))
    assert verdict.exit_code == 9


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig", "journal.jsonl"])
@pytest.mark.parametrize("how", ["folder", "link", "pipe", "huge"])
def test_something_else_in_place_of_a_file_is_named(name: str, how: str, runs: Path, tmp_path: Path) -> None:
    record = made_record(runs)
    path = record.folder / name
    kept = path.rename(tmp_path / "kept")
    if how == "folder":
        path.mkdir()
    elif how == "link":
        path.symlink_to(kept)
    elif how == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as stream:
            stream.truncate(270_000_000 if name == "journal.jsonl" else 17_000_000)  # takes no room on the disk
    verdict = verify(record.folder)
    assert verdict.exit_code == 9
    assert any(name in fault for fault in verdict.faults)


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such folder or file"):
        verify(tmp_path / "none")
    assert verify(tmp_path).faults[0].startswith("it is no run's record")


# ---------------------------------------------------------------- a folder of runs


def three_runs(runs: Path) -> list[Path]:
    return [made_record(runs).folder for _ in range(3)]


def test_runs_that_follow_each_other_hold(runs: Path) -> None:
    made = three_runs(runs)
    for path in (runs, runs.parent):
        assert holds_runs(path)
        (site,) = verify_runs(path)
        assert (site.exit_code, site.gaps, site.warnings) == (0, (), ())
        assert [run.run for run in site.runs] == [folder.name for folder in made]
    assert not holds_runs(made[0])
    assert "a deleted newest run" in as_text_of_runs(verify_runs(runs))


@pytest.mark.parametrize("which", [0, 1])
def test_a_run_that_was_taken_away_is_missed(which: int, runs: Path) -> None:
    made = three_runs(runs)
    shutil.rmtree(made[which])
    (site,) = verify_runs(runs)
    assert site.exit_code == 9
    assert site.gaps == (f"{made[which + 1].name} follows {made[which].name}, which is not here as a sealed run",)


def test_a_deleted_newest_run_is_not_seen_and_that_is_said(runs: Path) -> None:
    made = three_runs(runs)
    shutil.rmtree(made[2])
    sites = verify_runs(runs)
    assert exit_code_of(sites) == 0
    assert "not seen: a deleted newest run" in as_text_of_runs(sites)


def test_a_run_that_was_sealed_anew_does_not_fit_what_follows(runs: Path) -> None:
    made = three_runs(runs)
    seal_again(made[1], note="as I would rather have it")
    (site,) = verify_runs(runs)
    assert all(run.holds for run in site.runs), "by itself it is in order"
    assert site.gaps == (f"{made[2].name} follows {made[1].name}, whose manifest was another one then",)
    assert site.exit_code == 9


def test_two_runs_that_follow_the_same_one_are_named(runs: Path, tmp_path: Path) -> None:
    first = made_record(runs).folder
    shutil.copytree(first, tmp_path / "elsewhere" / "demo" / first.name)
    second = made_record(runs).folder
    third = made_record(tmp_path / "elsewhere" / "demo").folder
    third.rename(runs / third.name)
    (site,) = verify_runs(runs)
    assert site.gaps == (f"{second.name}, {third.name} each follow {first.name}",)


def test_a_run_that_is_here_twice_and_one_that_is_not_sealed_are_named(runs: Path) -> None:
    made = made_record(runs).folder
    shutil.copytree(made, runs / "copy")
    unsealed = open_record(runs).folder
    (site,) = verify_runs(runs)
    assert f"{unsealed.name} is not sealed: nothing follows it" in site.gaps
    assert f"{made.name} is here 2 times" in site.gaps


def test_a_folder_without_a_record_and_a_stray_file_are_named(runs: Path) -> None:
    made = made_record(runs).folder
    (runs / "emptied").mkdir()
    (runs / "notes.txt").write_text("x")
    (site,) = verify_runs(runs)
    assert site.exit_code == 9
    assert "emptied is not sealed: nothing follows it" in site.gaps
    assert site.warnings == ("notes.txt is no run's folder and was not looked at",)
    assert made.name in as_text_of_runs((site,))


def test_a_run_that_failed_is_no_fault_of_the_chain(runs: Path) -> None:
    made_record(runs, {"20_sip_credentials": "failed"})
    made_record(runs)
    (site,) = verify_runs(runs)
    assert site.exit_code == 0
    assert [run.status for run in site.runs] == ["failed", "passed"]


def test_each_site_has_a_chain_of_its_own(runs: Path) -> None:
    three_runs(runs)
    other = [made_record(runs.parent / "other").folder for _ in range(2)]
    shutil.rmtree(other[0])
    demo, other_site = verify_runs(runs.parent)
    assert (demo.exit_code, other_site.exit_code) == (0, 9)


# ---------------------------------------------------------------- the command


def bw_runbook(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bwlib.cli", *map(str, arguments)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_the_command_says_it_in_one_screen_and_exits_0(runs: Path) -> None:
    record = made_record(runs)
    done = bw_runbook("verify", record.folder)
    assert (done.returncode, done.stderr) == (0, "")
    for said in (record.folder.name, "INTACT", own_principal(), signing_key().public.fingerprint, "no screenshots"):
        assert said in done.stdout
    assert len(done.stdout.splitlines()) <= 24
    told = json.loads(bw_runbook("verify", record.folder, "--json").stdout)
    assert (told["exit_code"], told["signer"]["principal"], told["faults"]) == (0, own_principal(), [])
    for path in (runs, runs.parent):
        assert bw_runbook("verify", path).returncode == 0


@pytest.mark.slow
def test_the_command_trusts_on_first_use_by_the_name_it_is_given(runs: Path, config: Path) -> None:
    record = made_record(runs)
    fingerprint = signing_key().public.fingerprint
    shutil.rmtree(config)
    assert bw_runbook("verify", record.folder).returncode == 9
    done = bw_runbook("verify", record.folder, "--trust-on-first-use", "--as", "ada@example.com")
    assert done.returncode == 0
    assert f"trusted as ada@example.com: {fingerprint}" in done.stderr
    assert bw_runbook("verify", record.folder).returncode == 0
    ((signer,), _) = allowed_signers()
    assert signer.principal == "ada@example.com"


@pytest.mark.slow
def test_the_command_refuses_a_changed_record_and_wrong_options(runs: Path, config: Path) -> None:
    record = made_record(runs)
    (record.folder / "settings_sheet.txt").write_text("x")
    shutil.rmtree(config)
    done = bw_runbook("verify", record.folder, "--trust-on-first-use")
    assert done.returncode == 9
    assert "settings_sheet.txt was changed" in done.stderr
    assert not config.exists()
    for arguments in (("--as", "ada"), ("--trust-on-first-use", "--as", "a b")):
        assert bw_runbook("verify", record.folder, *arguments).returncode in (6, 9)
    assert bw_runbook("verify", runs, "--trust-on-first-use").returncode == 6
    assert bw_runbook("verify", runs / "none").returncode == 6


@pytest.mark.slow
def test_a_terminal_that_knows_few_characters_is_no_reason_to_fail(runs: Path) -> None:
    record = open_record(runs, operator="Žofie 大", notebooks=[])
    seal(record)
    done = bw_runbook("verify", record.folder, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "\\u5927" in done.stdout
