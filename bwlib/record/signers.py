"""Whose signature counts: the user's own configuration, never anything in a record.

    $BW_RUNBOOK_CONFIG, else $BW_RUNBOOK_HOME/config, else $XDG_CONFIG_HOME/bw-runbook, else ~/.config/bw-runbook
      signing_key  signing_key.pub    Ed25519, made when a record is first sealed
      allowed_signers                 OpenSSH's format (ssh-keygen(1), ALLOWED SIGNERS)

It is not in the state folder, which may be deleted to start afresh: a lost key cannot be made again.
`BW_RUNBOOK_SIGNING_KEY` names the operator's own key instead: a private key file, or a `.pub` whose other half an SSH
agent has.
"""

from __future__ import annotations

import fcntl
import getpass
import logging
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bwlib.errors import RecordError, SettingsError
from bwlib.record.allowed_signers import AllowedSigner, is_plain_principal, read_lines
from bwlib.record.signature import NAMESPACE, PublicKey, SigningKey, public_key_of, read_signing_key

log = logging.getLogger(__name__)
CONFIG_VARIABLE = "BW_RUNBOOK_CONFIG"
KEY_VARIABLE = "BW_RUNBOOK_SIGNING_KEY"
_LARGEST_FILE = 1_000_000  # bytes; some thousand signers


def config_folder() -> Path:
    """Where this user's key and trusted signers are. Nothing is made."""
    try:
        if named := os.environ.get(CONFIG_VARIABLE):
            return Path(named).expanduser().absolute()
        if home := os.environ.get("BW_RUNBOOK_HOME"):
            return Path(home).expanduser().absolute() / "config"
        xdg = os.environ.get("XDG_CONFIG_HOME", "")
        # The XDG specification: a relative path is to be ignored.
        return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".config") / "bw-runbook"
    except RuntimeError as error:  # no home folder
        raise RecordError("find the configuration", str(error), f"set {CONFIG_VARIABLE} to a folder") from None


def allowed_signers_file() -> Path:
    return config_folder() / "allowed_signers"


# ---------------------------------------------------------------- the key to sign with


def signing_key() -> SigningKey:
    """This user's key: the one that $BW_RUNBOOK_SIGNING_KEY names, else one of our own, made at the first call.

    Raises: RecordError with the line that mends it.
    """
    if named := os.environ.get(KEY_VARIABLE):
        try:
            path = Path(named).expanduser().absolute()
        except RuntimeError:
            raise RecordError(
                f"sign with the key {named}", "there is no such user", f"set {KEY_VARIABLE} without ~"
            ) from None
        return read_signing_key(path)
    path = config_folder() / "signing_key"
    if not path.exists():
        _make_key(path)
    key = read_signing_key(path)
    _keep_public_half(key)
    return key


def _make_key(path: Path) -> None:
    """A new key, all or nothing. Of two processes at once one makes it, and both sign with that."""
    private = Ed25519PrivateKey.generate()
    data = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with _locked(path.parent, "make a key to sign with"):
        if path.exists():
            return
        try:
            _write_durably(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    log.info("made a key to sign records with: %s, %s", path, public_key_of(private).fingerprint)


def _keep_public_half(key: SigningKey) -> None:
    """signing_key.pub, for people. Nothing reads it here, so a folder that cannot be written is no error."""
    path = key.path.with_name(key.path.name + ".pub")
    text = f"{key.public.line} {own_principal()}\n"
    if path.exists():
        return
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(text)
    except OSError as error:
        log.warning("could not write %s: %s", path, error.strerror)


def own_principal() -> str:
    """user@host, in the characters that a principal may have."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid-{os.getuid()}"
    return "@".join(re.sub(r"[^\w.+-]", "_", part) or "unknown" for part in (user, socket.gethostname()))


# ---------------------------------------------------------------- whom to trust


def allowed_signers(path: Path | None = None) -> tuple[list[AllowedSigner], list[str]]:
    """(the usable lines of allowed_signers, what is said of the others). No file: nobody is trusted yet.

    Raises: RecordError when it is there and cannot be read.
    """
    path = path or allowed_signers_file()
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise RecordError(
            f"read {path}", error.strerror or type(error).__name__, "mend the permissions: it says whom you trust"
        ) from None
    if len(data) > _LARGEST_FILE:
        raise RecordError(f"read {path}", f"it is larger than {_LARGEST_FILE} bytes", "leave out whom you do not need")
    return read_lines(data)


def trust_own(key: SigningKey) -> None:
    """Trust the key that this user signs with, as user@host, when it is used for the first time.

    This is the user's own configuration: the key lies in it, or the user named it there. A line that names the key
    already is the user's decision, whatever it says, and stays alone. A folder that cannot be written is no reason to
    leave a run unsealed: it is logged, and `verify` will call the signer unknown.
    """
    try:
        add_signer(key.public, own_principal())
    except RecordError as error:
        log.warning("%s: %s", error.attempted, error.came_back)


def add_signer(public: PublicKey, principal: str, path: Path | None = None) -> bool:
    """Add a line for a key, for this project's namespace only. False when some line names that key already.

    Raises: SettingsError for a principal that is a pattern or cannot stand there; RecordError when it is not written.
    """
    if not is_plain_principal(principal):
        raise SettingsError(
            f"trust a signer as {principal!r}",
            "a name has no spaces, commas, quotes, *, ? or !, and does not begin with #",
            "use a name such as ada@example.com",
        )
    path = path or allowed_signers_file()
    line = f'{principal} namespaces="{NAMESPACE}" {public.line}\n'
    with _locked(path.parent, "add a signer"):
        if is_named(public, path):
            return False
        begun = path.read_bytes() if path.exists() else b""
        gap = b"\n" if begun and not begun.endswith(b"\n") else b""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _write_durably(descriptor, gap + line.encode())  # at once: no reader sees half a line
    log.info("trusted from now on: %s, %s, in %s", principal, public.fingerprint, path)
    return True


def is_named(public: PublicKey, path: Path | None = None) -> bool:
    """Whether allowed_signers names the key on any line, also one that does not trust it (any more, for this)."""
    path = path or allowed_signers_file()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    encoded = public.line.split()[1].encode()
    return any(encoded in line.split() for line in data.splitlines() if not line.lstrip().startswith(b"#"))


@contextmanager
def _locked(folder: Path, attempted: str) -> Iterator[None]:
    """The folder, made when missing, for one process at a time. Raises: RecordError for whatever the disk refuses."""
    try:
        for missing in [each for each in reversed([folder, *folder.parents]) if not each.exists()]:
            missing.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise RecordError(
            f"{attempted} in {folder}",
            error.strerror or type(error).__name__,
            f"make it writable, or set {CONFIG_VARIABLE} to another folder, or {KEY_VARIABLE} to a key of yours",
        ) from error


def _write_durably(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
