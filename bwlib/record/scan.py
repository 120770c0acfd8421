"""Search a finished record for secrets: every file, and what is packed inside files. What is found refuses the seal.

Names of files and kinds of secrets are told, never a value. What cannot be searched (a PDF without pypdf, an archive
beyond the limits) is told too, because nobody can say what is in it. Text that somebody transformed on purpose, and
pixels, are not found: pictures of pages are searched before they are taken.
"""

from __future__ import annotations

import gzip
import html
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bwlib.record.notebook import merge_streams
from bwlib.record.redact import Redactor

DEEPEST = 3  # archives within archives
LARGEST = 200_000_000  # bytes of one member, unpacked
_TAG = re.compile(r"<[^<>]*>")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Hit:
    """file: its path within the record, itself redacted. kinds: the secrets' names, or why it cannot be searched."""

    file: str
    kinds: tuple[str, ...]

    def __str__(self) -> str:
        fault = [kind for kind in self.kinds if kind in _UNSEARCHABLE]
        found = [kind for kind in self.kinds if kind not in _UNSEARCHABLE]
        told = [f"holds a secret: {', '.join(found)}"] if found else []
        return f"{self.file} " + "; ".join([*told, *(f"cannot be searched: {one}" for one in fault)])


UNREADABLE_PDF = "unreadable PDF"
UNREADABLE_ARCHIVE = "unreadable archive"
TOO_LARGE = "an archive too large or too deep"
_UNSEARCHABLE = (UNREADABLE_PDF, UNREADABLE_ARCHIVE, TOO_LARGE)


def scan_folder(folder: Path, redactor: Redactor) -> list[Hit]:
    """Search every file below `folder`, and the files' names; in the order of their names."""
    hits = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        kinds = set(redactor.findings(name))
        if path.is_file():
            kinds |= kinds_in(path.name, path.read_bytes(), redactor)
        if kinds:
            hits.append(Hit(redactor.text(name), tuple(sorted(kinds))))
    return hits


def kinds_in(name: str, data: bytes, redactor: Redactor, depth: int = 0) -> set[str]:
    """What is found in one file: in its bytes, and by what its name or its first bytes say it is."""
    kinds = set(redactor.findings(data))
    if b"\0" in data:  # UTF-16, as pictures and Windows have it
        kinds |= set(redactor.findings(data.replace(b"\0", b"")))
    for is_such, texts_of in _TEXTS:
        if is_such(name.lower(), data):
            for text in texts_of(data):
                kinds |= set(redactor.findings(text))
    if data.startswith(b"%PDF"):
        kinds |= _in_pdf(data, redactor, depth)
    elif data.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        kinds |= _in_archive(data, redactor, depth)
    return kinds


# ---------------------------------------------------------------- texts in another dress


def _json_texts(data: bytes) -> Iterator[str]:
    """Every string as it is without JSON's escapes; pieces of a stream, or of any list of texts, put together."""
    for line in [data] if data.lstrip()[:1] in b"[{" and _is_json(data) else data.splitlines():
        try:
            value = merge_streams(json.loads(line))
        except (ValueError, RecursionError):
            continue
        yield "\n".join(_strings(value))


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _strings(inner)
    elif isinstance(value, list):
        if len(value) > 1 and all(isinstance(inner, str) for inner in value):
            yield "".join(value)
        yield from _streams_of(value)
        for inner in value:
            yield from _strings(inner)


def _streams_of(outputs: list[Any]) -> Iterator[str]:
    """What a cell wrote to one stream, whatever came between."""
    streams = [one for one in outputs if isinstance(one, dict) and one.get("output_type") == "stream"]
    for name in {str(one.get("name")) for one in streams}:
        yield "".join(str(one.get("text", "")) for one in streams if str(one.get("name")) == name)


def _markup_texts(data: bytes) -> Iterator[str]:
    """HTML and SVG with entities decoded, and as they are read: without the tags between."""
    text = data.decode("utf-8", "replace")
    if "&" in text:
        yield html.unescape(text)
    yield html.unescape(_TAG.sub("", text))


def _png_texts(data: bytes) -> Iterator[str]:
    """The text chunks of a PNG, inflated. Source: PNG specification, 11.3.3 (tEXt, zTXt, iTXt)."""
    place = len(_PNG)
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind in (b"zTXt", b"iTXt"):
            for start in (match.end() for match in re.finditer(rb"\0", body)):
                try:
                    yield zlib.decompressobj().decompress(body[start:], LARGEST).decode("utf-8", "replace")
                except zlib.error:
                    continue


_TEXTS: tuple[tuple[Callable[[str, bytes], bool], Callable[[bytes], Iterator[str]]], ...] = (
    (lambda name, data: name.endswith((".json", ".jsonl", ".ipynb")), _json_texts),
    (lambda name, data: name.endswith((".html", ".htm", ".svg", ".xml", ".xhtml")), _markup_texts),
    (lambda name, data: data.startswith(_PNG), _png_texts),
)


# ---------------------------------------------------------------- files in files


def _in_pdf(data: bytes, redactor: Redactor, depth: int) -> set[str]:
    """A PDF holds glyphs, not letters: pypdf reads the words, which may be broken into lines anywhere."""
    try:
        from pypdf import PdfReader

        reader = PdfReader(io.BytesIO(data))
        kinds = set()
        for page in reader.pages:
            words = page.extract_text()
            notes = " ".join(str(note.get_object()) for note in page.get("/Annots") or ())
            for text in (words, words.replace("\n", ""), re.sub(r"\s+", "", words), notes):
                kinds |= set(redactor.findings(text))
        kinds |= set(redactor.findings(" ".join(map(str, (reader.metadata or {}).values()))))
        for name, versions in reader.attachments.items():
            for inner in versions:
                kinds |= set(redactor.findings(name)) | kinds_in(name, inner, redactor, depth + 1)
    except Exception:  # pypdf is missing (an extra), or one of its many errors: nobody can say what is in it
        return {UNREADABLE_PDF}
    return kinds


def _in_archive(data: bytes, redactor: Redactor, depth: int) -> set[str]:
    """The members of a zip, or the content of a gzip file."""
    if depth >= DEEPEST:
        return {TOO_LARGE}
    kinds: set[str] = set()
    try:
        for name, inner in _members(data):
            if len(inner) > LARGEST:
                return kinds | {TOO_LARGE}
            kinds |= set(redactor.findings(name)) | kinds_in(name, inner, redactor, depth + 1)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        kinds.add(UNREADABLE_ARCHIVE)  # cut off, encrypted, or packed in a way that Python does not know
    return kinds


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content), the content cut off just beyond the limit."""
    if data.startswith(b"\x1f\x8b"):
        with gzip.open(io.BytesIO(data)) as stream:
            yield "", stream.read(LARGEST + 1)
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                yield member.filename, stream.read(LARGEST + 1)
