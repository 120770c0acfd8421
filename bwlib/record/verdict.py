"""What `verify` found out about one record, as data and as one screen of text.

Every string in it may come from somebody who means harm: what cannot be printed is written as an escape.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

_LONGEST = 300  # characters of one string
_SHOWN = 8  # lines of one list on the screen; --json has them all
WELL = ("passed", "pending", "skipped")  # what a run may come to and still exit with 0
CANNOT_SEE = (
    "whether what was written is true: a signature says that nothing changed since it was made, by the signer's clock",
    "this site's passwords, which are not known here: only what stands in a secret's place (hashes, tokens) is found",
)


@dataclass(frozen=True)
class Signer:
    """Who signed. principal: the name in allowed_signers, empty when it names nobody. distrust: why not, or empty.

    is_named: whether allowed_signers has the key on any line, so that trust was decided on.
    """

    principal: str
    fingerprint: str
    public_key: str
    distrust: str = ""
    is_named: bool = False


@dataclass(frozen=True)
class Verdict:
    """One record. faults: what is wrong with it. unfinished, failed: what the run did not come to. missing: what it
    does not hold, with the reason where one is written down. secrets: files that hold what looks like one.
    is_whole_look: a look (drift, diagnose) that came to its end, whatever it found."""

    path: str
    run: str = ""
    site: str = ""
    target: str = ""
    operator: str = ""
    status: str = ""
    sealed_at: str = ""
    is_sealed: bool = False
    signer: Signer | None = None
    manifest_sha256: str = ""
    previous_run: str = ""
    previous_manifest_sha256: str = ""
    files: int = 0
    journal_lines: int = 0
    last_line: str = ""
    faults: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_whole_look: bool = False

    @property
    def is_trusted(self) -> bool:
        """Signed by somebody whom this user trusts."""
        return self.signer is not None and not self.signer.distrust

    @property
    def holds(self) -> bool:
        """Whether the record can be relied on, whatever the run came to."""
        return self.is_sealed and self.is_trusted and not self.faults and not self.secrets

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end: all of it finished, and nothing failed."""
        return self.is_sealed and not self.unfinished and self.status in WELL

    @property
    def exit_code(self) -> int:
        """0 for a record that holds, of a run that ended well; else 9."""
        return 0 if self.holds and self.is_complete else 9

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.faults:
            return f"NOT INTACT: {_count(len(self.faults), 'thing')} in this record {_are(self.faults)} wrong"
        if not self.is_sealed:
            return "INCOMPLETE: the run is not sealed, so nobody vouches for it"
        if self.secrets:
            return "INTACT, BUT IT HOLDS A SECRET"
        if not self.is_trusted:
            return "INTACT, BUT NOT SIGNED BY ANYBODY YOU TRUST"
        if not self.is_complete and not self.is_whole_look:
            return f"INTACT, INCOMPLETE: signed by a trusted signer; the run did not come to its end ({self.status})"
        more = "" if self.is_complete else ", what failed is named"
        return f"INTACT: signed by a trusted signer, nothing changed since; the run: {self.status}{more}"


def as_json(verdict: Verdict) -> dict[str, Any]:
    """For --json."""
    derived = {name: getattr(verdict, name) for name in ("is_trusted", "is_complete", "holds", "sentence", "exit_code")}
    return {**asdict(verdict), **derived, "cannot_see": CANNOT_SEE}


def as_text(verdict: Verdict) -> str:
    """One screen."""
    facts = {
        "record": verdict.path,
        "run": f"{verdict.run}   site {verdict.site or '?'}, {verdict.target or '?'}, by {verdict.operator or '?'}",
        "status": verdict.status,
        "sealed": verdict.sealed_at or "no",
        "signed by": _signed_by(verdict.signer) if verdict.is_sealed else "nobody",
        "holds": f"{_count(verdict.files, 'file')}, {_count(verdict.journal_lines, 'journal line')}",
        "came to": "" if verdict.is_sealed else verdict.last_line,
        "follows": verdict.previous_run and f"{verdict.previous_run} (not looked at: verify the folder of runs)",
    }
    lines = [verdict.sentence, *(f"{name:<11}{value}" for name, value in facts.items() if value)]
    if verdict.signer is not None and verdict.signer.distrust:
        lines.append(f"{'':<11}{verdict.signer.distrust}")
    lists = {
        "wrong": verdict.faults,
        "secrets": verdict.secrets,
        "unfinished": verdict.unfinished,
        "failed": verdict.failed,
        "missing": verdict.missing,
        "note": verdict.warnings,
    }
    for name, entries in lists.items():
        lines += _listed(name, entries)
    return "\n".join([*lines, *_listed("not seen", CANNOT_SEE)])


def _signed_by(signer: Signer | None) -> str:
    if signer is None:
        return "nobody: there is no valid signature"
    return f"{signer.principal or 'an unknown signer'}   {signer.fingerprint}"


def _listed(name: str, entries: Iterable[str]) -> list[str]:
    entries = list(entries)
    shown = [f"{name if number == 0 else '':<11}- {entry}" for number, entry in enumerate(entries[:_SHOWN])]
    more = len(entries) - _SHOWN
    return shown + ([f"{'':<11}- and {more} more (--json names all)"] if more > 0 else [])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _are(entries: tuple[str, ...]) -> str:
    return "is" if len(entries) == 1 else "are"


def plain(text: object) -> str:
    """One line that a terminal shows as it is."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(text)[: _LONGEST + 1]
    )
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
