"""A reference goes in, a SecretStr comes out; no error ever repeats a value."""

from __future__ import annotations

import getpass
import warnings
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backends import fail, null
from pydantic import SecretStr

from bwlib import secret_references
from bwlib.errors import SecretUnavailable, SettingsError
from bwlib.secret_references import check_writable, exists, is_reference, refuse_values, resolve, store, store_new

SECRET = "correct-horse-battery"


class MemoryKeyring(keyring.backend.KeyringBackend):
    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    kept = MemoryKeyring()
    keyring.set_keyring(kept)
    yield kept
    keyring.set_keyring(before)


def secret_file(folder: Path, text: str = SECRET + "\n", mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return "file:secret"


def refused(reference: str, base: Path) -> SecretUnavailable:
    with pytest.raises(SecretUnavailable) as caught:
        resolve(reference, base)
    assert caught.value.exit_code == 8
    return caught.value


# ---------------------------------------------------------------- what is a reference


@pytest.mark.parametrize(
    "text", ["env:A_1", "keyring:bw/pbx", "file:a b/c", "file:~/x", "prompt:", "prompt:SIP password"]
)
def test_these_are_references(text: str) -> None:
    assert is_reference(text)


@pytest.mark.parametrize(
    "text", ["", SECRET, "env:", "env:1A", "env:A\n", "env:A B", "keyring:x", "file:", "file:a\nb", "ENV:A"]
)
def test_these_are_not(text: str) -> None:
    assert not is_reference(text)


@given(st.text(max_size=30))
def test_what_is_not_a_reference_is_refused_without_repeating_it(text: str) -> None:
    if is_reference(text):
        return
    with pytest.raises(SettingsError) as caught:
        resolve("hunter2" + text, Path("/nowhere"))
    assert "hunter2" not in str(caught.value)


# ---------------------------------------------------------------- env


def test_env_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    value = resolve("env:A_SECRET", tmp_path)
    assert value.get_secret_value() == SECRET
    assert SECRET not in f"{value} {value!r}"


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_or_empty_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("A_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("A_SECRET", value)
    assert "set A_SECRET" in refused("env:A_SECRET", tmp_path).do_next


@pytest.mark.parametrize(
    ("value", "why"),
    [("hunter2", "shorter"), ("00000000", "different"), ("first\nsecond", "printed"), ("bad\udcffbytes", "printed")],
)
def test_what_no_redactor_could_keep_out_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    monkeypatch.setenv("A_SECRET", value)
    error = refused("env:A_SECRET", tmp_path)
    assert why in error.came_back
    assert value not in str(error)


# ---------------------------------------------------------------- file


def test_a_file_is_read_relative_to_the_site_file(tmp_path: Path) -> None:
    assert resolve(secret_file(tmp_path), tmp_path).get_secret_value() == SECRET


def test_an_absolute_file_and_home_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret_file(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for reference in (f"file:{tmp_path}/secret", "file:~/secret"):
        assert resolve(reference, Path("/nowhere")).get_secret_value() == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_others_may_open_is_refused_with_the_line_that_mends_it(tmp_path: Path, mode: int) -> None:
    error = refused(secret_file(tmp_path, mode=mode), tmp_path)
    assert f"{mode:04o}" in error.came_back
    assert error.do_next == f"run: chmod 600 '{tmp_path}/secret'"
    assert SECRET not in str(error)


def test_a_missing_file_names_the_notebook_that_makes_it(tmp_path: Path) -> None:
    assert "00_start" in refused("file:none", tmp_path).do_next


def test_a_short_secret_in_a_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    error = refused(secret_file(tmp_path, "hunter2\n"), tmp_path)
    assert "shorter" in error.came_back
    assert "hunter2" not in str(error)


def test_a_file_that_is_no_text_a_folder_and_an_unknown_home_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 9)
    (tmp_path / "binary").chmod(0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    assert "UnicodeDecodeError" in refused("file:binary", tmp_path).came_back
    assert "IsADirectoryError" in refused("file:folder", tmp_path).came_back
    assert "no such user" in refused("file:~nobody-of-this-name/x", tmp_path).came_back


def test_a_new_file_is_private_and_read_back(tmp_path: Path) -> None:
    store_new("file:secrets/sip", tmp_path)
    path = tmp_path / "secrets" / "sip"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    value = resolve("file:secrets/sip", tmp_path).get_secret_value()
    assert len(value) == 24
    assert value.isalnum()


def test_two_new_secrets_differ(tmp_path: Path) -> None:
    for name in ("file:a", "file:b"):
        store_new(name, tmp_path)
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


@pytest.mark.parametrize("text", [SECRET, "short", ""])
def test_an_existing_file_is_never_overwritten(tmp_path: Path, text: str) -> None:
    secret_file(tmp_path, text)
    with pytest.raises(SecretUnavailable, match="exists"):
        store_new("file:secret", tmp_path)
    assert (tmp_path / "secret").read_text() == text


def test_a_link_is_not_followed_to_write_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretUnavailable):
        store_new("file:secret", tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(SecretUnavailable, match="Attempted: make a new secret for file:blocked/x"):
        store_new("file:blocked/x", tmp_path)


def test_half_a_secret_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret_references.os, "fdopen", full)
    with pytest.raises(SecretUnavailable, match="No space left"):
        store_new("file:secret", tmp_path)
    assert not (tmp_path / "secret").exists()


# ---------------------------------------------------------------- keyring


def test_a_keyring_is_written_and_read(tmp_path: Path, memory: MemoryKeyring) -> None:
    store_new("keyring:bw/pbx", tmp_path)
    assert resolve("keyring:bw/pbx", tmp_path).get_secret_value() == memory.kept["bw", "pbx"]


def test_an_empty_place_in_a_keyring_names_the_command(tmp_path: Path, memory: MemoryKeyring) -> None:
    assert refused("keyring:bw/pbx", tmp_path).do_next == "run: keyring set bw pbx"


def test_a_secret_in_a_keyring_is_never_overwritten(tmp_path: Path, memory: MemoryKeyring) -> None:
    memory.kept["bw", "pbx"] = "short"
    with pytest.raises(SecretUnavailable, match="there is one already"):
        store_new("keyring:bw/pbx", tmp_path)
    assert memory.kept["bw", "pbx"] == "short"


def test_the_null_backend_that_keeps_nothing_is_found_out(tmp_path: Path, memory: object) -> None:
    keyring.set_keyring(null.Keyring())
    with pytest.raises(SecretUnavailable, match="did not keep it"):
        store_new("keyring:bw/pbx", tmp_path)
    assert not exists("keyring:bw/pbx", tmp_path)


def test_without_any_backend_the_way_out_is_named(tmp_path: Path, memory: object) -> None:
    keyring.set_keyring(fail.Keyring())
    error = refused("keyring:bw/pbx", tmp_path)
    assert "NoKeyringError" in error.came_back
    assert "env: or file:" in error.do_next
    with pytest.raises(SecretUnavailable, match="file: reference"):
        store_new("keyring:bw/pbx", tmp_path)


# ---------------------------------------------------------------- prompt


def test_a_prompt_asks_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(secret_references, "getpass", lambda words: asked.append(words) or SECRET)
    assert resolve("prompt:SIP password", tmp_path).get_secret_value() == SECRET
    assert asked == ["SIP password: "]


@pytest.mark.parametrize("error", [EOFError, NotImplementedError, RuntimeError, OSError])
def test_nobody_there_to_answer_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def nobody(_: str) -> str:
        raise error

    monkeypatch.setattr(secret_references, "getpass", nobody)
    assert "unattended" in refused("prompt:", tmp_path).do_next


def test_a_secret_is_never_asked_for_with_echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def echoing(_: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return SECRET

    monkeypatch.setattr(secret_references, "getpass", echoing)
    assert "nobody" in refused("prompt:", tmp_path).came_back


# ---------------------------------------------------------------- exists, and what cannot be written


def test_exists_says_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    monkeypatch.delenv("NO_SECRET", raising=False)
    assert exists("env:A_SECRET", tmp_path)
    assert not exists("env:NO_SECRET", tmp_path)
    assert not exists("file:none", tmp_path)
    assert exists("prompt:", tmp_path)


def test_a_file_that_is_there_but_wrong_exists_so_that_nobody_replaces_it(tmp_path: Path) -> None:
    assert exists(secret_file(tmp_path, "short", 0o644), tmp_path)


@pytest.mark.parametrize("reference", ["env:A_SECRET", "prompt:"])
def test_only_files_and_keyrings_can_be_written(tmp_path: Path, reference: str) -> None:
    with pytest.raises(SecretUnavailable, match="cannot be written"):
        store_new(reference, tmp_path)


# ---------------------------------------------------------------- a secret that somebody else made


def test_a_given_secret_is_kept_privately_in_place_of_what_was_there(tmp_path: Path) -> None:
    for value in (SECRET, "another-horse-battery"):
        store("file:secrets/x", tmp_path, SecretStr(value))
        assert resolve("file:secrets/x", tmp_path).get_secret_value() == value
    (file,) = (tmp_path / "secrets").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_given_secret_goes_into_the_keyring(tmp_path: Path, memory: MemoryKeyring) -> None:
    store("keyring:bw/uri", tmp_path, SecretStr(SECRET))
    assert memory.kept == {("bw", "uri"): SECRET}


@pytest.mark.parametrize("reference", ["env:A_SECRET", "prompt:"])
def test_what_cannot_be_written_is_said_before_there_is_a_secret(tmp_path: Path, reference: str) -> None:
    with pytest.raises(SecretUnavailable, match="cannot be written"):
        check_writable(reference, tmp_path)


def test_a_folder_that_cannot_be_made_is_said_before_there_is_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file, where a folder should be")
    with pytest.raises(SecretUnavailable):
        check_writable("file:secrets/x", tmp_path)
    check_writable("file:x", tmp_path)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["password", "ami_secret", "API_TOKEN", "ssh_key", "hash1b", "passphrase"])
def test_a_value_in_the_place_of_a_reference_is_refused_by_its_name_and_not_repeated(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_values({"dial": "+1", name: "correct-horse-battery"}, "open a run")
    assert caught.value.came_back.startswith(f"{name} is given a value")
    assert "env:NAME" in caught.value.do_next
    assert "correct-horse" not in str(caught.value)


@pytest.mark.parametrize("value", ["env:X", "file:secrets/x", "keyring:a/b", "prompt:", "", None, True, 5])
def test_references_and_what_is_no_text_pass(value: object) -> None:
    refuse_values({"sip_password": value, "make_secrets": False, "realm_name": "x"}, "open a run")


def test_a_run_is_not_opened_with_a_secret_as_its_parameter(tmp_path: Path) -> None:
    from bwlib.run import open_run

    with pytest.raises(SettingsError, match="sip_credential_password is given a value"):
        open_run(tmp_path / "site.toml", notebook="one", sip_credential_password="correct-horse-battery")
    assert list(tmp_path.iterdir()) == []
