"""The calls that are up: the edge brings inbound ones here, the Voice API starts and changes outbound ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from bwlib.sandbox import wav
from bwlib.sandbox.admission import Admitted
from bwlib.sandbox.bxml_player import NextEvent
from bwlib.sandbox.call_flow import CallFlow, Plan
from bwlib.sandbox.calls import add_call, new_call_id
from bwlib.sandbox.home import touch_private
from bwlib.sandbox.leg import CallFailed, CallLeg, Dialer
from bwlib.sandbox.state import State, timestamp
from bwlib.sandbox.webhooks import DEFAULT_TIMEOUT_S, Target, WebhookSender

log = logging.getLogger(__name__)
_KEPT_CALLS = 100  # whose audio stays on disk


class Switchboard:
    """`api_base` is the URL of the Voice API, for callUrl. `dialer` is set once the edge is up."""

    def __init__(self, state: State, sender: WebhookSender, api_base: str) -> None:
        self._state = state
        self._sender = sender
        self._api_base = api_base
        self._flows: dict[str, CallFlow] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by call id
        self.dialer: Dialer | None = None
        self._audio = state.directory / "audio"
        self._audio.mkdir(mode=0o700, exist_ok=True)

    def flow(self, call_id: str) -> CallFlow | None:
        """The call while it is up."""
        return self._flows.get(call_id)

    def up(self, account_id: str | None = None) -> int:
        """How many calls are up, of all accounts or of one."""
        return sum(account_id in (None, flow.account_id) for flow in self._flows.values())

    async def close(self) -> None:
        """Hang up everything, and wait a moment for the last webhooks."""
        await self.hang_up_all()

    async def hang_up_all(self, account_id: str | None = None) -> None:
        """As `close`, but the calls of one account only where one is named."""
        flows = [flow for flow in self._flows.values() if account_id in (None, flow.account_id)]
        for flow in flows:
            await flow.hang_up()
        ending = {self._tasks[flow.call_id] for flow in flows if flow.call_id in self._tasks}
        if ending:
            await asyncio.wait(ending, timeout=2)

    # ---------------------------------------------------------------- calls begin

    def take_inbound(self, leg: CallLeg, admitted: Admitted) -> str:
        """A call from a PBX for an application; its new call id."""
        application = admitted.application
        state = self._state.account(application.account_id) or self._state
        call = self._new_call(state, application.id, admitted.to, admitted.from_, "inbound")
        add_call(state, call)
        flow = CallFlow(state, self._sender, call, _inbound_plan(admitted), self._keep_audio)
        self._start(flow, flow.run_inbound(leg))
        return flow.call_id

    def place_outbound(self, state: State, wanted: dict[str, Any], plan: Plan) -> dict[str, Any]:
        """A call the Voice API asked for; `wanted` has its checked fields. state: the account's view. Returns the
        call's own fields."""
        call = self._new_call(state, wanted["applicationId"], wanted["to"], wanted["from"], "outbound")
        call |= {"enqueuedTime": timestamp(), "tag": wanted.get("tag")}
        add_call(state, call)
        flow = CallFlow(state, self._sender, call, plan, self._keep_audio)

        async def dialing() -> CallLeg:
            if self.dialer is None:
                raise CallFailed("error", "the SIP edge of this sandbox is not running")
            return await self.dialer(call["to"], call["from"], call)

        self._start(flow, flow.run_outbound(dialing))
        return call

    def _new_call(self, state: State, application_id: str, to: str, from_: str, direction: str) -> dict[str, Any]:
        call_id = new_call_id()
        return {
            "applicationId": application_id,
            "accountId": state.account_id,
            "callId": call_id,
            "parentCallId": None,
            "to": to,
            "from": from_,
            "direction": direction,
            "state": "queued" if direction == "outbound" else "initiated",
            "callUrl": f"{self._api_base}/accounts/{state.account_id}/calls/{call_id}",
        }

    def _start(self, flow: CallFlow, running: Coroutine[Any, Any, None]) -> None:
        self._flows[flow.call_id] = flow
        task = asyncio.get_running_loop().create_task(self._run(flow, running))
        self._tasks[flow.call_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(flow.call_id, None))

    async def _run(self, flow: CallFlow, running: Coroutine[Any, Any, None]) -> None:
        try:
            await running
        except Exception:
            log.exception("call %s broke", flow.call_id)
            await flow.break_off()
        finally:
            self._flows.pop(flow.call_id, None)

    # ---------------------------------------------------------------- audio

    def audio_of(self, call_id: str, direction: str) -> bytes | None:
        """WAV of what the edge "sent" or "heard", also while the call is up; None when there is none."""
        flow = self._flows.get(call_id)
        if flow is not None and flow.leg is not None:
            media = flow.leg.media
            return wav.encode(media.sent() if direction == "sent" else media.received())
        file = self._audio_file(call_id, direction)
        return file.read_bytes() if file.exists() else None

    def _audio_file(self, call_id: str, direction: str) -> Path:
        return self._audio / f"{Path(call_id).name}-{direction}.wav"

    def _keep_audio(self, call_id: str, leg: CallLeg) -> None:
        for direction, pcm in (("sent", leg.media.sent()), ("heard", leg.media.received())):
            file = self._audio_file(call_id, direction)
            touch_private(file)
            file.write_bytes(wav.encode(pcm))
        oldest_first = sorted(self._audio.glob("*.wav"), key=lambda file: file.stat().st_mtime)
        for file in oldest_first[: -2 * _KEPT_CALLS]:
            file.unlink()


def _inbound_plan(admitted: Admitted) -> Plan:
    """Where an application wants `initiate` and `disconnect`: dev.bandwidth.com/docs/account/applications."""
    application = admitted.application
    user, password = application.get("CallbackCreds/UserId"), application.get("CallbackCreds/Password")
    url, method = application.fields["CallInitiatedCallbackUrl"], application.fields["CallInitiatedMethod"]
    fallback_url, status_url = application.get("CallInitiatedFallbackUrl"), application.get("CallStatusCallbackUrl")
    fallback = Target(
        fallback_url or "",
        application.get("CallInitiatedFallbackMethod") or "POST",
        application.get("CallInitiatedFallbackCreds/UserId"),
        application.get("CallInitiatedFallbackCreds/Password"),
    )
    status = Target(status_url or "", application.get("CallStatusMethod") or "POST", user, password)
    fields: dict[str, Any] = {"privacy": False, "callerDisplayName": admitted.from_}
    fields |= {"diversion": None, "stirShaken": None, "uui": None}
    if admitted.sip_headers:  # only calls to a SIP URI bring any
        fields["sipHeaders"] = dict(admitted.sip_headers)
    return Plan(
        NextEvent("initiate", Target(url, method, user, password), fallback if fallback_url else None, fields),
        status if status_url else None,
        float(application.get("CallbackTimeout") or DEFAULT_TIMEOUT_S),
    )
