"""Where the sandbox of this user lives on disk, and how its files are written: 0700 directories, 0600 files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOME_VARIABLE = "BW_RUNBOOK_HOME"


def home() -> Path:
    """The directory all state lives under: $BW_RUNBOOK_HOME, else ~/.local/state/bw-runbook."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).expanduser().absolute() if named else Path.home() / ".local" / "state" / "bw-runbook"


def sandbox_dir(home_dir: Path) -> Path:
    """`<home>/sandbox`, made when missing, readable by this user only."""
    directory = home_dir / "sandbox"
    home_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.mkdir(exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    return directory


def touch_private(path: Path) -> None:
    """Make `path` exist with mode 0600 before anything is written to it."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    path.chmod(0o600)


def write_private(path: Path, text: str) -> None:
    """Write `text` so that a reader sees the old file or the new one, never half of it. Mode 0600."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp makes it 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def read_state(directory: Path) -> dict[str, Any] | None:
    """What the running supervisor wrote about itself in state.json; None when there is none."""
    try:
        loaded = json.loads((directory / "state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return loaded if isinstance(loaded, dict) else None


def try_lock(path: Path) -> int | None:
    """Take an exclusive lock; None when someone else holds it. The kernel frees it when its holder ends."""
    touch_private(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; wait for it when someone else does."""
    touch_private(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def ports_of_last_time(directory: Path) -> dict[str, int]:
    """The ports of this home's last sandbox, by role; empty when there was none.

    Used again when free: what was configured against them (a callback URL, a trunk's proxy) then stays right.
    """
    try:
        ports = json.loads((directory / "ports.json").read_text(encoding="utf-8"))
        return {str(role): int(port) for role, port in ports.items()}
    except (OSError, ValueError, AttributeError):
        return {}
