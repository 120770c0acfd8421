"""One call from its first event to its last: events out, BXML in, verbs carried out, disconnect.

dev.bandwidth.com/docs/voice/webhooks and /docs/voice/bxml (read 2026-11-23). A call from a PBX is "inbound" and
starts with `initiate`; a call made by the API is "outbound" and starts with `answer` once it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from bwlib.errors import NotAsExpected
from bwlib.sandbox.bxml_player import NextEvent, Player, Recorded, target_of
from bwlib.sandbox.bxml_reader import BxmlError, Verb, read
from bwlib.sandbox.calls import common_fields, find_call, update_call
from bwlib.sandbox.conversations import add_verb
from bwlib.sandbox.leg import CallFailed, CallLeg
from bwlib.sandbox.recordings import add_recording
from bwlib.sandbox.state import State, new_id, timestamp
from bwlib.sandbox.webhooks import DEFAULT_TIMEOUT_S, Target, Undeliverable, WebhookSender

log = logging.getLogger(__name__)
_ANSWER_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Plan:
    """What a call starts with and where its end is told. Times in seconds."""

    first: NextEvent
    disconnect: Target | None
    callback_timeout_s: float = DEFAULT_TIMEOUT_S
    call_timeout_s: float = 30.0


class CallFlow:
    """Runs one call. `run()` ends when the call has, its audio is kept and `disconnect` is sent."""

    def __init__(
        self,
        state: State,
        sender: WebhookSender,
        call: dict[str, Any],
        plan: Plan,
        keep_audio: Callable[[str, CallLeg], None],
    ) -> None:
        self.call_id: str = call["callId"]
        self.account_id: str = call["accountId"]
        self._state = state
        self._sender = sender
        self._call = call
        self._plan = plan
        self._keep_audio = keep_audio
        self._tag: str | None = call.get("tag")
        self._redirect: NextEvent | None = None
        self._work: asyncio.Task[NextEvent | None] | None = None
        self.leg: CallLeg | None = None
        self._failure: CallFailed | None = None
        self._told_the_end = False

    # ---------------------------------------------------------------- from outside

    async def run_inbound(self, leg: CallLeg) -> None:
        """A caller who has authenticated; nothing is answered before the application says so."""
        self.leg = leg
        self._update(state="initiated", startTime=timestamp(), sipCallId=leg.sip_call_id)
        await self._until_over(leg, self._plan.first)

    async def run_outbound(self, dialing: Callable[[], Any]) -> None:
        """`dialing()` gives the leg; the call is the application's from the moment it is answered."""
        try:
            leg: CallLeg = await dialing()
        except CallFailed as failure:
            self._failure = failure
            await self._finish(None)
            return
        self.leg = leg
        self._update(state="initiated", startTime=timestamp(), sipCallId=leg.sip_call_id)
        if not await self._answered_in_time(leg):
            await leg.hang_up()
        if not leg.answered.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leg.ended.wait(), _ANSWER_PATIENCE_S)
            await self._finish(leg)
            return
        self._update(state="answered", answerTime=timestamp())
        await self._until_over(leg, self._plan.first)

    def redirect(self, upcoming: NextEvent) -> None:
        """Interrupt whatever is playing and go on with `upcoming`."""
        self._redirect = upcoming
        if self._work is not None:
            self._work.cancel()

    async def hang_up(self, cause: str | None = None) -> None:
        """End it from outside; the flow notices and finishes."""
        if self.leg is None:
            return
        if cause is not None:
            self._failure = CallFailed(cause, "")
        if self._call["direction"] == "inbound" and not self.leg.answered.is_set():
            await self.leg.reject(self._reject_status())
        else:
            await self.leg.hang_up()

    async def break_off(self) -> None:
        """The sandbox itself failed in the middle of this call: end it with cause `error`, and tell the application."""
        self._failure = CallFailed("error", "the sandbox failed; its log says why")
        try:
            await self.hang_up()
        except Exception:
            log.exception("call %s could not be hung up", self.call_id)
        if not self._told_the_end:
            await self._finish(self.leg)

    # ---------------------------------------------------------------- the conversation

    async def _answered_in_time(self, leg: CallLeg) -> bool:
        """False when callTimeout passed first."""
        waits = {asyncio.ensure_future(leg.answered.wait()), asyncio.ensure_future(leg.ended.wait())}
        done, pending = await asyncio.wait(
            waits, timeout=self._plan.call_timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in pending:
            wait.cancel()
        if not done:
            self._failure = CallFailed("timeout", "")
        return bool(done)

    async def _until_over(self, leg: CallLeg, first: NextEvent) -> None:
        ended = asyncio.ensure_future(leg.ended.wait())
        try:
            upcoming: NextEvent | None = first
            while upcoming is not None and not ended.done():
                upcoming = await self._round_or_end(leg, upcoming, ended)
        except CallFailed as failure:
            self._failure = failure
        finally:
            ended.cancel()
        if not leg.ended.is_set():
            await self.hang_up()
        await self._finish(leg)

    async def _round_or_end(self, leg: CallLeg, upcoming: NextEvent, ended: asyncio.Future[Any]) -> NextEvent | None:
        self._work = asyncio.ensure_future(self._round(leg, upcoming))
        await asyncio.wait({self._work, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not self._work.done():
            self._work.cancel()
            await asyncio.wait({self._work})
        if self._work.cancelled():
            following, self._redirect = self._redirect, None
            return following
        return self._work.result()

    async def _round(self, leg: CallLeg, event: NextEvent) -> NextEvent | None:
        """Send one BXML event, carry out what comes back."""
        self._tag = event.tag if event.tag is not None else self._tag
        body = {**self._event(event.event_type), **event.fields}
        try:
            target = self._with_credentials(event.target)
            reply = await self._sender.ask(body, target, event.fallback, self._plan.callback_timeout_s)
        except Undeliverable as error:
            raise CallFailed("callback-error", str(error)) from error
        if not reply.body.strip() and self._state.switch("empty_bxml_body") == "hangup":
            return None
        try:
            verbs = read(reply.body)
        except BxmlError as error:
            raise CallFailed(error.cause, str(error)) from error
        player = Player(leg, self._answer, self._keep_recording, self._sender.fetch, self._began)
        try:
            return await player.run(verbs, reply.url)
        except NotAsExpected as error:  # the far end hung up in the middle of a verb: audio closes before the leg ends
            log.info("call %s: %s", self.call_id, error.came_back)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leg.ended.wait(), _ANSWER_PATIENCE_S)
            return None

    def _with_credentials(self, target: Target) -> Target:
        """A verb's URL without credentials of its own gets those of the first URL, if it is on the same origin."""
        first = self._plan.first.target
        inherits = self._state.switch("callback_credentials") == "inherit" and target.user is None
        if not inherits or urlsplit(target.url)[:2] != urlsplit(first.url)[:2]:
            return target
        return replace(target, user=first.user, password=first.password)

    async def _answer(self) -> None:
        assert self.leg is not None
        if not self.leg.answered.is_set():
            await self.leg.answer()
            self._update(state="answered", answerTime=timestamp())

    def _began(self, verb: Verb) -> None:
        add_verb(self._state, self.call_id, verb)

    def _keep_recording(self, recorded: Recorded, base_url: str) -> dict[str, Any]:
        recording = add_recording(self._state, self._call, recorded.pcm, recorded.started_at, recorded.ended_at)
        target = target_of(recorded.verb, "recordingAvailable", base_url)
        if target is not None:
            names = ("recordingId", "mediaUrl", "endTime", "duration", "fileFormat", "channels", "status")
            event = self._event("recordingAvailable") | {name: recording[name] for name in names}
            _in_background(self._sender.tell(event, target, self._plan.callback_timeout_s))
        return recording

    # ---------------------------------------------------------------- events and the end

    def _event(self, event_type: str) -> dict[str, Any]:
        """The common fields, and those of every event that this call already has."""
        event = common_fields(self._call, event_type)
        for name in ("enqueuedTime", "answerTime", "parentCallId"):
            if event_type != "initiate":
                event[name] = self._call.get(name)
        if event_type in ("initiate", "answer", "disconnect"):
            event["sipCallId"] = self._call.get("sipCallId")
        if event_type != "initiate":
            event["tag"] = self._tag
        return event

    async def _finish(self, leg: CallLeg | None) -> None:
        cause, message = self._cause(leg)
        end = {"endTime": timestamp(time.time()), "disconnectCause": cause, "errorMessage": message or None}
        self._update(state="disconnected", **end, errorId=new_id() if message else None)
        if leg is not None:
            self._try_to_keep_audio(leg)
        self._told_the_end = True
        if self._plan.disconnect is None:
            return
        event = self._event("disconnect")
        event |= {"endTime": self._call["endTime"], "cause": cause}
        event |= {name: self._call[name] for name in ("errorMessage", "errorId")}
        if leg is not None and leg.sip_response_code is not None:
            event["sipResponseCode"] = leg.sip_response_code
        await self._sender.tell(event, self._plan.disconnect, self._plan.callback_timeout_s)

    def _try_to_keep_audio(self, leg: CallLeg) -> None:
        try:
            self._keep_audio(self.call_id, leg)
        except Exception:  # a full disk must not cost the application its disconnect
            log.exception("the audio of call %s is lost", self.call_id)

    def _cause(self, leg: CallLeg | None) -> tuple[str, str | None]:
        if self._failure is not None:
            return self._failure.cause, str(self._failure)
        assert leg is not None
        return leg.end_cause or "hangup", leg.error_message

    def _reject_status(self) -> int:
        return int(self._state.switch("unanswered_hangup_status"))

    def _update(self, **changes: Any) -> None:
        update_call(self._state, self.call_id, changes)
        self._call = find_call(self._state, self.call_id) or {**self._call, **changes}


_background: set[asyncio.Future[None]] = set()


def _in_background(sending: Any) -> None:
    """Run it without waiting; the set keeps it from being collected on the way."""
    task = asyncio.ensure_future(sending)
    _background.add(task)
    task.add_done_callback(_background.discard)
