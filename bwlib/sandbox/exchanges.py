"""Every HTTP exchange with the imitated APIs is written down, with secrets masked, and counts as activity."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bwlib.sandbox.account_xml import MAX_BODY_BYTES
from bwlib.sandbox.state import State

NOT_IMITATED = ("/_sandbox", "/dashboard")  # the dashboard's forms carry passwords; what it asks the API is logged
_KEPT_CHARACTERS = 20_000
_MASK = "********"
_XML_SECRET = re.compile(r"(<(Hash1b?|Password)>)[^<]*(</)")
_JSON_SECRET = re.compile(r'("(?:\w*[pP]assword|access_token|client_secret)"\s*:\s*)"(?:[^"\\]|\\.)*"')
_FORM_SECRET = re.compile(r"\b(client_secret|password)=[^&\s]+")


def masked(text: str) -> str:
    """`text` without passwords, tokens and HA1 hashes in XML, JSON or form bodies."""
    text = _XML_SECRET.sub(rf"\1{_MASK}\3", text)
    text = _JSON_SECRET.sub(rf'\1"{_MASK}"', text)
    return _FORM_SECRET.sub(rf"\1={_MASK}", text)


class ExchangeLog:
    """ASGI middleware around the whole app. Bodies over MAX_BODY_BYTES are refused with 413."""

    def __init__(self, app: ASGIApp, state: State, on_activity: Callable[[], None]) -> None:
        self.app = app
        self.state = state
        self.on_activity = on_activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.on_activity()
        if scope["path"].startswith(NOT_IMITATED):
            await self.app(scope, receive, send)
            return
        await self._logged(scope, receive, send)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_body = await _whole_body(receive)
        if request_body is None:
            await PlainTextResponse("the body is too large", 413)(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": request_body, "more_body": False}]
        response_body = bytearray()
        status = 500

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            response_body.extend(message.get("body", b"")[:_KEPT_CHARACTERS])
            await send(message)

        try:
            await self.app(scope, replay, watch)
        finally:
            query = scope["query_string"].decode("latin-1")
            path = scope["path"] + (f"?{query}" if query else "")
            self.state.add_exchange(scope["method"], path, status, _text(request_body), _text(bytes(response_body)))


async def _whole_body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _text(body: bytes) -> str:
    try:
        return masked(body.decode("utf-8"))[:_KEPT_CHARACTERS]
    except UnicodeDecodeError:
        return f"({len(body)} bytes)"
