"""The sandbox's voice: text to PCM (int16, 8000 Hz, mono).

Three engines, the first that works: eSpeak NG as a library (optional extra `speech`), eSpeak NG as a program on
PATH, and tones that differ for each text, so that "was it heard?" can be answered without any speech engine.
The sandbox only has to say something recognisable; it does not imitate Bandwidth's voices.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import io
import logging
import math
import random
import shutil
import subprocess
import threading
import wave
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]

SAMPLE_RATE = 8000
MAX_TEXT_CHARS = 4000
_EDGE = np.zeros(SAMPLE_RATE // 10, dtype=np.int16)  # 100 ms of silence at both ends
_PEAK = 16_000.0
_LOW_PASS_HZ = 3600.0
_HALF_WIDTH = 24  # of the resampling filter, in zero crossings
_PROGRAM_TIMEOUT_S = 30
_WAV_HEADER_BYTES = 44

# speak_lib.h of eSpeak NG 1.51
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POS_CHARACTER = 1
_CHARS_UTF8 = 1

_lock = threading.Lock()  # eSpeak NG keeps its state in globals
log = logging.getLogger(__name__)


def say(text: str) -> Pcm:
    """The text as audio, 100 ms of silence at both ends.

    The last 256 texts are kept and give the same samples again; across processes only the tones do (eSpeak NG varies
    a little). About 50 times faster than real time: run long texts in a thread. Text beyond MAX_TEXT_CHARS is cut.
    The result is the caller's own copy.
    """
    return _say(" ".join(text.split())[:MAX_TEXT_CHARS]).copy()


def engine() -> str:
    """Which one speaks: "espeak-ng (library)", "espeak-ng (program)" or "tones"."""
    if _library() is not None:
        return "espeak-ng (library)"
    return "espeak-ng (program)" if _program() else "tones"


@lru_cache(maxsize=256)
def _say(text: str) -> Pcm:
    voice = _by_library(text)
    if voice is None:
        voice = _by_program(text)
    if voice is None or not np.any(voice):  # a text of punctuation only is silence to eSpeak NG
        voice = _tones(text)
    return np.concatenate([_EDGE, voice, _EDGE])


# ---------------------------------------------------------------- eSpeak NG as a library


class _Library:
    """The loaded library. Never unloaded: it cannot be initialised twice."""

    def __init__(self, library_path: str, data_path: str) -> None:
        self._library = ctypes.CDLL(library_path)
        self._chunks: list[bytes] = []
        self.rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), _INITIALIZE_DONT_EXIT
        )
        if self.rate <= 0:
            raise OSError(f"espeak_Initialize returned {self.rate}")
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = kind(self._take)  # kept: the library calls it later
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(b"en-us") != 0:
            raise OSError("no voice en-us")

    def _take(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, text: str) -> Pcm:
        data = text.encode("utf-8", "replace") + b"\0"
        self._chunks.clear()
        arguments = (ctypes.c_uint(0), ctypes.c_int(_POS_CHARACTER), ctypes.c_uint(0), ctypes.c_uint(_CHARS_UTF8))
        status = self._library.espeak_Synth(data, ctypes.c_size_t(len(data)), *arguments, None, None)
        if status != 0:
            raise OSError(f"espeak_Synth returned {status}")
        self._library.espeak_Synchronize()
        return np.frombuffer(b"".join(self._chunks), dtype=np.int16)


@cache
def _library() -> _Library | None:
    try:
        loader = importlib.import_module("espeakng_loader")
        return _Library(loader.get_library_path(), loader.get_data_path())
    except (ImportError, OSError, AttributeError) as error:
        log.info("no eSpeak NG library: %s", error)
        return None


def _by_library(text: str) -> Pcm | None:
    with _lock:
        library = _library()
        if library is None or not text:
            return None
        try:
            return to_8000_hz(library.speak(text), library.rate)
        except OSError as error:
            log.warning("eSpeak NG (library) failed: %s", error)
            return None


# ---------------------------------------------------------------- eSpeak NG as a program


def _program() -> str | None:
    return shutil.which("espeak-ng")


def _by_program(text: str) -> Pcm | None:
    program = _program()
    if program is None or not text:
        return None
    command = [program, "-v", "en-us", "--stdin", "--stdout"]
    try:
        result = subprocess.run(  # noqa: S603 - the text goes by stdin, the program is the user's own
            command,
            input=text.encode(),
            capture_output=True,
            timeout=_PROGRAM_TIMEOUT_S,
            check=True,
        )
        with wave.open(io.BytesIO(result.stdout)) as wav:
            rate = wav.getframerate()
    except (OSError, subprocess.SubprocessError, wave.Error, EOFError) as error:
        log.warning("eSpeak NG (program) failed: %s", error)
        return None
    data = result.stdout[_WAV_HEADER_BYTES:]  # the header's own length is a placeholder when written to a pipe
    return to_8000_hz(np.frombuffer(data[: len(data) & ~1], dtype="<i2").astype(np.int16), rate)


# ---------------------------------------------------------------- tones


def _tones(text: str) -> Pcm:
    """A chirp for each two characters, between pitches drawn from the text's hash: alike only to itself."""
    draw = random.Random(hashlib.sha256(text.encode("utf-8", "replace")).digest())  # noqa: S311 - no secret
    count = min(max(8, len(text) // 2), 150)
    return np.concatenate([_chirp(draw) for _ in range(count)])


def _chirp(draw: random.Random) -> Pcm:
    size = int(SAMPLE_RATE * (0.06 + 0.12 * draw.random()))
    pitches = [300 * (10 ** draw.random()) for _ in range(2)]  # 300 to 3000 Hz
    time = np.arange(size) / SAMPLE_RATE
    phase = 2 * math.pi * (pitches[0] * time + (pitches[1] - pitches[0]) * np.square(time) * SAMPLE_RATE / (2 * size))
    loudness = np.sin(math.pi * (np.arange(size) + 0.5) / size) ** 0.5 * (0.4 + 0.6 * draw.random())
    return (np.sin(phase + 2 * math.pi * draw.random()) * loudness * _PEAK).astype(np.int16)


# ---------------------------------------------------------------- resampling


def to_8000_hz(pcm: Pcm, rate: int) -> Pcm:
    """Resample by a windowed sinc that passes up to 3600 Hz, so that nothing folds back into the voice.

    The loudest sample is brought to half of full scale; the voice of eSpeak NG is near clipping.
    """
    if not len(pcm):
        return np.zeros(0, dtype=np.int16)
    half = math.ceil(_HALF_WIDTH * rate / (2 * _LOW_PASS_HZ))
    padded = np.concatenate([np.zeros(half), pcm.astype(np.float64), np.zeros(half + 1)])
    blocks = [
        _resampled(padded, rate, half, np.arange(start, min(start + 8000, len(pcm) * SAMPLE_RATE // rate)))
        for start in range(0, len(pcm) * SAMPLE_RATE // rate, 8000)
    ]
    result = np.concatenate(blocks) if blocks else np.zeros(0)
    peak = float(np.max(np.abs(result), initial=0.0))
    return np.round(result * (_PEAK / peak if peak > 0 else 1.0)).astype(np.int16)


def _resampled(
    padded: npt.NDArray[np.float64], rate: int, half: int, outputs: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The samples numbered `outputs` at 8000 Hz; `padded` has `half` samples of silence before the first."""
    places = outputs * rate / SAMPLE_RATE
    nearest = np.floor(places).astype(np.int64)
    taps = np.arange(-half + 1, half + 1)
    distance = (places - nearest)[:, None] - taps[None, :]
    cutoff = 2 * _LOW_PASS_HZ / rate
    window = 0.5 + 0.5 * np.cos(math.pi * np.clip(distance / half, -1, 1))
    weights = cutoff * np.sinc(cutoff * distance) * window
    result: npt.NDArray[np.float64] = np.einsum("ij,ij->i", padded[nearest[:, None] + taps[None, :] + half], weights)
    return result
