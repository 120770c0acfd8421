"""What the application side of a call needs of its SIP side. The edge implements it; a test can stand in."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from bwlib.sandbox.wav import Pcm


class LegMedia(Protocol):
    """The RTP session of a leg. PCM is int16, 8000 Hz, mono."""

    @property
    def digits(self) -> asyncio.Queue[str]: ...
    async def play(self, pcm: Pcm) -> None: ...
    def start_recording(self) -> None: ...
    def stop_recording(self) -> Pcm: ...
    def sent(self) -> Pcm: ...
    def received(self) -> Pcm: ...


class CallLeg(Protocol):
    """One SIP call at the edge.

    end_cause: Bandwidth's word (hangup, cancel, busy, timeout, rejected, error), set when `ended` is.
    error_message and sip_response_code say more where there is more to say.
    """

    sip_call_id: str
    ended: asyncio.Event
    answered: asyncio.Event
    end_cause: str
    error_message: str | None
    sip_response_code: int | None

    @property
    def media(self) -> LegMedia: ...
    async def ring(self) -> None: ...
    async def answer(self) -> None: ...
    async def hang_up(self) -> None: ...
    async def reject(self, code: int) -> None: ...


class CallFailed(Exception):
    """The call cannot go on. cause: Bandwidth's word for it."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Dialer(Protocol):
    """Places a call from the edge. Raises CallFailed when it cannot even be tried."""

    async def __call__(self, to: str, from_: str, call: dict[str, Any]) -> CallLeg: ...
