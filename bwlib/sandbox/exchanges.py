"""Every HTTP exchange with the imitated APIs is written down, with secrets masked, and counts as activity."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bwlib.sandbox.account_xml import MAX_BODY_BYTES
from bwlib.sandbox.api_errors import error_for
from bwlib.sandbox.state import State

NOT_IMITATED = ("/_sandbox", "/dashboard")  # the dashboard's forms carry passwords; what it asks the API is logged
_KEPT_CHARACTERS = 20_000
_MAX_READ_BYTES = 64_000_000  # of a body that is too large: read and forgotten, so that its sender hears the 413
_MASK = "********"
_XML_SECRET = re.compile(r"(<(Hash1b?|Password)>)[^<]*(</)")
_JSON_SECRET = re.compile(r'("(?:\w*[pP]assword|access_token|client_secret)"\s*:\s*)"(?:[^"\\]|\\.)*"')
_HASH = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])")  # an error text can repeat a bare one
_FORM_SECRET = re.compile(r"\b(client_secret|password)=[^&\s]+")


def masked(text: str) -> str:
    """`text` without passwords, tokens and HA1 hashes in XML, JSON or form bodies."""
    return _FORM_SECRET.sub(rf"\1={_MASK}", masked_markup(text))


def masked_markup(text: str) -> str:
    """The same for what is no form: in BXML `password="x"` is an attribute, and the document goes on after it."""
    text = _XML_SECRET.sub(rf"\1{_MASK}\3", text)
    return _HASH.sub(_MASK, _JSON_SECRET.sub(rf'\1"{_MASK}"', text))


class ExchangeLog:
    """ASGI middleware around the whole app. Bodies over MAX_BODY_BYTES are refused with 413.

    A request whose sender left in the middle of it is not carried out. Status 0: no answer was sent.
    """

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
        fits = request_body is not None and len(request_body) <= MAX_BODY_BYTES
        pending: list[Message] = [{"type": "http.request", "body": request_body, "more_body": False}]
        response_body = bytearray()
        status = 0

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            response_body.extend(message.get("body", b"")[:_KEPT_CHARACTERS])
            await send(message)

        too_large = error_for(scope["path"], 413, f"The body is larger than {MAX_BODY_BYTES} bytes", 1019)
        try:
            if request_body is not None:
                await (self.app if fits else too_large)(scope, replay, watch)
        finally:
            query = scope["query_string"].decode("latin-1")
            path = scope["path"] + (f"?{query}" if query else "")
            said = _text(request_body or b"") if fits else "(not all of it came, or too much)"
            self.state.add_exchange(scope["method"], path, status, said, _text(bytes(response_body)))


async def _whole_body(receive: Receive) -> bytes | None:
    """None when the sender left before the end. Of a body that is too large, a little more than is allowed."""
    body, read = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        read += len(chunk)
        if len(body) <= MAX_BODY_BYTES:
            body.extend(chunk)
        if not message.get("more_body") or read > _MAX_READ_BYTES:
            return bytes(body)


def _text(body: bytes) -> str:
    try:
        return masked(body.decode("utf-8"))[:_KEPT_CHARACTERS]
    except UnicodeDecodeError:
        return f"({len(body)} bytes)"
