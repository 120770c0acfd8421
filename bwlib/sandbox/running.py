"""The parts of a running sandbox, put together: HTTP APIs, SIP edge, switchboard, readback's address."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn

from bwlib.sandbox.app import build_app
from bwlib.sandbox.broken_callback import BrokenCallbacks
from bwlib.sandbox.control_api import Control
from bwlib.sandbox.dashboard_sessions import login_of
from bwlib.sandbox.dns import DnsResponder
from bwlib.sandbox.edge import Edge
from bwlib.sandbox.fault_middleware import BreakableProtocol
from bwlib.sandbox.faults import Faults
from bwlib.sandbox.faulty_sender import FaultySender
from bwlib.sandbox.home import ports_of_last_time, write_private
from bwlib.sandbox.log_limit import WINDOW_S, LogLimit
from bwlib.sandbox.readback_keeper import ReadbackKeeper
from bwlib.sandbox.state import State, timestamp
from bwlib.sandbox.switchboard import Switchboard

log = logging.getLogger("bwlib.sandbox")
HTTP_HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Signals are the supervisor's: it has children to stop after the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Activity:
    """When something last happened, on the monotonic clock."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def touch(self) -> None:
        self.last = time.monotonic()


class Running:
    """The parts of a sandbox, put together. `begin()` makes it answer, `finish()` ends all of it."""

    def __init__(self, state: State, readback: ReadbackKeeper, http_port: int, edge_port: int) -> None:
        self.state = state
        self.readback = readback
        self.directory = state.directory
        self.activity = Activity()
        self.stopping = asyncio.Event()
        self.listener = _listen(http_port)
        self.http_url = f"http://{HTTP_HOST}:{self.listener.getsockname()[1]}"
        self.faults = Faults()
        self.sender = FaultySender(self.state, self.faults)
        self.switchboard = Switchboard(self.state, self.sender, f"{self.http_url}/api/v2")
        self.edge = Edge(self.state, self.switchboard, self.activity.touch, edge_port, self.faults)
        self.switchboard.dialer = self.edge.dial
        self.dns = DnsResponder(self.state, lambda: self.edge.address)
        self.broken = BrokenCallbacks(self.directory)
        token = secrets.token_urlsafe(32)
        self.control = Control(
            self.state, token, self.stopping.set, self.switchboard, self.edge, self.faults, readback=self.readback
        )
        self.server = _Server(
            uvicorn.Config(
                build_app(self.state, self.control, self.activity.touch),
                http=BreakableProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,  # the service's clock says it
                proxy_headers=False,
                timeout_graceful_shutdown=2,
            )
        )
        self.serving: asyncio.Task[None] | None = None
        self.keeping: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Listen everywhere, then write state.json: whoever finds it finds everything up."""
        try:
            await self.edge.start()
        except OSError as error:
            raise SystemExit(f"the SIP edge's port cannot be used: {error.strerror}") from error
        await self._start_dns()
        self.serving = asyncio.create_task(self.server.serve(sockets=[self.listener]))
        await asyncio.gather(self.broken.start(ports_of_last_time(self.directory)), self.readback.wait_until_up())
        self._describe()
        self.keeping = asyncio.create_task(self.readback.keep(self._describe))
        self.activity.touch()  # idle minutes count from here, however slow the start was
        log.info("ready: %s, SIP edge %s:%d", self.http_url, *self.edge.address)

    async def _start_dns(self) -> None:
        """Beside the edge, on the port of last time where that is free. The sandbox is of use without it."""
        for port in dict.fromkeys((ports_of_last_time(self.directory).get("dns", 0), 0)):
            try:
                await self.dns.start(self.edge.address[0], port)
                return
            except OSError as error:
                log.warning("DNS cannot listen on port %d: %s", port, error.strerror)

    async def until_told_or_idle(self, idle_s: float) -> None:
        while not self.stopping.is_set():
            if self.switchboard.up():
                self.activity.touch()
            left_s = self.activity.last + idle_s - time.monotonic()
            if left_s <= 0:
                log.info("nothing happened for %.0f minutes", idle_s / 60)
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), left_s)

    async def finish(self) -> None:
        if self.keeping is not None:
            self.keeping.cancel()
        (self.directory / "state.json").unlink(missing_ok=True)
        self.faults.switch_off()
        await self.switchboard.close()
        await self.sender.close()  # first: readback waits for our connections to end
        children = [child for child in (self.control.pbx, self.readback.child) if child is not None]
        for child in children:
            child.ask_to_stop()
        self.server.should_exit = True
        if self.serving is not None:
            await self.serving
        self.dns.stop()
        await self.broken.stop()
        await self.edge.stop()
        for child in children:
            child.stop()
        self.state.close()
        log.info("ended")

    def _describe(self) -> None:
        """Write down how things are now: state.json for clients, ports.json for the next start."""
        answered = self.readback.answered
        if answered and answered.get("ca_file"):
            self.sender.trust(Path(answered["ca_file"]))
        write_private(self.directory / "state.json", json.dumps(self._described()))
        ports = {"http": self.listener.getsockname()[1], "edge": self.edge.address[1], "readback": self.readback.port}
        ports |= self.broken.ports
        if self.dns.address:
            ports["dns"] = self.dns.address[1]
        write_private(self.directory / "ports.json", json.dumps(ports))

    def _described(self) -> dict[str, Any]:
        """state.json: everything a client of the sandbox must know."""
        identity, readback = self.state.identity, self.readback.answered
        creds = {"user": identity.readback_user, "password": identity.readback_password}
        return {
            "pid": os.getpid(),
            "started_at": timestamp(self.control.started_at),
            "http_url": self.http_url,
            "control_token": self.control.token,
            "account_id": identity.account_id,
            "client_id": identity.client_id,
            "client_secret": identity.client_secret,
            "numbers": identity.numbers,
            "edge": self.edge.address,
            "dns": self.dns.address,
            "broken_urls": self.broken.urls,
            "dashboard": asdict(login_of(self.directory)),
            "readback": readback and {**readback, **creds},
        }


async def supervise(
    state: State, readback: ReadbackKeeper, limit: LogLimit, idle_s: float, http_port: int, edge_port: int
) -> None:
    """Run everything until told to stop. Raises SystemExit when a port cannot be used."""
    running = Running(state, readback, http_port, edge_port)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.stopping.set)
    counting = asyncio.create_task(_say_what_was_left_out(limit))
    try:
        await running.begin()
        await running.until_told_or_idle(idle_s)
    finally:
        counting.cancel()
        await running.finish()
        limit.say_left_out(all_of_them=True)


async def _say_what_was_left_out(limit: LogLimit) -> None:
    while True:
        await asyncio.sleep(WINDOW_S)
        limit.say_left_out()


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only then: without it each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HTTP_HOST, port))
    except OSError as error:
        raise SystemExit(f"port {port} on {HTTP_HOST} cannot be used: {error.strerror}") from error
    return listener
