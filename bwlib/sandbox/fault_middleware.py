"""HTTP faults: between the exchange log, which writes down what the client gets, and the APIs.

Only the imitated APIs are hit, never the control API or the dashboard: what is broken can be mended.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bwlib.sandbox.account_xml import AccountError, answer, error_answer, parse, status_element
from bwlib.sandbox.api_errors import error_for, is_api, root_of, speaks_xml
from bwlib.sandbox.faults import Facts, Fault, Faults

_AFTERWARDS = ("http-delay", "http-answer-lost", "http-garbage", "http-truncated", "http-drip")  # in the order they act
_ACCOUNT = re.compile(r"/accounts/([^/]*)")
_SIGN_IN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in<br></body></html>"
_PROMISED_BYTES = 64  # what a truncated answer with an empty body says is coming


class BreakableProtocol(H11Protocol):
    """uvicorn's HTTP, with the connection in the ASGI scope's state: a fault may cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class FaultInjection:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._faults.on() or not is_api(scope["path"]):
            await self.app(scope, receive, send)
            return
        facts = _facts(scope)
        if await self._instead(scope, receive, send, facts):
            return
        acting = [fault for name in _AFTERWARDS if (fault := self._faults.take(name, facts)) is not None]
        if not acting:
            await self.app(scope, receive, send)
            return
        start, body = await _captured(self.app, scope, receive)
        await _broken(acting, start, body, scope, receive, send)

    async def _instead(self, scope: Scope, receive: Receive, send: Send, facts: Facts) -> bool:
        """Faults that keep the request from being carried out. True when one has dealt with it."""
        fault = self._faults.take("http-status", facts)
        if fault is not None:
            await _error(scope["path"], int(fault.value))(scope, receive, send)
            return True
        if speaks_xml(scope["path"]) and scope["method"] == "POST":
            fault = self._faults.take("http-201-errors", facts)
            if fault is not None:
                await _created_with_errors(scope["path"], int(fault.value), await _body(receive))(scope, receive, send)
                return True
        if self._faults.take("http-drop", facts) is None:
            return False
        await _cut(scope, receive, flush=False)
        return True


def _facts(scope: Scope) -> Facts:
    path = scope["path"]
    account = _ACCOUNT.search(path)
    behind = path[account.end() :] if account else path
    return {"method": scope["method"], "path": (path, behind), "account": account.group(1) if account else ""}


def _error(path: str, status: int) -> Response:
    response = error_for(path, status, f"A fault of the sandbox: http-status {status}")
    if status == 429:
        response.headers["Retry-After"] = "1"
    return response


def _created_with_errors(path: str, code: int, body: bytes) -> Response:
    """201 that says no: dev.bandwidth.com/docs/account/sipRegistrar. The entry sent is echoed, hashes and all."""
    error = AccountError(201, code, "A fault of the sandbox: http-201-errors")
    root = root_of(path)
    if root != "SipCredentialsResponse":
        return error_answer(root, error)
    document = Element(root)
    envelope = SubElement(SubElement(document, "Errors"), "Error")
    envelope.extend(status_element(error))
    with contextlib.suppress(AccountError):  # a body that cannot be read has nothing to echo
        envelope.extend(parse(body, "SipCredentials").findall("SipCredential")[:1])
    return answer(document, 201)


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if not message.get("more_body"):
            return bytes(body)


async def _captured(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """The answer, not yet sent: its start and its body."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _broken(acting: list[Fault], start: Message, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a captured answer as these faults will have it."""
    by_name = {fault.kind.name: fault for fault in acting}
    if "http-delay" in by_name:
        await by_name["http-delay"].pause(by_name["http-delay"].number)
    if "http-answer-lost" in by_name:
        await _cut(scope, receive, flush=False)
        return
    if "http-garbage" in by_name:
        start, body = _garbled(by_name["http-garbage"], start, body)
    if "http-truncated" in by_name:
        await send(_with_headers(start, {b"content-length": str(len(body) or _PROMISED_BYTES).encode()}))
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await _cut(scope, receive, flush=True)
        return
    await send(start)
    if "http-drip" in by_name:
        await _drip(by_name["http-drip"], body, receive, send)
    else:
        await send({"type": "http.response.body", "body": body})


def _garbled(fault: Fault, start: Message, body: bytes) -> tuple[Message, bytes]:
    headers: dict[bytes, bytes] = {}
    if fault.value == "html":
        body, headers = _SIGN_IN_PAGE, {b"content-type": b"text/html"}
    else:
        body = b"" if fault.value == "empty" else fault.random.randbytes(256)
    return _with_headers(start, {**headers, b"content-length": str(len(body)).encode()}), body


def _with_headers(start: Message, headers: dict[bytes, bytes]) -> Message:
    kept = [(name, value) for name, value in start.get("headers", []) if name.lower() not in headers]
    return {**start, "headers": [*kept, *headers.items()]}


async def _drip(fault: Fault, body: bytes, receive: Receive, send: Send) -> None:
    """One byte at a time, as long as the client stays and the fault is on; then the rest at once."""
    gone = asyncio.ensure_future(_gone(receive))
    off = asyncio.ensure_future(fault.off.wait())
    try:
        position = 0
        while position < len(body) and not gone.done() and not off.done():
            await send({"type": "http.response.body", "body": body[position : position + 1], "more_body": True})
            position += 1
            await asyncio.wait({gone, off}, timeout=fault.number, return_when=asyncio.FIRST_COMPLETED)
        await send({"type": "http.response.body", "body": body[position:]})
    finally:
        gone.cancel()
        off.cancel()


async def _cut(scope: Scope, receive: Receive, *, flush: bool) -> None:
    """End the connection; returns when it is gone, so that nobody writes an answer into it."""
    transport: Any = scope["state"]["transport"]
    if flush:
        transport.close()
    else:
        transport.abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait for the end of the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
