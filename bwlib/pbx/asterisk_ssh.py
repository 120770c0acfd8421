"""One ssh connection to the machine where Asterisk runs: a command's stdin and stdout, and a way to the AMI.

The system's ssh does the work, so that its configuration, agent and known_hosts count. It never asks anything (batch
mode) and never accepts a host key that it does not know. Nothing that is secret is on its command line: what a command
is told goes by stdin.

The connection ends with this process, however that ends: the command there reads stdin, and ends at its end. The AMI
is forwarded to a socket file in a private folder, not to a TCP port that every user of this machine could reach.
"""

from __future__ import annotations

import logging
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from bwlib.errors import PbxUnreachable, SettingsError
from bwlib.models import SshLogin

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10
STARTUP_LIMIT_S = 20.0  # from starting ssh until the command there answers
MAX_LINE_BYTES = 50_000_000
GREETING = "bw-runbook-files "
# Removes the private folder also when this process is killed: so it must outlive it.
_AND_TIDY_UP = '"$@"; code=$?; rm -rf -- "$0"; exit $code'
# All that ssh needs of our environment. The rest may hold secrets, and a user's SendEnv could send them.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME", "XDG_RUNTIME_DIR")


def ssh_argv(
    login: SshLogin, command: str, *, key: Path | None, known_hosts: Path | None, connect_timeout_s: int
) -> list[str]:
    """ssh's command line, without forwardings. Raises SettingsError for a path that ssh would read differently."""
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        f"ConnectTimeout={connect_timeout_s}",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        "LogLevel=INFO",
        # what a user's own configuration may say, and what would be in our way
        "ControlMaster=no",
        "ControlPath=none",
        "RemoteCommand=none",
        "RequestTTY=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "StreamLocalBindMask=0177",
    ]
    if key is not None:
        options += [f"IdentityFile={_quoted(key)}", "IdentitiesOnly=yes"]
    if known_hosts is not None:
        options += [f"UserKnownHostsFile={_quoted(known_hosts)}", "GlobalKnownHostsFile=/dev/null"]
    argv = ["ssh", *(f"-o{option}" for option in options), "-l", login.user]
    argv += ["-p", str(login.port)] if login.port else []
    return [*argv, "--", login.host, command]


def _quoted(path: Path) -> str:
    if re.search(r'["\\$%\x00-\x1f\x7f]', str(path)):
        raise SettingsError(
            "log in by ssh", f"the path {str(path)!r} holds a character that ssh would not take as it is", "rename it"
        )
    return f'"{path}"'


class SshConnection:
    """A command on the other machine, and the AMI of that machine. Connects at the first need, and again when cut off.

    argv: what to start (`ssh_argv`). where: for people. forward: (host, port) as seen from the other machine, None for
    none. All methods raise PbxUnreachable with OpenSSH's own last words when the other machine cannot be reached.
    """

    def __init__(self, argv: Sequence[str], where: str, explain: Callable[[str], str], forward: tuple[str, int] | None):
        self._argv = list(argv)
        self.where = where
        self._explain = explain
        self._forward = forward
        self._session: Session | None = None
        self.connections = 0

    def session(self) -> Session:
        """The session that is up, or a new one."""
        if self._session is None or not self._session.alive:
            self._session = Session(self._argv, self.where, self._explain, self._forward)
            self.connections += 1
        return self._session

    def connect(self, timeout_s: float) -> socket.socket:
        """A connection to the forwarded address. Raises OSError as a socket does."""
        return self.session().connect(timeout_s)

    def remark(self) -> str:
        """What ssh said last, "" when nothing: the reason when a forwarded connection is closed at once."""
        return self._session.last_words() if self._session is not None else ""

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


