"""The judge of a lab: a process of its own, that has its own copy of everything it goes by.

    python -m bwlib.training.judge open FOLDER LAB --labs DIR --seed N
    python -m bwlib.training.judge hint | check | solution FOLDER LAB

FOLDER is the trainee's. Its answer is one line of JSON on stdout. A lab is passed by real calls that both sides heard,
while the stand-in for Bandwidth is as it was and the trunk registers nowhere; neither the notebook, nor the site file,
nor the lab's own text is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from bwlib.errors import BwlibError, NotAsExpected
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, start_run
from bwlib.run import learn_secrets, run_on
from bwlib.sandbox.control import Sandbox
from bwlib.training.certificate import write_certificate
from bwlib.training.labs import HINTS, check_id, find_lab
from bwlib.training.opening import judges_settings, open_seat, running_sandbox, seat_as_left
from bwlib.training.seat import Notes, Seat, again, one_judge_at_a_time, read_notes, site_digest, write_notes

HEARD_FROM, HEARD_TO = "the call from the extension", "the programmatic call to the extension"
_WORDS = {"outward": HEARD_FROM, "inward": HEARD_TO}


def begin(seat: Seat, labs: Path, seed: str, anew: bool) -> dict[str, Any]:
    """Put the lab in, or find it as it was left."""
    if seat.is_open and not anew:
        return about(seat_as_left(seat))
    return about(open_seat(seat, find_lab(labs, seat.lab), seed))


def about(notes: Notes) -> dict[str, Any]:
    """What a trainee may know."""
    lab = notes.lab
    return {
        **{name: getattr(lab, name) for name in ("id", "title", "level", "story", "call")},
        **{name: getattr(notes, name) for name in ("started", "seed", "hints", "attempts", "certificate")},
    }


def hint(seat: Seat, number: int = 0) -> dict[str, Any]:
    """That hint, or the next one (0), counted; the last again when there is no other."""
    notes = read_notes(seat)
    given = min(max(number, 1) if number else notes.hints + 1, HINTS)
    write_notes(seat, notes.but(hints=max(notes.hints, given)))  # after it is passed too: it may be begun again
    return {"number": given, "of": HINTS, "hint": notes.lab.hints[given - 1]}


def solution(seat: Seat) -> dict[str, Any]:
    """The written solution. Looking before the lab is passed stands in the certificate."""
    notes = read_notes(seat)
    write_notes(seat, notes.but(saw_solution=True))
    return {"solution": notes.lab.solution}


def check(seat: Seat) -> dict[str, Any]:
    """Place the calls. Passed: both sides heard each, and nothing else was turned to get there."""
    notes = read_notes(seat)
    if notes.certificate:
        return {"passed": True, "reasons": [], "certificate": notes.certificate, "before": True}
    if site_digest(seat) != notes.site:
        raise NotAsExpected("judge by the judge's own copy of the site file", "somebody has changed it", again(seat))
    sandbox = running_sandbox(seat, notes)
    notes = read_notes(seat).but(attempts=notes.attempts + 1)
    write_notes(seat, notes)
    reasons = _put_switches_back(sandbox, notes)
    certificate = _judge_by_ear(seat, notes, sandbox, reasons)
    if certificate:
        write_notes(seat, notes.but(certificate=certificate))
        reasons = []
    return {"passed": bool(certificate), "reasons": reasons, "certificate": certificate, "attempts": notes.attempts}


def _put_switches_back(sandbox: Sandbox, notes: Notes) -> list[str]:
    """A switch of the sandbox can make a call pass that Bandwidth would refuse: they are as when the lab began."""
    now = sandbox.switches()
    turned = [(name, was) for name, was in notes.switches.items() if now.get(name) != was]
    for name, was in turned:
        sandbox.set_switch(name, was)
    return [f"the sandbox's switch {name} was put back to {was}: Bandwidth has no such switch" for name, was in turned]


def _turned(sandbox: Sandbox) -> tuple[int, int]:
    """Changes when a switch is turned, though it be turned back, and when the sandbox is another one."""
    status = sandbox.status()
    return int(status["pid"]), int(status["switches_turned"])


def _judge_by_ear(seat: Seat, notes: Notes, sandbox: Sandbox, reasons: list[str]) -> str:
    """Place the calls into a new record; it becomes the certificate, or goes. Returns its folder, or ""."""
    record = start_run(
        seat.certificates, Redactor(), site=notes.lab.id, target="sandbox", operator=seat.trainee, lab=notes.lab.id
    )
    try:
        before = _turned(sandbox)
        heard, missed = _heard(seat, notes, record)
        if _turned(sandbox) != before:
            missed.append("a switch of the sandbox was turned, or it was started anew, while the judge's call went on")
        reasons += missed
        return "" if missed else str(write_certificate(record, seat, notes, heard))
    finally:
        if not record.is_sealed:
            shutil.rmtree(record.folder, ignore_errors=True)
            for left in record.folder.parent.glob(f".{record.folder.name}*"):
                left.unlink()


def _heard(seat: Seat, notes: Notes, record: RunRecord) -> tuple[list[dict[str, Any]], list[str]]:
    """The calls that were heard; and what was not, without the cause: that is the trainee's to find."""
    settings = judges_settings(seat)
    run = run_on(settings, record, notebook="judge", mode="apply")
    learn_secrets(settings, record)
    run.names_causes = False
    place = {"outward": run.call_from_extension, "inward": run.call_to_extension}
    found, missed = [], []
    for way in notes.lab.ways:
        try:
            proof = place[way]()
        except BwlibError:
            proof = None
        if proof is None or proof.heard_by_bandwidth is None:
            missed.append(f"{_WORDS[way]} was not heard")
            continue
        by_phone, by_bandwidth = proof.heard_by_phone.correlation, proof.heard_by_bandwidth.correlation
        found.append({"direction": way, "by_phone": by_phone, "by_bandwidth": by_bandwidth, "digits": proof.digits})
    if run.on.pbx().registrations():
        missed.append("the PBX registers somewhere: the guide's trunk does not")
    return found, missed


# ------------------------------------------------------------------ as a process


def _seat(asked: argparse.Namespace) -> Seat:
    """Of the lab that is meant. Nothing is written for a name that is none. Raises SettingsError."""
    check_id(asked.lab)
    seat = Seat(asked.folder.absolute(), asked.lab)
    if asked.verb != "open" or (seat.is_open and not asked.again):
        return seat
    return Seat(seat.folder, find_lab(asked.labs, asked.lab).id)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bwlib.training.judge")
    parser.add_argument("verb", choices=["open", "hint", "check", "solution"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("lab")
    parser.add_argument("--labs", type=Path)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--number", type=int, default=0)
    asked = parser.parse_args(argv)
    verbs = {"hint": lambda seat: hint(seat, asked.number), "check": check, "solution": solution}
    try:
        seat = _seat(asked)
        os.environ["BW_RUNBOOK_HOME"] = str(seat.home)
        # What a step shows would be the answer: it stays here.
        with contextlib.redirect_stdout(io.StringIO()), one_judge_at_a_time(seat):
            if asked.verb == "open":
                answer = begin(seat, asked.labs, asked.seed, asked.again)
            else:
                answer = verbs[asked.verb](seat)
    except BwlibError as error:
        answer = {"error": [error.attempted, error.came_back, error.do_next], "exit_code": error.exit_code}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
