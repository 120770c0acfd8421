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
import sys
from pathlib import Path

from bwlib.sandbox.children import Child
from bwlib.sandbox.home import read_state, sandbox_dir, try_lock, write_private
from bwlib.sandbox.state import State

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
    logging.getLogger("httpx").setLevel(logging.WARNING)
    directory = sandbox_dir(options.home)
    if try_lock(directory / "supervisor.lock") is None:
        known = read_state(directory) or {}
        raise SystemExit(f"a sandbox is running already in {directory}, pid {known.get('pid')}")
    _raise_file_limit()
    state = State(directory / "sandbox.db")
    readback = _start_readback(directory, state)
    from bwlib.sandbox.running import supervise  # after readback's start: both import for half a second, side by side

    asyncio.run(supervise(state, readback, options.idle_minutes * 60, options.http_port, options.edge_port))


def _start_readback(directory: Path, state: State) -> Child:
    """The application under test, on a port of its own."""
    (directory / "readback.json").unlink(missing_ok=True)
    password_file = directory / "readback-password"
    write_private(password_file, state.identity.readback_password)
    store = directory / "readback"
    store.mkdir(mode=0o700, exist_ok=True)
    argv = [sys.executable, "-m", "bwlib.readback", "--host", "127.0.0.1", "--port", "0", "--tls", "auto"]
    argv += ["--state-file", str(directory / "readback.json"), "--store", str(store)]
    argv += ["--user", state.identity.readback_user, "--password-ref", f"file:{password_file}"]
    return Child("readback", argv, os.environ, directory, directory / "readback.log")


def _raise_file_limit() -> None:
    """A PBX under load needs more than the usual 1024 descriptors; children inherit ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
