"""A certificate: a small signed record of one passed lab, as `bw-runbook verify` checks it.

It holds the heard calls, the time taken, hints and attempts. It was made on the trainee's own machine, whose owner
could forge one; it says so itself.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bwlib.errors import RecordError
from bwlib.record.closing import close_without_report
from bwlib.record.journal import MANIFEST, read_lines, utc_now
from bwlib.record.manifest import JOURNAL
from bwlib.record.run_record import RunRecord
from bwlib.record.unpack import BadArchive, unpacked
from bwlib.record.verdict import plain
from bwlib.record.verify import verify
from bwlib.training.breaking import BY_NAME
from bwlib.training.labs import LabText
from bwlib.training.seat import Notes, Seat

PASSED = "lab_passed"
_LARGEST = 16 * 1024**2  # bytes of a journal or a manifest; a certificate's have a few thousand
NOT_PROOF = "Made and signed on the trainee's own machine: its owner could forge one."


def write_certificate(record: RunRecord, seat: Seat, notes: Notes, heard: Sequence[dict[str, Any]]) -> Path:
    """Write down how the lab was passed, seal and sign it; returns the record's folder.

    heard: for each call its direction and correlations. Raises: RecordError as `seal`.
    """
    passed = utc_now()
    took = datetime.fromisoformat(passed) - datetime.fromisoformat(notes.started)
    facts = {
        "lab": notes.lab.id,
        "title": notes.lab.title,
        "level": notes.lab.level,
        "trainee": seat.trainee,
        "seed": notes.seed,
        "started": notes.started,
        "passed": passed,
        "minutes": round(took.total_seconds() / 60, 1),
        "hints": notes.hints,
        "saw_solution": notes.saw_solution,
        "attempts": notes.attempts,
        "begun": notes.begun,
        "breaks": list(notes.lab.breaks),
        "call": notes.lab.call,
        "was_broken": [BY_NAME[name].said for name in notes.lab.breaks],
        "heard": list(heard),
        "note": NOT_PROOF,
    }
    record.journal.append(PASSED, **facts)
    record.write_text("certificate.txt", in_words(facts))
    close_without_report(record, target="sandbox", operator=seat.trainee)
    return record.folder


def in_words(facts: dict[str, Any]) -> str:
    """A certificate for people."""
    broken = "\n".join(f"  - {said}" for said in facts["was_broken"])
    heard = "\n".join(f"  - {call['direction']}: {call['by_phone']} {call['by_bandwidth']}" for call in facts["heard"])
    solution = " and the solution" if facts["saw_solution"] else ""
    begun = f" (begun {facts['begun']} times)" if facts["begun"] > 1 else ""
    return f"""\
{facts["trainee"]} passed the lab "{facts["title"]}" ({facts["lab"]}, {facts["level"]})
passed      {facts["passed"]}
took        {facts["minutes"]} minutes; attempts: {facts["attempts"]}; hints: {facts["hints"]}{solution}{begun}
seed        {facts["seed"]}
what was broken
{broken}
heard calls (what was heard against what was said, 1 = the same: by the phone, by Bandwidth's side)
{heard}
{facts["note"]}
"""


# ------------------------------------------------------------------ collecting them


@dataclass(frozen=True)
class Certificate:
    """One as it was found. What it says is its maker's word; `sentence` and `holds` are what verify says of it.

    digest: sha256 of its manifest, which lists all its files: copies have the same. begun: how often the lab was begun.
    known_lab: whether the lab of that name here breaks and asks for the same; None
    when there is none of that name.
    """

    folder: str
    digest: str
    trainee: str
    lab: str
    passed: str
    minutes: float
    hints: int
    saw_solution: bool
    attempts: int
    begun: int
    seed: str
    known_lab: bool | None
    signer: str
    holds: bool
    sentence: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def certificates_in(folder: Path, labs: Iterable[LabText] = ()) -> list[Certificate]:
    """All below `folder`, folders and zips of them, by trainee, lab and time. Whatever else is there is passed over.

    Copies of one are one, unless a copy does not hold any more. labs: those that are known here.
    """
    known = {lab.id: ([*lab.breaks], lab.call) for lab in labs}
    places = [path.parent for path in sorted(folder.rglob(JOURNAL))] + sorted(folder.rglob("*.zip"))
    found: dict[tuple[str, bool], Certificate] = {}
    for place in places:
        if each := _read(place, known):
            found.setdefault((each.digest, each.holds), each)
    return sorted(found.values(), key=lambda each: (each.trainee, each.lab, each.passed))


def one_each(found: Iterable[Certificate]) -> list[tuple[Certificate, int]]:
    """One for each trainee and lab, the first that passed, with how many there are of these; sorted as they came.

    One that does not hold, or is of another lab than it says, stands alone: nobody's pass hides it.
    """
    groups: dict[tuple[str, ...], list[Certificate]] = {}
    for each in found:
        whose = (each.trainee, each.lab, each.signer)
        key = whose if each.holds and each.known_lab is not False else (*whose, each.digest, str(each.holds))
        groups.setdefault(key, []).append(each)
    return [(group[0], len(group)) for group in groups.values()]


def _read(place: Path, known: Mapping[str, tuple[list[str], str]]) -> Certificate | None:
    """place: a folder or a zip, from anybody."""
    try:
        told = _passed_line(place)
    except (RecordError, BadArchive, OSError):
        told = None
    if told is None:
        return None
    line, digest = told
    verdict = verify(place)
    return Certificate(
        folder=plain(place),
        digest=digest,
        trainee=plain(line.get("trainee", "")),
        lab=plain(line.get("lab", "")),
        passed=plain(line.get("passed", "")),
        minutes=_number(line.get("minutes")),
        hints=int(_number(line.get("hints"))),
        saw_solution=line.get("saw_solution") is True,
        attempts=int(_number(line.get("attempts"))),
        begun=int(_number(line.get("begun"))),
        seed=plain(line.get("seed", "")),
        known_lab=_is_known(line, known),
        signer=verdict.signer.principal or verdict.signer.fingerprint if verdict.signer else "",
        holds=verdict.exit_code == 0,
        sentence=verdict.sentence,
    )


def _passed_line(place: Path) -> tuple[dict[str, Any], str] | None:
    """What it says, and the digest of its manifest, or of its journal when it has none."""
    if place.suffix == ".zip":
        with unpacked(place) as record:
            return _passed_line(record.folder)
    if not _is_small_file(place / JOURNAL):
        return None
    line = next((line for line in read_lines(place / JOURNAL) if line["kind"] == PASSED), None)
    of = place / (MANIFEST if _is_small_file(place / MANIFEST) else JOURNAL)
    return None if line is None else (line, hashlib.sha256(of.read_bytes()).hexdigest())


def _is_small_file(path: Path) -> bool:
    """No link, and nothing that never ends. A path that is not there is none."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= _LARGEST


def _is_known(line: Mapping[str, Any], known: Mapping[str, tuple[list[str], str]]) -> bool | None:
    here = known.get(str(line.get("lab")))
    return None if here is None else (line.get("breaks"), line.get("call")) == here


def _number(value: object) -> float:
    """What somebody wrote there; 0 when that is no number."""
    return float(value) if isinstance(value, int | float) and abs(value) < 10**9 else 0.0
