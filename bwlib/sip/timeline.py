"""The samples of one direction of a call, each at its place in time."""

from __future__ import annotations

import numpy as np

from bwlib.sip.g711 import SAMPLE_RATE, Pcm

MAX_SECONDS = 4 * 3600  # Bandwidth's longest recording is of this order; beyond it samples are dropped
_MAX_SAMPLES = MAX_SECONDS * SAMPLE_RATE


class Timeline:
    """Samples by position (0 = when the media was opened); never written = silence. Grows as needed."""

    def __init__(self) -> None:
        self._buffer = np.zeros(SAMPLE_RATE * 10, dtype=np.int16)
        self.length = 0  # one behind the last sample written

    def write(self, position: int, pcm: Pcm) -> bool:
        """Put `pcm` at `position`; what lies before 0 is cut. False when it is beyond MAX_SECONDS."""
        if position < 0:
            pcm, position = pcm[-position:], 0
        end = position + len(pcm)
        if end > _MAX_SAMPLES:
            return False
        if end > len(self._buffer):
            grown = np.zeros(min(max(end, 2 * len(self._buffer)), _MAX_SAMPLES), dtype=np.int16)
            grown[: self.length] = self._buffer[: self.length]
            self._buffer = grown
        self._buffer[position:end] = pcm
        self.length = max(self.length, end)
        return True

    def extend(self, length: int) -> None:
        """Silence up to `length` samples (the timeline is never shortened)."""
        if length > self.length:
            self.write(length - 1, np.zeros(1, dtype=np.int16))

    def pcm(self, start: int = 0, end: int | None = None) -> Pcm:
        """A copy of the samples from `start` to `end` (default: to the last one written)."""
        return self._buffer[start : self.length if end is None else min(end, self.length)].copy()
