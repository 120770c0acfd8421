"""Was it heard? Compare what was sent with what an ear recorded, and keep either as a WAV file.

The measure is the normalised cross-correlation (mean removed), searched over every lag: 1.0 = the same wave,
however late; about 0 = something else. Loudness does not matter down to 30 dB below what was sent: a part that is
quieter than that where it should be counts as not heard, because nobody would hear it. PCM is int16, 8000 Hz, mono.
"""

from __future__ import annotations

import os
import tempfile
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bwlib.errors import RecordError
from bwlib.models import Heard

Pcm = npt.NDArray[np.int16]

SAMPLE_RATE = 8000
_FRAME = 160  # samples, 20 ms
_PAUSE_FRAMES = 14  # full frames within any 300 ms: that much silence ends an utterance
_SHORTEST = 800  # samples: a click of less than 100 ms correlates with anything
_QUIETEST_RMS = 8.0  # one step of mu-law around zero
_TIE = 0.002  # of equally good places the earliest counts
_FAINT = 1000.0  # 30 dB, as a ratio of energies: what is fainter than what was sent by more was not heard
_SLACK = 400  # samples by which the next utterance may begin early


def compare(sent: Pcm, heard: Pcm) -> Heard:
    """How well `heard` holds everything that `sent` says.

    `sent` is cut into utterances at silences of 300 ms or more; each may have its own delay, but they must come in
    order. correlation is that of the worst utterance; offset_s is where in `heard` the beginning of `sent` lies
    (by its first utterance; negative when the recording began later). Silence on either side gives 0.0.
    """
    parts = utterances(sent)
    if not parts or not len(heard):
        return Heard(0.0, 0.0, 0.0)
    worst, offset_s, begin = 1.0, 0.0, 0
    for number, (start, end) in enumerate(parts):
        correlation, place = _best_place(sent[start:end], heard[begin:])
        place += begin
        worst = min(worst, correlation)
        if number == 0:
            offset_s = (place - start) / SAMPLE_RATE
        if correlation > 0.5:  # else it is not there, and says nothing about where to look for the next
            begin = min(max(begin, place + end - start - _SLACK), len(heard))
    seconds = sum(end - start for start, end in parts) / SAMPLE_RATE
    return Heard(_rounded(worst), offset_s, seconds)


def find(clip: Pcm, recording: Pcm) -> Heard:
    """Is `clip`, as one piece, anywhere in `recording`? offset_s is where the clip's first sample lies."""
    parts = utterances(clip)
    if not parts or not len(recording):
        return Heard(0.0, 0.0, 0.0)
    start, end = parts[0][0], parts[-1][1]
    correlation, place = _best_place(clip[start:end], recording)
    return Heard(_rounded(correlation), (place - start) / SAMPLE_RATE, (end - start) / SAMPLE_RATE)


def utterances(pcm: Pcm) -> list[tuple[int, int]]:
    """(start, end) in samples of everything that is not silence, pauses of 300 ms or more taken out.

    Silence is 40 dB below the loudest 20 ms. What is shorter than 100 ms counts only when there is nothing else.
    """
    count = len(pcm) // _FRAME
    frames = np.asarray(pcm[: count * _FRAME], dtype=np.float64).reshape(count, _FRAME)
    rms = np.sqrt(np.mean(np.square(frames), axis=1)) if count else np.zeros(0)
    loudest = float(rms.max()) if count else 0.0
    active = np.flatnonzero(rms > max(_QUIETEST_RMS, loudest / 100))
    if not len(active):
        return []
    groups = np.split(active, np.flatnonzero(np.diff(active) > _PAUSE_FRAMES) + 1)
    parts = [(int(group[0]) * _FRAME, (int(group[-1]) + 1) * _FRAME) for group in groups]
    return [part for part in parts if part[1] - part[0] >= _SHORTEST] or parts


def _best_place(template: Pcm, recording: Pcm) -> tuple[float, int]:
    """The highest correlation and the sample of `recording` at which `template` begins there; (0, ..) if too faint.

    The recording is continued with silence at both ends: a template that is partly outside still matches in part.
    """
    size = len(template)
    wave_ = np.concatenate([np.zeros(size), np.asarray(recording, dtype=np.float64), np.zeros(size)])
    pattern = np.asarray(template, dtype=np.float64)
    pattern -= pattern.mean()
    energy = float(pattern @ pattern)
    if energy <= 0 or not len(recording):
        return 0.0, 0
    fft_size = 1 << (len(wave_) + size - 1).bit_length()
    spectrum = np.fft.rfft(wave_, fft_size) * np.conj(np.fft.rfft(pattern, fft_size))
    products = np.fft.irfft(spectrum, fft_size)[: len(wave_) - size + 1]
    sums = np.concatenate([[0.0], np.cumsum(wave_)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(wave_))])
    window = squares[size:] - squares[:-size] - np.square(sums[size:] - sums[:-size]) / size
    audible = window > max(size, energy / _FAINT)  # less than one unit RMS, or far too faint, is no match
    scores = np.where(audible, products / np.sqrt(np.where(audible, window, 1.0) * energy), 0.0)
    best = float(scores.max())
    place = int(np.flatnonzero(scores >= best - _TIE)[0])
    place += int(np.argmax(scores[place : place + 8]))  # the peak itself, not its rising edge
    return best, place - size


def _rounded(correlation: float) -> float:
    return round(min(1.0, max(0.0, correlation)), 4)


def write_wav(path: Path | str, pcm: Pcm) -> Path:
    """16-bit PCM, 8 kHz, mono; mode 0600; the file appears complete or not at all. Returns the path."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # created 0600
    try:
        with os.fdopen(handle, "wb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(SAMPLE_RATE)
            wav.writeframes(np.asarray(pcm, dtype="<i2").tobytes())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def read_wav(path: Path | str) -> Pcm:
    """Read what write_wav wrote. Raises RecordError for any other kind of file, OSError when there is none."""
    try:
        with wave.open(str(path), "rb") as wav:
            found = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            data = wav.readframes(wav.getnframes())
    except (wave.Error, EOFError) as error:
        raise RecordError(f"read {path}", f"it is not a WAV file ({error})", "record it again") from error
    if found != (1, 2, SAMPLE_RATE):
        raise RecordError(
            f"read {path}",
            f"{found[0]} channel(s), {8 * found[1]} bit, {found[2]} Hz",
            "convert it to mono, 16 bit, 8000 Hz",
        )
    return np.frombuffer(data, dtype="<i2").astype(np.int16)
