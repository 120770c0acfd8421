"""The whole guide from the command line: a real FreePBX as the PBX, the sandbox as Bandwidth. Run by name only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from watched import bw_runbook

from bwlib import start_site
from bwlib.calling import OUT_OF_REACH
from bwlib.own_pbx import is_loopback
from bwlib.sandbox import control

NEEDED = ("FREEPBX_URL", "FREEPBX_USER", "FREEPBX_PASSWORD")
NAME, NUMBER = "bwrunbookguide", "798"
MADE = ("trunk", "route", "extension")
CALLS = ("call_from_extension", "call_to_extension")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    lacking = [name for name in NEEDED if not os.environ.get(name)]
    if lacking:
        pytest.fail(f"set {', '.join(lacking)} to a FreePBX that may be changed", pytrace=False)
    url, ca_file = os.environ["FREEPBX_URL"], os.environ.get("FREEPBX_CA_FILE", "")
    host = os.environ.get("FREEPBX_SIP_HOST") or urlsplit(url).hostname
    path = tmp_path / "site.toml"
    path.write_text(
        f'name = "bw-runbook-live-guide"\n[pbx]\nkind = "freepbx"\nurl = "{url}"\nca_file = "{ca_file}"\n'
        f'user = "{os.environ["FREEPBX_USER"]}"\npassword = "env:FREEPBX_PASSWORD"\nsip_host = "{host}"\n'
        f'trunk = "{NAME}"\nroute = "{NAME}"\nextension = "{NUMBER}"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BW_RUNBOOK_HOME", str(tmp_path / "home"))
        start_site(path)
        yield path
        running = control.attach(tmp_path / "home")
        if running is not None:
            running.down()


def test_the_guide_is_walked_once_found_again_and_taken_back(site: Path) -> None:
    first = bw_runbook("run", str(site))
    print(first.stdout, first.stderr)
    try:
        assert first.code == 0
        steps = first.steps()
        assert {steps[name]["action"] for name in MADE} == {"created"}, "the names must be free"
        assert steps["check_pbx"]["status"] == "passed"
        if is_loopback(os.environ.get("FREEPBX_SIP_HOST") or urlsplit(os.environ["FREEPBX_URL"]).hostname or ""):
            assert {steps[call]["status"] for call in CALLS} == {"passed"}
        else:
            assert all(OUT_OF_REACH in str(steps[call]["note"]) for call in CALLS)
        again = bw_runbook("run", str(site))
        print(again.stdout)
        assert {again.steps()[name]["action"] for name in MADE} == {"unchanged"}
        assert bw_runbook("drift", str(first.record)).code == 0
    finally:
        undone = bw_runbook("undo", str(first.record))
        print(undone.stdout, undone.stderr)
    assert undone.code == 0
    assert {undone.steps()[f"undo {name}"]["action"] for name in MADE} == {"removed"}
    everything = b"".join(path.read_bytes() for path in first.record.rglob("*") if path.is_file())
    assert os.environ["FREEPBX_PASSWORD"].encode() not in everything
    assert not [line for walk in (first, again, undone) for line in walk.command_lines
                if os.environ["FREEPBX_PASSWORD"] in line]  # fmt: skip
