"""Another machine, played by this one: a unix user of its own, its Asterisk, and an sshd that lets it in.

Everything is in one temporary folder and on loopback, and ends with the `with` block. It needs root, because only root
makes users and starts programs as them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers import asterisk, free_port, listens, loopback, missing

from bwlib.pbx.asterisk_bundle import AsteriskBinary, find_unpacked
from bwlib.pbx.asterisk_files_ssh import SCRIPT, SshFiles
from bwlib.pbx.asterisk_ssh import SshConnection
from bwlib.sandbox import pbx as stage_of

SSH_HOST = "127.0.0.1"
PRIVILEGE_SEPARATION = Path("/run/sshd")  # compiled into Debian's sshd
LIMIT_S = 60.0


@dataclass
class RemoteMachine:
    """user: its unix user, whom `key` lets in. folder: where all of it is."""

    folder: Path
    user: pwd.struct_passwd
    stage: stage_of.PbxStage
    port: int
    sshd: subprocess.Popen[bytes]

    @property
    def key(self) -> Path:
        return self.folder / "client" / "key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "client" / "known_hosts"

    @property
    def login(self) -> str:
        return f"{self.user.pw_name}@{SSH_HOST}:{self.port}"

    def logins(self) -> int:
        """How often somebody has logged in so far."""
        return (self.folder / "sshd" / "log").read_text().count("Accepted publickey")

    def files(self) -> dict[str, tuple[bytes, int, int, int]]:
        """Every file and folder of its Asterisk's configuration: content, owner, group, mode."""
        found = {}
        for path in sorted(self.stage.config_dir.rglob("*")):
            there = path.stat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(self.stage.config_dir))] = (content, there.st_uid, there.st_gid, there.st_mode)
        return found

    @contextmanager
    def without_sshd(self) -> Iterator[None]:
        end(self.sshd)
        try:
            yield
        finally:
            self.sshd = start_sshd(self.folder / "sshd", self.port)

    @contextmanager
    def configured(self, *lines: str) -> Iterator[None]:
        """sshd with lines more in its configuration."""
        config = self.folder / "sshd" / "config"
        before = config.read_text()
        config.write_text("\n".join([*lines, before]))
        try:
            with self.without_sshd():
                pass
            yield
        finally:
            config.write_text(before)
            with self.without_sshd():
                pass


def through(shell: str, directory: Path, before: str = "") -> SshFiles:
    """What ssh would start on the other machine, started directly; `before` is what its login shell runs first."""
    argv = [shell, "-c", before + SCRIPT, "bw-runbook-files", str(directory)]
    connection = SshConnection(argv, "far@pbx.example.com:22", lambda said: "do this", None)
    return SshFiles(connection, str(directory), "pbx.example.com:22")


def until(true: Callable[[], object], what: str) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, f"not within {LIMIT_S:g} s: {what}"
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(LIMIT_S)


def tool(name: str, package: str) -> str:
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    return path or missing(name, f"apt-get install -y --no-install-recommends {package}")


@contextmanager
def remote_machine() -> Iterator[RemoteMachine]:
    """All of it up and running."""
    if os.geteuid() != 0:
        missing("root, who alone can make another unix user", "run the tests as root, in a container for example")
    tool("sshd", "openssh-server")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bw-remote-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        user = stack.enter_context(a_user(folder / "home"))
        binary = readable_by_all(asterisk(), folder)
        stage = stage_of.write_base_config(folder / "home" / "asterisk", binary, sip_host=loopback(5))
        give(folder / "home", user)
        stack.callback(end, start_asterisk(stage, user))
        port = free_port(SSH_HOST, socket.SOCK_STREAM)
        write_keys(folder, user, port)
        machine = RemoteMachine(folder, user, stage, port, start_sshd(folder / "sshd", port))
        stack.callback(lambda: end(machine.sshd))
        yield machine


@contextmanager
def a_user(home: Path) -> Iterator[pwd.struct_passwd]:
    name = f"bwpbx{os.getpid()}"
    # a password that nothing matches, but not a locked account, which sshd would refuse
    options = ["--system", "--user-group", "--no-create-home", "--shell", "/bin/sh", "--password", "*"]
    subprocess.run([tool("useradd", "passwd"), *options, "--home-dir", str(home), name], check=True)
    try:
        home.mkdir(mode=0o755)
        user = pwd.getpwnam(name)
        yield user
        for pid in processes_of(user.pw_uid):  # sessions that are still logged in
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        until(lambda: not processes_of(user.pw_uid), "its processes have ended")
    finally:
        subprocess.run([tool("userdel", "passwd"), name], check=True, capture_output=True)


def processes_of(uid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if f"\nUid:\t{uid}\t" in (folder / "status").read_text():
                found.append(int(folder.name))
    return found


def readable_by_all(binary: AsteriskBinary, folder: Path) -> AsteriskBinary:
    """One unpacked into our own cache lies where no other user may look: the same files under another roof."""
    if binary.origin == "PATH":
        return binary
    root = next(path for path in binary.data_dir.parents if (path / "manifest.json").is_file())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BW_RUNBOOK_CACHE", str(folder / "cache"))
        shutil.copytree(root, folder / "cache" / root.name, symlinks=True, copy_function=link_or_copy)
        found = find_unpacked()
    assert found is not None
    return found


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, target, follow_symlinks=False)


def give(folder: Path, user: pwd.struct_passwd) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def start_asterisk(stage: stage_of.PbxStage, user: pwd.struct_passwd) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        stage.argv, cwd=stage.cwd, env=stage.env, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        stage_of.wait_until_ready(stage, alive=lambda: process.poll() is None)
    except BaseException:
        stage_of.stop(process)
        raise
    return process


def new_key(path: Path) -> str:
    """Make a key pair; its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


def write_keys(folder: Path, user: pwd.struct_passwd, port: int) -> None:
    """Host key, client key, who knows whom, and sshd's configuration."""
    for name in ("sshd", "client"):
        (folder / name).mkdir(mode=0o700)
    ssh = Path(user.pw_dir) / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "authorized_keys").write_text(new_key(folder / "client" / "key"))
    (ssh / "authorized_keys").chmod(0o600)
    give(ssh, user)
    (folder / "client" / "known_hosts").write_text(f"[{SSH_HOST}]:{port} {new_key(folder / 'sshd' / 'host_key')}")
    (folder / "sshd" / "config").write_text(
        f"ListenAddress {SSH_HOST}:{port}\nHostKey {folder}/sshd/host_key\nPidFile none\nAllowUsers {user.pw_name}\n"
        "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes yes\n"
        "AuthorizedKeysFile .ssh/authorized_keys\n"
    )


def start_sshd(folder: Path, port: int) -> subprocess.Popen[bytes]:
    PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    argv = [tool("sshd", "openssh-server"), "-D", "-e", "-f", str(folder / "config")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    until(lambda: listens(SSH_HOST, port, "tcp") or process.poll() is not None, "sshd listens")
    assert process.poll() is None, (folder / "log").read_text()
    return process
