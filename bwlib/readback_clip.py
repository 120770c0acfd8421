"""The known clip: three seconds that sound like nobody, always the same, and unlike any other part of themselves.

Aperiodic on purpose, so that a correlation finds one place and one only. 16-bit PCM, 8000 Hz, mono.
"""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt

RATE_HZ = 8000
SECONDS = 3.0
EDGE_SILENCE_S = 0.1


def clip_pcm() -> npt.NDArray[np.int16]:
    """A sweep with speech-like syllables and a little noise within the telephone band, silent at both ends."""
    t = np.arange(int(RATE_HZ * (SECONDS - 2 * EDGE_SILENCE_S))) / RATE_HZ
    noise = np.random.default_rng(20261123).standard_normal(t.size)
    noise = np.convolve(noise, np.hanning(9) / 4, mode="same")  # keep it below about 1.5 kHz
    sweep = np.sin(2 * np.pi * (350 * t + 260 * t**2))  # 350 Hz to 1800 Hz
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * (2.3 * t + 0.31 * t**2))
    sound = (0.7 * sweep + 0.2 * noise) * syllables
    sound *= np.minimum(1, np.minimum(t, t[-1] - t) / 0.02)  # no clicks
    quiet = np.zeros(int(RATE_HZ * EDGE_SILENCE_S))
    pcm = np.concatenate([quiet, sound / np.abs(sound).max() * 12000, quiet])
    return np.round(pcm).astype(np.int16)


def clip_wav() -> bytes:
    """The clip as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(clip_pcm().astype("<i2").tobytes())
    return buffer.getvalue()
