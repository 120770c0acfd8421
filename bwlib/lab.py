"""JupyterLab on a site's folder: a process of its own, on loopback, that ends when its caller does.

The site's folder is JupyterLab's root, so that `site.toml`, `runs/` and the working copy of the notebooks open there.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bwlib.errors import BwlibError
from bwlib.runner.run_site import notebooks_folder

HOST = "127.0.0.1"
USUAL_PORT = 8888
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
# The news popup asks jupyter.org, and its question covers a corner of the page.
PAGE_CONFIG = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
# What is saved is redacted first.
PRE_SAVE_HOOK = "bwlib.lab_hook.pre_save"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab. url holds its token; log_file is where its own talk goes."""

    url: str
    log_file: Path
    process: subprocess.Popen[bytes]


def work_copy(site_folder: Path) -> Path:
    """`<site folder>/notebooks` with every notebook of the guide; one that is there already stays as it is."""
    folder = site_folder / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(notebooks_folder().glob("*.ipynb")):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)
    return folder


@contextmanager
def running_lab(
    site_folder: Path, state: Path, variables: dict[str, str], *, browser: bool, first: str = "00_start.ipynb"
) -> Iterator[Lab]:
    """JupyterLab from when it accepts connections until the block is left; its kernels end with it.

    state: folder for its log and its configuration. variables: added to the environment of server and kernels.
    browser: let Jupyter open one. first: the notebook to begin with, below notebooks/.
    Raises: BwlibError with the end of the log when it does not start.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    port, token = _free_port(), secrets.token_urlsafe(24)
    start = f"/lab/tree/{work_copy(site_folder).name}/{first}"
    argv = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={site_folder}", f"--LabApp.default_url={start}"]
    argv += [f"--ServerApp.ip={HOST}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    argv += [f"--FileContentsManager.pre_save_hook={PRE_SAVE_HOOK}"]  # here, where no other configuration wins over it
    argv += [f"--LabApp.workspaces_dir={state / 'workspaces'}"]  # or the tabs of another site would come back here
    argv += [f"--ServerApp.open_browser={browser}"] + (["--allow-root"] if os.geteuid() == 0 else [])
    log_file = state / "jupyterlab.log"
    with open(os.open(log_file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own argv
            argv,
            env={**os.environ, "PATH": _path(), **variables, **_jupyter_variables(state, token)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone; we end JupyterLab in order, without its question
        )
    try:
        try:
            _wait_until_it_listens(process, port, log_file)
        finally:
            _has_started()
        yield Lab(f"http://{HOST}:{port}{start}?token={token}", log_file, process)
    finally:
        _end(process)


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP (a closed terminal) are KeyboardInterrupt, as Ctrl-C is; nohup holds."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heeded = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)


def _path() -> str:
    """With bw-runbook on it: terminals and `!` in a notebook find it though nobody has activated the environment."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _jupyter_variables(state: Path, token: str) -> dict[str, str]:
    """The token by environment, because a command line can be read by everyone; our page configuration first."""
    config = state / "jupyter"
    (config / "labconfig").mkdir(parents=True, exist_ok=True)
    (config / "labconfig" / "page_config.json").write_text(json.dumps(PAGE_CONFIG), encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(config), os.environ.get("JUPYTER_CONFIG_PATH")]))
    # Without the last one a user's own kernel named python3, which lacks this package, would be taken.
    return {"JUPYTER_TOKEN": token, "JUPYTER_CONFIG_PATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}


def _free_port() -> int:
    """Jupyter's usual port, or any other that is free; held against another lab that is starting just now.

    Between this look and Jupyter's own binding the port is nobody's: without the lock two labs would choose the same.
    """
    lock = os.open(Path(tempfile.gettempdir()) / f"bw-runbook-{os.getuid()}.port", os.O_RDWR | os.O_CREAT, 0o600)
    ports: tuple[int, ...] = (USUAL_PORT, 0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _starting.append(lock)  # until this one listens
    except BlockingIOError:
        os.close(lock)
        ports = (0,)
    for port in ports:
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BwlibError("start JupyterLab", f"{HOST} takes no sockets", "run bw-runbook doctor")


_starting: list[int] = []  # the lock on the usual port, while a lab of this process starts


def _has_started() -> None:
    while _starting:
        os.close(_starting.pop())


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    tail = "\n".join(log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    came_back = "it ended at once" if process.poll() is not None else f"no answer within {START_TIMEOUT_S:.0f} s"
    raise BwlibError("start JupyterLab", f"{came_back}:\n{tail}", f"read {log_file}, then start it again")


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, on which Jupyter ends its kernels; SIGKILL to all of its session when that takes too long."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
