"""A run's folder: what was done, seen, heard and changed, written as it happens.

    runs/<site>/<utc>-<id>/
      journal.jsonl  http.jsonl  sip.jsonl  webhooks.jsonl  ladder*.svg  ladder*.txt
      audio/*.wav  config/before|after/*  notebooks/*.ipynb  manifest.json

The record is evidence, not state: only undo reads it, and confirms what it read. A sealed run is never reopened.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from bwlib.errors import RecordError
from bwlib.models import Exchange, SipEvent, Webhook
from bwlib.record.journal import (
    MANIFEST,
    Journal,
    encode_line,
    keep_reserve,
    read_lines,
    refuse_sealed,
    release_reserve,
    unwritable,
)
from bwlib.record.redact import Redactor

# The kernel of a killed runner notices within a second that it is alone.
WRITERS_END_S = 15.0
_POLL_S = 0.1


class RunRecord:
    """One run of one site. Everything written here passes the redactor; files are 0600, folders 0700."""

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self.folder = folder
        self.redactor = redactor
        self.journal = Journal(folder / "journal.jsonl", redactor)

    @property
    def is_sealed(self) -> bool:
        return (self.folder / MANIFEST).exists()

    def append_exchange(self, exchange: Exchange, **context: object) -> None:
        """One HTTP exchange, redacted, as a line of http.jsonl."""
        facts = {
            "id": exchange.id,
            "at": exchange.at.isoformat(),
            "method": exchange.method,
            "url": exchange.url,
            "status": exchange.status,
            "elapsed_s": round(exchange.elapsed_s, 4),
            "error": exchange.error,
            "request_headers": dict(exchange.request_headers),
            "request_body": exchange.request_body,
            "response_headers": dict(exchange.response_headers),
            "response_body": exchange.response_body,
            **context,
        }
        self._append_line("http.jsonl", facts)

    def append_sip(self, events: Iterable[SipEvent], call: str) -> None:
        """SIP messages of one call, redacted, as lines of sip.jsonl."""
        for event in events:
            self._append_line(
                "sip.jsonl",
                {
                    "call": call,
                    "at": event.at.isoformat(),
                    "from": event.source,
                    "to": event.target,
                    "seen_by": event.seen_by,
                    "message": event.text,
                },
            )

    def append_webhooks(self, webhooks: Iterable[Webhook], call: str) -> None:
        """The webhooks of one call and what the application answered, redacted, as lines of webhooks.jsonl."""
        for hook in webhooks:
            facts = {**vars(hook), "at": hook.at.isoformat(), "call": call, "body": dict(hook.body)}
            self._append_line("webhooks.jsonl", facts)

    def write_text(self, name: str, text: str) -> Path:
        """A text file of the record, redacted."""
        return self._write(name, self.redactor.text(text).encode("utf-8", "backslashreplace"))

    def write_json(self, name: str, value: object, indent: int = 1) -> Path:
        """A JSON file of the record, the strings in it redacted."""
        text = json.dumps(self.redactor.value(value), sort_keys=True, indent=indent, ensure_ascii=False)
        return self._write(name, text.encode("utf-8", "backslashreplace") + b"\n")

    def write_bytes(self, name: str, data: bytes) -> Path:
        """A binary file of the record (audio, pictures)."""
        return self._write(name, data)

    def write_config(self, when: str, files: Mapping[str, str]) -> None:
        """The PBX's configuration `before` or `after`. The first `before` of a run stays: later ones are not before."""
        folder = self.folder / "config" / when
        if when == "before" and folder.exists():
            return
        for name, text in files.items():
            self.write_text(f"config/{when}/{name.strip('/').replace('..', '_')}", text)

    def write_config_of_step(self, step: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
        """The PBX's configuration right before and right after one step; returns where, below config/."""
        number = len(list((self.folder / "config" / "steps").glob("*"))) + 1
        place = f"steps/{number:02}_{step}"
        self.write_config(f"{place}/before", before)
        self.write_config(f"{place}/after", after)
        return place

    def _append_line(self, name: str, facts: Mapping[str, object]) -> None:
        refuse_sealed(self.folder)
        line = encode_line(self.redactor.value(facts))
        try:
            descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "ab") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.write(line + b"\n")
        except OSError as error:
            raise unwritable(self.folder / name, error) from error

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        refuse_sealed(self.folder)
        try:
            _make_private(path.parent)
            partial = path.with_name(path.name + ".partial")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(data)
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.with_name(path.name + ".partial").unlink(missing_ok=True)
            raise unwritable(path, error, folder=self.folder) from error
        return path


