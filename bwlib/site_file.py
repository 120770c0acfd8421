"""Answers written into a site file that a person may have edited: comments, order and everything else stay."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError

from bwlib import secret_references
from bwlib.entries import answer_of, field_of
from bwlib.errors import SettingsError
from bwlib.settings import Settings, load_settings


def write_answers(path: Path, answers: Mapping[str, object]) -> list[str]:
    """Put dotted entries into the site file; returns a line for each that was changed.

    The whole new file is checked before it takes the old one's place, in one step. Two tabs that save at once do not
    lose each other's answers. An answer that counts already, because it is the default, is not written.
    Raises: SettingsError, and then the file is as it was.
    """
    secret_references.refuse_values(answers, f"write into {path}")
    path = path.resolve()  # a link stays a link, and whoever comes by it meets the same lock
    with _alone(path):
        now = load_settings(path)
        changed = [entry for entry, value in answers.items() if _answer(now, _known(entry, path)) != value]
        if not changed:
            return []
        try:
            document = tomlkit.parse(path.read_bytes().decode("utf-8"))
        except (ParseError, OSError, UnicodeDecodeError) as error:  # it was readable just now
            raise SettingsError(f"write into {path}", str(error), "mend the file and try again") from None
        for entry in changed:
            put(document, entry, answers[entry])
        _replace(path, tomlkit.dumps(document))
        return [f"{entry}: {_answer(now, entry)!s} -> {answers[entry]!s}" for entry in changed]


def _known(entry: str, path: Path) -> str:
    try:
        field_of(entry)
    except KeyError:
        raise SettingsError(f"write into {path}", f"there is no entry {entry}", "use one of the site file's") from None
    return entry


def _answer(settings: Settings, entry: str) -> Any:
    found = answer_of(settings, entry)
    return list(found) if isinstance(found, tuple) else found


def put(document: Any, entry: str, value: object) -> None:
    """Into its table, made at the end where there is none; a top-level entry goes before the first table."""
    table, _, name = entry.rpartition(".")
    plain = list(value) if isinstance(value, tuple) else value
    if table:
        if table not in document:
            document[table] = tomlkit.table()
        document[table][name] = plain
    elif name in document:
        document[name] = plain
    else:
        _insert_before_tables(document, name, plain)


def _insert_before_tables(document: Any, name: str, value: object) -> None:
    """tomlkit appends, and an entry after a table's heading would belong to that table."""
    tables = [key for key, item in document.body if key is not None and hasattr(item, "append") and _is_table(item)]
    if not tables:
        document.append(name, value)
        return
    before = [key for key, item in document.body if key is not None and not _is_table(item)]
    document._insert_after(before[-1], name, value) if before else document._insert_at(0, name, value)


def _is_table(item: Any) -> bool:
    return isinstance(item, (tomlkit.items.Table, tomlkit.items.AoT))


def _replace(path: Path, text: str) -> None:
    """The new file in the old one's place, once it is known to be a good one; its mode stays."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".toml", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(path.stat().st_mode & 0o777)
        _check(new, path)
        new.replace(path)
    except OSError as error:
        raise SettingsError(f"write into {path}", error.strerror or str(error), "mend that, and save again") from None
    finally:
        new.unlink(missing_ok=True)


def _check(new: Path, path: Path) -> None:
    try:
        load_settings(new)
    except SettingsError as error:
        raise SettingsError(f"write into {path}", error.came_back, "give another answer; nothing was written") from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time. The lock lies beside the file, because the file itself is replaced."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"write into {path}", error.strerror or str(error), "mend that, and save again") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
