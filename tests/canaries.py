"""Canary credentials, and a search for them that shares no code with what it judges."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import secrets
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus


def new_canary() -> str:
    """Random, and with characters that URL, HTML and base64 write differently."""
    return f"cn{secrets.token_hex(6)}&/+{secrets.token_hex(3)}"


def spellings(secret: str) -> dict[str, bytes]:
    """Ways in which a secret is written down."""
    raw = secret.encode()
    found = {
        "plain": secret,
        "URL": quote(secret, safe=""),
        "form": quote_plus(secret),
        "HTML": html.escape(secret),
        "JSON": json.dumps(secret).strip('"'),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
    }
    for lead, first in enumerate((0, 2, 3)):  # the characters before also hold bits of what stands before
        last = (lead + len(raw)) * 4 // 3
        found[f"base64, {lead}"] = base64.b64encode(b"\0" * lead + raw).decode()[first:last]
    return {name: text.encode() for name, text in found.items()}


def ha1(user: str, realm: str, password: str) -> str:
    """RFC 2617's A1, hashed."""
    return hashlib.md5(f"{user}:{realm}:{password}".encode()).hexdigest()


def search(places: Iterable[Path], canaries: Mapping[str, str]) -> list[str]:
    """Each one found as "file: which canary, how written"; over files and whole folders, packed files unpacked."""
    wanted = {
        f"{name}, {how}": spelling for name, secret in canaries.items() for how, spelling in spellings(secret).items()
    }
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    found = []
    for file in files:
        if file.is_file():
            text = b"\n".join([file.name.encode(), *layers(file.name, file.read_bytes())])
            found += [f"{file}: {name}" for name, spelling in wanted.items() if spelling in text]
    return found


def layers(name: str, data: bytes) -> Iterator[bytes]:
    """A file's bytes, and what they are once unpacked or read."""
    yield data
    if name.endswith((".ipynb", ".json")) and data.strip():
        value = json.loads(data)
        yield "\n".join(strings(value)).encode("utf-8", "replace")
        for cell in value.get("cells", []) if isinstance(value, dict) else []:
            outputs = [one for one in cell.get("outputs", []) if one["output_type"] == "stream"]
            yield "".join("".join(one["text"]) for one in outputs).encode("utf-8", "replace")
    elif name.endswith(".jsonl"):
        for line in data.splitlines():
            yield "\n".join(strings(json.loads(line))).encode("utf-8", "replace")
    elif data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from layers(member, archive.read(member))
    elif data.startswith(b"%PDF"):
        from pypdf import PdfReader

        for page in PdfReader(io.BytesIO(data)).pages:
            words = page.extract_text()
            yield words.encode()
            yield "".join(words.split()).encode()


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value
