"""WAV bytes to and from the sandbox's audio: int16, 8000 Hz, mono."""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

from bwlib.sandbox.speech import to_8000_hz

Pcm = npt.NDArray[np.int16]
RATE = 8000


class WavError(ValueError):
    """Bytes that are not a PCM WAV file we can play."""


def encode(pcm: Pcm) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def decode(data: bytes) -> Pcm:
    """16-bit PCM, any rate, mono or more (mixed down). Raises WavError."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise WavError(f"not a PCM WAV file: {error}") from error
    if width != 2 or rate < 1000:
        raise WavError(f"{8 * width}-bit samples at {rate} Hz; 16-bit ones are wanted")
    frames = np.frombuffer(raw[: len(raw) // (2 * channels) * 2 * channels], dtype="<i2").reshape(-1, channels)
    mono = frames.mean(axis=1)
    pcm: Pcm = np.rint(mono).astype(np.int16)
    return pcm if rate == RATE else to_8000_hz(pcm, rate)
