"""PNG and JPEG files with nothing in them but the picture: no text, place, device, thumbnail, nothing behind its end.

Sources: PNG Third Edition (W3C 2025), chunks; ITU-T T.81 Annex B, JPEG's markers; Exif 3.0, tag 274 Orientation.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from bwlib.errors import SettingsError

MAX_BYTES = 10_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
# What is needed to draw it, with the length that what is not pixels must have: nothing else hides in it.
_CHUNKS = {b"IHDR": 13, b"PLTE": None, b"tRNS": None, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"IDAT": None, b"IEND": 0}
_EOI, _SOS, _APP0, _APP1, _APP14 = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
# Frames and tables: SOF0-15 with DHT and DAC among them, DQT, DNL, DRI.
_DRAWN = {*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def cleaned(data: bytes) -> tuple[str, bytes]:
    """(".png" or ".jpg", the same picture without metadata).

    Raises: SettingsError for what is no PNG or JPEG by its first bytes, is broken, or has more than MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        raise _refused(f"it has {len(data)} bytes, more than {MAX_BYTES}", "make it smaller")
    try:
        if data.startswith(_PNG):
            return ".png", _clean_png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return ".jpg", _clean_jpeg(data)
    except (struct.error, IndexError):
        raise _refused("it is cut off", "take it again") from None
    raise _refused("its first bytes are those of neither a PNG nor a JPEG", "save it as one of the two")


def _refused(came_back: str, do_next: str) -> SettingsError:
    return SettingsError("add a picture", came_back, do_next)


# ---------------------------------------------------------------- PNG


def _clean_png(data: bytes) -> bytes:
    kept, names = [_PNG], []
    for name, chunk in _png_chunks(data):
        names.append(name)
        length = len(chunk) - 12
        if name in _CHUNKS and _CHUNKS[name] in (None, length):
            kept.append(chunk)
    if names[0] != b"IHDR" or b"IDAT" not in names:
        raise _refused("it is no whole PNG", "take it again")
    return b"".join(kept)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, whole chunk) up to IEND; what stands behind it is no part of the picture."""
    at, name = len(_PNG), b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(data[at + 4 : at + 8 + length]) != checksum:
            raise _refused("it is a PNG with a wrong checksum", "take it again")
        yield name, data[at : at + 12 + length]
        at += 12 + length


# ---------------------------------------------------------------- JPEG


def _clean_jpeg(data: bytes) -> bytes:
    kept, markers = [b"\xff\xd8"], set()
    for marker, segment in _jpeg_segments(data):
        markers.add(marker)
        if marker in _DRAWN or marker in (_SOS, _EOI):
            kept.append(segment)
        else:
            kept.append(_needed_of(marker, segment[4:]))
    if not markers & _FRAMES or _SOS not in markers:
        raise _refused("it is no whole JPEG", "take it again")
    return b"".join(kept)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, whole segment) up to the end of the image; a scan comes with its pixels."""
    at, marker = 2, 0
    while marker != _EOI:
        if data[at] != 0xFF:
            raise _refused("it is a broken JPEG", "take it again")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2
        if marker != _EOI:
            (length,) = struct.unpack_from(">H", data, at + 2)
            end += length
        if marker == _SOS:
            end = _end_of_scan(data, end)
        yield marker, data[at:end]
        at = end


def _end_of_scan(data: bytes, at: int) -> int:
    """Where the next marker is: in a scan 0xFF stands before 0x00 (stuffing) or a restart marker only."""
    while (at := data.find(b"\xff", at)) >= 0:
        if data[at + 1] != 0x00 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
    raise IndexError


def _needed_of(marker: int, payload: bytes) -> bytes:
    """Of an application's segment, what changes how the picture looks: density, colour transform, orientation."""
    if marker == _APP0 and payload.startswith(b"JFIF\0") and len(payload) >= 14:
        return _segment(_APP0, payload[:12] + b"\0\0")  # no thumbnail
    if marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
        return _segment(_APP14, payload[:12])
    if marker == _APP1 and payload.startswith(b"Exif\0\0"):
        turned = _orientation(payload[6:])
        if turned:  # a new Exif segment with that one tag
            tag = struct.pack(">HHIHH", 274, 3, 1, turned, 0)
            return _segment(_APP1, b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + tag + bytes(4))
    return b""


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _orientation(tiff: bytes) -> int:
    """How a camera was held, 2 to 8; 0 when upright or not said."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 0
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(min(count, 100)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, first + 2 + 12 * entry)
            if (tag, kind) == (274, 3):
                return int(value) if 2 <= value <= 8 else 0
    except struct.error:
        pass
    return 0
