"""The voice application under test: it reads the dialled number back, gathers one digit, says it, and hangs up.

    POST or GET  /  /initiate  /answer  /gather  /recordComplete  /redirect     BXML
    POST or GET  /disconnect                                                     204
    GET          /clip.wav   /health
    GET          /_readback/webhooks   /_readback/last-id                        Bearer token

Every webhook is kept together with the answer it got. Bandwidth's webhooks are POST with JSON, or GET with the
same fields as query parameters; with user and password set, the first request is answered 401 with
WWW-Authenticate, because Bandwidth sends credentials only after that challenge.

Source: dev.bandwidth.com/docs/voice/webhooks, dev.bandwidth.com/docs/voice/programmable-voice/bxml (read 2026-11-23).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bwlib import bxml
from bwlib.models import NUMBER_HEADER
from bwlib.readback_store import WebhookStore

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 * 1024  # a webhook is a few kilobytes
BODY_TIMEOUT_S = 10.0
# What was answered is kept; the password in it is not.
_PASSWORD_ATTRIBUTE = re.compile(r'(\bpassword=")[^"]*', re.IGNORECASE)
DIGIT_NAMES: Mapping[str, str] = {"*": "star", "#": "pound"}


@dataclass(frozen=True)
class Options:
    """How this readback behaves.

    public_url: where Bandwidth reaches it, without a last slash; None makes the BXML's URLs relative, which
    Bandwidth resolves against the URL it called. speak_clip: also play the known clip, on every call
    (else only when the webhook's URL has ?speak=clip). user None: webhooks need no credentials.
    """

    token: SecretStr
    clip_wav: bytes
    user: str | None = None
    password: SecretStr | None = None
    public_url: str | None = None
    speak_clip: bool = False


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""
    media_type: str = "text/plain"
    headers: Mapping[str, str] | None = None


class NotAWebhook(ValueError):
    """The request cannot be a webhook; `status` says how it is answered."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


# ---------------------------------------------------------------- what we say


def spoken(digits: str, known: str = "0123456789*#") -> str:
    """The digits, spaced so that they are spoken one by one; whatever else is left out."""
    return " ".join(DIGIT_NAMES.get(digit, digit) for digit in digits[:60] if digit in known)


def spoken_number(to: str) -> str:
    """A number, or the user part of a SIP URI when that is one."""
    return spoken(to.removeprefix("sip:").removeprefix("sips:").partition("@")[0])


def dialled_number(fields: Mapping[str, object]) -> str:
    """What was dialled: the X-Dialed-Number of a call to an Inbound SIP URI (its user is a uuid), else `to`.

    As query parameters the headers are one JSON text.
    """
    headers = fields.get("sipHeaders")
    if isinstance(headers, str):
        with contextlib.suppress(ValueError, RecursionError):
            headers = json.loads(headers)
    named = headers.get(NUMBER_HEADER.lower()) if isinstance(headers, Mapping) else None
    return str(named or fields.get("to") or "")


def bxml_for(event_type: str, fields: Mapping[str, object], options: Options) -> str:
    """The BXML answer to an initiate, answer, redirect, gather or recordComplete event."""
    if event_type == "gather":
        digits = spoken(str(fields.get("digits") or ""), known="0123456789*#ABCD")
        said = f"You pressed {digits}. Goodbye." if digits else "You pressed nothing. Goodbye."
        return bxml.document(bxml.SpeakSentence(said), bxml.Hangup())
    if event_type in ("recordComplete", "recordingComplete"):
        return bxml.document(bxml.SpeakSentence("Your recording is complete. Goodbye."), bxml.Hangup())
    outbound = event_type == "answer" or fields.get("direction") == "outbound"
    number = spoken_number(dialled_number(fields))
    verb = "You were called at" if outbound else "You dialled"
    greeting = f"{verb} {number}." if number else "Hello from readback."
    clip = (bxml.PlayAudio(_own_url("clip.wav", options)),) if options.speak_clip else ()
    gather = bxml.Gather(
        prompts=(bxml.SpeakSentence("Press one digit."),),
        gather_url=_own_url("gather", options),
        max_digits=1,
        first_digit_timeout_s=10,
        username=options.user,
        password=options.password if options.user else None,
    )
    return bxml.document(bxml.SpeakSentence(greeting), *clip, gather)


def _own_url(name: str, options: Options) -> str:
    return f"{options.public_url}/{name}" if options.public_url else name


# What a path means when the webhook does not say its eventType. "/" takes every event, as one callback URL may.
PATHS: Mapping[str, str] = {
    "/": "initiate",
    "/initiate": "initiate",
    "/answer": "answer",
    "/gather": "gather",
    "/redirect": "redirect",
    "/recordComplete": "recordComplete",
    "/disconnect": "disconnect",
}
BXML_EVENTS = frozenset({"initiate", "answer", "gather", "redirect", "recordComplete", "recordingComplete"})


def answer_to(event_type: str, fields: Mapping[str, object], options: Options) -> Answer:
    """BXML for the events that execute it, 204 for all others (disconnect, recordingAvailable, ...)."""
    if event_type not in BXML_EVENTS:
        return Answer(204)
    return Answer(200, bxml_for(event_type, fields, options), "application/xml")


# ---------------------------------------------------------------- what we understand


async def read_fields(request: Request) -> dict[str, object]:
    """The webhook's fields, from query parameters (GET) or a JSON object (POST). Raises NotAWebhook."""
    if request.method == "GET":
        return {name: value for name, value in request.query_params.items() if name != "speak"}
    try:
        body = await asyncio.wait_for(_read_body(request), BODY_TIMEOUT_S)
    except TimeoutError:
        raise NotAWebhook(408, "the body did not arrive in time") from None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAWebhook(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise NotAWebhook(400, "the body is not a JSON object")
    return document


async def _read_body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:12]) > MAX_BODY_BYTES:
        raise NotAWebhook(413, f"the body is over {MAX_BODY_BYTES} bytes")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:  # chunked bodies announce nothing
            raise NotAWebhook(413, f"the body is over {MAX_BODY_BYTES} bytes")
    return bytes(body)


