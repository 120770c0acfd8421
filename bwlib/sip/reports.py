"""RTCP of one RTP session: what we report, what the far end reported, and the figures a person reads."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bwlib.sip.g711 import SAMPLE_RATE
from bwlib.sip.hearing import Hearing
from bwlib.sip.rtp import ReportBlock, RtcpReport, encode_bye, encode_sdes, ntp_time, parse_rtcp

_UNITS_PER_S = 65_536  # of LSR and DLSR, RFC 3550 section 6.4.1
_STALLED_PACKETS = 50  # one second of ours that the far end's reports do not show


@dataclass(frozen=True)
class MediaStats:
    """Figures of one call leg. `remote_*`: what the far end's RTCP said, None when it said nothing.

    packets_rejected: datagrams that were no RTP, of no agreed payload type, or from a stranger.
    remote_hears_us: whether its reports have a line about our stream that goes on growing.
    """

    packets_sent: int
    packets_received: int
    packets_lost: int
    packets_rejected: int
    jitter_ms: float
    reports_sent: int
    reports_received: int
    remote_packets_sent: int | None
    remote_lost: int | None
    remote_jitter_ms: float | None
    remote_hears_us: bool | None
    round_trip_ms: float | None

    @property
    def audio_path(self) -> str:
        """One-way audio by name.

        "both ways"; "only in" = the far end does not hear us; "only out" = we do not hear it; "none"; and
        "in, out unknown" or "out unknown" when the far end sent no RTCP.
        """
        heard = self.packets_received > 0
        if self.remote_hears_us is None:
            return "in, out unknown" if heard else "out unknown"
        if self.remote_hears_us:
            return "both ways" if heard else "only out"
        return "only in" if heard else "none"


class Reports:
    """Counts what we send and keeps the far end's last report."""

    def __init__(self, ssrc: int, cname: str) -> None:
        self.ssrc = ssrc
        self._cname = cname
        self.packets = self.octets = self.sent = self.received = 0
        self._remote: RtcpReport | None = None
        self._remote_packets: int | None = None
        self._last_sr, self._last_sr_at = 0, 0.0
        self._round_trip_s: float | None = None
        self._heard_before = 0  # packets heard up to our last report
        self._blocks: tuple[ReportBlock, ...] = ()
        self._hears_us: bool | None = None
        self._progress = (-1, 0)  # highest sequence it has reported, and what we had sent when it grew

    def count(self, payload: bytes) -> None:
        self.packets += 1
        self.octets += len(payload)

    def compound(self, hearing: Hearing, rtp_timestamp: int, *, goodbye: bool = False) -> bytes:
        """Our compound packet: report, CNAME, and BYE at the end."""
        self.sent += 1
        reception = hearing.reception
        delay = int((time.monotonic() - self._last_sr_at) * _UNITS_PER_S) & 0xFFFFFFFF if self._last_sr else 0
        news = hearing.packets > self._heard_before
        if news or not goodbye:  # a line only about who was heard since the last one, RFC 3550 section 6.4
            self._blocks = (reception.report(self._last_sr, delay),) if reception and news else ()
        self._heard_before = hearing.packets
        if self.packets:
            ntp = ntp_time(time.time())
            report = RtcpReport(self.ssrc, self._blocks, self.packets, self.octets, ntp, rtp_timestamp)
        else:
            report = RtcpReport(self.ssrc, self._blocks)
        packet = report.encode() + encode_sdes(self.ssrc, self._cname)
        return packet + encode_bye(self.ssrc) if goodbye else packet

    def take(self, data: bytes) -> None:
        """Read the far end's compound packet. Raises RtpError when it is malformed."""
        for report in parse_rtcp(data):
            self.received += 1
            self._remote = report
            if report.packets is not None:
                self._remote_packets = report.packets
                self._last_sr, self._last_sr_at = report.ntp >> 16 & 0xFFFFFFFF, time.monotonic()
            block = self._block()
            self._judge(block)
            if block and block.last_sr:
                now = ntp_time(time.time()) >> 16 & 0xFFFFFFFF
                trip = (now - block.last_sr - block.delay_since_last_sr) & 0xFFFFFFFF
                self._round_trip_s = trip / _UNITS_PER_S if trip < 60 * _UNITS_PER_S else None

    def _judge(self, block: ReportBlock | None) -> None:
        """It hears us when it reports on our stream, and what it reports grows as we go on sending."""
        highest, sent_then = self._progress
        if block and block.highest_sequence != highest:
            self._hears_us, self._progress = True, (block.highest_sequence, self.packets)
        elif self.packets - sent_then > _STALLED_PACKETS:
            self._hears_us = False

    def _block(self) -> ReportBlock | None:
        """The far end's last word about our stream."""
        blocks = self._remote.blocks if self._remote else ()
        return next((block for block in blocks if block.ssrc == self.ssrc), None)

    def stats(self, hearing: Hearing, rejected: int) -> MediaStats:
        block, reception = self._block(), hearing.reception
        return MediaStats(
            packets_sent=self.packets,
            packets_received=hearing.packets,
            packets_lost=hearing.lost,
            packets_rejected=rejected,
            jitter_ms=_ms(reception.jitter if reception else 0.0),
            reports_sent=self.sent,
            reports_received=self.received,
            remote_packets_sent=self._remote_packets,
            remote_lost=block.lost if block else None,
            remote_jitter_ms=_ms(block.jitter) if block else None,
            remote_hears_us=self._hears_us,
            round_trip_ms=None if self._round_trip_s is None else round(self._round_trip_s * 1000, 1),
        )


def _ms(samples: float) -> float:
    return round(samples * 1000 / SAMPLE_RATE, 1)
