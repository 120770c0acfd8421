"""The Asterisk Manager Interface: one short TCP connection, one action at a time, no events unless asked for.

Actions and answers are lines of "Name: value" that end with an empty line
(docs.asterisk.org/Configuration/Interfaces/Asterisk-Manager-Interface-AMI). Login is by MD5 challenge, so that the
secret itself is never on the wire.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from pydantic import SecretStr

from bwlib.errors import PbxRefused, PbxUnreachable

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 8_000_000  # a list of a PBX with thousands of phones is far below


class Tunnel(Protocol):
    """Another way to the manager interface than a TCP connection of ours."""

    where: str

    def connect(self, timeout_s: float) -> socket.socket:
        """Raises OSError as a socket does, PbxUnreachable when the tunnel itself cannot be made."""

    def remark(self) -> str:
        """What it has to say about a connection that was closed at once, "" for nothing."""


@dataclass(frozen=True)
class AmiAnswer:
    """What one action brought: its response, the events of its list, the lines of its command output."""

    ok: bool
    message: str
    fields: Mapping[str, str]
    events: tuple[Mapping[str, str], ...] = ()
    output: tuple[str, ...] = ()


class Ami:
    """A logged-in connection; use it as a context manager.

    timeout_s: the longest silence that is waited for. tunnel: leads to host and port, which are then as seen from its
    other end. Raises PbxUnreachable when nothing answers or the connection breaks, PbxRefused when the login is
    refused.
    """

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        secret: SecretStr,
        timeout_s: float = 10,
        tunnel: Tunnel | None = None,
    ) -> None:
        self._where = f"the Asterisk Manager Interface at {host}:{port}" + (f" of {tunnel.where}" if tunnel else "")
        self._address = (host, port)
        self._tunnel = tunnel
        self._user = user
        self._secret = secret
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self._buffer = b""

    def __enter__(self) -> Ami:
        try:
            self._socket = self._connect()
        except OSError as error:
            raise self._unreachable(error.strerror or type(error).__name__) from error
        try:
            self._read_until(b"\n")  # "Asterisk Call Manager/..."
            self._login()
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _connect(self) -> socket.socket:
        if self._tunnel is not None:
            return self._tunnel.connect(self._timeout_s)
        return socket.create_connection(self._address, timeout=self._timeout_s)

    def action(self, name: str, **fields: str) -> AmiAnswer:
        """Send one action and collect its whole answer, lists included. `ok` tells whether Asterisk agreed."""
        action_id = f"bw-{next(self._ids)}"
        self._send({"Action": name, "ActionID": action_id, **fields})
        response = self._next_of(action_id)
        single = _single(response)
        events: list[Mapping[str, str]] = []
        if single.get("EventList", "").lower() == "start":
            while True:
                event = _single(self._next_of(action_id))
                if event.get("EventList", "").lower() in ("complete", "cancelled"):
                    break
                events.append(event)
        output = tuple(value for key, value in response if key == "Output")
        ok = single.get("Response") in ("Success", "Follows")
        return AmiAnswer(ok, single.get("Message", ""), single, tuple(events), output)

    def command(self, line: str) -> list[str]:
        """Run one command of Asterisk's command line; returns its output. PbxRefused when it may not be run."""
        answer = self.action("Command", Command=line)
        if not answer.ok:
            raise PbxRefused(
                f"run `{line}` on Asterisk",
                " / ".join(answer.output[:3]) or answer.message or "an error without a text",
                "give the manager user the write classes system, command, config and reporting in manager.conf",
            )
        return list(answer.output)

    def messages(self) -> Iterator[Mapping[str, str]]:
        """Whatever Asterisk sends from now on, until the connection ends or `hang_up` is called.

        One reader only: no action may be waiting for its answer meanwhile.
        """
        self._socket.settimeout(None)
        while True:
            try:
                yield _single(self._next())
            except PbxUnreachable:
                return

    def hang_up(self) -> None:
        """End the connection while another thread reads from it: that thread's reading ends."""
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _login(self) -> None:
        challenge = self.action("Challenge", AuthType="MD5").fields.get("Challenge", "")
        key = hashlib.md5((challenge + self._secret.get_secret_value()).encode(), usedforsecurity=False).hexdigest()
        answer = self.action("Login", AuthType="MD5", Username=self._user, Key=key, Events="off")
        if not answer.ok:
            raise PbxRefused(
                f"log in at {self._where} as {self._user!r}",
                answer.message or "refused",
                "check user, secret and permit= in Asterisk's manager.conf",
            )

    def _send(self, fields: Mapping[str, str]) -> None:
        for key, value in fields.items():
            if any(ord(character) < 32 for character in key + value):
                raise ValueError(f"a control character in the AMI field {key}")
        lines = [f"{key}: {value}" for key, value in fields.items()]
        try:
            self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        except OSError as error:
            raise self._unreachable(type(error).__name__) from error

    def _next_of(self, action_id: str) -> list[tuple[str, str]]:
        """The next message that belongs to our action; events of others (FullyBooted at login) are passed over."""
        while ("ActionID", action_id) not in (pairs := self._next()):
            continue
        return pairs

    def _next(self) -> list[tuple[str, str]]:
        text = self._read_until(b"\r\n\r\n").decode("utf-8", errors="replace")
        return [(key.strip(), value.strip(" ")) for key, _, value in map(_split, text.split("\r\n")) if key]

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            try:
                received = self._socket.recv(65536)
            except OSError as error:
                raise self._unreachable(f"no answer ({type(error).__name__})") from error
            if not received or len(self._buffer) > MAX_ANSWER_BYTES:
                raise self._unreachable("the connection was closed" if not received else "an answer without an end")
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(mark)
        return message

    def _unreachable(self, came_back: str) -> PbxUnreachable:
        remark = self._tunnel.remark() if self._tunnel else ""
        do_next = "start Asterisk, and check enabled, bindaddr and port in manager.conf"
        if "prohibited" in remark:
            do_next = "let sshd there forward to the manager interface (AllowTcpForwarding, PermitOpen)"
        return PbxUnreachable(f"talk to {self._where}", f"{came_back} ({remark})" if remark else came_back, do_next)


def _split(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _single(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """One value per name: the first, as Asterisk repeats only Output."""
    return dict(reversed(pairs))
