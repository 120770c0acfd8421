"""Seal a run: scan it for secrets, then write the SHA-256 of every file and of the site's previous run.

A sealed run is checked with stock tools: `sha256sum` on the files, any JSON reader on the manifest.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bwlib.errors import RecordError
from bwlib.record.journal import MANIFEST, chain_faults, read_lines, utc_now
from bwlib.record.run_record import RunRecord, hold, run_folders
from bwlib.record.scan import scan_folder

# The vendor guide this runbook follows: its title, the day it was read, its headings (not its sentences).
GUIDE = {
    "title": "PBX Interconnect",
    "publisher": "Bandwidth",
    "read": "2026-11-23",
    "headings": [
        "Step 1 - Application Configuration",
        "Step 2 - SIP Credentials",
        "Step 3 - PBX Configuration",
        "Test the Configuration",
        "Troubleshooting",
    ],
}
# A run is as good as its worst step, in this order.
_WORST_FIRST = ("died", "timed_out", "failed", "running", "pending", "skipped", "passed")


def seal(record: RunRecord, **facts: object) -> Path:
    """Close a run and write its manifest. Returns the manifest's path.

    Raises: RecordError when the run is sealed already, its journal is broken, or a secret stands in a file
    (named by file and kind, never by value): such a run is not sealed.
    """
    if record.is_sealed:
        raise RecordError(
            f"seal {record.folder}", "it is sealed already", "start a new run; a sealed one is never reopened"
        )
    _refuse_broken_journal(record)
    _refuse_secrets(record)
    with _one_seal_at_a_time(record.folder.parent):
        return _write_manifest(record, facts)


def seal_abandoned(record: RunRecord, **facts: object) -> Path:
    """Seal a run that nobody works on any more: what was left `running` by a killed process is written down as died.

    Raises: RecordError when the run is still going on, and as `seal`.
    """
    with hold(record):
        for kind, key in (("notebook", "notebook"), ("step", "step")):
            for name in _left_running(record.folder, kind, key):
                record.journal.append(kind, **{key: name}, status="died", reason="found unfinished when it was sealed")
        return seal(record, **facts)


def _left_running(folder: Path, kind: str, key: str) -> list[str]:
    last = {line[key]: line["status"] for line in read_lines(folder / "journal.jsonl") if line["kind"] == kind}
    return [name for name, status in last.items() if status == "running"]


def _write_manifest(record: RunRecord, facts: Mapping[str, object]) -> Path:
    status = run_status(record.folder)
    record.journal.append("run_sealed", status=status, **facts)
    manifest = {
        "format": "bw-runbook record 1",
        "run": record.folder.name,
        "site": record.folder.parent.name,
        "status": status,
        "sealed_at": utc_now(),
        "versions": _versions(),
        "guide": GUIDE,
        "previous_run": _previous(record.folder),
        "journal_last_line": _last_line_digest(record.folder),
        "files": file_digests(record.folder),
        **facts,
    }
    return record.write_json(MANIFEST, manifest)


@contextmanager
def _one_seal_at_a_time(runs_dir: Path) -> Iterator[None]:
    """Two runs of a site that end at once must not both follow the same run: the second follows the first."""
    with (runs_dir / ".seal.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_status(folder: Path) -> str:
    """The run's own status, from its journal: the worst of its last words on every step and cell."""
    last: dict[str, str] = {}
    for line in read_lines(folder / "journal.jsonl"):
        if line["kind"] == "step":
            last[f"step {line['step']}"] = line["status"]
        elif line["kind"] == "notebook":
            last[f"notebook {line['notebook']}"] = line["status"]
    if not last:
        return "pending"
    return min(last.values(), key=lambda status: _WORST_FIRST.index(status) if status in _WORST_FIRST else 0)


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, the manifest itself and its signature left out."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (MANIFEST, MANIFEST + ".sig"):
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def manifest_faults(folder: Path) -> list[str]:
    """What is wrong with a sealed run: changed, missing or added files, a broken chain. Empty when all holds."""
    path = folder / MANIFEST
    if not path.exists():
        return ["the run is not sealed: there is no manifest"]
    try:
        wanted = dict(json.loads(path.read_bytes())["files"])
    except (ValueError, KeyError, TypeError):
        return ["the manifest cannot be read"]
    found = file_digests(folder)
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    faults += [f"{name} was added" for name in sorted(found.keys() - wanted.keys())]
    faults += [f"{name} was changed" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
    if (folder / "journal.jsonl").exists():
        faults += [f"journal: {fault}" for fault in chain_faults(folder / "journal.jsonl")]
    return faults


def _refuse_broken_journal(record: RunRecord) -> None:
    faults = chain_faults(record.journal.path)
    if faults:
        raise RecordError(
            f"seal {record.folder}", f"its journal is broken: {faults[0]}", "keep it as it is and run again"
        )


def _refuse_secrets(record: RunRecord) -> None:
    hits = scan_folder(record.folder, record.redactor)
    if hits:
        raise RecordError(
            f"seal {record.folder}",
            "; ".join(map(str, hits)),
            "find out how it got there; the run stays unsealed",
        )


def _previous(folder: Path) -> dict[str, Any] | None:
    """The run of this site that was sealed last, by the hash of its manifest. A run may end before an older one."""
    sealed = []
    for other in run_folders(folder.parent):
        if (other / MANIFEST).exists():
            data = (other / MANIFEST).read_bytes()
            sealed.append((_sealed_at(data), other.name, hashlib.sha256(data).hexdigest()))
    if not sealed:
        return None
    _, name, digest = max(sealed)
    return {"run": name, "manifest_sha256": digest}


def _sealed_at(manifest: bytes) -> str:
    try:
        return str(json.loads(manifest)["sealed_at"])
    except (ValueError, KeyError, TypeError):
        return ""  # spoilt since; what it was cannot be followed


def _last_line_digest(folder: Path) -> str:
    return hashlib.sha256((folder / "journal.jsonl").read_bytes().rstrip(b"\n").rpartition(b"\n")[2]).hexdigest()


def _versions() -> dict[str, str]:
    names = ("bw-runbook", "httpx", "jupyterlab", "nbclient", "papermill", "ipykernel", "pandas")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "user": str(os.getuid()),
        **{name: version(name) for name in names},
    }
