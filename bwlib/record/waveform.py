"""A recording as a picture: how loud it was when. Says on paper what a player says on a screen. Pure."""

from __future__ import annotations

import io
import secrets
import wave
from html import escape

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, COLUMNS = 460, 74, 230
INK, QUIET, LINE = "#1b4f8f", "#57606a", "#d5dae0"


def seconds_of(wav: bytes) -> float:
    """How long a WAV file is; 0 when it is none."""
    try:
        with wave.open(io.BytesIO(wav)) as sound:
            return float(sound.getnframes() / max(sound.getframerate(), 1))
    except (wave.Error, EOFError, RuntimeError):  # wave raises the last one for a spoilt chunk
        return 0.0


def waveform_svg(wav: bytes, title: str) -> str:
    """The peaks of a 16-bit mono WAV file over its seconds; "" when it is no such file or empty."""
    pcm, rate = _samples(wav)
    if not len(pcm):
        return ""
    seconds = len(pcm) / rate
    middle, half = (HEIGHT - 16) / 2, (HEIGHT - 20) / 2
    peaks = _peaks(pcm) * half
    step = WIDTH / len(peaks)
    bars = "".join(f"M{place * step:.1f} {middle - peak:.1f}v{2 * peak:.1f}" for place, peak in enumerate(peaks))
    unique = "wave-" + secrets.token_hex(6)
    words = escape(f"{title}: {seconds:.1f} s, loudest {_decibels(pcm)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" aria-labelledby="{unique}" style="max-width:100%;height:auto" '
        f'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="11"><title id="{unique}">{words}</title>'
        f'<path d="M0 {middle}H{WIDTH}" stroke="{LINE}"/>'
        f'<path d="{bars}" stroke="{INK}" stroke-width="{step * 0.7:.2f}"/>{_seconds(seconds)}</svg>'
    )


def _samples(wav: bytes) -> tuple[npt.NDArray[np.int16], int]:
    try:
        with wave.open(io.BytesIO(wav)) as sound:
            if sound.getsampwidth() == 2 and sound.getnchannels() == 1:
                data = sound.readframes(sound.getnframes())
                return np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2"), max(sound.getframerate(), 1)
    except (wave.Error, EOFError, RuntimeError):  # wave raises the last one for a spoilt chunk
        pass
    return np.zeros(0, dtype=np.int16), 8000


def _peaks(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """The loudest sample of each column, 1.0 for the loudest of all."""
    loudness = np.abs(pcm.astype(np.float64))
    parts = np.array_split(loudness / max(float(loudness.max()), 1.0), min(COLUMNS, len(pcm)))
    return np.array([max(float(part.max()), 0.012) for part in parts])


def _decibels(pcm: npt.NDArray[np.int16]) -> str:
    loudest = float(np.abs(pcm.astype(np.float64)).max())
    return f"{20 * np.log10(loudest / 32768):.0f} dB of full scale" if loudest else "silence"


def _seconds(seconds: float) -> str:
    """Marks at whole seconds, so few that they can be read."""
    every = next((step for step in (1, 2, 5, 10, 30, 60, 300) if seconds / step <= 12), 600)
    marks = ""
    for second in range(0, int(seconds) + 1, every):
        x = WIDTH * second / seconds
        anchor = "start" if x < 12 else "end" if x > WIDTH - 12 else "middle"
        marks += (
            f'<path d="M{x:.1f} {HEIGHT - 17}v4" stroke="{QUIET}"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - 3}" text-anchor="{anchor}" fill="{QUIET}">{second} s</text>'
        )
    return marks
