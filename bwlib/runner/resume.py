"""Go on after a run that did not end well: close what it left, and say which run is gone on with.

Nothing that it passed is believed: the new run looks at every object again, and finds it `unchanged`. What the record
gives is only which run it was, and the parameters that it was started with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from bwlib.errors import SettingsError
from bwlib.record.journal import MANIFEST, read_lines
from bwlib.record.manifest import run_status
from bwlib.record.redact import Redactor
from bwlib.record.run_record import RunRecord, run_folders

_GOOD_ENDS = ("passed", "pending", "skipped")


@dataclass(frozen=True)
class Resumed:
    """The run that is gone on with: its name, the hash of its manifest, and what it was started with."""

    run: str
    manifest_sha256: str
    parameters: Mapping[str, object]

    @property
    def citation(self) -> dict[str, str]:
        return {"run": self.run, "manifest_sha256": self.manifest_sha256}


def run_to_resume(runs_dir: Path, notebooks: tuple[str, ...]) -> Path:
    """The folder of the site's newest unattended run of these notebooks.

    Raises: SettingsError when there is none, or when it ended well.
    """
    for folder in reversed(run_folders(runs_dir)):
        first: Mapping[str, Any] = next(read_lines(folder / "journal.jsonl"), {})
        if tuple(first.get("notebooks") or ()) != notebooks:
            continue
        status = run_status(folder)
        if status in _GOOD_ENDS and (folder / MANIFEST).exists():
            raise SettingsError(
                f"resume the run {folder.name}", f"it ended: {status}", "start a new one, without --resume"
            )
        return folder
    raise SettingsError(f"resume a run of {runs_dir.name}", "there is none", "start one, without --resume")


def take_over(folder: Path, close: Callable[[RunRecord], object]) -> Resumed:
    """Close that run if it is open, and return what is to be cited.

    close: seals an abandoned run. Raises: RecordError when the run is still going on, or cannot be closed.
    """
    record = RunRecord(folder, Redactor())
    if not record.is_sealed:
        close(record)
    first: Mapping[str, Any] = next(read_lines(folder / "journal.jsonl"), {})
    digest = sha256((folder / MANIFEST).read_bytes()).hexdigest()
    return Resumed(folder.name, digest, dict(first.get("parameters") or {}))
