"""Make a trainee's place: a site of its own walks the guide on a sandbox of its own, then the lab's breaks are put in.

Runs in the judge's process, with BW_RUNBOOK_HOME at the seat's home: a notebook that is open sees nothing of it.
"""

from __future__ import annotations

import random
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bwlib.errors import NotAsExpected
from bwlib.run import open_run
from bwlib.sandbox import control
from bwlib.sandbox.control import Sandbox
from bwlib.sandbox.state import NO_RESET
from bwlib.settings import Settings, load_settings
from bwlib.starting import start_site
from bwlib.training.breaking import BY_NAME
from bwlib.training.labs import LabText
from bwlib.training.seat import Notes, Seat, again, read_notes, seats_of, site_digest, write_notes
from bwlib.training.stage import Stage, open_stage

# The judge's own, whatever a site file says: what counts as heard, and how long a call may take.
THRESHOLDS = {"test.heard_threshold": 0.99, "test.answer_timeout_s": 8.0, "test.phone": "scripted", "target": "sandbox"}


def seat_as_left(seat: Seat) -> Notes:
    """A lab that was begun, as the trainee left it. Raises: NotAsExpected as `read_notes`."""
    _end_other_sandboxes(seat)
    running_sandbox(seat, read_notes(seat))
    return read_notes(seat)


def open_seat(seat: Seat, lab: LabText, seed: str) -> Notes:
    """The lab, put in anew."""
    _end_other_sandboxes(seat)
    earlier = _earlier(seat)
    _clear(seat)
    _walk(seat, random.Random(f"site {seed} {seat.trainee} {lab.id}"))  # noqa: S311 - repeatable on purpose
    _keep_own_copy(seat)
    sandbox = control.start(seat.home)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    notes = Notes(seat.trainee, lab, seed, started, {}, sandbox.pid, site=site_digest(seat), **earlier)
    stage = stage_of(seat, notes, sandbox)
    for name in lab.breaks:
        BY_NAME[name].put_in(stage)
    # After that: a break may need a switch of its own, and no lab is mended by one.
    notes = notes.but(switches=stage.sandbox.switches())
    write_notes(seat, notes)
    sandbox.put_note(NO_RESET, f"Not during a lab: nothing would be left to mend. {again(seat)} begins it anew.")
    return notes


def _earlier(seat: Seat) -> dict[str, Any]:
    """What goes on when a lab is begun again: who has seen the solution has seen it."""
    try:
        notes = read_notes(seat)
    except NotAsExpected:
        return {}
    kept = {name: getattr(notes, name) for name in ("hints", "attempts", "saw_solution")}
    return {**kept, "begun": notes.begun + 1}


def running_sandbox(seat: Seat, notes: Notes) -> Sandbox:
    """The seat's sandbox. What ended with an earlier one (faults live in its memory) is put in again."""
    sandbox = control.start(seat.home)
    if sandbox.pid != notes.sandbox_pid:
        stage = stage_of(seat, notes, sandbox)
        for name in notes.lab.breaks:
            if BY_NAME[name].in_memory and not notes.certificate:
                BY_NAME[name].put_in(stage)
        write_notes(seat, notes.but(sandbox_pid=sandbox.pid))
    return sandbox


def judges_settings(seat: Seat) -> Settings:
    """The site as it was when the lab was begun, with the judge's thresholds."""
    return load_settings(seat.judge / "site.toml", THRESHOLDS)


def stage_of(seat: Seat, notes: Notes, sandbox: Sandbox) -> Stage:
    """What the lab's breaks work on; its made-up values are this trainee's."""
    return open_stage(judges_settings(seat), sandbox, f"{notes.seed} {seat.trainee} {notes.lab.id}")


def mend_all(seat: Seat) -> None:
    """The lab's solution as a script: every break is mended, the last one first."""
    notes = read_notes(seat)
    stage = stage_of(seat, notes, running_sandbox(seat, notes))
    for name in reversed(notes.lab.breaks):
        BY_NAME[name].mend(stage)


def end_sandbox(seat: Seat) -> bool:
    """End the seat's sandbox; whether one was running. What was configured stays."""
    running = control.attach(seat.home)
    if running is not None:
        running.down()
    return running is not None


def _end_other_sandboxes(seat: Seat) -> None:
    """One lab at a time: a classroom's machine has other work too."""
    for other in seats_of(seat.folder):
        if other != seat:
            end_sandbox(other)


def _clear(seat: Seat) -> None:
    """Everything of an earlier beginning goes, but not the lock that we hold."""
    end_sandbox(seat)
    for folder in (seat.home / "sandbox", seat.home / "site"):
        shutil.rmtree(folder, ignore_errors=True)
    for left in seat.judge.glob("*"):
        if left.name != "lock":
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _walk(seat: Seat, made_up: random.Random) -> None:
    """The guide, from the application to the extension, with names and numbers of this trainee's own."""
    name = f"{seat.trainee}-{made_up.randrange(16**4):04x}"
    start_site(seat.site_file, name=name)
    text = seat.site_file.read_text(encoding="utf-8")
    dial = f"+1{made_up.randrange(201, 989)}555{made_up.randrange(1000, 9999):04}"
    text = re.sub(r'(?m)^dial = "[^"]*"', f'dial = "{dial}"', text)
    text = re.sub(r'(?m)^digit = "[^"]*"', f'digit = "{made_up.randrange(1, 10)}"', text)
    seat.site_file.write_text(text, encoding="utf-8")
    run = open_run(seat.site_file, notebook="lab", mode="apply")
    run.application()
    run.sip_credential(run.realm())
    run.trunk()
    run.route()
    run.extension()


def _keep_own_copy(seat: Seat) -> None:
    """Site file and secrets as they are now, for the judge: what the trainee changes later changes nothing here."""
    shutil.copyfile(seat.site_file, seat.judge / "site.toml")
    shutil.copytree(seat.site_file.parent / "secrets", seat.judge / "secrets")
    _make_private(seat.judge)


def _make_private(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
