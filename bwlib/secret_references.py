"""Secrets are written down as references, and resolved only inside the process that needs them.

    env:NAME               an environment variable
    keyring:service/name   the operating system's secret store
    file:path              a file of mode 0600; relative to the site file's folder
    prompt:                asked for, without echo (interactive use only)

A value that is not a reference is refused wherever a secret is expected, without repeating it.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from getpass import GetPassWarning, getpass
from pathlib import Path

from pydantic import SecretStr

from bwlib.errors import SecretUnavailable, SettingsError

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|keyring:[^/\s]+/[^/\s]+|file:[^\x00-\x1f]+|prompt:[^\x00-\x1f]*")
# They name a file, and ssh alone reads what is in it.
_PATHS = ("pbx_ssh_key",)
_SECRET_NAME = re.compile("pass|secret|token|key|hash", re.IGNORECASE)
# Redaction cannot tell a very short or monotonous secret from ordinary text (a hash may hold 00000000).
MINIMUM_LENGTH = 8
MINIMUM_DIFFERENT = 4


def is_reference(text: str) -> bool:
    """Say whether `text` is a secret reference (and not the secret itself)."""
    return bool(_REFERENCE.fullmatch(text))


def refuse_values(answers: Mapping[str, object], attempted: str) -> None:
    """Refuse an answer that is a secret by its name, and a value instead of a reference; the value is not repeated.

    Raises: SettingsError.
    """
    for name, value in answers.items():
        named_secret = name not in _PATHS and _SECRET_NAME.search(name)
        if named_secret and isinstance(value, str) and value and not is_reference(value):
            raise SettingsError(
                attempted,
                f"{name} is given a value; by its name it is a secret, and a value would be written into files",
                "give a reference instead: env:NAME, keyring:service/name, file:path or prompt:. "
                "What was typed is in your shell's history: change that secret",
            )


def resolve(reference: str, base: Path) -> SecretStr:
    """Read the secret that `reference` points to; `base` is the folder that file: paths are relative to.

    Raises: SecretUnavailable, which names the reference and never a value.
    """
    kind, _, rest = reference.partition(":")
    if not is_reference(reference):
        raise SettingsError(
            "read a secret",
            "the site file holds something that is not a reference",
            "write env:NAME, keyring:service/name, file:path or prompt: instead of the value",
        )
    if kind == "file":
        value = _from_file(rest, base)
    else:
        value = {"env": _from_env, "keyring": _from_keyring, "prompt": _from_prompt}[kind](rest)
    _refuse_unfit(reference, value)
    return SecretStr(value)


def _refuse_unfit(reference: str, value: str) -> None:
    """Refuse what could not be kept out of a record, or has no place in a PBX's configuration."""
    if len(value) < MINIMUM_LENGTH:
        fault = f"it is shorter than {MINIMUM_LENGTH} characters"
    elif len(set(value)) < MINIMUM_DIFFERENT:
        fault = f"it has fewer than {MINIMUM_DIFFERENT} different characters"
    elif not value.isprintable():
        fault = "it holds a line break or another character that cannot be printed"
    else:
        return
    raise SecretUnavailable(f"read {reference}", fault, "use a longer, plainer secret, such as 24 letters and digits")


def exists(reference: str, base: Path) -> bool:
    """Say whether the reference points to anything yet (a prompt always does)."""
    if reference.startswith("prompt:"):
        return True
    try:
        resolve(reference, base)
    except SecretUnavailable:
        return _file_path(reference, base).exists() if reference.startswith("file:") else False
    return True


def store_new(reference: str, base: Path) -> None:
    """Invent a secret, put it where `reference` points, and read it back. Only file: and keyring: can be written.

    Raises: SecretUnavailable when the store did not keep it.
    """
    # Letters and digits only: no PBX file, URL or form quotes them differently.
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    value = "".join(secrets.choice(alphabet) for _ in range(24))
    kind, _, rest = reference.partition(":")
    if kind == "file":
        _to_new_file(reference, base, value)
    elif kind == "keyring":
        _to_keyring(rest, value)
    else:
        raise SecretUnavailable(
            f"make a new secret for {reference}",
            f"a {kind}: reference cannot be written",
            "set it yourself, or use file: or keyring:",
        )
    try:
        kept = resolve(reference, base).get_secret_value() == value
    except SecretUnavailable:
        kept = False
    if not kept:
        raise SecretUnavailable(
            f"make a new secret for {reference}", "the store did not keep it", "use a file: reference instead"
        )


def check_writable(reference: str, base: Path) -> None:
    """Make sure that a secret can be put where `reference` points, before somebody makes one that is said only once.

    Raises: SecretUnavailable.
    """
    kind, _, _ = reference.partition(":")
    if kind not in ("file", "keyring"):
        raise SecretUnavailable(
            f"keep a new secret in {reference}", f"a {kind}: reference cannot be written", "use file: or keyring:"
        )
    if kind == "file":
        path = _file_path(reference, base)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(reference, error) from None
        if not os.access(path.parent, os.W_OK) or path.is_dir():
            raise SecretUnavailable(
                f"keep a new secret in {reference}", f"{path} cannot be written", "make the folder writable"
            )


