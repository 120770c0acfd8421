"""Seal a run: scan it for secrets, write the SHA-256 of every file and of the site's previous run, and sign that.

A sealed run is checked with stock tools: `sha256sum` on the files, any JSON reader on the manifest, and
`ssh-keygen -Y verify` on its signature. The signature is written first: where there is a manifest, it is signed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bwlib.errors import RecordError
from bwlib.record.files import Contents, contents, remove_empty_folders
from bwlib.record.journal import MANIFEST, chain_faults, read_lines, utc_now
from bwlib.record.run_record import RunRecord, run_folders
from bwlib.record.scan import scan_folder
from bwlib.record.signature import NAMESPACE, SigningKey, sign
from bwlib.record.signers import signing_key, trust_own
from bwlib.record.strict_json import read_json

FORMAT = "bw-runbook record 1"
SIGNATURE = MANIFEST + ".sig"
JOURNAL = "journal.jsonl"

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
    """Close a run: write its manifest, signed with this user's key. Returns the manifest's path.

    Raises: RecordError when the run is sealed already, its journal is broken, it holds something that is no file, a
    secret stands in a file (named by file and kind, never by value), or there is no key to sign with: such a run is not
    sealed.
    """
    if record.is_sealed:
        raise RecordError(
            f"seal {record.folder}", "it is sealed already", "start a new run; a sealed one is never reopened"
        )
    _refuse_broken_journal(record)
    try:
        _tidy(record.folder)
        _refuse_odd(record)
        _refuse_secrets(record)
        key = signing_key()
        with _one_seal_at_a_time(record.folder.parent):
            path = _write_manifest(record, key, facts)
    except OSError as error:
        raise RecordError(
            f"seal {record.folder}", f"the disk refused: {error}", "make room or mend the permissions, then seal again"
        ) from error
    trust_own(key)
    return path


def _write_manifest(record: RunRecord, key: SigningKey, facts: Mapping[str, object]) -> Path:
    status = run_status(record.folder)
    record.journal.append("run_sealed", status=status, **facts)
    manifest = {
        "format": FORMAT,
        "run": record.folder.name,
        "site": record.folder.parent.name,
        "status": status,
        "sealed_at": utc_now(),
        "versions": _versions(record.folder),
        "guide": GUIDE,
        "previous_run": _previous(record.folder),
        "journal_last_line": _last_line_digest(record.folder),
        "files": file_digests(record.folder),
        **facts,
        "signed_by": {
            "public_key": key.public.line,
            "fingerprint": key.public.fingerprint,
            "namespace": NAMESPACE,
        },
    }
    text = json.dumps(record.redactor.value(manifest), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    # The signature first: from the moment in which the run counts as sealed, it is signed. One that a killed seal left
    # behind is written over.
    _sync(record.write_bytes(SIGNATURE, sign(data, key)))
    return _sync(record.write_bytes(MANIFEST, data))


def _sync(path: Path) -> Path:
    """Make sure that a file and its name are on the disk."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return path


def _tidy(folder: Path) -> None:
    """Take away what is no evidence: empty folders, and the halves of a manifest that a killed seal was writing."""
    for name in (MANIFEST, SIGNATURE):
        (folder / f"{name}.partial").unlink(missing_ok=True)
    remove_empty_folders(folder)


