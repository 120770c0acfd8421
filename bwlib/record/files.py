"""What lies in a record's folder: the SHA-256 of every file, and whatever has no place in a record.

Nothing is followed and nothing is waited for: a symbolic link, a pipe or an empty folder is named, not read.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

# Control characters, marks that turn the writing direction, halves of characters, separators of lines.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class Contents:
    """digests: name below the folder -> SHA-256. odd: a sentence for each entry that is no ordinary file."""

    digests: dict[str, str]
    odd: tuple[str, ...]


def contents(folder: Path) -> Contents:
    """Everything below `folder`, in order of name."""
    digests: dict[str, str] = {}
    odd: list[str] = []
    for name, fault in sorted(_entries(folder)):
        if not fault:
            try:
                digests[name] = _sha256(folder / name)
            except OSError as error:
                fault = f"cannot be read: {error.strerror or type(error).__name__}"
        if fault:
            odd.append(f"{name} {fault}")
        elif is_odd(name):
            odd.append(f"{name} has a name that cannot be read or typed as it is")
    return Contents(digests, tuple(odd))


def is_odd(name: str) -> bool:
    """Whether a name shows as something else than it is, or means another thing elsewhere."""
    return "\\" in name or any(unicodedata.category(character) in _UNSEEN for character in name)


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """(name below the folder, what is wrong with it) of everything but folders that hold something."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            found = list(os.scandir(folder / below))
        except OSError as error:
            yield below.rstrip("/") or ".", f"cannot be read: {error.strerror or type(error).__name__}"
            continue
        if not found and below:
            yield below.rstrip("/"), "is an empty folder"
        for entry in found:
            name = below + entry.name
            if entry.is_symlink():
                yield name, "is a symbolic link"
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(name + "/")
            else:
                yield name, "" if entry.is_file(follow_symlinks=False) else "is neither a file nor a folder"


def _sha256(path: Path) -> str:
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_regular(path: Path) -> BufferedReader:
    """An ordinary file, opened to be read. Raises: OSError, also for a link or a pipe that is found in its place."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is no file")
    return os.fdopen(descriptor, "rb")


def read_limited(path: Path, limit: int) -> bytes:
    """A whole ordinary file of at most `limit` bytes. Raises: OSError."""
    with open_regular(path) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise OSError(0, f"it is larger than {limit} bytes")
    return data


def remove_empty_folders(folder: Path) -> None:
    """A record holds files: a folder in which nothing was put goes, so that one found later was put there."""
    for path, _, _ in os.walk(folder, topdown=False):
        if Path(path) != folder and not os.listdir(path):
            os.rmdir(path)
