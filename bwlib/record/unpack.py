"""A record out of a zip that anybody may have made: nothing leaves the folder, links or fills the disk."""

from __future__ import annotations

import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bwlib.record.journal import MANIFEST

LARGEST = 2 * 1024**3  # bytes, unpacked; a record with two calls has three million
MOST = 20_000  # files and folders
_BROKEN = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError),
    *(NotImplementedError, RuntimeError, EOFError, OSError, ValueError, OverflowError),
)


class BadArchive(ValueError):
    """The archive is broken, too large, or holds what no record does; the text says which."""


@dataclass(frozen=True)
class Unpacked:
    """A record out of an archive. name: its folder's in the archive, empty at the top. beside: what lies beside it."""

    folder: Path
    name: str = ""
    beside: tuple[str, ...] = ()


@contextmanager
def unpacked(archive: Path, *, largest: int = LARGEST, most: int = MOST) -> Iterator[Unpacked]:
    """The record in an archive, at its top or in one folder there, for as long as the context lasts.

    Raises: BadArchive.
    """
    with tempfile.TemporaryDirectory(prefix="bw-verify-") as made:
        try:
            if archive.stat().st_size > largest:
                raise ValueError(f"it is larger than {largest} bytes")
            with zipfile.ZipFile(archive) as opened:
                _extract(opened, Path(made), largest, most)
        except _BROKEN as error:
            raise BadArchive(f"the archive cannot be unpacked: {error or type(error).__name__}") from None
        yield _the_record_in(Path(made))


def _extract(opened: zipfile.ZipFile, folder: Path, largest: int, most: int) -> None:
    members = opened.infolist()
    if len(members) > most:
        raise ValueError(f"it holds more than {most} entries")
    if sum(member.file_size for member in members) > largest:
        raise ValueError(f"it is larger than {largest} bytes")
    for member in members:
        path = folder / _safe_name(member)
        if member.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            continue
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # "x": a name that is said twice is two readings of one archive. A declared size that lies is caught by zipfile,
        # which gives no more than was declared and compares the CRC.
        with opened.open(member) as packed, path.open("xb") as out:
            shutil.copyfileobj(packed, out)


def _safe_name(member: zipfile.ZipInfo) -> str:
    """The member's name, when it can only mean a file or a folder below the one it is unpacked to."""
    # zipfile itself cuts a name at a NUL; what it was is in orig_filename.
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise ValueError(f"{name!r} is a link or a device")
    if any(part in ("", ".", "..") for part in parts) or any(character in name for character in "\\\0"):
        raise ValueError(f"{name!r} leads out of the archive")
    if member.flag_bits & 0x1:
        raise ValueError(f"{name!r} is encrypted")
    return name


def _the_record_in(folder: Path) -> Unpacked:
    if _is_record(folder):
        return Unpacked(folder)
    records = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_record(path)]
    if len(records) != 1:
        raise BadArchive("the archive holds " + ("more than one record" if records else "no record"))
    beside = tuple(path.name for path in sorted(folder.iterdir()) if path != records[0])
    return Unpacked(records[0], records[0].name, beside)


def _is_record(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or (folder / "journal.jsonl").is_file()
