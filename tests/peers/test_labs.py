"""The labs, played by a script: untouched each fails, mended it passes, and nothing but mending makes it pass."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from peers import asterisk

from bwlib import open_lab
from bwlib.errors import BwlibError
from bwlib.record.pack import pack
from bwlib.record.verify import verify
from bwlib.sandbox import control
from bwlib.sandbox.control import Sandbox
from bwlib.training.breaking import BY_NAME
from bwlib.training.certificate import certificates_in
from bwlib.training.desk import ask_judge
from bwlib.training.labs import find_lab, labs_folder, labs_in
from bwlib.training.opening import mend_all, stage_of
from bwlib.training.seat import Seat, read_notes

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(900)]

SEED = 11
# What somebody may try in a notebook: a judge that hears everything, a site file that lets everything pass.
EDITED = (
    "import bwlib.heard, bwlib.steps.calls\nfrom bwlib.models import Heard\n"
    "bwlib.heard.compare = bwlib.heard.find = lambda *heard: Heard(1.0, 0.0, 9.0)\n"
    "bwlib.steps.calls._judge = lambda proof, threshold: None\nlab.about['certificate'] = 'mine'",
    "lab.seat.site_file.write_text(lab.seat.site_file.read_text() + '\\n[test]\\nheard_threshold = 0.8\\n')\n"
    "passed = lab.check()",
)
LABS = [lab.id for lab in labs_in(labs_folder())]
# All in `make soak`; else one that is mended on the dashboard, and one of two breaks, of which a call shows only one.
CHOSEN = LABS if os.environ.get("BW_SOAK") else ["10_somebody_elses_calls", "12_after_the_migration"]
TWO_SILENCES = """\
title = "Two silences"
level = "nasty"
story = "Nothing works."
breaks = ["wrong-username", "edge-silent"]
call = "outward"
hints = ["a", "b", "c"]
solution = "The user name; and the network."
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    asterisk()
    for name in ("BW_RUNBOOK_SITE", "BW_RUNBOOK_TRAIN", "BW_RUNBOOK_CONFIG"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("BW_RUNBOOK_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    for seat in (tmp_path / "home").glob("train/*/*"):
        running = control.attach(seat) if (seat / "sandbox").exists() else None
        if running is not None:
            running.down()


@pytest.mark.parametrize("lab_id", CHOSEN)
def test_a_lab_fails_untouched_and_passes_once_it_is_mended(home: Path, lab_id: str) -> None:
    lab = open_lab(lab_id, trainee="ada", seed=SEED)
    assert lab.check() is False
    lab.hint()
    mend_all(lab.seat)
    assert lab.check() is True
    (certificate,) = certificates_in(home / "train")
    assert (certificate.trainee, certificate.lab) == ("ada", lab_id)
    assert (certificate.hints, certificate.attempts, certificate.saw_solution) == (1, 2, False)
    assert certificate.holds, certificate.sentence
    assert open_lab(lab_id, trainee="ada", seed=SEED).about["certificate"], "found as it was left, not put in anew"


def test_nothing_but_mending_passes_a_lab(home: Path, tmp_path: Path) -> None:
    text = tmp_path / "21_two_silences.toml"
    text.write_text(TWO_SILENCES)
    lab = open_lab("21_two_silences", trainee="ada", seed=SEED, labs=str(tmp_path))
    sandbox = control.attach(lab.seat.home)
    assert sandbox is not None

    site = lab.seat.site_file
    site.write_text(site.read_text().replace('digit = "', 'heard_threshold = 0.8\nphone = "person"\ndigit = "'))
    text.write_text(TWO_SILENCES.replace("wrong-username", "phone-codec").replace("edge-silent", "digits-lost"))
    assert ask_judge("check", lab.seat)["reasons"] == ["the call from the extension was not heard"]

    with pytest.raises(BwlibError, match="Not during a lab"):
        sandbox.reset()
    sandbox.set_switch("challenge", "off")
    sandbox.switch_faults_off()
    assert "challenge was put back" in ask_judge("check", lab.seat)["reasons"][0]
    assert sandbox.switches()["challenge"] == "on"

    with turned_all_the_time(sandbox, "challenge", "off"):  # a thread of the notebook's can be quicker than the judge
        assert "a switch of the sandbox was turned" in ask_judge("check", lab.seat)["reasons"][-1]

    half_mended(lab.seat)
    sandbox.down()  # a sandbox that was ended does not mend what it held in its memory
    lab.tools()
    again = control.attach(lab.seat.home)
    assert again is not None
    assert [fault["name"] for fault in again.faults()] == ["sip-silence"]
    assert ask_judge("check", lab.seat)["passed"] is False
    assert certificates_in(home / "train") == []
    assert not list(lab.seat.certificates.glob("*"))


@contextmanager
def turned_all_the_time(sandbox: Sandbox, switch: str, value: str) -> Iterator[None]:
    over = threading.Event()

    def turn() -> None:
        while not over.wait(0.02):
            sandbox.set_switch(switch, value)

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        yield
    finally:
        over.set()
        turning.join()


def half_mended(seat: Seat) -> None:
    """The PBX is right again; the network is not."""
    sandbox = control.attach(seat.home)
    assert sandbox is not None
    BY_NAME["wrong-username"].mend(stage_of(seat, read_notes(seat), sandbox))


def test_run_all_of_an_untouched_lab_ends_without_an_error_and_says_not_passed_yet(home: Path) -> None:
    notebook = nbformat.read(labs_folder() / "02_number_not_in_service.ipynb", as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in EDITED]
    NotebookClient(notebook, timeout=200, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
    html = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert re.search(r'<a href="http://127\.[^"]+/dashboard" target="_blank" rel="noopener">', html)
    assert said.count("NOT PASSED YET") == 2
    assert "PASSED" not in said.replace("NOT PASSED YET", "")
    assert "no-route" not in said
    assert "0 of 3 were taken" in said


def test_a_class_is_started_and_collected_on_the_command_line(home: Path, tmp_path: Path) -> None:
    started = train("start", "bob", "--lab", "01", "--seed", "3", "--json")
    assert started.returncode == 0, started.stderr
    told = json.loads(started.stdout)
    assert Path(told["notebook"]).is_file()
    assert told["certificates"] == str(home / "train" / "bob" / "certificates")
    seat = Seat(home / "train" / "bob", told["lab"])
    mend_all(seat)
    assert ask_judge("check", seat)["passed"] is True
    assert train("end", "bob").returncode == 0
    assert control.attach(seat.home) is None

    collected = train("passed", "--json")
    assert collected.returncode == 0, collected.stdout
    (row,) = json.loads(collected.stdout)
    assert (row["trainee"], row["seed"], row["holds"]) == ("bob", "3", True)
    assert verify(Path(row["folder"])).exit_code == 0

    assert (row["known_lab"], row["begun"]) == (True, 1)
    easier = find_lab(labs_folder(), "02")
    assert certificates_in(home, [replace(easier, id=told["lab"])])[0].known_lab is False

    (tmp_path / "handed-in").mkdir()
    pack(Path(row["folder"]), tmp_path / "handed-in" / "bob.zip")
    assert [(each.trainee, each.holds) for each in certificates_in(tmp_path / "handed-in")] == [("bob", True)]

    journal = Path(row["folder"]) / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"hints": 0', '"hints": 1'))
    forged = train("passed", str(home))
    assert forged.returncode == 9
    assert "NOT INTACT" in forged.stdout


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bwlib.cli", "train", *arguments],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
