"""A record that another run is about: checked before anything in it is believed, and cited by its manifest's hash.

A sealed run is never reopened: undo, drift and whatever else looks back make a run of their own, which cites it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from bwlib.errors import RecordError
from bwlib.record.journal import MANIFEST, chain_faults, read_lines
from bwlib.record.manifest import manifest_faults


def is_sealed(folder: Path) -> bool:
    return (folder / MANIFEST).exists()


def refuse_tampered(folder: Path) -> None:
    """Raise RecordError when a record is not what it was: its files, while it is open only its journal's chain."""
    faults = manifest_faults(folder) if is_sealed(folder) else _faults_while_open(folder / "journal.jsonl")
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise RecordError(
            f"rely on the record {folder}",
            f"it is not what it was: {faults[0]}{more}",
            "keep it as it is; use an untouched copy of it, or name another record",
        )


def _faults_while_open(journal: Path) -> list[str]:
    faults = chain_faults(journal)
    if journal.exists() and faults and not journal.read_bytes().endswith(b"\n"):
        faults = faults[1:]  # half a line is what a killed process leaves; nobody else's hand
    if not faults and any(line["kind"] == "run_sealed" for line in read_lines(journal)):
        faults = ["it was sealed, and its manifest is missing"]
    return faults


def citation(folder: Path) -> dict[str, str]:
    """How a run cites another: its name and the SHA-256 of its manifest, "" while it is open."""
    manifest = folder / MANIFEST
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.exists() else ""
    return {"run": folder.name, "manifest_sha256": digest}
