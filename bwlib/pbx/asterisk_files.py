"""Our own files in Asterisk's configuration directory, and the one line in each of the person's files that reads them.

Nothing else of the person's files is touched: take everything of ours away and they are what they were, byte for byte.
What is done is here; how a file is read or written is `Files`: on this machine (below), or on another one over ssh
(`bwlib.pbx.asterisk_files_ssh`).
"""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from bwlib.errors import PbxRefused
from bwlib.pbx.asterisk_text import Block, Key, join_blocks, mask_secrets, split_blocks, with_include, without_include

log = logging.getLogger(__name__)

FOLDER = "bw-runbook"
PERSONS_FILES = ("pjsip.conf", "extensions.conf")


@dataclass(frozen=True)
class Change:
    """One file as it is to be: `content`, or gone when that is None.

    like: the file whose owner it gets, and whose mode unless `mode` is given; "" for itself.
    """

    name: str
    content: bytes | None
    like: str = ""
    mode: int | None = None


class Files(Protocol):
    """Asterisk's configuration directory, wherever it is. Names are relative to it, or absolute.

    All methods raise PbxRefused with what the system said, PbxUnreachable when the machine does not answer.
    """

    @property
    def directory(self) -> str:
        """As it was given."""

    def identity(self) -> Mapping[str, str]:
        """What tells this directory from others, for the record."""

    def read(self, *patterns: str) -> dict[str, bytes]:
        """Name -> content of each file that there is. The last part of a pattern may hold * ? and [...]."""

    def tail(self, name: str, size: int) -> bytes:
        """The last `size` bytes of a file: of a log, which may be huge."""

    def change(self, *changes: Change) -> None:
        """Make them so, each file at once, all of them or none. A missing folder is made, an emptied one goes."""

    def locked(self) -> AbstractContextManager[None]:
        """One writer at a time, between processes too."""


class OwnFiles:
    """bw-runbook/pjsip.conf and bw-runbook/extensions.conf under Asterisk's configuration directory."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def blocks(self, file: str) -> dict[Key, Block]:
        """Our blocks in bw-runbook/<file>; empty when there is no such file."""
        ours = f"{FOLDER}/{file}"
        return split_blocks(self._files.read(ours).get(ours, b"").decode())

    def write(self, file: str, blocks: Mapping[Key, Block], head: str = "") -> None:
        """Make `blocks` the content of bw-runbook/<file>: atomically, and together with the including line."""
        ours = f"{FOLDER}/{file}"
        line = f"#tryinclude {ours}\n".encode()
        text = join_blocks(blocks, head).encode()
        there = self._files.read(file, ours)
        before = there.get(file, b"")
        if text:
            wanted = [Change(ours, text, like=file, mode=0o600), Change(file, with_include(before, line), like=file)]
        else:
            wanted = [Change(file, without_include(before, line), like=file), Change(ours, None)]
        changes = [change for change in wanted if (there.get(change.name) or None) != (change.content or None)]
        if changes:
            self._files.change(*changes)

    def snapshot(self) -> dict[str, str]:
        """Both of the person's files and both of ours, those that there are; secrets masked."""
        found = self._files.read(*PERSONS_FILES, *(f"{FOLDER}/{file}" for file in PERSONS_FILES))
        return {name: mask_secrets(content.decode("utf-8", errors="replace")) for name, content in found.items()}

    def persons_sections(self, file: str) -> set[str]:
        """The names of all sections in the person's <file> and the files that it includes, ours excepted."""
        sections: set[str] = set()
        asked: set[str] = set()
        wanted = {file}
        while wanted:
            asked |= wanted
            found = self._files.read(*sorted(wanted))
            texts = [
                content.decode("utf-8", errors="replace") for name, content in found.items() if self._is_not_ours(name)
            ]
            wanted = {name for text in texts for name in _included(text)} - asked
            sections |= {name for text in texts for name in re.findall(r"^[ \t]*\[([^\]\n]+)\]", text, re.MULTILINE)}
        return sections

    def _is_not_ours(self, name: str) -> bool:
        return PurePosixPath(self._files.directory, name).parent != PurePosixPath(self._files.directory, FOLDER)


def _included(text: str) -> set[str]:
    found = re.findall(r'^[ \t]*#(?:try)?include[ \t]+["<]?([^">;\n]+)', text, re.MULTILINE)
    return {pattern.strip() for pattern in found} - {""}


# ------------------------------------------------------------------ on this machine


class LocalFiles:
    """A directory of this machine. See `Files`."""

    def __init__(self, directory: Path) -> None:
        self._dir = directory

    @property
    def directory(self) -> str:
        return str(self._dir)

    def identity(self) -> Mapping[str, str]:
        return {"config_dir": str(self._dir.resolve())}

    def read(self, *patterns: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for pattern in patterns:
            for name in self._matching(pattern):
                try:
                    found[name] = (self._dir / name).read_bytes()
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    continue
                except OSError as error:
                    raise self._refused("read", error) from error
        return found

    def tail(self, name: str, size: int) -> bytes:
        try:
            with (self._dir / name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read(size)
        except OSError as error:
            raise self._refused("read", error) from error

    def _matching(self, pattern: str) -> list[str]:
        where = Path(pattern)
        if not glob.has_magic(where.name):
            return [pattern]
        return [str(where.parent / path.name) for path in sorted((self._dir / where.parent).glob(where.name))]

    def change(self, *changes: Change) -> None:
        before = self.read(*(change.name for change in changes))
        done: list[Change] = []
        try:
            for change in changes:
                self._change(change)
                done.append(change)
        except OSError as error:
            for change in reversed(done):
                with suppress(OSError):  # the first error is the one to tell
                    self._change(Change(change.name, before.get(change.name), change.like, change.mode))
            raise self._refused("write", error) from error

    def _change(self, change: Change) -> None:
        path = self._dir / change.name
        if change.content is None:
            path.unlink(missing_ok=True)
            if path.parent != self._dir:
                with suppress(OSError):  # another file still lives in it, or it was never there
                    path.parent.rmdir()
            return
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700)
            _give_to_owner_of(self._dir, path.parent)
        _replace(path, change.content, like=self._dir / (change.like or change.name), mode=change.mode)

    @contextmanager
    def locked(self) -> Iterator[None]:
        try:
            directory = os.open(self._dir, os.O_RDONLY)
        except OSError as error:
            raise self._refused("open", error) from error
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _refused(self, verb: str, error: OSError) -> PbxRefused:
        return PbxRefused(
            f"{verb} Asterisk's configuration in {self._dir}",
            f"{error.filename or self._dir}: {error.strerror}",
            "run this as a user who may write there, or give the right directory",
        )


def _replace(path: Path, content: bytes, like: Path, mode: int | None = None) -> None:
    """Write a whole file at once; a reader sees the old or the new one. Keeps owner (and mode) of `like`."""
    path = path.resolve()
    there = like.stat() if like.exists() else None
    wanted_mode = mode if mode is not None else (there.st_mode & 0o777 if there else 0o600)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # no *.conf: it must not match anybody's #include
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(wanted_mode)
        _give_to_owner_of(like, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _give_to_owner_of(like: Path, path: Path) -> None:
    """Asterisk must be able to read what root wrote with mode 0600."""
    if os.geteuid() == 0 and like.exists():
        there = like.stat()
        os.chown(path, there.st_uid, there.st_gid)
