"""Whom the user trusts: allowed_signers as stock ssh-keygen reads it, and the user's own key, made once."""

from __future__ import annotations

import multiprocessing
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import openssh
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bwlib.errors import RecordError, SettingsError
from bwlib.record.allowed_signers import is_plain_principal, matches, read_lines
from bwlib.record.signature import NAMESPACE, PublicKey, public_key_of, read_signing_key, sign
from bwlib.record.signers import (
    add_signer,
    allowed_signers,
    allowed_signers_file,
    config_folder,
    is_named,
    own_principal,
    signing_key,
    trust_own,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MESSAGE = b"manifest"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv("BW_RUNBOOK_CONFIG", str(folder))
    monkeypatch.delenv("BW_RUNBOOK_SIGNING_KEY", raising=False)
    return folder


def new_key() -> PublicKey:
    return public_key_of(Ed25519PrivateKey.generate())


# ---------------------------------------------------------------- allowed_signers, with ssh-keygen as judge

# KEY is the signer's key type and base64, OTHER another one's, RSA a key that cannot sign here. As ssh-keygen has it:
# the principals that it finds for the signer, whether it takes a signature of theirs for this namespace.
LINES: dict[str, tuple[str, list[str], bool]] = {
    "plain": ("ada@x KEY", ["ada@x"], True),
    "comment behind": ('ada@x KEY the comment, with = and "', ["ada@x"], True),
    "several principals": ("ada@x,bob@x KEY", ["ada@x", "bob@x"], True),
    "a pattern": ("*@x KEY", ["*@x"], True),
    "quoted principals": ('"ada@x" KEY', ["ada@x"], True),
    "a quote that begins inside": ('ada"@x" KEY', ["ada@x"], True),
    "a quote that is not closed": ('"ada@x KEY', [], False),
    "no principal": ("KEY", [], False),
    "blanks before and between": (" \t ada@x \t  KEY", ["ada@x"], True),
    "blanks inside the line": ('ada@x namespaces="bw-runbook" \t KEY', ["ada@x"], True),
    "a comment line": ("# ada@x KEY", [], False),
    "a comment line after blanks": ("   # ada@x KEY", [], False),
    "nothing": ("", [], False),
    "blanks": ("  \t ", [], False),
    "carriage return at the end": ("ada@x KEY\r", ["ada@x"], True),
    "another's key": ("ada@x OTHER", [], False),
    "a key of another kind": ("ada@x RSA", [], False),
    "this namespace": ('ada@x namespaces="bw-runbook" KEY', ["ada@x"], True),
    "several namespaces": ('ada@x namespaces="git,bw-runbook" KEY', ["ada@x"], True),
    "a pattern of namespaces": ('ada@x namespaces="bw-*" KEY', ["ada@x"], True),
    "a namespace shut out": ('ada@x namespaces="!bw-runbook,*" KEY', ["ada@x"], False),
    "another namespace": ('ada@x namespaces="git" KEY', ["ada@x"], False),
    "no namespace at all": ('ada@x namespaces="" KEY', ["ada@x"], False),
    "option in capitals": ('ada@x NAMESPACES="bw-runbook" KEY', ["ada@x"], True),
    "namespaces twice": ('ada@x namespaces="git",namespaces="bw-runbook" KEY', [], False),
    "option without quotes": ("ada@x namespaces=bw-runbook KEY", [], False),
    "option without an end": ('ada@x namespaces="bw-runbook KEY', [], False),
    "an escaped quote without an end": ('ada@x namespaces="bw-runbook\\" KEY', [], False),
    "an escaped quote inside": ('ada@x namespaces="a\\"b,bw-runbook" KEY', ["ada@x"], True),
    "blanks in an option": ('ada@x namespaces="git, bw-runbook" KEY', ["ada@x"], False),
    "valid already": ('ada@x valid-after="20200101Z" KEY', ["ada@x"], True),
    "not valid yet": ('ada@x valid-after="20990101Z" KEY', [], False),
    "still valid": ('ada@x valid-before="20990101Z" KEY', ["ada@x"], True),
    "valid no more": ('ada@x valid-before="20200101Z" KEY', [], False),
    "between two times": ('ada@x valid-after="202001011200",valid-before="20990101120000Z" KEY', ["ada@x"], True),
    "all three options": (
        'ada@x namespaces="bw-runbook",valid-after="20200101",valid-before="20990101UTC" KEY',
        ["ada@x"],
        True,
    ),
    "times the wrong way round": ('ada@x valid-after="20990101",valid-before="20200101" KEY', [], False),
    "valid-after twice": ('ada@x valid-after="20200101",valid-after="20210101" KEY', [], False),
    "a time of dashes": ('ada@x valid-after="2020-01-01" KEY', [], False),
    "a time without a day": ('ada@x valid-after="202001" KEY', [], False),
    "a month too many": ('ada@x valid-after="20201301" KEY', [], False),
    "no time": ('ada@x valid-after="" KEY', [], False),
    "the first second of 1970": ('ada@x valid-after="19700101Z" KEY', [], False),
    "an unknown option": ("ada@x touch-required KEY", [], False),
    "an unknown option behind a known one": ('ada@x namespaces="bw-runbook",no-pty KEY', [], False),
    "a comma too many": ('ada@x namespaces="bw-runbook", KEY', [], False),
    "a comma before": ('ada@x ,namespaces="bw-runbook" KEY', ["ada@x"], True),
    "a certificate authority": ("ada@x cert-authority KEY", [], False),
    "a certificate authority for this": ('ada@x cert-authority,namespaces="bw-runbook" KEY', [], False),
    "key type alone": ("ada@x ssh-ed25519", [], False),
    "a key cut off": ("ada@x ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", [], False),
    "a key that is no base64": ("ada@x ssh-ed25519 !!!!", [], False),
    "a key type of another": ("ada@x ssh-rsa KEYDATA", [], False),
    "an unknown key type": ("ada@x ssh-unknown KEYDATA", [], False),
    "a spoilt line before a good one": ("ada@x no-such-option KEY\nbob@x KEY", ["bob@x"], True),
    "an expired line before a good one": ('ada@x valid-before="20200101Z" KEY\nbob@x KEY', ["bob@x"], True),
    "a line for git before one for this": ('ada@x namespaces="git" KEY\nada@x KEY', ["ada@x"], True),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return {
        "KEY": openssh.make_key(folder / "signer"),
        "OTHER": openssh.make_key(folder / "other"),
        "RSA": openssh.make_key(folder / "rsa", kind="rsa"),
    }


def filled(line: str, keys: dict[str, Path]) -> bytes:
    for name in ("KEYDATA", *keys):
        words = keys[name.removesuffix("DATA")].with_suffix(".pub").read_text().split()
        line = line.replace(name, words[1] if name.endswith("DATA") else " ".join(words[:2]))
    return line.encode() + b"\n"


@pytest.mark.peer
@pytest.mark.parametrize("name", LINES)
def test_a_line_means_what_it_means_to_ssh_keygen(name: str, keys: dict[str, Path], tmp_path: Path) -> None:
    line, wanted, counts = LINES[name]
    file = tmp_path / "allowed_signers"
    file.write_bytes(filled(line, keys))
    key = read_signing_key(keys["KEY"])
    armored = sign(MESSAGE, key)
    now = datetime.now(UTC)

    assert openssh.principals(armored, file, tmp_path) == wanted, "ssh-keygen reads it differently: mend the table"
    who = "ada@x" if not wanted or wanted == ["*@x"] else wanted[0]
    assert openssh.accepts(MESSAGE, armored, file, who, tmp_path) is counts

    mine = [signer for signer in allowed_signers(file)[0] if signer.key == key.public]
    # find-principals does not ask what for.
    found = [signer.principals.split(",") for signer in mine if not replace(signer, namespaces=None).why_not("", now)]
    assert (found[0] if found else []) == wanted
    assert any(not signer.why_not(NAMESPACE, now) for signer in mine) is counts


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ada@x cert-authority KEY", "certificate authority"),
        ("ada@x no-pty KEY", "unknown option: no-pty"),
        ("ada@x ssh-unknown AAAA", "unknown option: ssh-unknown"),
        ('ada@x valid-after="20200230" KEY', "valid-after is no time"),
        ("ada@x", "no key"),
        ('"" KEY', "no principal"),
        ("ada@x ssh-ed25519 AAAA", "cut off"),
        ("ada\0@x KEY", "NUL"),
    ],
)
def test_a_line_that_is_not_used_is_said_with_its_number(line: str, said: str) -> None:
    signers, faults = read_lines(f"# mine\n\n{line.replace('KEY', new_key().line)}\n".encode())
    assert signers == []
    assert len(faults) == 1
    assert faults[0].startswith("line 3 of allowed_signers is not used")
    assert said in faults[0]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_line_is_more_than_not_used(line: bytes) -> None:
    signers, faults = read_lines(b"ada@x " + line)
    assert len(signers) + len(faults) <= line.count(b"\n") + 1


