"""G.711: 16-bit linear PCM to and from 8-bit mu-law (PCMU) and A-law (PCMA), by lookup tables.

Source: ITU-T G.711 (11/88), tables 1a/1b and 2a/2b; RFC 3551 section 4.5.14 for the RTP payload
(inverted even bits of A-law included). PCM is int16, 8000 Hz, mono.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]

SAMPLE_RATE = 8000
ULAW_SILENCE = 0xFF
ALAW_SILENCE = 0xD5

_ULAW_BIAS = 33  # of the 14-bit value
_ULAW_CLIP = 8158
_SEGMENT_ENDS = np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF])


def _ulaw_decode_table() -> Pcm:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    segment, step = (code >> 4) & 7, code & 0x0F
    magnitude = (((step << 1) + _ULAW_BIAS) << segment) - _ULAW_BIAS
    value: npt.NDArray[np.int32] = np.where(code & 0x80, -magnitude, magnitude) * 4
    return value.astype(np.int16)


def _ulaw_encode_table() -> npt.NDArray[np.uint8]:
    value = np.arange(-32768, 32768, dtype=np.int32) >> 2
    magnitude = np.minimum(np.abs(value), _ULAW_CLIP) + _ULAW_BIAS
    segment = np.searchsorted(_SEGMENT_ENDS << 1 | 1, magnitude)
    code: npt.NDArray[np.int64] = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    return (code ^ np.where(value < 0, 0x7F, 0xFF)).astype(np.uint8)


def _alaw_decode_table() -> Pcm:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = (code >> 4) & 7, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _alaw_encode_table() -> npt.NDArray[np.uint8]:
    value = np.arange(-32768, 32768, dtype=np.int32) >> 3
    magnitude = np.where(value < 0, -value - 1, value)
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    shift = np.where(segment < 2, 1, segment)
    code = (segment << 4) | ((magnitude >> shift) & 0x0F)
    return (code ^ np.where(value < 0, 0x55, 0xD5)).astype(np.uint8)


_ULAW_TO_PCM = _ulaw_decode_table()
_PCM_TO_ULAW = _ulaw_encode_table()
_ALAW_TO_PCM = _alaw_decode_table()
_PCM_TO_ALAW = _alaw_encode_table()


def encode_ulaw(pcm: Pcm) -> bytes:
    """One byte per sample."""
    return _PCM_TO_ULAW[pcm.astype(np.int32) + 32768].tobytes()


def decode_ulaw(data: bytes) -> Pcm:
    """One sample per byte."""
    return _ULAW_TO_PCM[np.frombuffer(data, dtype=np.uint8)]


def encode_alaw(pcm: Pcm) -> bytes:
    """One byte per sample."""
    return _PCM_TO_ALAW[pcm.astype(np.int32) + 32768].tobytes()


def decode_alaw(data: bytes) -> Pcm:
    """One sample per byte."""
    return _ALAW_TO_PCM[np.frombuffer(data, dtype=np.uint8)]


def encode(codec: str, pcm: Pcm) -> bytes:
    """`codec` is "PCMU" or "PCMA" (KeyError otherwise)."""
    return {"PCMU": encode_ulaw, "PCMA": encode_alaw}[codec](pcm)


def decode(codec: str, data: bytes) -> Pcm:
    """`codec` is "PCMU" or "PCMA" (KeyError otherwise)."""
    return {"PCMU": decode_ulaw, "PCMA": decode_alaw}[codec](data)
