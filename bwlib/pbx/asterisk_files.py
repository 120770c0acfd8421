"""Our own files in Asterisk's configuration directory, and the one line in each of the person's files that reads them.

Nothing else of the person's files is touched: take everything of ours away and they are what they were, byte for byte.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bwlib.errors import PbxRefused
from bwlib.pbx.asterisk_text import Block, Key, join_blocks, mask_secrets, split_blocks, with_include, without_include

log = logging.getLogger(__name__)

FOLDER = "bw-runbook"
PERSONS_FILES = ("pjsip.conf", "extensions.conf")


class OwnFiles:
    """bw-runbook/pjsip.conf and bw-runbook/extensions.conf under Asterisk's configuration directory."""

    def __init__(self, config_dir: Path) -> None:
        self._dir = config_dir

    def blocks(self, file: str) -> dict[Key, Block]:
        """Our blocks in bw-runbook/<file>; empty when there is no such file."""
        path = self._dir / FOLDER / file
        return split_blocks(self._read(path).decode()) if path.exists() else {}

    def write(self, file: str, blocks: Mapping[Key, Block], head: str = "") -> None:
        """Make `blocks` the content of bw-runbook/<file>: atomically, and together with the including line."""
        persons, ours = self._dir / file, self._dir / FOLDER / file
        line = f"#tryinclude {FOLDER}/{file}\n".encode()
        text = join_blocks(blocks, head).encode()
        try:
            if text:
                ours.parent.mkdir(mode=0o700, exist_ok=True)
                _give_to_owner_of(self._dir, ours.parent)
                _replace(ours, text, like=persons, mode=0o600)
                _replace(persons, with_include(self._read(persons), line), like=persons)
            else:
                _replace(persons, without_include(self._read(persons), line), like=persons)
                ours.unlink(missing_ok=True)
                with suppress(OSError):  # the other file still lives in it, or it was never there
                    ours.parent.rmdir()
        except OSError as error:
            raise self._refused("write", error) from error

    @property
    def directory(self) -> Path:
        return self._dir

    def snapshot(self) -> dict[str, str]:
        """Both of the person's files and both of ours, those that there are; secrets masked."""
        names = [*PERSONS_FILES, *(f"{FOLDER}/{file}" for file in PERSONS_FILES)]
        paths = {name: self._dir / name for name in names}
        return {
            name: mask_secrets(self._read(path).decode("utf-8", errors="replace"))
            for name, path in paths.items()
            if path.exists()
        }

    def persons_sections(self, file: str) -> set[str]:
        """The names of all sections in the person's <file> and the files that it includes, ours excepted."""
        names: set[str] = set()
        for path in self._with_included(self._dir / file, set()):
            text = self._read(path).decode("utf-8", errors="replace")
            names |= set(re.findall(r"^[ \t]*\[([^\]\n]+)\]", text, re.MULTILINE))
        return names

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, between processes too."""
        try:
            directory = os.open(self._dir, os.O_RDONLY)
        except OSError as error:
            raise self._refused("open", error) from error
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _with_included(self, path: Path, seen: set[Path]) -> Iterator[Path]:
        if path in seen or not path.is_file() or path.parent == self._dir / FOLDER:
            return
        seen.add(path)
        yield path
        text = self._read(path).decode("utf-8", errors="replace")
        for pattern in re.findall(r'^[ \t]*#(?:try)?include[ \t]+["<]?([^">;\n]+)', text, re.MULTILINE):
            where = Path(pattern.strip())
            base = where.parent if where.is_absolute() else self._dir / where.parent
            for included in sorted(base.glob(where.name)):
                yield from self._with_included(included, seen)

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._refused("read", error) from error

    def _refused(self, verb: str, error: OSError) -> PbxRefused:
        return PbxRefused(
            f"{verb} Asterisk's configuration in {self._dir}",
            f"{error.filename or self._dir}: {error.strerror}",
            "run this as a user who may write there, or give the right directory",
        )


def _replace(path: Path, content: bytes, like: Path, mode: int | None = None) -> None:
    """Write a whole file at once; a reader sees the old or the new one. Keeps owner (and mode) of `like`."""
    path = path.resolve()
    if path.exists() and path.read_bytes() == content:
        return
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