def test_keys_of_other_kinds_are_passed_over_in_silence() -> None:
    kinds = ["ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "ssh-ed25519-cert-v01@openssh.com"]
    assert read_lines("".join(f"ada@x {kind} AAAA\n" for kind in kinds).encode()) == ([], [])


def test_why_a_key_does_not_count_is_said() -> None:
    def why(options: str) -> str:
        ((signer,), _) = read_lines(f"ada@x {options} {new_key().line}".encode())
        return signer.why_not(NAMESPACE, NOW)

    assert why('namespaces="git"') == "it is only for git, and not for bw-runbook"
    assert why('valid-before="20261124115959Z"') == "it counted until 2026-11-24 11:59:59 UTC"
    assert why('valid-after="20261124120001Z"') == "it counts only from 2026-11-24 12:00:01 UTC on"
    assert why('valid-after="20261124120000Z",valid-before="20261124120100Z"') == ""


def test_a_time_without_z_is_in_this_machines_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC+5")
    time.tzset()
    try:
        ((signer,), _) = read_lines(f'ada@x valid-after="20261124" {new_key().line}'.encode())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert signer.valid_after == int(datetime(2026, 11, 24, 5, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "patterns", "does"),
    [
        ("bw-runbook", "*", True),
        ("bw-runbook", "bw-?unbook", True),
        ("bw-runbook", "bw-runbook2", False),
        ("bw.runbook", "bw-runbook", False),
        ("bw-runbook", "!bw-*,*", False),
        ("bw-runbook", "*,!bw-*", False),
        ("bw-runbook", "!git", False),
        ("", "", True),
    ],
)
def test_patterns_are_those_of_ssh_config(text: str, patterns: str, does: bool) -> None:
    assert matches(text, patterns) is does


def test_a_file_that_is_not_there_trusts_nobody_and_one_that_cannot_be_read_is_an_error(config: Path) -> None:
    assert allowed_signers() == ([], [])
    (config / "allowed_signers").mkdir(parents=True)
    with pytest.raises(RecordError, match="whom you trust"):
        allowed_signers()


def test_a_huge_file_is_refused(config: Path) -> None:
    config.mkdir()
    allowed_signers_file().write_bytes(b"#" * 1_000_001)
    with pytest.raises(RecordError, match="larger than"):
        allowed_signers()


# ---------------------------------------------------------------- where the configuration is


def test_the_configuration_is_not_in_the_state_that_may_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("BW_RUNBOOK_CONFIG", "BW_RUNBOOK_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert config_folder() == tmp_path / ".config" / "bw-runbook"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative/is/ignored")
    assert config_folder() == tmp_path / ".config" / "bw-runbook"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert config_folder() == tmp_path / "xdg" / "bw-runbook"
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(tmp_path / "home"))
    assert config_folder() == tmp_path / "home" / "config"
    monkeypatch.setenv("BW_RUNBOOK_CONFIG", "~/mine")
    assert config_folder() == tmp_path / "mine"


