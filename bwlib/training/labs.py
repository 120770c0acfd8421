"""A lab as its trainer writes it: ten lines of TOML.

    title = "Nobody gets out"
    level = "easy"                       # easy, medium or nasty
    story = "Since this morning ..."     # what the customer reports
    breaks = ["wrong-password"]          # names of bwlib.training.breaking
    call = "outward"                     # outward, inward or both: what must be heard
    hints = ["...", "...", "..."]        # from a nudge to nearly all
    solution = "..."

The file's name, `01_nobody_gets_out.toml`, is the lab's id. Keep the answer out of it: the trainee sees it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bwlib.errors import SettingsError
from bwlib.runner.run_site import notebooks_folder

CALLS = ("outward", "inward", "both")
LEVELS = ("easy", "medium", "nasty")
HINTS = 3
_TAKEN = ("certificates", "jupyter", "notebooks")  # folders beside the labs' in a trainee's folder
_WORDS = ("title", "level", "story", "call", "solution")


@dataclass(frozen=True)
class LabText:
    """One lab. call: what must be heard. hints: three, graded."""

    id: str
    title: str
    level: str
    story: str
    breaks: tuple[str, ...]
    call: str
    hints: tuple[str, ...]
    solution: str

    @property
    def ways(self) -> tuple[str, ...]:
        return ("outward", "inward") if self.call == "both" else (self.call,)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> LabText:
        return cls(**{**facts, "breaks": tuple(facts["breaks"]), "hints": tuple(facts["hints"])})


def labs_folder() -> Path:
    """The labs that come with the project."""
    return notebooks_folder() / "labs"


def check_id(lab_id: str) -> None:
    """Raises SettingsError for what cannot be a lab's id, whatever labs there are."""
    for wrong in _id_faults(lab_id):
        raise SettingsError(f"open the lab {lab_id!r}", wrong, "bw-runbook train list tells the labs")


def labs_in(folder: Path) -> list[LabText]:
    """All labs of a folder, in the order of their names. Raises SettingsError for one that is wrong, or for none."""
    found = [read_lab(path) for path in sorted(folder.glob("*.toml"))]
    if not found:
        raise SettingsError(f"read the labs in {folder}", "there is no .toml file", "name a folder with labs")
    return found


def find_lab(folder: Path, wanted: str) -> LabText:
    """By its id, or by the number that it begins with. Raises SettingsError."""
    labs = labs_in(folder)
    for lab in labs:
        if wanted in (lab.id, lab.id.partition("_")[0]):
            return lab
    raise SettingsError(
        f"find the lab {wanted}", f"it is not in {folder}", f"use one of: {', '.join(lab.id for lab in labs)}"
    )


def read_lab(path: Path) -> LabText:
    """Raises SettingsError, which names the entry and the fix."""
    attempted = f"read the lab {path}"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(attempted, str(error), "make it a TOML file as the others in notebooks/labs") from None
    for wrong in _faults(path.stem, table):
        raise SettingsError(attempted, wrong, "mend that entry; notebooks/labs has examples")
    words = {name: " ".join(table[name].split()) for name in _WORDS}
    return LabText(id=path.stem, breaks=tuple(table["breaks"]), hints=tuple(table["hints"]), **words)


def _faults(lab_id: str, table: dict[str, Any]) -> list[str]:
    from bwlib.training.breaking import BY_NAME

    if wrong := _id_faults(lab_id):
        return wrong
    unknown = sorted(table.keys() - {*_WORDS, "breaks", "hints"})
    found = [f"unknown entry {name}" for name in unknown]
    found += [f"{name} is missing, or no text" for name in _WORDS if not _is_text(table.get(name))]
    for name in ("breaks", "hints"):
        entries = table.get(name)
        if not isinstance(entries, list) or not entries or not all(map(_is_text, entries)):
            return [*found, f"{name} is missing, or no list of texts"]
    for name in table["breaks"]:
        if name not in BY_NAME:
            near = get_close_matches(name, BY_NAME, n=1)
            found.append(f"there is no break {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
        elif not BY_NAME[name].lab:
            found.append(f"the break {name!r} cannot be judged by a call of the scripted phone")
    if len(table["hints"]) != HINTS:
        found.append(f"hints has {len(table['hints'])} entries, not {HINTS}")
    found += [f"call is none of {', '.join(CALLS)}"] * (table.get("call") not in CALLS)
    found += [f"level is none of {', '.join(LEVELS)}"] * (table.get("level") not in LEVELS)
    return found or _unnoticed(table)


def _id_faults(lab_id: str) -> list[str]:
    """It is the name of a folder among a trainee's others."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,60}", lab_id):
        return [f"the name {lab_id!r} is no id: use lower-case letters, digits, _ and -"]
    if lab_id in _TAKEN:
        return [f"the name {lab_id!r} is that of a folder which every trainee has: use another, such as 21_{lab_id}"]
    return []


def _unnoticed(table: dict[str, Any]) -> list[str]:
    """Each break must be noticed by what the lab is judged by, or the lab passes with it in."""
    from bwlib.training.breaking import BY_NAME

    ways = {"registration", *(("outward", "inward") if table["call"] == "both" else (table["call"],))}
    return [
        f"the break {name!r} does not fail what is judged ({table['call']}): the lab would pass with it"
        for name in table["breaks"]
        if not ways & set(BY_NAME[name].fails)
    ]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
