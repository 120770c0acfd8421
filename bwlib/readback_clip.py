"""The known clip, and the voice of the phone that hears it: sounds like nobody's, always the same, unlike each other.

The two differ so that an echo of the phone's own voice can never be taken for the clip.
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
VOICE_SECONDS = 1.5  # well within a Gather's first-digit timeout
LOUDEST = 12_000


def clip_pcm() -> npt.NDArray[np.int16]:
    """What readback plays: a rising sweep in syllables with a little noise, in the telephone band, silent at the ends.

    24,000 samples, 3 s.
    """
    t = _times(SECONDS)
    noise = np.random.default_rng(20261123).standard_normal(t.size)
    noise = np.convolve(noise, np.hanning(9) / 4, mode="same")  # keep it below about 1.5 kHz
    sweep = np.sin(2 * np.pi * (350 * t + 260 * t**2))  # 350 Hz to 1800 Hz
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * (2.3 * t + 0.31 * t**2))
    return _finished((0.7 * sweep + 0.2 * noise) * syllables, t)


def voice_pcm() -> npt.NDArray[np.int16]:
    """What the phone says: a falling sweep in faster syllables with a little noise, silent at the ends.

    12,000 samples, 1.5 s.
    """
    t = _times(VOICE_SECONDS)
    noise = np.random.default_rng(19195550199).standard_normal(t.size)
    noise = np.convolve(noise, np.hanning(5) / 2, mode="same")
    sweep = np.sin(2 * np.pi * (2600 * t - 780 * t**2))  # 2600 Hz to about 570 Hz
    syllables = 0.55 + 0.45 * np.cos(2 * np.pi * (4.1 * t + 0.7 * t**2))
    return _finished((0.7 * sweep + 0.3 * noise) * syllables, t)


def _times(seconds: float) -> npt.NDArray[np.float64]:
    """The moments, in seconds, of the samples between the silent ends."""
    return np.arange(int(RATE_HZ * (seconds - 2 * EDGE_SILENCE_S))) / RATE_HZ


def _finished(sound: npt.NDArray[np.float64], t: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    sound = sound * np.minimum(1, np.minimum(t, t[-1] - t) / 0.02)  # no clicks
    quiet = np.zeros(int(RATE_HZ * EDGE_SILENCE_S))
    pcm = np.concatenate([quiet, sound / np.abs(sound).max() * LOUDEST, quiet])
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
