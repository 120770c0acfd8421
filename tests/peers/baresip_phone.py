"""baresip as a phone: an implementation that is not ours, driven over its ctrl_tcp module (JSON in netstrings).

It speaks from a WAV file and records with its sndfile module. Its log is kept beside them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from peers import free_port, listens, loopback, missing, program
from sandbox_world import ASIDE_S, eventually

from bwlib.heard import read_wav, write_wav

HOST = loopback(3)
_MODULES = ("g711", "aufile", "sndfile", "account", "menu", "ctrl_tcp")
_MODULE_FOLDERS = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")

Pcm = npt.NDArray[np.int16]


class Baresip:
    """A running baresip with one account, inside its `with` block. account: a line of its accounts file.

    dns_server: "address:port" of the name server to ask; the system's when left out.
    """

    def __init__(self, folder: Path, account: str, voice: Pcm, *, dns_server: str = "") -> None:
        self.folder = folder
        self._dns_server = dns_server
        self._control_port = free_port(HOST, socket.SOCK_STREAM)
        self._events: list[dict[str, Any]] = []
        self._unread = b""
        folder.mkdir(mode=0o700)
        (folder / "heard").mkdir()
        # Silence after the voice: at the end of the file it would stop to send, and keys need running RTP.
        write_wav(folder / "voice.wav", np.concatenate([voice, np.zeros(60 * 8000, np.int16)]))
        (folder / "config").write_text(self._config())
        (folder / "accounts").write_text(account + "\n")
        (folder / "contacts").write_text("")

    def _config(self) -> str:
        modules = next((path for path in _MODULE_FOLDERS if Path(path).is_dir()), None)
        if modules is None:
            missing("the folder of baresip's modules", "apt-get install -y --no-install-recommends baresip-core")
        # net_interface by address: by name, "lo", it finds none
        lines = [f"sip_listen {HOST}:0", f"net_interface {HOST}", f"ctrl_tcp_listen {HOST}:{self._control_port}"]
        lines += [f"module_path {modules}", f"snd_path {self.folder}/heard"]
        lines += [f"audio_source aufile,{self.folder}/voice.wav", "audio_player none,none", "audio_alert none,none"]
        lines += [f"{'module_app' if name in ('menu', 'ctrl_tcp') else 'module'} {name}.so" for name in _MODULES]
        if self._dns_server:
            lines.append(f"dns_server {self._dns_server}")
        return "\n".join(lines) + "\n"

    def __enter__(self) -> Self:
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [program("baresip"), "-f", str(self.folder), "-v"],
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            eventually(lambda: self._process.poll() is not None or listens(HOST, self._control_port, "tcp"))
            self._control = socket.create_connection((HOST, self._control_port), ASIDE_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()  # it hangs up and unregisters
        try:
            self._process.wait(ASIDE_S)  # only by its own end is the recording whole
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def command(self, name: str, params: str = "") -> None:
        """One of its menu's commands, such as dial or accept; fails when baresip says no."""
        token = f"{name}-{time.monotonic_ns()}"
        message = json.dumps({"command": name, "params": params, "token": token}).encode()
        self._control.sendall(b"%d:%s," % (len(message), message))
        answer = self._next(lambda said: said.get("token") == token, f"answer to {name}")
        assert answer["ok"], f"baresip refused {name} {params}: {answer}"

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next event of this type, such as CALL_ESTABLISHED."""
        return self._next(lambda said: said.get("type") == event, event)

    def wait_registered(self) -> None:
        """By its log: it may register before anybody listens to its events."""
        eventually(lambda: "[1 binding]" in self.said())

    def _next(self, fits: Any, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + ASIDE_S
        while True:
            found = next((said for said in self._events if fits(said)), None)
            if found is not None:
                self._events.remove(found)
                return found
            self._control.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                self._read()
            except TimeoutError:
                raise AssertionError(f"no {what} from baresip, but {self._events}; it says:\n{self.said()}") from None

    def _read(self) -> None:
        data = self._control.recv(65536)
        assert data, f"baresip is gone; it says:\n{self.said()}"
        self._unread += data
        while b":" in self._unread:
            length, _, rest = self._unread.partition(b":")
            if len(rest) <= int(length):
                return
            self._events.append(json.loads(rest[: int(length)]))
            self._unread = rest[int(length) + 1 :]  # and its comma

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def heard(self) -> Pcm:
        """What it recorded of its one call. Complete once baresip has ended."""
        (file,) = (self.folder / "heard").glob("*-dec.wav")
        return read_wav(file)
