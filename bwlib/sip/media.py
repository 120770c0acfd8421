"""The RTP session of one call leg: offer/answer, a paced sender, a receiver that keeps everything heard.

RFC 3550 (RTP, RTCP), RFC 3551 (G.711), RFC 4733 (DTMF), RFC 3264 (offer/answer). PCM is int16, 8000 Hz, mono.

Frame n of a session leaves at t0 + n * 20 ms of the monotonic clock and carries timestamp base + n * 160. A
sender that wakes up late sends the late frames at once, so samples keep their places however busy the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bwlib.errors import BwlibError, NotAsExpected
from bwlib.sip import dtmf, sdp
from bwlib.sip.g711 import ALAW_SILENCE, SAMPLE_RATE, ULAW_SILENCE, Pcm, encode
from bwlib.sip.hearing import Hearing
from bwlib.sip.ports import reserve_pair
from bwlib.sip.reports import MediaStats, Reports
from bwlib.sip.rtp import RtpError, RtpPacket, parse_rtp
from bwlib.sip.sdp import CODECS, SdpError
from bwlib.sip.timeline import Timeline

__all__ = ["CODECS", "Media", "MediaStats", "SdpError"]

FRAME_S = 0.02
FRAME_SAMPLES = 160
REPORT_INTERVAL_S = 5.0  # RFC 3550 section 6.2
_MAX_BURST = 50  # late frames sent in one go; then others get their turn
_SILENCE = {"PCMU": bytes([ULAW_SILENCE]) * FRAME_SAMPLES, "PCMA": bytes([ALAW_SILENCE]) * FRAME_SAMPLES}
_QUIET = np.zeros(FRAME_SAMPLES, dtype=np.int16)
_STATIC_CODECS = {number: codec for codec, number in sdp.STATIC_PAYLOAD_TYPES.items()}

Address = tuple[str, int]
Fault = Callable[[bool, bytes], bytes | None]
Frame = dtmf.EventFrame | Pcm
log = logging.getLogger(__name__)


@dataclass
class _Job:
    """Something to send, one slot after the other; `done` when the last slot has gone."""

    frames: deque[Frame]
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("RTP socket: %s", exc)  # ICMP unreachable, for one: the far end has closed its port


class Media:
    """One call leg's RTP session. The constructor binds the ports; close() gives them back.

    fault: called with (outgoing, RTP packet); changes the packet, or drops it by returning None. symmetric: send to
    where the far end's packets come from; False: to the address in its SDP, as many do.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        *,
        port_range: tuple[int, int] | None = None,
        report_interval_s: float = REPORT_INTERVAL_S,
        fault: Fault | None = None,
        symmetric: bool = True,
    ) -> None:
        self._sockets = reserve_pair(host, port_range)
        self.host = host
        self.port: int = self._sockets[0].getsockname()[1]
        self.digits: asyncio.Queue[str] = asyncio.Queue()
        self.negotiated: sdp.Negotiated | None = None
        self.fault = fault
        self._symmetric = symmetric
        self._report_interval_s = report_interval_s
        self._session_id, self._version = secrets.randbits(31), 0
        self._codecs: Sequence[str] = CODECS
        self._base, self._sequence = secrets.randbits(32), secrets.randbits(15)
        self._event_timestamp = 0
        self._event_types: set[int] = set()
        self._transports: list[asyncio.DatagramTransport] = []
        self._gate = asyncio.Lock()  # opening and closing wait for each other
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._opened_at: float | None = None
        self._closed = False
        self._frame = 0  # slots of 20 ms since the opening
        self._sent = Timeline()
        self._hearing = Hearing()
        self._voice_jobs: deque[_Job] = deque()
        self._digit_jobs: deque[_Job] = deque()
        self._remote: Address | None = None
        self._latched_from: Address | None = None
        self._recording_from: int | None = None
        self._rejected = 0
        self._reports = Reports(secrets.randbits(32), f"bw-runbook@{host}")

    # ------------------------------------------------------------ offer/answer

    def offer(self, codecs: Sequence[str] = CODECS, *, direction: str = "sendrecv") -> str:
        """Our SDP offer; give the far end's answer to accept()."""
        self._codecs = tuple(codecs)
        self._version += 1
        self._event_types.add(101)
        return sdp.offer(
            self.host, self.port, codecs, 101, direction, session_id=self._session_id, version=self._version
        )

    def answer(self, remote_sdp: str, codecs: Sequence[str] = CODECS) -> str:
        """Agree on the far end's offer and return our answer; also for a re-INVITE. Raises SdpError (488)."""
        self._version += 1
        agreed = sdp.negotiate(
            remote_sdp, self.host, self.port, codecs, session_id=self._session_id, version=self._version
        )
        self._agree(agreed)
        return agreed.answer

    def accept(self, remote_sdp_answer: str) -> None:
        """Take the far end's answer to our offer. Raises SdpError."""
        self._agree(sdp.accept(remote_sdp_answer, self._codecs))

    def _agree(self, agreed: sdp.Negotiated) -> None:
        self.negotiated = agreed
        self._remote, self._latched_from = (agreed.host, agreed.port), None
        if agreed.telephone_event is not None:
            self._event_types.add(agreed.telephone_event)

    # ------------------------------------------------------------ life

    async def open(self) -> None:
        """Begin to send (silence, until something is played) and to receive. A second time does nothing."""
        async with self._gate:
            if self._opened_at is not None and not self._closed:
                return
            if self._closed:
                raise BwlibError("open an RTP session", "it was closed before", "make a new Media for each call leg")
            loop = asyncio.get_running_loop()
            for sock, received in zip(self._sockets, (self._on_rtp, self._on_rtcp), strict=True):
                transport, _ = await loop.create_datagram_endpoint(partial(_Protocol, received), sock=sock)
                self._transports.append(transport)
            self._opened_at = loop.time()
            self._timers["frame"] = loop.call_at(self._opened_at, self._tick)
            self._timers["report"] = loop.call_later(self._report_interval_s / 2, self._report)

    async def close(self) -> None:
        """Say goodbye by RTCP, stop, and give the ports back; also when open() was cut short. Twice does nothing."""
        async with self._gate:
            if self._closed:
                return
            self._closed = True
            for timer in self._timers.values():
                timer.cancel()
            for job in (*self._voice_jobs, *self._digit_jobs):
                if not job.done.done():
                    job.done.set_exception(_not_open())
            if self._opened_at is not None:
                self._send_report(goodbye=True)
            for transport in self._transports:
                transport.close()
            await asyncio.sleep(0)  # lets the transports close their sockets
            for sock in self._sockets:
                sock.close()

    @property
    def _now(self) -> int:
        """Samples since the opening, by the monotonic clock."""
        if self._opened_at is None:
            return 0
        return int((asyncio.get_running_loop().time() - self._opened_at) * SAMPLE_RATE)

    # ------------------------------------------------------------ speaking

    async def play(self, pcm: Pcm) -> None:
        """Send `pcm`; returns when it has gone. Cancelling stops it at once. Several play one after the other.

        Raises NotAsExpected when the session is not open, or is closed meanwhile.
        """
        samples = np.asarray(pcm, dtype=np.int16)
        padded = np.concatenate([samples, np.zeros(-len(samples) % FRAME_SAMPLES, dtype=np.int16)])
        frames = [padded[i : i + FRAME_SAMPLES] for i in range(0, len(padded), FRAME_SAMPLES)]
        await self._do(self._voice_jobs, _Job(deque(frames)))

    async def send_digits(self, digits: str, tone_ms: int = 160, gap_ms: int = 100) -> None:
        """Send DTMF by RFC 4733; what is being played waits meanwhile.

        Raises SettingsError for what is no digit, NotAsExpected as play() and when the far end takes no
        telephone-events.
        """
        frames = dtmf.frames(digits, tone_ms, gap_ms)
        if self.negotiated is None or self.negotiated.telephone_event is None:
            raise NotAsExpected(
                f"send DTMF {digits}",
                "the far end's SDP has no telephone-event",
                "let the PBX trunk and extension send DTMF by RFC 4733 (Asterisk: dtmf_mode=rfc4733)",
            )
        await self._do(self._digit_jobs, _Job(deque(frames)))

    async def _do(self, queue: deque[_Job], job: _Job) -> None:
        if self._closed or self._opened_at is None:
            raise _not_open()
        if not job.frames:
            return
        queue.append(job)
        try:
            await job.done
        finally:
            with contextlib.suppress(ValueError):
                queue.remove(job)

    def _tick(self) -> None:
        if self._closed or self._opened_at is None:
            return
        loop = asyncio.get_running_loop()
        due = int((loop.time() - self._opened_at) / FRAME_S)
        try:
            for _ in range(_MAX_BURST):
                if self._frame > due:
                    break
                self._send_frame()
        finally:
            self._timers["frame"] = loop.call_at(self._opened_at + self._frame * FRAME_S, self._tick)

    def _send_frame(self) -> None:
        position = self._frame * FRAME_SAMPLES
        self._frame += 1
        self._sent.extend(position + FRAME_SAMPLES)
        agreed = self.negotiated
        if agreed is None:
            return
        frame = self._next_frame()
        timestamp = (self._base + position) & 0xFFFFFFFF
        may_send = agreed.direction in ("sendrecv", "sendonly")
        if isinstance(frame, dtmf.EventFrame) and frame.payload and agreed.telephone_event is not None:
            self._event_timestamp = timestamp if frame.first else self._event_timestamp
            if may_send:
                self._send(agreed.telephone_event, self._event_timestamp, frame.payload, frame.first)
            return
        pcm = frame if isinstance(frame, np.ndarray) else _QUIET
        if may_send:
            payload = _SILENCE[agreed.codec] if pcm is _QUIET else encode(agreed.codec, pcm)
            self._sent.write(position, pcm)
            self._send(agreed.payload_type, timestamp, payload, self._reports.packets == 0)

    def _next_frame(self) -> Frame | None:
        for queue in (self._digit_jobs, self._voice_jobs):
            if queue:
                job = queue[0]
                frame = job.frames.popleft()
                if not job.frames:
                    queue.popleft()
                    if not job.done.done():
                        job.done.set_result(None)
                return frame
        return None

    def _send(self, payload_type: int, timestamp: int, payload: bytes, marker: bool) -> None:
        packet = RtpPacket(payload_type, self._sequence, timestamp, self._reports.ssrc, payload, marker).encode()
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._reports.count(payload)
        changed = self.fault(True, packet) if self.fault else packet
        if changed is not None and self._remote and self._transports:
            self._transports[0].sendto(changed, self._remote)

    # ------------------------------------------------------------ hearing

    def _on_rtp(self, data: bytes, source: Address) -> None:
        changed = self.fault(False, data) if self.fault else data
        if changed is None:
            return
        try:
            packet = parse_rtp(changed)
        except RtpError:
            self._rejected += 1
            return
        codec = self._codec_of(packet.payload_type)
        is_event = packet.payload_type in self._event_types
        if not (codec or is_event) or not self._is_far_end(source):
            self._rejected += 1
        elif is_event:
            digit = self._hearing.event(packet, self._now)
            if digit:
                self.digits.put_nowait(digit)
        elif codec:
            self._hearing.voice(packet, codec, self._now)

    def _codec_of(self, payload_type: int) -> str | None:
        agreed = self.negotiated
        if agreed and payload_type == agreed.payload_type:
            return agreed.codec
        return _STATIC_CODECS.get(payload_type)

    def _is_far_end(self, source: Address) -> bool:
        """Symmetric RTP: on loopback the first source heard counts as the far end, until the one of the SDP speaks."""
        agreed = self.negotiated
        if agreed is None or not self._symmetric:  # None: early media, before the answer: nothing to compare with
            return _is_loopback(source) or (agreed is not None and source == (agreed.host, agreed.port))
        if source == (agreed.host, agreed.port) or (self._latched_from is None and _is_loopback(source)):
            self._remote = self._latched_from = source
        return source == self._latched_from

    def _on_rtcp(self, data: bytes, source: Address) -> None:
        try:
            if self._remote and source[0] == self._remote[0]:
                self._reports.take(data)
        except RtpError as error:
            log.debug("RTCP from %s:%s dropped: %s", *source, error)

    def _report(self) -> None:
        if self._closed:
            return
        self._timers["report"] = asyncio.get_running_loop().call_later(self._report_interval_s, self._report)
        self._send_report()

    def _send_report(self, *, goodbye: bool = False) -> None:
        agreed = self.negotiated
        if agreed is None or self._remote is None or agreed.host == "0.0.0.0":  # noqa: S104 - hold of RFC 2543
            return
        timestamp = (self._base + self._now) & 0xFFFFFFFF
        packet = self._reports.compound(self._hearing, timestamp, goodbye=goodbye)
        self._transports[1].sendto(packet, (self._remote[0], agreed.rtcp_port))

    # ------------------------------------------------------------ what was said and heard

    def sent(self) -> Pcm:
        """Everything sent since open(), silence included."""
        return self._sent.pcm()

    def received(self) -> Pcm:
        """Everything heard since open(), placed by RTP timestamp; what never came is silence."""
        return self._hearing.timeline.pcm()

    def start_recording(self) -> None:
        """From now on; a second call begins anew."""
        self._recording_from = self._now

    def stop_recording(self) -> Pcm:
        """What was heard since start_recording(). Raises BwlibError when nothing was started."""
        if self._recording_from is None:
            raise BwlibError("stop a recording", "none was started", "call start_recording() first")
        start, self._recording_from = self._recording_from, None
        self._hearing.timeline.extend(self._now)
        return self._hearing.timeline.pcm(start, self._now)

    @property
    def position(self) -> int:
        """Now, in samples since open()."""
        return self._now

    @property
    def last_voice(self) -> int | None:
        """Position just behind the newest voice heard, None as long as there was only silence."""
        return self._hearing.last_voice

    @property
    def stats(self) -> MediaStats:
        return self._reports.stats(self._hearing, self._rejected)


def _not_open() -> NotAsExpected:
    return NotAsExpected("send audio", "the call is not up (its RTP session is not open)", "send while the call is up")


def _is_loopback(address: Address) -> bool:
    return address[0].startswith("127.")
