"""One isolated home for the whole test session: no test sees, or leaves anything in, the user's own sandbox.

Set when this file is imported, so that notebook kernels (nbval) and child processes inherit it; with `pytest -n 2` each
of the two processes has its own. What belongs together stays in one process: a file, which has its fixtures set up
once, and the notebooks, which are run in their order on one home.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

_HOME = Path(tempfile.mkdtemp(prefix="bwrb-"))
for _name in [name for name in os.environ if name.startswith("BW_") and name not in ("BW_SOAK", "BW_RUNBOOK_CACHE")]:
    del os.environ[_name]
os.environ["BW_RUNBOOK_HOME"] = str(_HOME)
os.environ["BW_RUNBOOK_SITE"] = str(_HOME / "notebooks-site" / "site.toml")
# Half a minute each: all labs are run in `make soak`, one by tests/peers/test_labs.py.
collect_ignore_glob = [] if os.environ.get("BW_SOAK") else ["notebooks/labs/*"]

# How fast an example goes is for the machine and its other work to say. All else is as it was (CI has its own profile).
hypothesis.settings.register_profile("no-clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("no-clock")


class FileByFile(LoadFileScheduling):
    """Gives out whole files in the order in which they were collected; all notebooks count as one file."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "notebooks" if file.endswith(".ipynb") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileByFile:
    config.option.loadscopereorder = False  # the most tests first is not the longest first
    return FileByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In parallel, what may take longest comes first, so that the processes end together.

    As long as a file may take: the time limits of its slow tests together; the notebooks are behind those.
    """
    if not hasattr(config, "workerinput"):
        return
    limits: Counter[Path] = Counter()
    for item in items:
        if item.get_closest_marker("slow"):
            limit = item.get_closest_marker("timeout")
            limits[item.path] += limit.args[0] if limit else int(config.getini("timeout"))
    items.sort(key=lambda item: (-limits[item.path], item.path.suffix != ".ipynb"))


def pytest_sessionfinish() -> None:
    """End the session's sandboxes (the notebooks', the last lab's), PBX and readback, and remove its home."""
    from bwlib.sandbox import control

    for home in (_HOME, *(place.parent for place in _HOME.glob("train/*/*/sandbox"))):
        running = control.attach(home)
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
