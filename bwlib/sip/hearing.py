"""What one call leg receives: RTP placed on a timeline, digits, and the figures of RFC 3550."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bwlib.sip.dtmf import DtmfReceiver
from bwlib.sip.g711 import SAMPLE_RATE, decode
from bwlib.sip.rtp import Reception, RtpPacket
from bwlib.sip.timeline import Timeline

VOICE_RMS = 150.0  # louder than this is voice: G.711's own silence is below 10, quiet speech above 300
_MAX_JUMP = 5 * SAMPLE_RATE  # a timestamp this far ahead of the clock is a new time base
_MAX_LATE = 10 * SAMPLE_RATE
_MAX_STREAMS = 16


@dataclass
class _Stream:
    """One SSRC. A packet's position on the timeline is its timestamp minus `origin` (modulo 2^32)."""

    origin: int
    reception: Reception
    odd_origin: int | None = None


class Hearing:
    """Receives packets, in any order, from any number of SSRCs. Positions are samples since the opening."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.packets = 0
        self.last_voice: int | None = None  # position of the newest sample that was voice
        self._streams: dict[int, _Stream] = {}
        self._current: _Stream | None = None
        self._dtmf = DtmfReceiver()

    @property
    def reception(self) -> Reception | None:
        """The figures of the SSRC heard last."""
        return self._current.reception if self._current else None

    @property
    def lost(self) -> int:
        """Packets lost, of all SSRCs."""
        return sum(stream.reception.lost for stream in self._streams.values())

    def voice(self, packet: RtpPacket, codec: str, arrival: int) -> None:
        """Place a packet of samples. `arrival`: the position at which it came in."""
        stream = self._stream(packet, arrival)
        position = self._position(stream, packet.timestamp, arrival)
        if position is None:
            return
        pcm = decode(codec, packet.payload)
        if not self.timeline.write(position, pcm) or not len(pcm):
            return
        if float(np.sqrt(np.mean(np.square(pcm.astype(np.float64))))) > VOICE_RMS:
            self.last_voice = max(self.last_voice or 0, position + len(pcm))

    def event(self, packet: RtpPacket, arrival: int) -> str | None:
        """The digit that a telephone-event packet begins, or None."""
        self._stream(packet, arrival)
        return self._dtmf.feed(packet.timestamp, packet.payload)

    def _stream(self, packet: RtpPacket, arrival: int) -> _Stream:
        stream = self._streams.get(packet.ssrc)
        if stream is None:
            while len(self._streams) >= _MAX_STREAMS:
                del self._streams[next(iter(self._streams))]
            stream = _Stream(packet.timestamp - arrival, Reception(packet.ssrc, packet.sequence))
            self._streams[packet.ssrc] = stream
        stream.reception.count(packet.sequence, packet.timestamp, arrival)
        self._current = stream
        self.packets += 1
        return stream

    def _position(self, stream: _Stream, timestamp: int, arrival: int) -> int | None:
        """Where a timestamp lies; None for one that fits neither the stream nor the packet before it."""
        position = _signed(timestamp - stream.origin - arrival) + arrival
        if -_MAX_LATE < position - arrival < _MAX_JUMP:
            stream.odd_origin = None
            return position
        origin = timestamp - arrival
        if stream.odd_origin is None or abs(_signed(origin - stream.odd_origin)) > SAMPLE_RATE:
            stream.odd_origin = origin  # one such packet may be garbage; the next one decides
            return None
        stream.origin, stream.odd_origin = stream.odd_origin, None
        return _signed(timestamp - stream.origin - arrival) + arrival


def _signed(value: int) -> int:
    """A difference of 32-bit timestamps as a number around 0."""
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000
