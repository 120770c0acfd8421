"""A sealed record as one zip file, to hand on or to put away; the same record gives the same bytes."""

from __future__ import annotations

import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from bwlib.errors import RecordError
from bwlib.record.journal import MANIFEST

_FIRST_ZIP_YEAR = 1980


def pack(folder: Path, target: Path | None = None) -> Path:
    """Write the record in `folder` as a zip (default: `<folder>.zip` beside it) and return its path.

    The zip holds one folder with the record's name. Every file has the time of the seal and mode 0600, and the files
    stand in the order of their names, so that two people who pack the same record get the same bytes.
    Raises: RecordError for a record that is not sealed, or a target that exists or cannot be written.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise RecordError(f"pack {folder}", "it is not sealed", "seal it first: bw-runbook seal SITE.toml")
    target = target or folder.with_name(folder.name + ".zip")
    at = _sealed_at(manifest)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                member = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", at)
                member.external_attr = 0o100600 << 16
                member.create_system = 3  # UNIX, on whichever system it is made
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, path.read_bytes(), compresslevel=9)
    except FileExistsError:
        raise RecordError(f"write {target}", "there is one already", "move it away, or name another file") from None
    except OSError as error:
        target.unlink(missing_ok=True)
        why = error.strerror or type(error).__name__
        raise RecordError(f"write {target}", why, "make room, or name another file") from error
    return target


def _sealed_at(manifest: Path) -> tuple[int, int, int, int, int, int]:
    """The time of the seal, as zip files hold times: to two seconds, not before 1980."""
    try:
        at = datetime.fromisoformat(json.loads(manifest.read_bytes())["sealed_at"]).astimezone(UTC)
    except (ValueError, KeyError, TypeError):
        raise RecordError(f"read {manifest}", "it does not say when it was sealed", "verify the record first") from None
    return max(at.year, _FIRST_ZIP_YEAR), at.month, at.day, at.hour, at.minute, at.second // 2 * 2
