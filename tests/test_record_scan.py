"""The search before the seal finds a secret wherever a file can hide it, and names file and kind, never the value."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bwlib.errors import RecordError
from bwlib.record import scan
from bwlib.record.manifest import seal
from bwlib.record.redact import redactor_for
from bwlib.record.run_record import start_run
from bwlib.record.scan import Hit, scan_folder

SECRET = "correct-<horse>&battery"
REDACTOR = redactor_for([("file:sip", SECRET)])


def kinds(folder: Path, name: str, data: bytes | str) -> tuple[str, ...]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    hits = scan_folder(folder, REDACTOR)
    assert SECRET not in str(hits)
    assert [hit.file for hit in hits] in ([], [name])
    return hits[0].kinds if hits else ()


def zipped(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return packed.getvalue()


def png(kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunk


def notebook(*outputs: tuple[str, str]) -> str:
    streams = [{"output_type": "stream", "name": name, "text": [text]} for name, text in outputs]
    return json.dumps({"cells": [{"cell_type": "code", "outputs": streams}]})


S = SECRET.encode()
TWO_OUTPUTS = notebook(("stdout", SECRET[:9]), ("stdout", SECRET[9:]))
HIDDEN: dict[str, tuple[str, bytes | str]] = {
    "plain": ("a/b.txt", f"it is {SECRET}."),
    "base64": ("a.bin", base64.b64encode(b"ab" + S + b"c")),
    "UTF-16": ("a.xml", SECRET.encode("utf-16-le")),
    "numbered entities": ("a.svg", "".join(f"&#{ord(c)};" for c in SECRET)),
    "tags between": ("a.html", "corr<b>ect-</b>&lt;horse&gt;&amp;bat<i></i>tery"),
    "JSON escapes": ("a.json", '{"x": "' + "".join(f"\\u{ord(c):04x}" for c in SECRET) + '"}'),
    "a JSON name": ("a.json", json.dumps({"".join(SECRET): 1})),
    "JSON pieces": ("a.json", json.dumps([SECRET[:9], SECRET[9:]])),
    "a JSON line": ("a.jsonl", 'no JSON\n{"x": "' + "".join(f"\\u{ord(c):04x}" for c in SECRET) + '"}\n'),
    "two outputs": ("a.ipynb", TWO_OUTPUTS),
    "two outputs, another between": (
        "a.ipynb",
        notebook(("stdout", SECRET[:9]), ("stderr", "x"), ("stdout", SECRET[9:])),
    ),
    "zip": ("a.zip", zipped("b.txt", S)),
    "a name in a zip": ("a.zip", zipped(SECRET, b"")),
    "zip in zip": ("a.zip", zipped("b.zip", zipped("c.txt", S))),
    "gzip": ("a.txt.gz", gzip.compress(S)),
    "a notebook in a zip": (
        "a.zip",
        zipped("b.ipynb", notebook(("stdout", SECRET[:9]), ("stdout", SECRET[9:])).encode()),
    ),
    "PNG text": ("a.png", png(b"tEXt", b"Comment\0" + S)),
    "PNG packed text": ("a.png", png(b"zTXt", b"Comment\0\0" + zlib.compress(S))),
    "PNG packed UTF-8": ("a.png", png(b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(S))),
    "JPEG comment": ("a.jpg", b"\xff\xd8\xff\xfe\x00\x20" + S),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_secret_is_found(tmp_path: Path, name: str) -> None:
    assert kinds(tmp_path, *HIDDEN[name]) == ("file:sip",)


@pytest.mark.parametrize("name", HIDDEN)
def test_another_secret_is_not_taken_for_it(tmp_path: Path, name: str) -> None:
    file, data = HIDDEN[name]
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(data.encode() if isinstance(data, str) else data)
    assert scan_folder(tmp_path, redactor_for([("other", "another-horse-battery")])) == []


def test_a_secret_in_a_files_name_is_found_and_not_told(tmp_path: Path) -> None:
    folder = tmp_path / SECRET.replace("/", "")
    folder.mkdir()
    (folder / "a.txt").write_text("x")
    hits = scan_folder(tmp_path, REDACTOR)
    assert [hit.file for hit in hits] == ["«redacted:file:sip»", "«redacted:file:sip»/a.txt"]


# ---------------------------------------------------------------- PDF


def pdf(*lines: str) -> bytes:
    """A PDF of one page whose text is packed, as browsers write it."""
    text = b"BT /F1 12 Tf 72 700 Td 14 TL " + b"".join(b"(%s) Tj T* " % line.encode() for line in lines) + b"ET"
    packed = zlib.compress(text)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + table + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(data)


def test_the_words_of_a_pdf_are_searched_also_across_its_lines(tmp_path: Path) -> None:
    assert kinds(tmp_path, "a.pdf", pdf("it is fine")) == ()
    assert kinds(tmp_path, "a.pdf", pdf("it is", SECRET)) == ("file:sip",)
    assert kinds(tmp_path, "a.pdf", pdf(SECRET[:8], SECRET[8:])) == ("file:sip",)


def test_a_pdf_that_cannot_be_read_is_a_hit(tmp_path: Path) -> None:
    assert kinds(tmp_path, "a.pdf", b"%PDF-1.4 and no more") == ("unreadable PDF",)


def test_without_pypdf_nobody_can_say_what_a_pdf_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    assert kinds(tmp_path, "a.pdf", pdf("it is fine")) == ("unreadable PDF",)


# ---------------------------------------------------------------- limits


def nested(levels: int) -> bytes:
    data = b"x"
    for _ in range(levels):
        data = zipped("a.zip", data)
    return data


@pytest.mark.parametrize(
    ("data", "kind"),
    [(lambda: nested(4), "an archive too large or too deep"), (lambda: b"PK\x03\x04 cut off", "unreadable archive")],
)
def test_what_cannot_be_unpacked_is_a_hit(tmp_path: Path, data: Callable[[], bytes], kind: str) -> None:
    assert kinds(tmp_path, "a.zip", data()) == (kind,)


def test_a_member_beyond_the_limit_is_a_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "LARGEST", 1000)
    assert kinds(tmp_path, "a.gz", gzip.compress(b"x" * 1001)) == ("an archive too large or too deep",)
    assert kinds(tmp_path, "a.gz", gzip.compress(b"x" * 1000)) == ()


# ---------------------------------------------------------------- the seal


def test_the_seal_is_refused_with_every_file_and_kind(tmp_path: Path) -> None:
    record = start_run(tmp_path, redactor_for([("file:sip", SECRET)]))
    record.write_bytes("a.zip", zipped("b.txt", S))
    record.write_bytes("z.pdf", b"%PDF-")
    with pytest.raises(RecordError) as caught:
        seal(record)
    assert caught.value.came_back == "a.zip holds a secret: file:sip; z.pdf cannot be searched: unreadable PDF"
    assert not record.is_sealed


def test_a_hit_says_both_what_it_holds_and_what_was_not_searched() -> None:
    hit = Hit("a.zip", ("file:sip", "unreadable PDF"))
    assert str(hit) == "a.zip holds a secret: file:sip; cannot be searched: unreadable PDF"