def has_credentials(request: Request, options: Options) -> bool:
    """Whether the request carries the right user and password (RFC 7617)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or options.user is None or options.password is None:
        return False
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    wanted = f"{options.user}:{options.password.get_secret_value()}".encode()
    return hmac.compare_digest(given, wanted)


def has_token(request: Request, options: Options) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    wanted = options.token.get_secret_value().encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("utf-8", "replace"), wanted)


# ---------------------------------------------------------------- the application


def make_app(store: WebhookStore, options: Options) -> Starlette:
    """The ASGI application. It keeps no state but the store's."""

    async def webhook(request: Request) -> Response:
        return await _webhook(request, store, options)

    async def clip(_: Request) -> Response:
        return Response(options.clip_wav, media_type="audio/wav")

    async def health(_: Request) -> Response:
        return JSONResponse({"ok": True, "application": "readback", "last_id": await run_in_threadpool(store.last_id)})

    async def webhooks(request: Request) -> Response:
        return await _control(request, options, lambda: _webhooks_document(request, store))

    async def last_id(request: Request) -> Response:
        return await _control(request, options, lambda: {"last_id": store.last_id()})

    prefix = _prefix(options)
    routes = [Route(path, webhook, methods=["GET", "POST"]) for path in PATHS]
    if prefix:
        routes += [Route(prefix + path, webhook, methods=["GET", "POST"]) for path in PATHS]
        routes += [Route(prefix, webhook, methods=["GET", "POST"]), Route(prefix + "/clip.wav", clip, methods=["GET"])]
    routes += [
        Route("/clip.wav", clip, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
        Route("/_readback/webhooks", webhooks, methods=["GET"]),
        Route("/_readback/last-id", last_id, methods=["GET"]),
    ]
    return Starlette(routes=routes)


async def _webhook(request: Request, store: WebhookStore, options: Options) -> Response:
    path = own_path(request.url.path, options)
    if request.method == "HEAD":
        return Response()  # no webhook: somebody looks whether we are here
    authenticated = has_credentials(request, options)
    fields: dict[str, object]
    answer: Answer | None = None
    try:
        fields = await read_fields(request)
    except NotAWebhook as error:
        fields, answer = {"unreadable": str(error)}, Answer(error.status, f"{error}\n")
    except ClientDisconnect:
        log.warning("%s %s: the caller hung up before its body was complete", request.method, path)
        return Response(status_code=400)
    if options.user is not None and not authenticated:
        answer = _challenge(request)  # before any complaint: the first, unauthenticated request may be empty
    stated = fields.get("eventType")
    event_type = str(stated) if stated else ""
    if answer is None:
        speak_clip = options.speak_clip or request.query_params.get("speak") == "clip"
        answer = answer_to(event_type or PATHS[path], fields, replace(options, speak_clip=speak_clip))
    await run_in_threadpool(_keep, store, path, fields, event_type, answer, authenticated)
    log.info("%s %s: %.40r, answered %s", request.method, path, event_type, answer.status)
    media_type = answer.media_type if answer.body else None
    return Response(answer.body, answer.status, headers=answer.headers, media_type=media_type)


def own_path(path: str, options: Options) -> str:
    """The path without the public URL's, for proxies that pass it on whole."""
    prefix = _prefix(options)
    return path.removeprefix(prefix) or "/" if path == prefix or path.startswith(prefix + "/") else path


def _prefix(options: Options) -> str:
    return urlsplit(options.public_url).path if options.public_url else ""


def _keep(
    store: WebhookStore, path: str, fields: Mapping[str, object], event_type: str, answer: Answer, authenticated: bool
) -> None:
    try:
        store.append(
            event_type=event_type,
            call_id=str(fields.get("callId") or ""),
            path=path,
            body=fields,
            answer_status=answer.status,
            answer_body=_PASSWORD_ATTRIBUTE.sub(r"\1«redacted:password»", answer.body),
            authenticated=authenticated,
        )
    except sqlite3.Error:
        log.exception("a webhook was answered but could not be kept")  # the call must not die of a full disk


def _challenge(request: Request) -> Answer:
    given = "a wrong user or password" if "authorization" in request.headers else "no credentials yet"
    return Answer(401, f"{given}\n", headers={"WWW-Authenticate": 'Basic realm="readback", charset="UTF-8"'})


def _webhooks_document(request: Request, store: WebhookStore) -> object:
    after = request.query_params.get("after_id", "0")
    after_id = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
    found = store.webhooks(after_id=after_id, call_id=request.query_params.get("call_id"))
    return [{**asdict(webhook), "at": webhook.at.isoformat()} for webhook in found]


async def _control(request: Request, options: Options, document: Callable[[], object]) -> Response:
    if not has_token(request, options):
        return PlainTextResponse("token missing or wrong\n", 401, headers={"WWW-Authenticate": "Bearer"})
    # ASCII, because a webhook may have brought what UTF-8 cannot carry (a lone surrogate)
    return Response(json.dumps(await run_in_threadpool(document)), media_type="application/json")
