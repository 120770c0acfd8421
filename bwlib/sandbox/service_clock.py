"""The service's clock: the Date header of every answer of an API, and when its being ahead makes tokens stale.

A client whose own clock is behind, or a service whose clock is ahead, is seen by comparing Date with the client's
clock. How far apart they may be before Bandwidth refuses a token is not public: STALE_AFTER_S is assumed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bwlib.sandbox.state import State

STALE_AFTER_S = 300.0  # assumed
_ACCOUNT = re.compile(r"/accounts/([^/]+)")


def date_header(state: State) -> dict[str, str]:
    """Date as this account's service has it: the switch clock_ahead_s."""
    return {"Date": formatdate(time.time() + state.switch_s("clock_ahead_s"), usegmt=True)}


def makes_stale(state: State) -> bool:
    """Whether the service's clock is so far ahead that it takes every token for an old one."""
    return state.switch_s("clock_ahead_s") > STALE_AFTER_S


class ServiceClock:
    """ASGI middleware: Date on every answer that has none yet."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start" and not _has_date(message):
                encoded = [(name.lower().encode(), value.encode()) for name, value in self._date(scope).items()]
                message = {**message, "headers": [*message.get("headers", []), *encoded]}
            await send(message)

        await self.app(scope, receive, dated if scope["type"] == "http" else send)

    def _date(self, scope: Scope) -> Mapping[str, str]:
        named = _ACCOUNT.search(scope["path"])
        return date_header((self._state.account(named[1]) if named else None) or self._state)


def _has_date(message: Message) -> bool:
    return any(name.lower() == b"date" for name, _ in message.get("headers", []))