class Session:
    """One run of ssh, from its greeting to its end."""

    def __init__(
        self, argv: Sequence[str], where: str, explain: Callable[[str], str], forward: tuple[str, int] | None
    ) -> None:
        self._where = where
        self._explain = explain
        self._buffer = b""
        self._folder = _private_folder()
        self._socket_file = self._folder / "ami"
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the session
        self._process = self._start(argv, forward)
        self._end = weakref.finalize(self, _end, self._process, self._folder)
        self.greeting = self._greeting()

    def _start(self, argv: Sequence[str], forward: tuple[str, int] | None) -> subprocess.Popen[bytes]:
        program = shutil.which(argv[0])
        if program is None:
            shutil.rmtree(self._folder)
            raise self._unreachable(f"there is no {argv[0]} on PATH", "install OpenSSH's client (openssh-client)")
        words = [*argv[1:]]
        if forward is not None:
            host = f"[{forward[0]}]" if ":" in forward[0] else forward[0]
            words = ["-L", f"{self._socket_file}:{host}:{forward[1]}", *words]
        return subprocess.Popen(  # noqa: S603  our own argv
            ["/bin/sh", "-c", _AND_TIDY_UP, str(self._folder), program, *words],
            env={**{name: os.environ[name] for name in _KEPT if name in os.environ}, "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # a Ctrl-C is ours, and a killed kernel must not take the tidying up with it
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and self._end.alive

    def ask(self, request: str, limit_s: float) -> list[str]:
        """Send lines; the lines that come back, up to and without the one that is "ok".

        Raises PbxUnreachable when the connection is cut off or no answer ends within limit_s, Refusal when the last
        line begins with "no".
        """
        lines = []
        if not self.alive:
            raise self._cut_off("the connection ended")
        try:
            self._in.write(request.encode("utf-8", "surrogateescape"))
            self._in.flush()
        except OSError as error:
            raise self._cut_off(error.strerror or type(error).__name__) from error
        deadline = time.monotonic() + limit_s
        while (line := self._line(deadline)) != "ok":
            if line.startswith("no "):
                raise Refusal(line.removeprefix("no "))
            lines.append(line)
        return lines

    def connect(self, timeout_s: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(self._socket_file))
        except OSError:
            connection.close()
            raise
        return connection

    def last_words(self) -> str:
        """The last line on ssh's stderr, "" when there is none."""
        lines = self._said()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """End it; returns when it is gone."""
        self._end()

    # ---------------------------------------------------------------- how

    @property
    def _in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _greeting(self) -> str:
        """The first line of ours; a login shell may have printed before it."""
        deadline = time.monotonic() + STARTUP_LIMIT_S
        while not (line := self._line(deadline)).startswith(GREETING):
            log.debug("passed over before the greeting of %s: %r", self._where, line[:80])
        return line.removeprefix(GREETING)

    def _line(self, deadline: float) -> str:
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._cut_off("no answer in time")
                received = os.read(self._out.fileno(), 1_000_000)
                if not received or len(self._buffer) > MAX_LINE_BYTES:
                    raise self._cut_off("the connection ended")
                self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "surrogateescape")

    def _said(self) -> list[str]:
        """ssh's stderr so far, read without moving the place where ssh writes."""
        text = os.pread(self._errors.fileno(), 100_000, 0).decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _cut_off(self, what: str) -> PbxUnreachable:
        self._end()
        said = self._said()
        return self._unreachable(" / ".join(said[-2:]) or what, self._explain("\n".join(said)))

    def _unreachable(self, came_back: str, do_next: str) -> PbxUnreachable:
        return PbxUnreachable(f"log in at {self._where} by ssh", came_back, do_next)


class Refusal(Exception):
    """The other machine answered, and said no; the text is what its system said."""


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Close its stdin, at which the command and so ssh end; all of its session, when they do not."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                log.debug("closing a pipe to ssh failed")  # what was not sent any more
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _private_folder() -> Path:
    """Short, because the path of a socket is, and without a character that -L would split it at."""
    usual = tempfile.gettempdir()
    fits = re.fullmatch(r"/[A-Za-z0-9._/-]{1,60}", usual)
    return Path(tempfile.mkdtemp(prefix="bw-ssh-", dir=usual if fits else "/tmp"))  # noqa: S108  0700, a random name


def what_to_do(login: SshLogin, known_hosts: Path | None, said: str) -> str:
    """The fix for what OpenSSH said."""
    port = f" -p {login.port}" if login.port else ""
    file = str(known_hosts) if known_hosts else "~/.ssh/known_hosts"
    if "has changed" in said or "REMOTE HOST IDENTIFICATION" in said:
        return f"find out why its host key changed before you trust it; then take the old one out of {file}"
    if "Host key verification failed" in said or "host key is known" in said:
        return (
            f"add its host key: ssh-keyscan{port} {login.host} >> {file}, and compare the fingerprints that "
            "ssh-keygen -l -f says for that file and, there, for /etc/ssh/ssh_host_ed25519_key.pub"
        )
    if "Permission denied" in said or "Too many authentication failures" in said:
        return (
            f"put your public key into ~{login.user}/.ssh/authorized_keys there, and name the private one as "
            "pbx.ssh_key (one with a passphrase must be in ssh-agent)"
        )
    if "Could not resolve hostname" in said:
        return "check the host in pbx.ssh"
    return (
        f"check host and port of pbx.ssh, that sshd runs there, and the firewall: ssh{port} {login.user}@{login.host}"
    )
