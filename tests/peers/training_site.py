"""A site that has walked the guide, in a home of its own, for the tests of breaks and labs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers import asterisk

from bwlib import open_run, start_site
from bwlib.guide import Run
from bwlib.sandbox import control


@contextmanager
def walked_site(home: Path, name: str) -> Iterator[Path]:
    """The path of its site file. The sandbox ends with the block."""
    asterisk()
    before = os.environ["BW_RUNBOOK_HOME"]
    os.environ["BW_RUNBOOK_HOME"] = str(home)
    path = home / "site" / "site.toml"
    try:
        start_site(path, name=name)
        run = opened(path)
        run.application()
        run.sip_credential(run.realm())
        run.trunk()
        run.route()
        run.extension()
        yield path
    finally:
        os.environ["BW_RUNBOOK_HOME"] = before
        running = control.attach(home)
        if running is not None:
            running.down()


def opened(site: Path, answer_s: float = 4) -> Run:
    """answer_s: how long a call waits for its answer; short, for calls that are to fail."""
    return open_run(site, notebook="test", test_answer_timeout_s=answer_s)


def well(site: Path) -> Run:
    """For calls that are to succeed, however busy the machine is."""
    return opened(site, answer_s=60)