def store(reference: str, base: Path, value: SecretStr) -> None:
    """Put a secret that somebody else made where `reference` points, in place of what is there, and read it back.

    Raises: SecretUnavailable when the store did not keep it.
    """
    check_writable(reference, base)
    secret, rest = value.get_secret_value(), reference.partition(":")[2]
    _refuse_unfit(reference, secret)
    if reference.startswith("file:"):
        _replace_file(reference, _file_path(reference, base), secret)
    else:
        _set_in_keyring(rest, secret)
    if resolve(reference, base).get_secret_value() != secret:
        raise SecretUnavailable(
            f"keep a new secret in {reference}", "the store did not keep it", "use a file: reference instead"
        )


def _replace_file(reference: str, path: Path, secret: str) -> None:
    """A reader sees the old secret or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secret + "\n")
        partial.replace(path)
    except OSError as error:
        raise _not_written(reference, error) from None
    finally:
        partial.unlink(missing_ok=True)


def _to_new_file(reference: str, base: Path, value: str) -> None:
    path = _file_path(reference, base)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_EXCL: an existing secret is never overwritten.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _not_written(reference, error) from None
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(value + "\n")
    except OSError as error:
        path.unlink(missing_ok=True)  # half a secret would be taken for a whole one
        raise _not_written(reference, error) from None


def _not_written(reference: str, error: OSError) -> SecretUnavailable:
    return SecretUnavailable(
        f"make a new secret for {reference}",
        error.strerror or type(error).__name__,
        "use the secret that is there, or make the folder writable, or name another file",
    )


def _from_env(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SecretUnavailable(
            f"read env:{name}", "the variable is empty or not set", f"set {name} in the environment and run again"
        )
    return value


_may_ask = [True]  # whether somebody can be asked now


@contextmanager
def without_prompts() -> Iterator[None]:
    """Within the block nobody is asked: a kernel that works for a button has no way to put a question."""
    before, _may_ask[0] = _may_ask[0], False
    try:
        yield
    finally:
        _may_ask[0] = before


def _from_prompt(question: str) -> str:
    if not _may_ask[0]:
        raise SecretUnavailable(
            "ask for a secret",
            "a button cannot ask",
            'keep it as file: or keyring:, or run the cell with walk = "run"',
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)  # getpass would go on, with echo
            return getpass(f"{question or 'secret'}: ")
    except (EOFError, OSError, RuntimeError, NotImplementedError, GetPassWarning) as error:
        raise SecretUnavailable(
            "ask for a secret", "nobody is there to answer", "use env:, keyring: or file: for unattended runs"
        ) from error


def _file_path(reference: str, base: Path) -> Path:
    try:
        return base / Path(reference.partition(":")[2]).expanduser()
    except RuntimeError:  # ~ of a user that does not exist
        raise SecretUnavailable(f"read {reference}", "there is no such user", "write the path without ~") from None


def _from_file(rest: str, base: Path) -> str:
    path = _file_path(f"file:{rest}", base)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SecretUnavailable(
                f"read file:{rest}", f"others may read it (mode {mode:04o})", f"run: chmod 600 '{path}'"
            )
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise SecretUnavailable(
            f"read file:{rest}", "there is no such file", "run notebook 00_start, which makes a missing secret"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnavailable(
            f"read file:{rest}", type(error).__name__, f"make '{path}' a text file you can read"
        ) from None


def _from_keyring(rest: str) -> str:
    import keyring
    from keyring.errors import KeyringError

    service, _, name = rest.partition("/")
    try:
        value = keyring.get_password(service, name)
    except KeyringError as error:
        raise SecretUnavailable(
            f"read keyring:{rest}",
            f"no usable secret store ({type(error).__name__})",
            "use env: or file: on this machine",
        ) from None
    if not value:
        raise SecretUnavailable(f"read keyring:{rest}", "nothing is stored there", f"run: keyring set {service} {name}")
    return value


def _to_keyring(rest: str, value: str) -> None:
    import keyring
    from keyring.errors import KeyringError

    service, _, name = rest.partition("/")
    try:
        if keyring.get_password(service, name):  # too short, perhaps; but never overwritten
            raise SecretUnavailable(
                f"make a new secret for keyring:{rest}", "there is one already", f"run: keyring set {service} {name}"
            )
    except KeyringError as error:
        raise _no_keyring(rest, error) from None
    _set_in_keyring(rest, value)


def _set_in_keyring(rest: str, value: str) -> None:
    import keyring
    from keyring.errors import KeyringError

    service, _, name = rest.partition("/")
    try:
        keyring.set_password(service, name, value)
    except KeyringError as error:
        raise _no_keyring(rest, error) from None


def _no_keyring(rest: str, error: Exception) -> SecretUnavailable:
    return SecretUnavailable(
        f"write keyring:{rest}", f"no usable secret store ({type(error).__name__})", "use a file: reference instead"
    )
