"""A trainee's place: one folder per lab with a sandbox of its own, a site that has walked the guide, the judge's notes.

    <BW_RUNBOOK_HOME>/train/<trainee>/<lab>/
      sandbox/             this lab's own sandbox, with its Asterisk
      site/site.toml       the trainee's, to look at and to change
      judge/               0700: the judge's own copy of site and lab, and what happened so far
    <BW_RUNBOOK_HOME>/train/<trainee>/certificates/<lab>/<run>/

The judge's notes are packed, so that a look at the folder does not give the answer away; whoever unpacks them, or
changes them, can. This is training on the trainee's own machine, not an examination.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bwlib.errors import NotAsExpected, SettingsError
from bwlib.sandbox.home import home, write_private
from bwlib.training.labs import LabText
from bwlib.training.packed import pack, unpack

TRAIN = "BW_RUNBOOK_TRAIN"  # a trainee's folder, where `train open` has set BW_RUNBOOK_HOME to one lab's
_NAME = r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?"


@dataclass(frozen=True)
class Seat:
    """folder: the trainee's, train/<trainee>."""

    folder: Path
    lab: str

    @property
    def trainee(self) -> str:
        return self.folder.name

    @property
    def home(self) -> Path:
        """What BW_RUNBOOK_HOME is for everything of this lab."""
        return self.folder / self.lab

    @property
    def site_file(self) -> Path:
        return self.home / "site" / "site.toml"

    @property
    def judge(self) -> Path:
        return self.home / "judge"

    @property
    def all_certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def certificates(self) -> Path:
        return self.all_certificates / self.lab

    @property
    def is_open(self) -> bool:
        return (self.judge / "notes").exists()


@dataclass(frozen=True)
class Notes:
    """What the judge knows of one lab of one trainee. Times are UTC, ISO 8601.

    trainee: who began it; a folder that was copied from another one's is not theirs. begun: how often it was begun;
    hints, attempts and saw_solution go on from one beginning to the next. switches: the sandbox's, as the lab began.
    sandbox_pid: of the sandbox that the breaks were put in. site: sha256 of the judge's own copy of the site file.
    """

    trainee: str
    lab: LabText
    seed: str
    started: str
    switches: dict[str, str]
    sandbox_pid: int
    hints: int = 0
    attempts: int = 0
    certificate: str = ""
    saw_solution: bool = False
    begun: int = 1
    site: str = ""

    def but(self, **changes: Any) -> Notes:
        return replace(self, **changes)


def trainee_folder(trainee: str) -> Path:
    """Where a trainee's labs are. Raises SettingsError for a name that is none."""
    named = os.environ.get(TRAIN)
    if named and Path(named).name == trainee:
        return Path(named)
    if not re.fullmatch(_NAME, trainee):
        raise SettingsError(
            f"find the trainee {trainee!r}",
            "that is no name for a folder",
            "use up to 20 lower-case letters, digits and hyphens, such as ada",
        )
    return train_folder() / trainee


def train_folder() -> Path:
    named = os.environ.get(TRAIN)
    return Path(named).parent if named else home() / "train"


def own_trainee() -> str:
    """Who sits here when nobody says it: the one that `train open` named, else this system's user."""
    named = os.environ.get(TRAIN)
    if named:
        return Path(named).name
    from bwlib.run import operator

    return re.sub(r"[^a-z0-9]+", "-", operator().lower()).strip("-")[:20].strip("-") or "trainee"


def seats_of(folder: Path) -> list[Seat]:
    """The labs that a trainee has begun."""
    seats = [Seat(folder, place.name) for place in sorted(folder.glob("*")) if place.is_dir()]
    return [seat for seat in seats if seat.is_open]


def read_notes(seat: Seat) -> Notes:
    """Raises NotAsExpected when the lab was not begun here, or somebody has changed the notes."""
    try:
        facts = unpack((seat.judge / "notes").read_bytes())
        notes = Notes(**{**facts, "lab": LabText.from_json(facts["lab"])})
        if (notes.trainee, notes.lab.id) == (seat.trainee, seat.lab):
            return notes
        came_back = f"it was begun by {notes.trainee} as {notes.lab.id}, and copied here"
    except FileNotFoundError:
        came_back = "it was not begun here"
    except (ValueError, TypeError, KeyError):
        came_back = "the judge's notes cannot be read any more"
    raise NotAsExpected(f"go on with the lab {seat.lab}", came_back, again(seat))


def again(seat: Seat) -> str:
    """The command line that begins a lab anew."""
    return f"bw-runbook train start {seat.trainee} --lab {seat.lab} --again"


def site_digest(seat: Seat) -> str:
    """sha256 of the judge's own copy of the site file."""
    return hashlib.sha256((seat.judge / "site.toml").read_bytes()).hexdigest()


def write_notes(seat: Seat, notes: Notes) -> None:
    facts = {**asdict(notes), "lab": notes.lab.as_json()}
    write_private(seat.judge / "notes", pack(facts))


@contextmanager
def one_judge_at_a_time(seat: Seat) -> Iterator[None]:
    """Two checks at once would count one attempt, and place two calls."""
    seat.judge.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(seat.judge / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
