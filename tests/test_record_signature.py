"""SSH signatures: stock ssh-keygen takes ours, we take its, and both refuse what was edited."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import openssh
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bwlib.errors import RecordError
from bwlib.record import signature
from bwlib.record.signature import (
    NAMESPACE,
    PublicKey,
    SigningKey,
    check,
    parse_public_key,
    public_key_of,
    read_signing_key,
    sign,
)

MESSAGE = b'{\n "status": "passed"\n}\n'
SOMEBODY = "ada@example.com"
# RFC 8032, section 7.1, TEST 1
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RAW = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE_OF_NOTHING = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


def our_key() -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    return SigningKey(Path("none"), public_key_of(private), private)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return openssh.make_key(tmp_path / "id_ed25519")


@pytest.fixture
def signers(tmp_path: Path, key: Path) -> Path:
    path = tmp_path / "allowed_signers"
    path.write_text(f"{SOMEBODY} {key.with_suffix('.pub').read_text()}")
    return path


# ---------------------------------------------------------------- published values


def test_the_key_and_signature_of_rfc_8032_come_out() -> None:
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    assert public_key_of(private) == PublicKey(RAW)
    assert private.sign(b"").hex() == SIGNATURE_OF_NOTHING


def test_a_signature_is_wrapped_as_ssh_keygen_wraps_it() -> None:
    lines = sign(MESSAGE, our_key()).split(b"\n")
    assert (lines[0], lines[-2], lines[-1]) == (b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----", b"")
    assert {len(line) for line in lines[1:-3]} == {70}


# ---------------------------------------------------------------- ssh-keygen as judge


@pytest.mark.peer
@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(range(256)) * 5000], ids=["empty", "manifest", "large"])
def test_ssh_keygen_accepts_ours_and_writes_the_same_bytes(
    message: bytes, tmp_path: Path, key: Path, signers: Path
) -> None:
    ours = sign(message, read_signing_key(key))
    assert ours == openssh.sign(message, key)  # Ed25519 has one signature for one text
    assert openssh.accepts(message, ours, signers, SOMEBODY, tmp_path)
    assert check(message, ours) == read_signing_key(key).public


@pytest.mark.peer
def test_an_edited_copy_is_refused_by_both(tmp_path: Path, key: Path, signers: Path) -> None:
    ours = sign(MESSAGE, read_signing_key(key))
    edited = MESSAGE.replace(b"passed", b"failed")
    assert not openssh.accepts(edited, ours, signers, SOMEBODY, tmp_path)
    with pytest.raises(RecordError, match="not of this text"):
        check(edited, ours)


@pytest.mark.peer
def test_the_fingerprint_is_ssh_keygens(key: Path) -> None:
    listed = openssh.openssh("ssh-keygen", "-l", "-f", key).stdout.decode().split()
    assert read_signing_key(key).public.fingerprint == listed[1]


@pytest.mark.peer
def test_a_signature_for_another_purpose_is_refused(key: Path) -> None:
    with pytest.raises(RecordError, match="made for 'git', expected 'bw-runbook'"):
        check(MESSAGE, openssh.sign(MESSAGE, key, "git"))


@pytest.mark.peer
def test_a_signature_with_another_hash_is_refused(key: Path) -> None:
    with pytest.raises(RecordError, match="its hash is 'sha256'"):
        check(MESSAGE, openssh.sign(MESSAGE, key, NAMESPACE, "-O", "hashalg=sha256"))


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_signature_by_another_kind_of_key_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no Ed25519 signature"):
        check(MESSAGE, openssh.sign(MESSAGE, openssh.make_key(tmp_path / kind, kind=kind)))


# ---------------------------------------------------------------- what is not byte for byte


def test_every_changed_byte_of_a_signature_is_found() -> None:
    armored = sign(MESSAGE, our_key())
    for at in range(len(armored)):
        for bit in range(8):
            changed = bytearray(armored)
            changed[at] ^= 1 << bit
            with pytest.raises(RecordError):
                check(MESSAGE, bytes(changed))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda armored: armored.replace(b"\n", b"\r\n"),
        lambda armored: armored[:-1],
        lambda armored: armored + b"\n",
        lambda armored: b"\n" + armored,
        lambda armored: armored.replace(b"\n", b"\n\n", 2),
        lambda armored: armored + armored,
        lambda armored: b"",
        lambda armored: armored.split(b"\n")[0] + b"\n" + armored.split(b"\n")[-2] + b"\n",
    ],
)
def test_what_a_lenient_reader_would_skip_is_refused(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(RecordError, match=r"not what ssh-keygen writes|no SSH signature"):
        check(MESSAGE, spoil(sign(MESSAGE, our_key())))


@pytest.mark.parametrize("where", ["reserved field", "behind the signature"])
def test_a_signature_that_carries_anything_else_is_refused(where: str) -> None:
    lines = sign(MESSAGE, our_key()).split(b"\n")
    blob = base64.b64decode(b"".join(lines[1:-2]))
    namespace = b"\0\0\0\x0a" + NAMESPACE.encode()
    more = blob.replace(namespace + bytes(4), namespace + b"\0\0\0\1x") if where == "reserved field" else blob + b"x"
    assert more != blob
    with pytest.raises(RecordError, match="more than a signature"):
        check(MESSAGE, signature._armor(more))


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_garbage_is_more_than_a_refusal(garbage: bytes) -> None:
    with pytest.raises(RecordError):
        check(MESSAGE, garbage)
    with pytest.raises(RecordError):
        check(MESSAGE, signature._armor(b"SSHSIG\0\0\0\1" + garbage))


@pytest.mark.parametrize("encoded", [b"", b"!", b"AAAA", b"AAAAC3NzaC1lZDI1NTE5AAAAIA==", b"AAAAB3NzaC1yc2EAAAADAQAB"])
def test_what_is_no_ed25519_key_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|cut off"):
        parse_public_key(encoded)


# ---------------------------------------------------------------- keys that cannot be used


@pytest.mark.peer
def test_a_key_with_a_passphrase_is_refused_with_the_way_through_the_agent(tmp_path: Path) -> None:
    key = openssh.make_key(tmp_path / "locked", passphrase="only the agent knows")
    with pytest.raises(RecordError) as caught:
        read_signing_key(key)
    assert caught.value.came_back == "it has a passphrase"
    assert f"ssh-add '{key}'" in caught.value.do_next
    assert f"BW_RUNBOOK_SIGNING_KEY='{key}.pub'" in caught.value.do_next


@pytest.mark.peer
def test_a_key_that_others_may_read_is_refused(key: Path) -> None:
    key.chmod(0o644)
    with pytest.raises(RecordError, match="others may read it"):
        read_signing_key(key)


@pytest.mark.peer
@pytest.mark.parametrize("suffix", ["", ".pub"])
def test_a_key_of_another_kind_is_refused(suffix: str, tmp_path: Path) -> None:
    openssh.make_key(tmp_path / "id_ecdsa", kind="ecdsa")
    with pytest.raises(RecordError, match="no Ed25519 key"):
        read_signing_key(tmp_path / f"id_ecdsa{suffix}")


@pytest.mark.parametrize(
    ("name", "text"), [("none", None), ("garbage", "xx"), ("x.pub", ""), ("x.pub", "ssh-ed25519 xx"), ("folder/", None)]
)
def test_what_is_no_key_is_an_error_in_three_sentences(name: str, text: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    elif text is not None:
        path.write_text(text)
        path.chmod(0o600)
    with pytest.raises(RecordError) as caught:
        read_signing_key(path)
    assert str(path) in caught.value.attempted
    assert caught.value.do_next


# ---------------------------------------------------------------- the agent


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with openssh.agent(tmp_path) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        yield socket


@pytest.mark.peer
def test_an_agent_signs_with_a_key_that_no_file_holds_any_more(
    agent: str, tmp_path: Path, key: Path, signers: Path
) -> None:
    assert openssh.openssh("ssh-add", "-q", key).returncode == 0
    key.unlink()
    ours = sign(MESSAGE, read_signing_key(key.with_suffix(".pub")))
    assert openssh.accepts(MESSAGE, ours, signers, SOMEBODY, tmp_path)


@pytest.mark.peer
def test_an_agent_without_the_key_is_named_and_nobody_reaches_for_the_file_beside(agent: str, key: Path) -> None:
    with pytest.raises(RecordError) as caught:
        read_signing_key(key.with_suffix(".pub"))
    assert caught.value.came_back == "the SSH agent does not have its private half"
    assert caught.value.do_next == f"run: ssh-add '{key}'"


@pytest.mark.peer
def test_a_key_that_left_the_agent_in_the_meantime_does_not_sign(agent: str, key: Path) -> None:
    openssh.openssh("ssh-add", "-q", key)
    in_agent = read_signing_key(key.with_suffix(".pub"))
    openssh.openssh("ssh-add", "-q", "-D")
    with pytest.raises(RecordError, match="the SSH agent did not sign"):
        sign(MESSAGE, in_agent)


@pytest.mark.peer
def test_without_an_agent_the_error_says_how_to_start_one(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(RecordError, match="there is no SSH agent") as caught:
        read_signing_key(key.with_suffix(".pub"))
    assert "ssh-agent" in caught.value.do_next


@pytest.mark.peer
def test_an_agent_that_is_gone_is_an_error(key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    with pytest.raises(RecordError, match="does not answer"):
        read_signing_key(key.with_suffix(".pub"))


@pytest.mark.peer
def test_a_machine_without_openssh_says_what_to_install(
    agent: str, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(RecordError, match="install openssh-client"):
        read_signing_key(key.with_suffix(".pub"))
