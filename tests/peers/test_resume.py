"""A run that is killed at any point can be resumed: it ends as an undisturbed one, with nothing twice, all of it ours.

`make soak` kills at every point; otherwise a sample that BW_SEED chooses.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers import asterisk

from bwlib import start_site
from bwlib.bandwidth.auth import OAuth2
from bwlib.bandwidth.client import Client
from bwlib.record.journal import read_lines
from bwlib.record.manifest import run_status
from bwlib.record.run_record import latest_steps, run_folders
from bwlib.runner.run_site import GUIDE_NOTEBOOKS
from bwlib.sandbox import control

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(600)]

KILLER = Path(__file__).parent / "killer"
STEPS = ("rights", "application", "callback", "realm", "sip_credential", "dns", "settings_sheet", "trunk", "route",
         "extension", "no_registration", "ready", "call_from_extension", "call_to_extension")  # fmt: skip
MADE = ("application", "realm", "sip_credential", "trunk", "route", "extension")
BOUNDARIES = [f"notebook {name} {status}" for name in GUIDE_NOTEBOOKS for status in ("running", "passed")]
MIDDLES = [
    *(f"{kind} {name} -" for name in MADE for kind in ("creating", "created")),
    *(f"answer POST {name}" for name in ("applications", "realms", "sipcredentials")),
    *(f"put {name}" for name in ("trunk", "route", "extension")),
    *(f"step {name} {status}" for name in STEPS for status in ("running", "passed")),
]
UNWRITTEN = [point for point in MIDDLES if point.startswith(("answer", "put"))]
SEED = int(os.environ.get("BW_SEED") or 4)


def points() -> list[str]:
    if os.environ.get("BW_SOAK"):
        return BOUNDARIES + MIDDLES
    chosen = random.Random(SEED)
    return [
        chosen.choice(BOUNDARIES),
        chosen.choice(UNWRITTEN[:3]),
        chosen.choice(UNWRITTEN[3:]),
        chosen.choice(MIDDLES),
    ]


@dataclass(frozen=True)
class Site:
    """A site with an account of its own in the sandbox, so that what it has is what its runs made."""

    home: Path
    name: str

    @property
    def file(self) -> Path:
        return self.home / self.name / "site.toml"

    def make(self) -> None:
        self.file.parent.mkdir(parents=True)
        self.file.write_text(f'name = "{self.name}"\n[bandwidth]\nsandbox_account = "{self.name}"\n')
        start_site(self.file)

    def run(self, *arguments: str, kill_at: str = "") -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(filter(None, [str(KILLER), os.environ.get("PYTHONPATH", "")]))
        killed = {"PYTHONPATH": path, "KILL_AT": kill_at} if kill_at else {}
        return subprocess.run(
            [sys.executable, "-m", "bwlib.cli", *arguments],
            env={**os.environ, "BW_RUNBOOK_HOME": str(self.home), **killed},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    @property
    def records(self) -> list[Path]:
        return run_folders(self.file.parent / "runs" / self.name)

    def at_bandwidth(self) -> dict[str, list[str]]:
        """The names of what the site's account holds."""
        running = control.attach(self.home)
        assert running is not None
        account = running.account(self.name)
        auth = OAuth2(account.client_id, account.client_secret, account.token_url)
        client = Client(account.account_id, auth=auth, api_url=account.api_url, voice_url=account.voice_url)
        realms = client.list_realms()
        return {
            "applications": [one.name for one in client.list_applications()],
            "realms": [re.sub(r"\..*", "", one.fqdn) for one in realms],
            "credentials": [one.username for realm in realms for one in client.list_sip_credentials(realm)],
        }


def on_the_pbx(record: Path, site: str) -> dict[str, int]:
    """How often each of a site's objects stands in the PBX's configuration after a run."""
    text = "".join(path.read_text() for path in sorted((record / "config" / "after").rglob("*.conf")))
    return dict(Counter(re.findall(rf"(?m)^; >>> (\w+) \S+ of site {re.escape(site)}$", text)))


def facts(record: Path) -> dict[str, list[str]]:
    """By step: the names of the facts that the run read back, and how it ended."""
    return {
        name: [line["status"], *sorted(line["object"])]
        for name, line in latest_steps(record).items()
        if line.get("object")
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    asterisk()
    folder = tmp_path_factory.mktemp("home")
    before = os.environ["BW_RUNBOOK_HOME"]
    os.environ["BW_RUNBOOK_HOME"] = str(folder)
    control.start()
    yield folder
    os.environ["BW_RUNBOOK_HOME"] = before
    running = control.attach(folder)
    if running is not None:
        running.down()


@pytest.fixture(scope="module")
def undisturbed(home: Path) -> Site:
    site = Site(home, "whole")
    site.make()
    done = site.run("run", str(site.file))
    assert done.returncode == 0, done.stdout + done.stderr
    return site


@pytest.mark.parametrize("point", points())
def test_a_killed_run_is_resumed_to_the_same_end(home: Path, undisturbed: Site, point: str) -> None:
    site = Site(home, f"killed-{(BOUNDARIES + MIDDLES).index(point)}")
    site.make()
    assert site.run("run", str(site.file), kill_at=point).returncode == -9, "the point was not reached"
    [killed] = site.records
    assert not (killed / "manifest.json").exists()

    done = site.run("run", str(site.file), "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    resumed = site.records[-1]
    first = next(read_lines(resumed / "journal.jsonl"))
    assert (first["resumes"]["run"], run_status(resumed)) == (killed.name, "passed")
    assert (killed / "manifest.json").exists()
    assert json.loads((killed / "manifest.json").read_bytes())["status"] != "passed"

    assert {key: len(names) for key, names in site.at_bandwidth().items()} == {
        key: len(names) for key, names in undisturbed.at_bandwidth().items()}  # fmt: skip
    assert on_the_pbx(resumed, site.name) == on_the_pbx(undisturbed.records[0], undisturbed.name)
    assert facts(resumed) == facts(undisturbed.records[0])
    assert_all_of_it_is_ours(site)


def assert_all_of_it_is_ours(site: Site) -> None:
    """Whatever the killed run had made, and written down or not: undo takes it all back."""
    assert created_by(site) == dict.fromkeys(MADE, 1)


def created_by(site: Site) -> dict[str, int]:
    """How many objects of each kind the site's records say were created, as undo counts them."""
    made: dict[str, set[Any]] = {name: set() for name in MADE}
    for record in site.records:
        for line in read_lines(record / "journal.jsonl"):
            if line.get("step") in MADE and (line["kind"] == "created" or line.get("action") == "created"):
                thing = line["object"]
                made[line["step"]].add(thing.get("id") or thing.get("name") or thing.get("number"))
    return {name: len(things) for name, things in made.items()}


def test_a_run_that_passed_is_not_resumed(undisturbed: Site) -> None:
    done = undisturbed.run("run", str(undisturbed.file), "--resume")
    assert done.returncode == 6
    assert "it ended: passed" in done.stderr


def test_a_run_that_is_going_on_is_not_resumed(home: Path) -> None:
    site = Site(home, "going-on")
    site.make()
    with subprocess.Popen(
        [sys.executable, "-m", "bwlib.cli", "run", str(site.file)],
        env={**os.environ, "BW_RUNBOOK_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as going:
        assert going.stderr is not None
        assert going.stderr.readline().startswith("00_start: running")
        done = site.run("run", str(site.file), "--resume")
        going.terminate()
        going.communicate()
    assert done.returncode == 9
    assert "still going on" in done.stderr
