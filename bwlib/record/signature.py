"""SSH signatures (OpenSSH's PROTOCOL.sshsig), made and checked: Ed25519 only, SHA-512, in this project's namespace.

Stock OpenSSH checks what is signed here:
`ssh-keygen -Y verify -f allowed_signers -I principal -n bw-runbook -s manifest.json.sig < manifest.json`.
Checking needs no OpenSSH. Signing needs it only for a key in an agent.

Source: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig (checked 2026-11-24)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from bwlib.errors import RecordError

#: What a signature of this project is for: one that was made for git or for a login does not count here.
NAMESPACE = "bw-runbook"
KEY_TYPE = "ssh-ed25519"
_MAGIC = b"SSHSIG"
_VERSION = 1
_HASH = b"sha512"
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_COLUMNS = 70  # as ssh-keygen wraps it
_AGENT_TIMEOUT_S = 60  # an agent may ask its owner to confirm


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key. raw: its 32 bytes."""

    raw: bytes

    @property
    def blob(self) -> bytes:
        """As SSH sends it (RFC 8709)."""
        return _string(KEY_TYPE.encode()) + _string(self.raw)

    @property
    def line(self) -> str:
        """As it stands in a .pub file, without a comment."""
        return f"{KEY_TYPE} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class SigningKey:
    """A key that can sign. private: None when the SSH agent has the private half."""

    path: Path
    public: PublicKey
    private: Ed25519PrivateKey | None = field(default=None, repr=False)


# ---------------------------------------------------------------- keys


