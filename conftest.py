"""One isolated home for the whole test session: no test sees, or leaves anything in, the user's own sandbox.

Set when this file is imported, so that notebook kernels (nbval) and child processes inherit it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_HOME = Path(tempfile.mkdtemp(prefix="bwrb-"))
for _name in [name for name in os.environ if name.startswith("BW_") and name not in ("BW_SOAK", "BW_RUNBOOK_CACHE")]:
    del os.environ[_name]
os.environ["BW_RUNBOOK_HOME"] = str(_HOME)
os.environ["BW_RUNBOOK_SITE"] = str(_HOME / "notebooks-site" / "site.toml")


def pytest_sessionfinish() -> None:
    """End the session's sandbox, its PBX and its readback, and remove its home."""
    from bwlib.sandbox import control

    running = control.attach(_HOME)
    if running is not None:
        running.down()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for one test, with its sandbox ended afterwards."""
    from bwlib.sandbox import control

    folder = tmp_path / "home"
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(folder))
    yield folder
    running = control.attach(folder)
    if running is not None:
        running.down()