def _make_private(folder: Path) -> None:
    """Make a folder and what is missing above it, each 0700: mkdir gives its mode to the last one only."""
    for missing in reversed([folder, *folder.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def hold(record: RunRecord) -> Iterator[None]:
    """Own a run while working on it: nobody else may seal it meanwhile, and a killed owner lets go by itself.

    Raises: RecordError when somebody owns it.
    """
    with (record.folder.parent / f".{record.folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(
                f"seal {record.folder}", "this run is still going on", "wait until it ends; it is sealed then"
            ) from None
        yield


_writing: list[IO[str]] = []  # open for as long as this process lives


def write_into(record: RunRecord) -> None:
    """Say, until this process ends, that it writes into the run; the kernel of a killed runner lives on a little."""
    lock = _writers_lock(record)
    fcntl.flock(lock, fcntl.LOCK_SH)
    _writing.append(lock)


def wait_for_writers(record: RunRecord, limit_s: float = WRITERS_END_S) -> None:
    """Wait until no process writes into the run any more. Raises: RecordError after limit_s."""
    deadline = time.monotonic() + limit_s
    with _writers_lock(record) as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RecordError(
                        f"close {record.folder}",
                        "a process that writes into this run has not ended",
                        "wait until it ends, or end it (a kernel of papermill's); then try again",
                    ) from None
            time.sleep(_POLL_S)


def _writers_lock(record: RunRecord) -> IO[str]:
    return (record.folder.parent / f".{record.folder.name}.writers").open("w")


def start_run(runs_dir: Path, redactor: Redactor, **facts: object) -> RunRecord:
    """A new, empty run folder with the first line in its journal."""
    # To the microsecond: the names of a site's runs sort in the order in which they began.
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = runs_dir / f"{stamp}-{secrets.token_hex(3)}"
    try:
        _make_private(folder)
        keep_reserve(folder)
    except OSError as error:
        release_reserve(folder)
        raise unwritable(folder, error, folder=folder) from error
    record = RunRecord(folder, redactor)
    record.journal.append("run_started", **facts)
    return record


def join_or_start_run(runs_dir: Path, redactor: Redactor, **facts: object) -> RunRecord:
    """The site's unsealed interactive run, or a new one. Two notebooks opened at once get the same one."""
    _make_private(runs_dir)
    with (runs_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in reversed(run_folders(runs_dir)):
            record = RunRecord(folder, redactor)
            if not record.is_sealed and _is_joinable(folder):
                return record
        return start_run(runs_dir, redactor, interactive=True, **facts)


def _is_joinable(folder: Path) -> bool:
    first = next(read_lines(folder / "journal.jsonl"), {})
    return bool(first.get("interactive"))


def run_folders(runs_dir: Path) -> list[Path]:
    """A site's run folders, oldest first."""
    if not runs_dir.exists():
        return []
    return sorted(folder for folder in runs_dir.iterdir() if (folder / "journal.jsonl").exists())


def latest_steps(folder: Path) -> dict[str, dict[str, Any]]:
    """The last `step` line of each step in a run, by step name."""
    return {line["step"]: line for line in read_lines(folder / "journal.jsonl") if line["kind"] == "step"}


def running_cell(record: RunRecord, notebook: str) -> object:
    """The cell of this notebook that runs now, as its newest `cell` line calls it; None when none does."""
    for raw in reversed(record.journal.path.read_bytes().split(b"\n")[:-1]):
        if b'"kind": "cell"' not in raw:
            continue
        line = json.loads(raw)
        if line.get("notebook") == notebook:
            return line.get("cell") if line.get("status") == "running" else None
    return None