@contextmanager
def _one_seal_at_a_time(runs_dir: Path) -> Iterator[None]:
    """Two runs of a site that end at once must not both follow the same run: the second follows the first."""
    with (runs_dir / ".seal.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_status(folder: Path) -> str:
    """The run's own status, from its journal: the worst of its last words on every step and notebook."""
    return status_of(read_lines(folder / JOURNAL))


def status_of(lines: Iterable[Mapping[str, Any]]) -> str:
    """As `run_status`, from lines that anybody may have written.

    An unattended run has said at its start which notebooks it will run: while one has not begun, it is running.
    """
    last: dict[str, str] = {}
    for line in lines:
        kind = line.get("kind")
        if kind == "run_started" and isinstance(line.get("notebooks"), list):
            last |= {f"notebook {name}": "running" for name in line["notebooks"]}
        elif kind in ("step", "notebook"):
            last[f"{kind} {line.get(kind)}"] = str(line.get("status"))
        elif kind == "run":
            last["run"] = str(line.get("status"))
    if not last:
        return "pending"
    return min(last.values(), key=lambda status: _WORST_FIRST.index(status) if status in _WORST_FIRST else 0)


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, the manifest itself and its signature left out."""
    return _without_manifest(contents(folder))


def _without_manifest(found: Contents) -> dict[str, str]:
    return {name: digest for name, digest in found.digests.items() if name not in (MANIFEST, SIGNATURE)}


# ---------------------------------------------------------------- reading it again


def parse_manifest(data: bytes) -> dict[str, Any]:
    """A manifest that has everything a reader needs, each in its form. Raises: ValueError saying what it lacks."""
    manifest = read_json(data)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"it is no {FORMAT!r}")
    for name in ("run", "site", "status", "sealed_at"):
        if not isinstance(manifest.get(name), str):
            raise ValueError(f"it does not say {name}")
    try:
        sealed_at = datetime.fromisoformat(manifest["sealed_at"])
        sealed_at.astimezone(UTC)  # raises where the calendar ends
    except (ValueError, OverflowError):
        sealed_at = None
    if sealed_at is None or sealed_at.tzinfo is None:
        raise ValueError("its sealed_at is no time")
    if not _is_digest(manifest.get("journal_last_line")):
        raise ValueError("its journal_last_line is no SHA-256")
    files = manifest.get("files")
    if not isinstance(files, dict) or JOURNAL not in files or not all(map(_is_digest, files.values())):
        raise ValueError("its files are no list of SHA-256 with the journal in it")
    previous = manifest.get("previous_run")
    if previous is not None and not (
        isinstance(previous, dict)
        and isinstance(previous.get("run"), str)
        and _is_digest(previous.get("manifest_sha256"))
    ):
        raise ValueError("its previous_run is no run")
    signed_by = manifest.get("signed_by")
    if not isinstance(signed_by, dict) or not isinstance(signed_by.get("fingerprint"), str):
        raise ValueError("it does not say signed_by")
    return manifest


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def file_faults(wanted: Mapping[str, str], found: Contents) -> list[str]:
    """What differs between the manifest's files and those in the folder, and what is no file at all."""
    there = _without_manifest(found)
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - there.keys())]
    faults += [f"{name} was added" for name in sorted(there.keys() - wanted.keys())]
    faults += [f"{name} was changed" for name in sorted(wanted.keys() & there.keys()) if wanted[name] != there[name]]
    return faults + list(found.odd)


def manifest_faults(folder: Path) -> list[str]:
    """What is wrong with a sealed run: changed, missing or added files, a broken chain. Empty when all holds.

    Who signed it is another question: `bwlib.record.verify`.
    """
    path = folder / MANIFEST
    if not path.exists():
        return ["the run is not sealed: there is no manifest"]
    try:
        wanted = parse_manifest(path.read_bytes())["files"]
    except (ValueError, OSError):
        return ["the manifest cannot be read"]
    found = contents(folder)
    faults = file_faults(wanted, found)
    if JOURNAL in found.digests:
        faults += [f"journal: {fault}" for fault in chain_faults(folder / JOURNAL)]
    return faults


# ---------------------------------------------------------------- what is refused


def _refuse_broken_journal(record: RunRecord) -> None:
    faults = chain_faults(record.journal.path)
    if faults:
        raise RecordError(
            f"seal {record.folder}", f"its journal is broken: {faults[0]}", "keep it as it is and run again"
        )


def _refuse_odd(record: RunRecord) -> None:
    odd = contents(record.folder).odd
    if odd:
        raise RecordError(
            f"seal {record.folder}", odd[0], "find out how it got there and take it away; the run stays unsealed"
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
        return str(parse_manifest(manifest)["sealed_at"])
    except ValueError:
        return ""  # spoilt since; what it was cannot be followed


def _last_line_digest(folder: Path) -> str:
    return hashlib.sha256((folder / JOURNAL).read_bytes().rstrip(b"\n").rpartition(b"\n")[2]).hexdigest()


def _versions(folder: Path) -> dict[str, str]:
    names = ("bw-runbook", "cryptography", "httpx", "jupyterlab", "nbclient", "papermill", "ipykernel", "pandas")
    pbx = {
        str(line.get("product")).lower(): str(line.get("version"))
        for line in read_lines(folder / JOURNAL)
        if line["kind"] == "pbx_attached"
    }
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "user": str(os.getuid()),
        **{name: version(name) for name in names},
        **pbx,
    }
