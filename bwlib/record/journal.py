"""The journal: one JSON object a line, append-only, each line holding the SHA-256 of the line before.

Clicks and batch cells write the same lines. Several kernels may write at once (a file lock orders them), and a
process killed in the middle of a line leaves a fragment that the next writer sets aside and mentions: the chain holds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bwlib.errors import RecordError
from bwlib.record.redact import Redactor

FIRST_PREVIOUS = "0" * 64
MANIFEST = "manifest.json"  # beside the journal once the run is sealed
ENVELOPE = frozenset({"seq", "prev", "at", "mono_s", "pid", "kind", "after_fragment_bytes"})
# Room for the last words of a run whose disk is full: some forty lines.
RESERVE_BYTES = 64 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


def utc_now() -> str:
    """Now, in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Journal:
    """Appends to one journal file. Every line passes the redactor before it reaches the disk."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.path = path
        self._redactor = redactor

    def append(self, kind: str, **facts: object) -> dict[str, Any]:
        """Write one line and return it. It is on the disk when this returns.

        Raises: RecordError when the run is sealed, when the last line is no journal line, or when the disk refuses it:
        what cannot be recorded must not go on unrecorded (that it failed can still be written: see `unwritable`).
        ValueError for a fact that has a name of the line's own.
        """
        if ENVELOPE & facts.keys():
            raise ValueError(f"a journal line has its own {', '.join(sorted(ENVELOPE & facts.keys()))}")
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                return self._append_locked(stream, kind, facts)
        except OSError as error:
            raise unwritable(self.path, error, f"a {kind} line to ") from error

    def _append_locked(self, stream: Any, kind: str, facts: Mapping[str, object]) -> dict[str, Any]:
        refuse_sealed(self.path.parent)
        data = stream.read()
        whole, newline, fragment = data.rpartition(b"\n")
        last = whole.rpartition(b"\n")[2] if newline else b""
        end = len(whole) + len(newline)
        line: dict[str, Any] = {
            "seq": self._number(last) + 1 if newline else 1,
            "prev": hashlib.sha256(last).hexdigest() if newline else FIRST_PREVIOUS,
            "at": utc_now(),
            "mono_s": round(time.monotonic(), 6),
            "pid": os.getpid(),
            "kind": kind,
            **self._redactor.value(facts),
        }
        if fragment:
            line["after_fragment_bytes"] = len(fragment)
        encoded = encode_line(line)
        stream.seek(end)
        stream.truncate()
        stream.write(encoded + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
        read: dict[str, Any] = json.loads(encoded)
        return read

    def _number(self, line: bytes) -> int:
        try:
            return int(json.loads(line)["seq"])
        except (ValueError, KeyError, TypeError):
            raise RecordError(
                f"write to {self.path}",
                "its last line is not a journal line: somebody else wrote there",
                "keep the run as it is, and start a new one",
            ) from None

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines, oldest first."""
        return list(read_lines(self.path))


def reserve_of(folder: Path) -> Path:
    """The file that keeps room for a run's last words, beside its folder."""
    return folder.parent / f".{folder.name}.reserve"


def keep_reserve(folder: Path) -> None:
    """Take room on the disk for a run's last words."""
    with os.fdopen(os.open(reserve_of(folder), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as stream:
        stream.write(os.urandom(RESERVE_BYTES))  # zeros may take no room
        stream.flush()
        os.fsync(stream.fileno())


def release_reserve(folder: Path) -> None:
    """Give the room back: for the last words of a run, or because it has ended."""
    with contextlib.suppress(OSError):
        reserve_of(folder).unlink(missing_ok=True)


def unwritable(path: Path, error: OSError, what: str = "", folder: Path | None = None) -> RecordError:
    """The error for a file of a run that cannot be written. folder: the run's, unless the file lies right in it.

    On a full disk it gives the reserve back, so that what failed, and why, can still be written into the journal.
    """
    if error.errno in _FULL:
        release_reserve(folder or path.parent)
    return RecordError(
        f"write {what}{path}",
        error.strerror or type(error).__name__,
        "make room or mend the permissions, then run again: nothing goes on unrecorded",
    )


def encode_line(line: Mapping[str, object]) -> bytes:
    """One line of JSON, in UTF-8; what UTF-8 cannot carry (half a surrogate pair) stays a JSON escape."""
    return json.dumps(line, sort_keys=True, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")


def refuse_sealed(folder: Path) -> None:
    """Raise RecordError when the run in `folder` is sealed: nothing is added to it any more."""
    if (folder / MANIFEST).exists():
        raise RecordError(
            f"write to the run {folder}",
            "it is sealed, and a sealed run is never reopened",
            "open a new run: run the notebook again from its binding cell",
        )


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a journal; a fragment at the end is left out.

    Raises: RecordError for a line that is not a journal line.
    """
    if not path.exists():
        return
    for number, raw in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict) or "kind" not in line:
            raise RecordError(
                f"read {path}", f"line {number} is not a journal line", "do not rely on this run; keep it as it is"
            )
        yield line


def chain_faults(path: Path) -> list[str]:
    """What is wrong with a journal's chain, one sentence each; empty when it holds."""
    if not path.exists():
        return ["there is none"]
    faults = []
    previous, expected = FIRST_PREVIOUS, 1
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        faults.append("the last line is not whole")
    for number, raw in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            line = json.loads(raw)
            if line["prev"] != previous:
                faults.append(f"line {number} does not follow the line before it")
            if line["seq"] != expected:
                faults.append(f"line {number} has number {line['seq']}, expected {expected}")
        except (ValueError, KeyError, TypeError, RecursionError):
            faults.append(f"line {number} is not a journal line")
        previous, expected = hashlib.sha256(raw).hexdigest(), expected + 1
    return faults