# ---------------------------------------------------------------- the key of one's own


@pytest.mark.peer
def test_a_key_is_made_once_and_stock_ssh_keygen_can_use_it(config: Path) -> None:
    made = signing_key()
    assert signing_key().public == made.public
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert stat.S_IMODE((config / "signing_key").stat().st_mode) == 0o600
    assert openssh.sign(MESSAGE, config / "signing_key") == sign(MESSAGE, made)
    assert (config / "signing_key.pub").read_text() == f"{made.public.line} {own_principal()}\n"


def _key_of_a_process(folder: str, start: object, queue: object) -> None:
    os.environ["BW_RUNBOOK_CONFIG"] = folder
    start.wait()  # type: ignore[attr-defined]
    key = signing_key()
    trust_own(key)
    queue.put(key.public.line)  # type: ignore[attr-defined]


def test_processes_that_start_at_once_end_with_one_key_and_one_line(config: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, queue = context.Event(), context.Queue()
    processes = [context.Process(target=_key_of_a_process, args=(str(config), start, queue)) for _ in range(8)]
    for process in processes:
        process.start()
    start.set()
    lines = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(lines) == 1
    assert len(allowed_signers_file().read_text().splitlines()) == 1
    assert sorted(path.name for path in config.iterdir()) == [
        ".lock",
        "allowed_signers",
        "signing_key",
        "signing_key.pub",
    ]


@pytest.mark.peer
def test_the_operators_own_key_is_used_when_it_is_named(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = openssh.make_key(tmp_path / "id_ed25519")
    monkeypatch.setenv("BW_RUNBOOK_SIGNING_KEY", str(mine))
    assert signing_key().public == read_signing_key(mine).public
    assert not config.exists()


def test_a_configuration_that_cannot_be_written_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BW_RUNBOOK_CONFIG", str(tmp_path / "file" / "config"))
    with pytest.raises(RecordError, match="BW_RUNBOOK_SIGNING_KEY to a key of yours"):
        signing_key()


# ---------------------------------------------------------------- whom one begins to trust


def test_ones_own_key_is_trusted_by_user_and_host_when_it_first_signs() -> None:
    key = signing_key()
    trust_own(key)
    trust_own(key)
    ((signer,), faults) = allowed_signers()
    assert faults == []
    assert (signer.principal, signer.key, signer.namespaces) == (own_principal(), key.public, NAMESPACE)
    assert stat.S_IMODE(allowed_signers_file().stat().st_mode) == 0o600


@pytest.mark.parametrize("options", ['valid-before="20200101Z"', 'namespaces="git"', "cert-authority"])
def test_what_the_user_decided_about_the_key_is_left_alone(options: str, config: Path) -> None:
    key = signing_key()
    decided = f"me@x {options} {key.public.line}\n"
    allowed_signers_file().write_text(decided)
    trust_own(key)
    assert allowed_signers_file().read_text() == decided


def test_a_line_is_added_behind_one_that_was_not_ended(config: Path) -> None:
    config.mkdir()
    one, two = new_key(), new_key()
    allowed_signers_file().write_text(f"ada@x {one.line} no newline")
    assert add_signer(two, "bob@x")
    assert [signer.key for signer in allowed_signers()[0]] == [one, two]


def test_a_key_in_a_comment_is_not_named(config: Path) -> None:
    config.mkdir()
    key = new_key()
    allowed_signers_file().write_text(f"# ada@x {key.line}\n")
    assert not is_named(key)
    assert add_signer(key, "ada@x")
    assert is_named(key)


def test_a_list_of_signers_that_cannot_be_written_is_no_reason_not_to_sign(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = signing_key()
    allowed_signers_file().mkdir()
    trust_own(key)
    assert "add a signer" in caplog.text


@pytest.mark.parametrize("name", ["", "a b", "a,b", "*", "a?", "!a", '"a', "#a", "a\n", "a\\b", "a" * 256, "a\u202eb"])
def test_a_name_that_means_something_else_in_the_file_is_refused(name: str, config: Path) -> None:
    assert not is_plain_principal(name)
    with pytest.raises(SettingsError, match="a name has no spaces"):
        add_signer(new_key(), name)
    assert not allowed_signers_file().exists()


def test_user_and_host_make_a_name_whatever_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "do main\\u,ser")
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert own_principal() == "do_main_u_ser@unknown"
    assert is_plain_principal(own_principal())
