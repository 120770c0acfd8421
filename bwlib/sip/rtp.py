"""RTP and RTCP packets, and what a receiver counts (RFC 3550). Pure: no sockets, no clock."""

from __future__ import annotations

import struct
from dataclasses import dataclass

RTCP_SR, RTCP_RR, RTCP_SDES, RTCP_BYE = 200, 201, 202, 203
_NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970
_MAX_DROPOUT = 3000  # RFC 3550 appendix A.1
_MAX_MISORDER = 100
_MAX_JITTER = 5 * 8000  # samples


class RtpError(ValueError):
    """Not an RTP or RTCP packet."""


@dataclass(frozen=True)
class RtpPacket:
    """timestamp: in samples. payload: without header extension and padding."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def encode(self) -> bytes:
        second = (0x80 if self.marker else 0) | self.payload_type
        return struct.pack("!BBHII", 0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload


def parse_rtp(data: bytes) -> RtpPacket:
    """Raises RtpError for anything that is no RTP version 2 packet."""
    if len(data) < 12 or data[0] >> 6 != 2:
        raise RtpError("not RTP version 2")
    first, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    start = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < start + 4:
            raise RtpError("header extension is cut off")
        start += 4 + 4 * int(struct.unpack("!H", data[start + 2 : start + 4])[0])
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if start > end or (first & 0x20 and data[-1] == 0):
        raise RtpError("lengths do not fit the packet")
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, data[start:end], bool(second & 0x80))


@dataclass(frozen=True)
class ReportBlock:
    """What a receiver says about one sender. lost: packets since the beginning; jitter: in samples."""

    ssrc: int
    fraction_lost: float
    lost: int
    highest_sequence: int
    jitter: int
    last_sr: int = 0
    delay_since_last_sr: int = 0


@dataclass(frozen=True)
class RtcpReport:
    """A sender or receiver report. packets: sent by `ssrc`, None in a receiver report."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]
    packets: int | None = None
    octets: int = 0
    ntp: int = 0
    rtp_timestamp: int = 0

    def encode(self) -> bytes:
        if self.packets is None:
            body = struct.pack("!I", self.ssrc)
        else:
            counts = (self.packets & 0xFFFFFFFF, self.octets & 0xFFFFFFFF)
            body = struct.pack("!IQIII", self.ssrc, self.ntp, self.rtp_timestamp, *counts)
        body += b"".join(_encode_block(block) for block in self.blocks)
        return _rtcp_header(len(self.blocks), RTCP_RR if self.packets is None else RTCP_SR, body) + body


def encode_sdes(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    chunk = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\0"
    chunk += b"\0" * (-len(chunk) % 4)
    return _rtcp_header(1, RTCP_SDES, chunk) + chunk


def encode_bye(ssrc: int) -> bytes:
    body = struct.pack("!I", ssrc)
    return _rtcp_header(1, RTCP_BYE, body) + body


def parse_rtcp(data: bytes) -> list[RtcpReport]:
    """The sender and receiver reports of a compound packet. Raises RtpError when it is malformed."""
    reports: list[RtcpReport] = []
    while data:
        if len(data) < 4 or data[0] >> 6 != 2 or not RTCP_SR <= data[1] <= 207:
            raise RtpError("not RTCP version 2")
        size = 4 + 4 * int(struct.unpack("!H", data[2:4])[0])
        if size > len(data):
            raise RtpError("RTCP packet is cut off")
        if data[1] in (RTCP_SR, RTCP_RR):
            reports.append(_parse_report(data[:size]))
        data = data[size:]
    return reports


def _parse_report(data: bytes) -> RtcpReport:
    count, is_sender = data[0] & 0x1F, data[1] == RTCP_SR
    start = 28 if is_sender else 8
    if len(data) < start + 24 * count:
        raise RtpError("report blocks are cut off")
    blocks = tuple(_parse_block(data[start + 24 * i : start + 24 * (i + 1)]) for i in range(count))
    ssrc = int.from_bytes(data[4:8], "big")
    if not is_sender:
        return RtcpReport(ssrc, blocks)
    ntp, rtp_timestamp, packets, octets = struct.unpack("!QIII", data[8:28])
    return RtcpReport(ssrc, blocks, packets, octets, ntp, rtp_timestamp)


def _encode_block(block: ReportBlock) -> bytes:
    fraction = min(255, max(0, int(block.fraction_lost * 256)))
    lost = min(0x7FFFFF, max(-0x800000, block.lost)) & 0xFFFFFF
    tail = (block.highest_sequence & 0xFFFFFFFF, block.jitter, block.last_sr, block.delay_since_last_sr)
    return struct.pack("!IIIIII", block.ssrc, fraction << 24 | lost, *tail)


def _parse_block(data: bytes) -> ReportBlock:
    ssrc, losses, highest, jitter, last_sr, delay = struct.unpack("!IIIIII", data)
    lost = losses & 0xFFFFFF
    lost -= 0x1000000 if lost & 0x800000 else 0
    return ReportBlock(ssrc, (losses >> 24) / 256, lost, highest, jitter, last_sr, delay)


def _rtcp_header(count: int, kind: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4)


def ntp_time(unix_s: float) -> int:
    """64-bit NTP timestamp, RFC 3550 section 4."""
    return int((unix_s + _NTP_EPOCH_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


class Reception:
    """Counts what arrived from one SSRC: RFC 3550 appendices A.1 (sequence), A.3 (loss), A.8 (jitter)."""

    def __init__(self, ssrc: int, sequence: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.jitter = 0.0  # in samples
        self._first = self._highest = sequence  # extended with the number of wraps
        self._bad_sequence: int | None = None
        self._transit: int | None = None
        self._reported = (0, 0)  # expected and received at the last report

    @property
    def expected(self) -> int:
        return self._highest - self._first + 1 if self.received else 0

    @property
    def lost(self) -> int:
        """Never below 0, although duplicates can make it so in RFC 3550's arithmetic."""
        return max(0, self.expected - self.received)

    def count(self, sequence: int, timestamp: int, arrival: int) -> None:
        """`arrival`: when the packet came, in samples of any clock that runs at 8000 Hz."""
        step = (sequence - self._highest) & 0xFFFF
        if step < _MAX_DROPOUT:
            self._highest += step
        elif step <= 0x10000 - _MAX_MISORDER:
            if sequence != self._bad_sequence:  # one odd packet may be garbage, two in a row are a restart
                self._bad_sequence = (sequence + 1) & 0xFFFF
                return
            self._first = self._highest = sequence
            self.received, self._reported = 0, (0, 0)
        self._bad_sequence = None
        self.received += 1
        transit = (arrival - timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            difference = (transit - self._transit) & 0xFFFFFFFF
            difference = min(difference, 0x100000000 - difference)
            if difference < _MAX_JITTER:  # more is a new time base, not jitter
                self.jitter += (difference - self.jitter) / 16
        self._transit = transit

    def report(self, last_sr: int, delay_since_last_sr: int) -> ReportBlock:
        """The block for our next report; begins a new interval for `fraction_lost`."""
        expected, received = self.expected - self._reported[0], self.received - self._reported[1]
        self._reported = (self.expected, self.received)
        fraction = max(0, expected - received) / expected if expected > 0 else 0.0
        return ReportBlock(
            self.ssrc,
            fraction,
            self.lost,
            self._highest,
            min(int(self.jitter), 0xFFFFFFFF),
            last_sr,
            delay_since_last_sr,
        )
