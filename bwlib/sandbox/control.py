"""The handle on this user's sandbox: start it, find it, look into it, turn its switches, end it.

sandbox = control.start()          # attaches when one is running
sandbox.api_url, sandbox.edge      # what a client needs
sandbox.set_switch("options", "silent")
sandbox.down()
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import ssl
import subprocess
import sys
import time
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import SecretStr

from bwlib.errors import BwlibError, SettingsError
from bwlib.models import SipEvent
from bwlib.sandbox.environment import kept_environment
from bwlib.sandbox.home import home, locked, read_state, sandbox_dir, touch_private, try_lock

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bwlib.sandbox.account_handle import SandboxAccount

__all__ = ["ReadbackAddress", "Sandbox", "attach", "home", "start"]
log = logging.getLogger(__name__)
_REQUEST_TIMEOUT_S = 20.0
_READBACK_PATIENCE_S = 60.0
# Plain http on loopback: loading the system's certificate authorities would only cost time.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_STARTED: list[subprocess.Popen[bytes]] = []  # kept, so that an ended supervisor is reaped and not warned about


@dataclass(frozen=True)
class ReadbackAddress:
    """Where readback listens and what its webhooks must carry. `token` is for its own /_readback pages."""

    url: str
    token: SecretStr
    user: str
    password: SecretStr
    ca_file: Path | None


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox. Methods raise BwlibError when it does not answer or says no."""

    directory: Path
    pid: int
    http_url: str
    account_id: str
    client_id: str
    client_secret: SecretStr
    numbers: tuple[str, ...]
    edge_address: tuple[str, int] | None
    dns: tuple[str, int] | None  # address and UDP port of its name server, None when it runs without one
    readback_address: ReadbackAddress | None
    control_token: SecretStr = field(repr=False)
    dashboard_user: str
    dashboard_password: SecretStr
    broken_urls: Mapping[str, str] = field(default_factory=dict)  # kind -> a callback URL that misbehaves so

    @property
    def api_url(self) -> str:
        return f"{self.http_url}/api/v2"

    voice_url = api_url  # the same port: the paths tell the two APIs apart

    @property
    def token_url(self) -> str:
        return f"{self.http_url}/api/v1/oauth2/token"

    @property
    def dashboard_url(self) -> str:
        return f"{self.http_url}/dashboard"

    @property
    def number(self) -> str:
        """The account's first number, +E.164."""
        return self.numbers[0]

    @property
    def edge(self) -> tuple[str, int]:
        """Host and UDP port of the SIP edge."""
        if self.edge_address is None:
            raise _not_there("find the SIP edge", "this sandbox runs without one", self.directory / "supervisor.log")
        return self.edge_address

    @property
    def readback(self) -> ReadbackAddress:
        if self.readback_address is None:
            raise _not_there("find readback", "it did not come up", self.directory / "readback.log")
        return self.readback_address

    def broken_url(self, kind: str) -> str:
        """A callback URL on loopback that misbehaves so: dead, slow, 500, bad-bxml, 401, html or certificate."""
        if kind not in self.broken_urls:
            known = ", ".join(self.broken_urls)
            raise SettingsError("find a callback URL that misbehaves", f"there is no {kind!r}", f"take one of {known}")
        return self.broken_urls[kind]

    # ---------------------------------------------------------------- its life

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self._json("GET", "/status")
        return status

    def down(self, *, timeout_s: float = 60) -> None:
        """End it and everything it started; returns when it is gone. Ending a gone one is no error."""
        with contextlib.suppress(httpx.HTTPError):
            self._send("POST", "/down")
        deadline = time.monotonic() + timeout_s
        while (lock := try_lock(self.directory / "supervisor.lock")) is None:
            if time.monotonic() > deadline:
                raise BwlibError(
                    "end the sandbox", f"process {self.pid} is still there after {timeout_s:.0f} s", f"kill {self.pid}"
                )
            time.sleep(0.02)
        os.close(lock)
        for process in _STARTED:
            process.poll()

    def account(self, name: str) -> SandboxAccount:
        """The account of this name in this sandbox, made at the first call; "" is the one that every sandbox has."""
        from bwlib.sandbox.account_handle import account_of

        return account_of(self, name)

    def reset(self) -> None:
        """Forget all objects, calls, logs and switches; account, credentials and notes stay."""
        self._json("POST", "/reset")

    # ---------------------------------------------------------------- what it saw

    def exchanges(self, since: int = 0) -> list[dict[str, Any]]:
        """HTTP exchanges with an id above `since`: id, at, method, path, status, request_body, response_body."""
        exchanges: list[dict[str, Any]] = self._json("GET", "/exchanges", params={"since": since})
        return exchanges

    def sip_events(self, call_id: str | None = None, since: datetime | None = None) -> list[SipEvent]:
        """SIP messages at the edge, digest responses masked; of one call (Bandwidth's id or a Call-ID), or all."""
        params = {key: str(value) for key, value in (("call_id", call_id), ("since", since)) if value is not None}
        events = self._json("GET", "/sip-events", params=params)
        return [SipEvent(**{**event, "at": datetime.fromisoformat(event["at"])}) for event in events]

    def calls(self) -> list[dict[str, Any]]:
        """All calls, oldest first, as the Voice API describes them, with `sipCallId`."""
        calls: list[dict[str, Any]] = self._json("GET", "/calls")
        return calls

    def deliveries(self, call_id: str | None = None) -> list[dict[str, Any]]:
        """Attempts to deliver webhooks: id, at, call_id, event, url, attempt, status, error."""
        params = {"call_id": call_id} if call_id else {}
        deliveries: list[dict[str, Any]] = self._json("GET", "/deliveries", params=params)
        return deliveries

    def sent_audio(self, call_id: str) -> npt.NDArray[np.int16]:
        """What the edge sent on a call, 8000 Hz mono, silence included."""
        return _pcm(self._send("GET", f"/audio/{call_id}/sent").content)

    def heard_audio(self, call_id: str) -> npt.NDArray[np.int16]:
        """What the edge heard on a call, 8000 Hz mono, gaps as silence."""
        return _pcm(self._send("GET", f"/audio/{call_id}/heard").content)

    # ---------------------------------------------------------------- what can be turned

    def switches(self) -> dict[str, str]:
        switches: dict[str, str] = self._json("GET", "/switches")
        return switches

    def set_switch(self, name: str, value: str) -> None:
        """Raises SettingsError for a name or a value that is not in `bwlib.sandbox.switches`."""
        self._json("PUT", f"/switches/{name}", json={"value": value})

    @contextlib.contextmanager
    def fault(
        self, name: str, *, value: str | None = None, times: int | None = None, match: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """A fault of `bwlib.sandbox.faults` inside the `with` block. Raises SettingsError for what is not there."""
        switched_on = self.switch_fault_on(name, value=value, times=times, match=match)
        try:
            yield switched_on
        finally:
            self.switch_faults_off(switched_on["id"])

    def switch_fault_on(
        self, name: str, *, value: str | None = None, times: int | None = None, match: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """times: how often it acts; None = until it is switched off. match: patterns such as {"method": "POST"}."""
        wanted = {"name": name, "value": value, "times": times, "match": dict(match or {})}
        return dict(self._json("POST", "/faults", json=wanted))

    def switch_faults_off(self, fault_id: int | None = None) -> int:
        """One, or all; how many that were."""
        path = "/faults" if fault_id is None else f"/faults/{fault_id}"
        return int(self._json("DELETE", path)["switched_off"])

    def faults(self) -> list[dict[str, Any]]:
        """What is switched on: id, name, value, match, times, left, acted, last, since; used-up ones have left 0."""
        return list(self._json("GET", "/faults")["on"])

    @contextlib.contextmanager
    def edge_stopped(self) -> Iterator[None]:
        """No SIP edge inside the `with` block; afterwards it listens on the same port again."""
        self._json("POST", "/edge/stop")
        try:
            yield
        finally:
            self._json("POST", "/edge/start")

    def start_pbx(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> int:
        """Have the supervisor run a PBX, output to `log`; its process id. It ends with the sandbox."""
        wanted = {"argv": list(argv), "env": dict(env), "cwd": str(cwd), "log": str(log)}
        return int(self._json("POST", "/pbx", json=wanted)["pid"])

    def stop_pbx(self) -> None:
        self._json("DELETE", "/pbx")

    def pbx_alive(self) -> bool:
        return bool(self._json("GET", "/pbx")["alive"])

    def put_note(self, key: str, value: Any) -> None:
        """Keep something small (anything JSON) with the sandbox; it survives its restarts."""
        self._json("PUT", f"/notes/{key}", json={"value": value})

    def get_note(self, key: str) -> Any:
        """What `put_note` kept; None when there is nothing."""
        return self._json("GET", f"/notes/{key}")["value"]

    # ---------------------------------------------------------------- HTTP

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._send(method, path, **options).json()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = f"{self.http_url}/_sandbox{path}"
        headers = {"Authorization": f"Bearer {self.control_token.get_secret_value()}"}
        with httpx.Client(
            verify=_NO_AUTHORITIES, trust_env=False, timeout=_REQUEST_TIMEOUT_S, headers=headers
        ) as client:
            try:
                response = client.request(method, url, **options)
            except httpx.HTTPError as error:
                if path == "/down":
                    raise
                raise _not_there(f"ask the sandbox: {method} {path}", repr(error), self.directory) from error
        if response.is_success:
            return response
        said = _said(response)
        if response.status_code == 400:
            raise SettingsError(f"tell the sandbox: {method} {path}", said, "correct the value")
        raise BwlibError(f"ask the sandbox: {method} {path}", f"{response.status_code}: {said}", "see its log")


def attach(home_dir: Path | None = None) -> Sandbox | None:
    """The sandbox that is running for this home; None when there is none that answers."""
    directory = sandbox_dir(home_dir or home())
    state = read_state(directory)
    if state is None:
        return None
    sandbox = _from_state(directory, state)
    try:
        status = sandbox.status()
    except BwlibError:
        return None
    return sandbox if status["pid"] == sandbox.pid else None


def start(
    home_dir: Path | None = None,
    *,
    timeout_s: float = 60,
    idle_minutes: float = 30,
    http_port: int = 0,
    edge_port: int = 0,
) -> Sandbox:
    """The running sandbox of this home, or a new one, detached. Ports: 0 = a free one.

    idle_minutes: it ends by itself when no HTTP or SIP came for so long. Raises SettingsError when a port that was
    asked for cannot be used, BwlibError when it does not come up.
    """
    wanted_home = home_dir or home()
    directory = sandbox_dir(wanted_home)
    with locked(directory / "start.lock"):  # two notebooks at once: one sandbox
        running = _with_readback(wanted_home)
        if running is not None:
            return running
        deadline = time.monotonic() + timeout_s
        _wait_for_the_last_one(directory, deadline)
        process = _spawn(wanted_home, directory, idle_minutes, http_port, edge_port)
        while time.monotonic() < deadline:
            sandbox = attach(wanted_home)
            if sandbox is not None:
                return sandbox
            if process.poll() is not None:
                raise _did_not_start(directory, f"its process ended with code {process.returncode}")
            time.sleep(0.02)
        process.kill()
        raise _did_not_start(directory, f"it did not answer within {timeout_s:.0f} s")


def _with_readback(wanted_home: Path) -> Sandbox | None:
    """The running sandbox, its readback up; None when there is none. One that has lost readback for good is ended."""
    deadline = time.monotonic() + _READBACK_PATIENCE_S
    while (running := attach(wanted_home)) is not None:
        readback = running.status().get("readback", "up")
        if readback == "up":
            return attach(wanted_home)  # its state as it is now: readback may be back with another token
        if readback == "down" or time.monotonic() > deadline:
            log.warning("the sandbox (pid %d) has lost its readback: it is ended, another one starts", running.pid)
            running.down()
            return None
        time.sleep(0.05)
    return None


def _wait_for_the_last_one(directory: Path, deadline: float) -> None:
    """A supervisor that does not answer but holds its lock is on its way out, or hangs."""
    while (lock := try_lock(directory / "supervisor.lock")) is None:
        if time.monotonic() > deadline:
            known = read_state(directory) or {}
            raise BwlibError(
                "start the sandbox",
                f"an older one (pid {known.get('pid')}) holds {directory} and does not answer",
                "end that process, then try again",
            )
        time.sleep(0.02)
    os.close(lock)


def _spawn(
    wanted_home: Path, directory: Path, idle_minutes: float, http_port: int, edge_port: int
) -> subprocess.Popen[bytes]:
    (directory / "state.json").unlink(missing_ok=True)
    argv = [sys.executable, "-m", "bwlib.sandbox.supervisor", "--home", str(wanted_home)]
    argv += ["--idle-minutes", str(idle_minutes), "--http-port", str(http_port), "--edge-port", str(edge_port)]
    source = str(Path(__file__).resolve().parents[2])
    env = kept_environment(os.environ)  # it outlives us: nobody's secrets go along
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [source, env.get("PYTHONPATH")]))
    log_file = directory / "supervisor.log"
    log_file.unlink(missing_ok=True)  # one log per life
    touch_private(log_file)
    with log_file.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own module
            argv,
            env=env,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _STARTED.append(process)
    return process


def _from_state(directory: Path, state: Mapping[str, Any]) -> Sandbox:
    edge, readback, dns = state["edge"], state["readback"], state.get("dns")
    return Sandbox(
        directory=directory,
        pid=state["pid"],
        http_url=state["http_url"],
        account_id=state["account_id"],
        client_id=state["client_id"],
        client_secret=SecretStr(state["client_secret"]),
        numbers=tuple(state["numbers"]),
        edge_address=(edge[0], edge[1]) if edge else None,
        dns=(dns[0], dns[1]) if dns else None,
        readback_address=_readback(readback) if readback else None,
        control_token=SecretStr(state["control_token"]),
        dashboard_user=state["dashboard"]["user"],
        dashboard_password=SecretStr(state["dashboard"]["password"]),
        broken_urls=state.get("broken_urls", {}),
    )


def _readback(state: Mapping[str, Any]) -> ReadbackAddress:
    ca_file = state.get("ca_file")
    return ReadbackAddress(
        url=state["url"],
        token=SecretStr(state["token"]),
        user=state["user"],
        password=SecretStr(state["password"]),
        ca_file=Path(ca_file) if ca_file else None,
    )


def _did_not_start(directory: Path, what: str) -> BwlibError:
    log_file = directory / "supervisor.log"
    tail = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
    came_back = "\n".join([what, *tail])
    if any("cannot be used" in line for line in tail):
        return SettingsError("start the sandbox", came_back, "choose another port, or 0 for a free one")
    return BwlibError("start the sandbox", came_back, f"read {log_file}")


def _not_there(attempted: str, came_back: str, where: Path) -> BwlibError:
    return BwlibError(attempted, came_back, f"look at {where}, then start the sandbox again (bw-runbook sandbox up)")


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]


def _pcm(wav: bytes) -> npt.NDArray[np.int16]:
    import numpy as np  # here, because attaching to a sandbox must not cost an import of numpy

    with wave.open(io.BytesIO(wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
