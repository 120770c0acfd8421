"""The second road with a real Asterisk: `make demo ROAD=sip-uri`, beside the first road, and undone again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers import asterisk

from bwlib.record.journal import read_lines
from bwlib.sandbox import control

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(1200)]

NAME = "demo-sip-uri"
MADE = ("application", "inbound_sip_uri", "trunk", "route", "extension")
CALLS = ("call_from_extension", "call_to_extension")


@dataclass(frozen=True)
class Walk:
    """What one run of the command line left behind."""

    stdout: str
    stderr: str
    code: int

    @property
    def record(self) -> Path:
        return Path(self.stdout.strip().splitlines()[-1])

    def steps(self) -> dict[str, dict[str, Any]]:
        lines = read_lines(self.record / "journal.jsonl")
        return {line["step"]: line for line in lines if line["kind"] == "step"}


def bw_runbook(home: Path, *arguments: str) -> Walk:
    done = subprocess.run(
        [sys.executable, "-m", "bwlib.cli", *arguments],
        env={**os.environ, "BW_RUNBOOK_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Walk(done.stdout, done.stderr, done.returncode)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    asterisk()
    folder = tmp_path_factory.mktemp("home")
    yield folder
    running = control.attach(folder)
    if running is not None:
        running.down()


@pytest.fixture(scope="module")
def first(home: Path) -> Walk:
    """The second road, after the first one was walked on the same sandbox and the same PBX."""
    walked = bw_runbook(home, "demo")
    assert walked.code == 0, walked.stdout + walked.stderr
    return bw_runbook(home, "demo", "--road", "sip-uri")


def webhooks(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (record / "webhooks.jsonl").read_text().splitlines()]


def test_both_calls_were_placed_and_heard(first: Walk) -> None:
    assert first.code == 0, first.stdout + first.stderr
    assert {first.steps()[name]["status"] for name in (*MADE, *CALLS, "dns")} == {"passed"}
    heard = [float(value) for value in re.findall(r"heard by .*?: correlation ([0-9.]+)", first.stdout)]
    assert len(heard) == 4
    assert min(heard) >= 0.99


def test_neither_realm_nor_credential_was_made(first: Walk) -> None:
    assert not {"realm", "sip_credential"} & set(first.steps())
    exchanged = [json.loads(line) for line in (first.record / "http.jsonl").read_text().splitlines()]
    posted = [exchange["url"] for exchange in exchanged if exchange["method"] in ("POST", "PUT", "PATCH")]
    assert [url.rpartition("/accounts/")[2].split("/")[1] for url in posted if "/accounts/" in url] == [
        "applications",
        "voice-applications",
        "calls",
    ]


def test_the_number_came_in_a_header_and_was_read_back(first: Walk) -> None:
    [initiate] = [w for w in webhooks(first.record) if w["event_type"] == "initiate" and w["answer_status"] == 200]
    uri = first.steps()["inbound_sip_uri"]["object"]["uri"]
    assert initiate["body"]["to"] == uri
    assert initiate["body"]["sipHeaders"]["x-dialed-number"] == "+19195550199"
    assert "1 9 1 9 5 5 5 0 1 9 9" in initiate["answer_body"]


def test_the_trunk_dials_the_uri_and_answers_its_challenge(first: Walk) -> None:
    uri = first.steps()["inbound_sip_uri"]["object"]["uri"]
    lines = [json.loads(line) for line in (first.record / "sip.jsonl").read_text().splitlines()]
    at_edge = [line["message"] for line in lines if line["call"] == "call_from_extension" and "edge" in line["seen_by"]]
    invites = [message for message in at_edge if message.startswith(f"INVITE {uri} ")]
    assert len(invites) == 2
    assert all("X-Dialed-Number: +19195550199" in invite for invite in invites)
    assert [("Proxy-Authorization" in invite) for invite in invites] == [False, True]
    assert not [message for message in at_edge if message.startswith("REGISTER")]


def test_the_one_time_password_is_kept_once_and_is_in_no_record(home: Path, first: Walk) -> None:
    file = home / NAME / "secrets" / "sip_uri_password"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (home / NAME / "secrets" / "sip_password").exists()
    everything = b"".join(path.read_bytes() for path in first.record.rglob("*") if path.is_file())
    assert file.read_text().strip().encode() not in everything
    assert b"sipAuthPassword" in everything  # the exchange is there, its secret masked


def test_what_could_not_be_read_back_says_so(first: Walk) -> None:
    assert first.steps()["inbound_sip_uri"]["note"] == "as answered, not read back"


def test_the_first_road_is_as_it_was(home: Path, first: Walk) -> None:
    again = bw_runbook(home, "demo")
    assert again.code == 0, again.stdout + again.stderr
    made = ("application", "realm", "sip_credential", "trunk", "route", "extension")
    assert {name: again.steps()[name]["action"] for name in made} == dict.fromkeys(made, "unchanged")
    assert {again.steps()[name]["status"] for name in CALLS} == {"passed"}


def test_a_second_run_finds_everything_unchanged_also_where_it_can_be_read(home: Path, first: Walk) -> None:
    sandbox = control.attach(home)
    assert sandbox is not None
    sandbox.set_switch("voice_application_get", "200")
    again = bw_runbook(home, "demo", "--road", "sip-uri")
    assert again.code == 0, again.stdout + again.stderr
    assert {name: again.steps()[name]["action"] for name in MADE} == dict.fromkeys(MADE, "unchanged")
    assert again.steps()["inbound_sip_uri"]["note"] == ""


def test_undo_disables_the_uri_and_takes_everything_else_back(home: Path, first: Walk) -> None:
    undone = bw_runbook(home, "undo", str(first.record))
    assert undone.code == 0, undone.stdout + undone.stderr
    steps = undone.steps()
    # the second look finds nothing: each line is the only one of its step
    assert {name: steps[f"undo {name}"]["action"] for name in MADE} == dict.fromkeys(MADE, "removed")
    sandbox = control.attach(home)
    assert sandbox is not None
    patches = [e for e in sandbox.exchanges() if e["method"] == "PATCH" and "voice-applications" in e["path"]]
    assert '"inboundSipCallsEnabled":false' in patches[-1]["response_body"].replace(" ", "")
