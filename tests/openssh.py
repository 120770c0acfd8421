"""Stock OpenSSH as a judge: ssh-keygen, and an agent of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers import missing


def program(name: str) -> str:
    return shutil.which(name) or missing(name, "apt-get install -y --no-install-recommends openssh-client")


def openssh(name: str, *arguments: str | Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run one of OpenSSH's programs. It has no terminal to ask on."""
    return subprocess.run(
        [program(name), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=30,
        start_new_session=True,
        env={**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C", **env},
        check=False,
    )


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "", comment: str = "someone") -> Path:
    """A key pair made by ssh-keygen: `path` and `path`.pub."""
    done = openssh("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", path)
    assert done.returncode == 0, done.stderr
    return path


def sign(message: bytes, key: Path, namespace: str = "bw-runbook", *options: str) -> bytes:
    """What ssh-keygen writes as signature."""
    done = openssh("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key, *options, stdin=message)
    assert done.returncode == 0, done.stderr
    return done.stdout


def accepts(
    message: bytes, armored: bytes, signers: Path, principal: str, folder: Path, namespace: str = "bw-runbook"
) -> bool:
    """Whether `ssh-keygen -Y verify` takes the signature."""
    (folder / "judged.sig").write_bytes(armored)
    done = openssh(
        *("ssh-keygen", "-Y", "verify", "-f", signers, "-I", principal, "-n", namespace),
        *("-s", folder / "judged.sig"),
        stdin=message,
    )
    return done.returncode == 0


def principals(armored: bytes, signers: Path, folder: Path) -> list[str]:
    """What `ssh-keygen -Y find-principals` finds."""
    (folder / "judged.sig").write_bytes(armored)
    done = openssh("ssh-keygen", "-Y", "find-principals", "-f", signers, "-s", folder / "judged.sig")
    return done.stdout.decode().split() if done.returncode == 0 else []


@contextmanager
def agent(folder: Path) -> Iterator[str]:
    """An SSH agent of one's own; gives the path of its socket."""
    socket = folder / "agent"
    with subprocess.Popen([program("ssh-agent"), "-D", "-a", str(socket)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it says where it listens, once it does
        try:
            yield str(socket)
        finally:
            process.terminate()
