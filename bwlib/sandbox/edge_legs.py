"""The two kinds of call at the edge, as the application side sees them (`bwlib.sandbox.leg.CallLeg`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from bwlib.sandbox.leg import CallFailed
from bwlib.sip.agent import IncomingCall, OutboundCall
from bwlib.sip.media import Media, SdpError

log = logging.getLogger(__name__)
_BUSY = (486, 600)


class _Leg:
    def __init__(self, sip_call_id: str, media: Media) -> None:
        self.sip_call_id = sip_call_id
        self.media = media
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()
        self.end_cause = ""
        self.error_message: str | None = None
        self.sip_response_code: int | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening: asyncio.Task[None] | None = None

    def _spawn(self, running: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_media(self) -> None:
        """Begin to send and hear. Whoever waits may be cancelled, the opening is not: half open cannot be closed."""
        self._opening = asyncio.get_running_loop().create_task(self.media.open())
        await asyncio.shield(self._opening)

    async def _end(self, cause: str, message: str | None = None) -> None:
        if self._opening is not None:
            await asyncio.wait({self._opening})
        await self.media.close()  # what was sent and heard stays readable
        self.end_cause, self.error_message = self.end_cause or cause, self.error_message or message
        self.ended.set()


class InboundLeg(_Leg):
    """A caller who has authenticated. `answer_sdp` answers his offer, or is our offer when he made none."""

    def __init__(self, call: IncomingCall, media: Media, answer_sdp: str) -> None:
        super().__init__(call.sip_call_id, media)
        self._call = call
        self._answer_sdp = answer_sdp
        self._offerless = not call.remote_sdp
        call.on_reinvite = self._reinvited
        self._spawn(self._watch())

    async def ring(self) -> None:
        self._call.ring()

    async def answer(self) -> None:
        """200, then audio once it is ACKed. Raises CallFailed when the caller was faster to leave."""
        if not self._call.answered and not self._call.answer(self._answer_sdp):
            raise CallFailed("cancel", "")
        waits = {asyncio.ensure_future(self._call.acked.wait()), asyncio.ensure_future(self._call.ended.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._call.acked.is_set():
            raise CallFailed("error", "the answer was never acknowledged")
        self.answered.set()
        await self._begin_audio()

    async def _begin_audio(self) -> None:
        if self._opening is not None or self._call.ended.is_set():
            return
        try:
            if self._offerless:
                self.media.accept(self._call.remote_sdp)
        except SdpError as error:
            raise CallFailed("error", f"no audio can be agreed on: {error}") from error
        await self._open_media()

    async def hang_up(self) -> None:
        self._spawn(self._call.hang_up())

    async def reject(self, code: int) -> None:
        """Refuse an unanswered call; one that is just being answered is hung up."""
        if self._call.answered:
            await self.hang_up()
        else:
            self._call.reject(code)

    def _reinvited(self, offer: str) -> str:
        return self.media.answer(offer) if offer else self._call.local_sdp

    async def _watch(self) -> None:
        await self._call.ended.wait()
        cause = {"cancel": "cancel", "timeout": "error"}.get(self._call.end_reason, "hangup")
        await self._end(cause, "the caller no longer answers" if cause == "error" else None)


class OutboundLeg(_Leg):
    """A call to a SIP URI. Its challenges are never answered: Bandwidth has no credentials for other people's PBX."""

    def __init__(self, call: OutboundCall, media: Media) -> None:
        super().__init__(call.sip_call_id, media)
        self._call = call
        call.on_reinvite = self._reinvited
        self._spawn(self._watch())

    async def ring(self) -> None:
        """Nothing to do: we are the caller."""

    async def answer(self) -> None:
        """Nothing to do: the callee answers."""

    async def hang_up(self) -> None:
        self._spawn(self._call.hang_up())

    async def reject(self, code: int) -> None:
        await self.hang_up()

    def _reinvited(self, offer: str) -> str:
        return self.media.answer(offer) if offer else self._call.local_sdp

    async def _watch(self) -> None:
        waits = {asyncio.ensure_future(self._call.answered.wait()), asyncio.ensure_future(self._call.ended.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._call.answered.is_set() and not self._call.ended.is_set():
            await self._begin_audio()
        await self._call.ended.wait()
        await self._end(*self._why_ended())

    async def _begin_audio(self) -> None:
        try:
            self.media.accept(self._call.remote_sdp)
        except SdpError as error:
            self.end_cause, self.error_message = "error", f"no audio can be agreed on: {error}"
            await self._call.hang_up()
            return
        await self._open_media()
        self.answered.set()

    def _why_ended(self) -> tuple[str, str | None]:
        status, said = self._call.status, f"{self._call.status} {self._call.reason}"
        if self._call.answered.is_set():
            lost = self._call.end_reason == "timeout"
            return ("error", "the callee no longer answers") if lost else ("hangup", None)
        if self._call.end_reason == "cancel":
            return "cancel", None
        if self._call.end_reason == "local":
            return "error", "the SIP edge was stopped"
        if self._call.final_response is None:
            return "timeout" if status == 408 else "error", f"nobody answered at the address: {said}"
        self.sip_response_code = status
        if status in _BUSY:
            return "busy", "Callee is busy"
        if status in (401, 407):
            return "rejected", f"the callee asked for credentials ({said}), and Bandwidth has none to give"
        return "rejected", f"the callee answered {said}"
