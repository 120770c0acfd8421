"""The webhook sender with the webhook faults: duplicate, reorder, drop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bwlib.sandbox.conversations import add_delivery
from bwlib.sandbox.faults import Facts, Fault, Faults
from bwlib.sandbox.state import State
from bwlib.sandbox.webhooks import DEFAULT_TIMEOUT_S, Reply, Target, Undeliverable, WebhookSender

NEVER_SENT = "a fault of the sandbox: webhook-drop"


class FaultySender(WebhookSender):
    """As WebhookSender, as long as no fault is switched on."""

    def __init__(self, state: State, faults: Faults) -> None:
        super().__init__(state)
        self._faults = faults
        self._delivered = asyncio.Condition()  # notified after each event that was sent
        self._copies: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for copy in list(self._copies):
            copy.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)
        await super().close()

    async def ask(
        self, event: Mapping[str, Any], target: Target, fallback: Target | None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Reply:
        facts = _facts(event, target)
        if self._faults.take("webhook-drop", facts) is not None:
            add_delivery(self._state, event, target.url, 1, None, NEVER_SENT, "")
            raise Undeliverable(NEVER_SENT)
        twice = self._faults.take("webhook-duplicate", facts)
        try:
            return await super().ask(event, target, fallback, timeout_s)
        finally:
            if twice is not None:
                self._in_background(super().tell(event, target, timeout_s))
            await self._let_go()

    async def tell(self, event: Mapping[str, Any], target: Target, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        facts = _facts(event, target)
        if self._faults.take("webhook-drop", facts) is not None:
            add_delivery(self._state, event, target.url, 1, None, NEVER_SENT, "")
            return
        late = self._faults.take("webhook-reorder", facts)
        if late is not None:
            await self._held_back(late)
        for _ in range(2 if self._faults.take("webhook-duplicate", facts) is not None else 1):
            await super().tell(event, target, timeout_s)
        await self._let_go()

    async def _held_back(self, fault: Fault) -> None:
        """Until another event was sent, the fault's time is over, or it is switched off."""
        overtaken = asyncio.ensure_future(self._overtaken())
        off = asyncio.ensure_future(fault.off.wait())
        await asyncio.wait({overtaken, off}, timeout=fault.number, return_when=asyncio.FIRST_COMPLETED)
        overtaken.cancel()
        off.cancel()

    async def _overtaken(self) -> None:
        async with self._delivered:
            await self._delivered.wait()

    async def _let_go(self) -> None:
        async with self._delivered:
            self._delivered.notify_all()

    def _in_background(self, sending: Any) -> None:
        task = asyncio.get_running_loop().create_task(sending)
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)


def _facts(event: Mapping[str, Any], target: Target) -> Facts:
    call = (str(event["callId"]), str(event.get("sipCallId") or ""))
    return {
        "event": str(event["eventType"]),
        "call": call,
        "url": target.url,
        "account": str(event.get("accountId") or ""),
    }
