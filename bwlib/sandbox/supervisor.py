"""The sandbox's process: `python -m bwlib.sandbox.supervisor`. `bwlib.sandbox.control.start()` runs it detached.

It owns the HTTP APIs, the SIP edge, readback and the PBX, and ends on `down`, on SIGTERM, or after some idle
minutes; whatever it started ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import socket
import sys
from pathlib import Path

from bwlib.sandbox.children import Child
from bwlib.sandbox.environment import kept_environment
from bwlib.sandbox.home import ports_of_last_time, read_state, sandbox_dir, try_lock, write_private
from bwlib.sandbox.log_limit import LogLimit
from bwlib.sandbox.readback_keeper import ReadbackKeeper
from bwlib.sandbox.state import State

_HTTP_HOST = "127.0.0.1"
_EDGE_HOST = "127.0.0.2"  # where the edge listens when the system has the address
_FILES = 65_536


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--idle-minutes", type=float, default=30)
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--edge-port", type=int, default=0)
    options = parser.parse_args()
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    limit = LogLimit()
    for handler in logging.getLogger().handlers:
        handler.addFilter(limit)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    directory = sandbox_dir(options.home)
    if try_lock(directory / "supervisor.lock") is None:
        known = read_state(directory) or {}
        raise SystemExit(f"a sandbox is running already in {directory}, pid {known.get('pid')}")
    _raise_file_limit()
    state = State(directory / "sandbox.db")
    ports = ports_of_last_time(directory)
    port = free_again(_HTTP_HOST, ports.get("readback", 0), socket.SOCK_STREAM)
    child = _start_readback(directory, state, port)
    from bwlib.sandbox.running import supervise  # after readback's start: both import for half a second, side by side

    http_port = options.http_port or free_again(_HTTP_HOST, ports.get("http", 0), socket.SOCK_STREAM)
    edge_port = options.edge_port or free_again(_EDGE_HOST, ports.get("edge", 0), socket.SOCK_DGRAM)
    readback = ReadbackKeeper(directory, child, lambda port: _start_readback(directory, state, port))
    asyncio.run(supervise(state, readback, limit, options.idle_minutes * 60, http_port, edge_port))


def _start_readback(directory: Path, state: State, port: int) -> Child:
    """The application under test, on a port of its own."""
    (directory / "readback.json").unlink(missing_ok=True)
    password_file = directory / "readback-password"
    write_private(password_file, state.identity.readback_password)
    store = directory / "readback"
    store.mkdir(mode=0o700, exist_ok=True)
    argv = [sys.executable, "-m", "bwlib.readback", "--host", _HTTP_HOST, "--port", str(port), "--tls", "auto"]
    argv += ["--state-file", str(directory / "readback.json"), "--store", str(store)]
    argv += ["--user", state.identity.readback_user, "--password-ref", f"file:{password_file}"]
    return Child("readback", argv, kept_environment(os.environ), directory, directory / "readback.log")


def free_again(host: str, port: int, kind: int) -> int:
    """`port` when it can be had now, else 0 for any free one."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return 0
    return port


def _raise_file_limit() -> None:
    """A PBX under load needs more than the usual 1024 descriptors; children inherit ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
