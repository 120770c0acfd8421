"""One call of the scripted phone, with a synchronous face."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from bwlib.errors import BwlibError, NotAsExpected
from bwlib.models import Digits
from bwlib.sip.agent import IncomingCall, OutboundCall
from bwlib.sip.dtmf import digit_of_info
from bwlib.sip.media import Media, MediaStats

Pcm = npt.NDArray[np.int16]
T = TypeVar("T")

SAMPLE_RATE = 8000
_POLL_S = 0.02


class LoopThread:
    """An event loop in a daemon thread: for scripts, and for Jupyter, whose own loop is busy running the cell."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it there and wait. When the waiting is interrupted, the coroutine is cancelled."""
        if not self.running:
            coroutine.close()
            raise BwlibError("use the phone", "it is switched off", "use it inside its `with` block")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class PhoneCall:
    """A call that is up, or was. Everything it said and heard stays readable after its end."""

    def __init__(self, thread: LoopThread, call: IncomingCall | OutboundCall, media: Media) -> None:
        """Must be made in the thread's event loop."""
        self._thread, self._call, self._media = thread, call, media
        self.pressed: list[Digits] = []
        self._digits = ""
        self._listened = 0  # position up to which wait_for_speech() and wait_for_silence() have listened
        self._tasks: set[asyncio.Task[None]] = set()
        call.on_info = self._on_info
        call.on_reinvite = lambda sdp: media.answer(sdp) if sdp else media.offer()
        self._keep(self._close_at_end())

    def __repr__(self) -> str:
        state = f"ended ({self._call.end_reason})" if self._call.ended.is_set() else "up"
        return f"<PhoneCall {self.sip_call_id} {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.running:
            self.hang_up()

    @property
    def sip_call_id(self) -> str:
        return self._call.sip_call_id

    # ------------------------------------------------------------ doing

    def play(self, pcm: Pcm, wait: bool = True) -> None:
        """Say something. wait=False returns at once; what is played next follows it.

        Raises NotAsExpected when the call is over, or ends meanwhile.
        """
        if wait:
            self._thread.run(self._media.play(pcm))
        else:
            self._thread.run(self._begin(self._media.play(pcm)))

    def send_digits(self, digits: str, tone_ms: int = 160, gap_ms: int = 100) -> None:
        """Press keys (RFC 4733) and wait until the last one is released. Errors as play(), and SettingsError."""
        began = datetime.now(UTC)
        self._thread.run(self._media.send_digits(digits, tone_ms, gap_ms))
        self.pressed.append(Digits(began, digits))

    def hang_up(self) -> None:
        """BYE. Nothing happens when the call is over already."""
        self._thread.run(self._call.hang_up())

    # ------------------------------------------------------------ waiting

    def wait_ended(self, timeout_s: float = 30) -> str:
        """Wait for the end of the call: "bye" (the far end hung up), "local" (this phone did), "timeout" (no ACK,
        or the call was gone). Raises NotAsExpected when it is still up."""
        if self._thread.running and not self._thread.run(_within(self._call.ended.wait(), timeout_s)):
            raise NotAsExpected(
                "wait until the call ends", f"it is still up after {timeout_s:g} s", "hang up, or wait longer"
            )
        return self._call.end_reason

    def wait_for_speech(self, timeout_s: float = 10) -> bool:
        """Wait until something is heard that an earlier wait has not heard yet. False when nothing came."""
        return self._thread.run(self._speech(timeout_s))

    def wait_for_silence(self, after_s: float = 1.0, timeout_s: float = 60) -> bool:
        """Wait until it has been silent for `after_s` seconds, or the call is over. False when it went on."""
        return self._thread.run(self._silence(after_s, timeout_s))

    def wait_for_digits(self, count: int, timeout_s: float = 10) -> str:
        """Wait until `count` digits were heard in this call; returns all of them, maybe fewer at the end of time."""
        self._thread.run(self._digits_come(count, timeout_s))
        return self.digits_heard

    # ------------------------------------------------------------ what was said and heard

    @property
    def recording(self) -> Pcm:
        """What this phone has heard since the call was answered."""
        return self._read(self._media.received)

    @property
    def sent(self) -> Pcm:
        """What this phone has said since the call was answered, silence included."""
        return self._read(self._media.sent)

    @property
    def digits_heard(self) -> str:
        """DTMF that came in, by RFC 4733 or SIP INFO."""
        return self._read(self._take_digits)

    @property
    def stats(self) -> MediaStats:
        """Packets, loss, jitter, and what the far end's RTCP said."""
        return self._read(lambda: self._media.stats)

    # ------------------------------------------------------------ inside the loop

    def _read(self, get: Callable[[], T]) -> T:
        async def got() -> T:
            return get()

        return self._thread.run(got()) if self._thread.running else get()

    async def finish(self) -> None:
        """Hang up and close the media; for the phone when it is switched off."""
        await self._call.hang_up()
        await self._media.close()
        for task in list(self._tasks):
            task.cancel()

    async def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._keep(coroutine)
        await asyncio.sleep(0)  # so that it stands in the queue before what comes next

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a play(wait=False) that the end of the call cut short

    async def _close_at_end(self) -> None:
        await self._call.ended.wait()
        await self._media.close()

    def _on_info(self, content_type: str, body: bytes) -> None:
        digit = digit_of_info(content_type, body)
        if digit:
            self._media.digits.put_nowait(digit)

    def _take_digits(self) -> str:
        while not self._media.digits.empty():
            self._digits += self._media.digits.get_nowait()
        return self._digits

    async def _poll(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Until it holds, the call is over, or the time is up; returns whether it holds."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not holds():
            if self._call.ended.is_set() or asyncio.get_running_loop().time() >= deadline:
                return holds()
            await asyncio.sleep(_POLL_S)
        return True

    async def _speech(self, timeout_s: float) -> bool:
        came = await self._poll(lambda: (self._media.last_voice or 0) > self._listened, timeout_s)
        self._listened = max(self._listened, self._media.last_voice or 0)
        return came

    async def _silence(self, after_s: float, timeout_s: float) -> bool:
        def silent() -> bool:
            since = max(self._media.last_voice or 0, 0)
            return self._call.ended.is_set() or self._media.position - since >= after_s * SAMPLE_RATE

        came = await self._poll(silent, timeout_s)
        self._listened = max(self._listened, self._media.last_voice or 0)
        return came

    async def _digits_come(self, count: int, timeout_s: float) -> None:
        await self._poll(lambda: len(self._take_digits()) >= count, timeout_s)


async def _within(awaitable: Coroutine[Any, Any, object], timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await awaitable
    except TimeoutError:
        return False
    return True
