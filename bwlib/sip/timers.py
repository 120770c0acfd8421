"""The timers of SIP over UDP, and repeating a message until it is answered (RFC 3261 section 17, table 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timers:
    """The timers of RFC 3261 (table 4), in seconds; tests shrink them. trying_s: when 100 is sent by itself.

    ring_limit_s: an INVITE that nobody has answered, rejected or cancelled by then is rejected with 480.
    """

    t1_s: float = 0.5
    t2_s: float = 4.0
    t4_s: float = 5.0
    trying_s: float = 0.2
    ring_limit_s: float = 300.0

    @property
    def timeout_s(self) -> float:
        """64*T1: timers B, D, F, H, J, L and M."""
        return 64 * self.t1_s


class Resend:
    """Sends now, again after first_s, doubling up to cap_s, until stop(); after limit_s calls on_limit once.

    All of it counts from the beginning: a busy machine is late once, not a bit more at each repeat.
    """

    def __init__(
        self, send: Callable[[], object], first_s: float, cap_s: float, limit_s: float, on_limit: Callable[[], object]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._send, self._wait_s, self._cap_s, self._on_limit = send, first_s, cap_s, on_limit
        began = self._loop.time()
        self._due = began + first_s
        self._limit = self._loop.call_at(began + limit_s, self._expire)
        self._next = self._loop.call_at(self._due, self._again)
        send()

    def _again(self) -> None:
        self._wait_s = min(self._wait_s * 2, self._cap_s)
        self._due += self._wait_s
        self._next = self._loop.call_at(self._due, self._again)
        self._send()

    def slow_down(self) -> None:
        """After a provisional answer the next repeats come every cap_s (timer E in state Proceeding)."""
        self._wait_s = self._cap_s

    def _expire(self) -> None:
        self.stop()
        self._on_limit()

    def stop(self) -> None:
        self._limit.cancel()
        self._next.cancel()