def public_key_of(private: Ed25519PrivateKey) -> PublicKey:
    return PublicKey(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def parse_public_key(encoded: bytes) -> PublicKey:
    """The key in the base64 of a .pub file or of a line of allowed_signers. Raises: ValueError."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("the key is not base64") from None
    return _public_key_in(blob)


def _public_key_in(blob: bytes) -> PublicKey:
    kind, rest = _take_string(blob)
    if kind != KEY_TYPE.encode():
        raise ValueError(f"the key is no {KEY_TYPE} key")
    raw, rest = _take_string(rest)
    if len(raw) != 32 or rest:
        raise ValueError(f"the key is no whole {KEY_TYPE} key")
    return PublicKey(raw)


def read_signing_key(path: Path) -> SigningKey:
    """The key to sign with: a private key file, or a public one (`.pub`) whose private half an agent has.

    Nobody is asked for a passphrase: an encrypted key belongs into an agent.
    Raises: RecordError with the line that mends it.
    """
    try:
        data = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise _no_key(path, error.strerror or type(error).__name__, "name a key that you can read") from None
    if path.suffix == ".pub":
        return _key_in_agent(path, data)
    if mode & 0o077:
        raise _no_key(path, f"others may read it (mode {mode:04o})", f"run: chmod 600 '{path}'")
    try:
        private = load_ssh_private_key(data, password=None)
    except TypeError:  # cryptography's word for "it has a passphrase"
        raise _no_key(
            path, "it has a passphrase", f"run: ssh-add '{path}', and set BW_RUNBOOK_SIGNING_KEY='{path}.pub'"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(
            path, "it is no OpenSSH private key", f"run: ssh-keygen -t ed25519 -f '{path}.new', and name that one"
        ) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise _not_ed25519(path)
    return SigningKey(path, public_key_of(private), private)


def _key_in_agent(path: Path, data: bytes) -> SigningKey:
    words = data.split(None, 2)
    if len(words) < 2 or words[0] != KEY_TYPE.encode():
        raise _not_ed25519(path)
    try:
        public = parse_public_key(words[1])
    except ValueError as error:
        raise _no_key(path, str(error), "name the .pub file that ssh-keygen wrote") from None
    _refuse_absent_from_agent(path, public)
    return SigningKey(path, public)


def _refuse_absent_from_agent(path: Path, public: PublicKey) -> None:
    """Say so now, not when the journal already tells of a seal. Listing asks nobody to confirm anything."""
    add = f"run: ssh-add '{path.with_suffix('')}'"
    if not os.environ.get("SSH_AUTH_SOCK"):
        raise _no_key(path, "there is no SSH agent: SSH_AUTH_SOCK is not set", f"run: eval $(ssh-agent); then {add}")
    listed = _run_openssh(path, ["ssh-add", "-L"])
    if listed.returncode > 1:
        raise _no_key(path, f"the SSH agent does not answer: {_said(listed)}", f"run: eval $(ssh-agent); then {add}")
    if public.line.encode() not in [b" ".join(line.split()[:2]) for line in listed.stdout.splitlines()]:
        raise _no_key(path, "the SSH agent does not have its private half", add)


def _not_ed25519(path: Path) -> RecordError:
    return _no_key(path, "it is no Ed25519 key", f"run: ssh-keygen -t ed25519 -f '{path.with_suffix('')}-ed25519'")


def _no_key(path: Path, came_back: str, do_next: str) -> RecordError:
    return RecordError(f"sign with the key {path}", came_back, do_next)


# ---------------------------------------------------------------- signing


def sign(message: bytes, key: SigningKey) -> bytes:
    """The SSH signature of `message` in this project's namespace, armored, as ssh-keygen writes it.

    Raises: RecordError when the agent does not sign.
    """
    if key.private is None:
        armored = _sign_by_agent(message, key)
    else:
        signed = _string(KEY_TYPE.encode()) + _string(key.private.sign(_signed_data(message)))
        fields = (key.public.blob, NAMESPACE.encode(), b"", _HASH, signed)
        armored = _armor(_MAGIC + struct.pack(">I", _VERSION) + b"".join(map(_string, fields)))
    if check(message, armored) != key.public:
        raise _no_key(key.path, "another key signed", "look at what answers at SSH_AUTH_SOCK")
    return armored


def _sign_by_agent(message: bytes, key: SigningKey) -> bytes:
    """Through stock ssh-keygen. It sees the public half alone, so it cannot reach for a private key file instead."""
    with tempfile.TemporaryDirectory(prefix="bw-sign-") as folder:
        alone = Path(folder) / "key.pub"
        alone.write_text(key.public.line + "\n")
        done = _run_openssh(key.path, ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(alone)], message)
    if done.returncode != 0:
        raise _no_key(key.path, f"the SSH agent did not sign: {_said(done)}", "unlock the agent, or confirm the use")
    return done.stdout


def _run_openssh(path: Path, argv: list[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which(argv[0])
    if program is None:
        raise _no_key(path, f"{argv[0]} is not on PATH, and an agent is asked through it", "install openssh-client")
    try:
        # A session of its own has no terminal: nothing can stop an unattended run with a question.
        return subprocess.run(  # noqa: S603  # OpenSSH's own programs, arguments of our own
            [program, *argv[1:]],
            input=stdin,
            capture_output=True,
            timeout=_AGENT_TIMEOUT_S,
            start_new_session=True,
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _no_key(
            path, f"the SSH agent did not answer within {_AGENT_TIMEOUT_S} s", "confirm the use, then: bw-runbook seal"
        ) from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    text = (done.stderr.strip() or done.stdout.strip()).decode("utf-8", "replace")
    return text.splitlines()[-1] if text else f"exit code {done.returncode}"


# ---------------------------------------------------------------- checking


def check(message: bytes, armored: bytes) -> PublicKey:
    """The key that signed `message`. Whether it is trusted is another question.

    The armor must be byte for byte what ssh-keygen writes: a changed byte that a lenient reader skips is a change, too.
    Raises: RecordError saying what is wrong with the signature.
    """
    try:
        blob = _dearmor(armored)
        public, signature = _parse(blob)
        Ed25519PublicKey.from_public_bytes(public.raw).verify(signature, _signed_data(message))
    except InvalidSignature:
        raise _bad("it is not of this text, or was changed") from None
    except ValueError as error:
        raise _bad(str(error)) from None
    return public


def _parse(blob: bytes) -> tuple[PublicKey, bytes]:
    if not blob.startswith(_MAGIC):
        raise ValueError("it is no SSH signature")
    (version,), rest = struct.unpack(">I", blob[6:10].rjust(4, b"\0")), blob[10:]
    if version != _VERSION:
        raise ValueError(f"it is of version {version}, expected {_VERSION}")
    parts = []
    for _ in range(5):
        part, rest = _take_string(rest)
        parts.append(part)
    key, namespace, reserved, algorithm, signed = parts
    if rest or reserved:
        raise ValueError("it holds more than a signature")
    if namespace != NAMESPACE.encode():
        raise ValueError(f"it was made for {namespace.decode('utf-8', 'replace')!r}, expected {NAMESPACE!r}")
    if algorithm != _HASH:
        raise ValueError(f"its hash is {algorithm.decode('utf-8', 'replace')!r}, expected {_HASH.decode()!r}")
    kind, rest = _take_string(signed)
    raw, rest = _take_string(rest)
    if kind != KEY_TYPE.encode() or len(raw) != 64 or rest:
        raise ValueError("it is no Ed25519 signature")
    return _public_key_in(key), raw


def _signed_data(message: bytes) -> bytes:
    fields = (NAMESPACE.encode(), b"", _HASH, hashlib.sha512(message).digest())
    return _MAGIC + b"".join(map(_string, fields))


def _armor(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    lines = [text[at : at + _COLUMNS] + b"\n" for at in range(0, len(text), _COLUMNS)]
    return _BEGIN + b"".join(lines) + _END


def _dearmor(armored: bytes) -> bytes:
    inside = armored.removeprefix(_BEGIN).removesuffix(_END)
    try:
        blob = base64.b64decode(inside, validate=False)
    except binascii.Error:
        blob = b""
    if _armor(blob) != armored:
        raise ValueError("it is not what ssh-keygen writes: it was changed")
    return blob


def _bad(came_back: str) -> RecordError:
    return RecordError("check the signature", came_back, "do not rely on this record; keep it as it is")


def _string(data: bytes) -> bytes:
    """RFC 4251, section 5: four bytes of length, then the bytes."""
    return struct.pack(">I", len(data)) + data


def _take_string(data: bytes) -> tuple[bytes, bytes]:
    """The string at the start, and what follows it. Raises: ValueError when it is cut off."""
    if len(data) < 4:
        raise ValueError("it is cut off")
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 + length:
        raise ValueError("it is cut off")
    return data[4 : 4 + length], data[4 + length :]
