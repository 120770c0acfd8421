"""Ask a callback URL the way Bandwidth asks it: is it alive, does it challenge, is its answer BXML?

Bandwidth posts a webhook without credentials first. A server that wants Basic credentials must answer 401 with
`WWW-Authenticate: Basic`; without that header there is no second try and the event is lost.
Source: dev.bandwidth.com/docs/voice/webhooks and /docs/numbers/webhooks (read 2026-11-23).
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import httpx
from pydantic import SecretStr

from bwlib import bxml
from bwlib.bandwidth.http import Http, Reply
from bwlib.errors import NotAsExpected, Unavailable
from bwlib.models import Exchange

# Marks the probe as one, so that a person reading the application's log knows what it was.
PROBE_CALL_ID = "c-00000000-0000-0000-0000-probe"


# What a real call would stumble over.
CallbackFaultKind = Literal["dead", "certificate", "slow", "unasked", "no-challenge", "credentials", "status", "bxml"]


class CallbackFault(NotAsExpected):
    """A callback URL that a real call would stumble over. kind: one word for what is wrong."""

    def __init__(self, kind: CallbackFaultKind, attempted: str, came_back: str, do_next: str) -> None:
        super().__init__(attempted, came_back, do_next)
        self.kind = kind


@dataclass(frozen=True)
class CallbackAnswer:
    """What a callback URL answered: status, whether it challenged first, and the names of the BXML verbs.

    elapsed_s: how long it took over both requests, in seconds.
    """

    url: str
    status: int
    challenged: bool
    verbs: tuple[str, ...]
    elapsed_s: float = 0.0


class _Credentials(httpx.Auth):
    """None, or Basic, set by hand between the two requests as Bandwidth does."""

    def __init__(self) -> None:
        self.header: str | None = None

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]  # httpx's own generator type
        if self.header:
            request.headers["Authorization"] = self.header
        yield request


def check_callback(
    url: str,
    *,
    number: str,
    dial: str,
    user: str | None = None,
    password: SecretStr | None = None,
    on_exchange: Callable[[Exchange], None] | None = None,
    verify: Literal[True] | str = True,
) -> CallbackAnswer:
    """Post one `initiate`-like event and read the answer as BXML.

    Raises: CallbackFault naming what a real call would stumble over: nobody listens, wrong status, no or a wrong
    challenge, credentials refused, not BXML.
    """
    auth, began = _Credentials(), time.monotonic()
    http = Http(auth, user_agent="BandwidthAPI/2.0 (bw-runbook check)", on_exchange=on_exchange, verify=verify)
    try:
        reply = _post(http, url, number, dial)
        challenged = reply.status == 401
        if challenged or (user and password):
            _must_challenge(url, reply)
        if user and password:
            auth.header = "Basic " + base64.b64encode(f"{user}:{password.get_secret_value()}".encode()).decode()
            reply = _post(http, url, number, dial)
        return _read(url, reply, challenged, round(time.monotonic() - began, 3))
    finally:
        http.close()


def _post(http: Http, url: str, number: str, dial: str) -> Reply:
    event = {
        "eventType": "initiate",
        "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "from": number,
        "to": dial,
        "direction": "inbound",
        "callId": PROBE_CALL_ID,
    }
    try:
        return http.send(
            "POST",
            url,
            attempted=f"ask the callback URL {url}",
            accept="application/xml",
            content_type="application/json",
            body=json.dumps(event).encode(),
        )
    except Unavailable as error:
        raise CallbackFault(
            _kind_of(error),
            f"ask the callback URL {url}",
            error.came_back,
            "start the application that should listen there, and check that Bandwidth can reach it (firewall, TLS)",
        ) from error


def _kind_of(error: Unavailable) -> CallbackFaultKind:
    if any(word in error.came_back for word in ("CERTIFICATE", "SSL:", "TLS")):
        return "certificate"
    return "slow" if error.timed_out and error.may_have_arrived else "dead"


def _must_challenge(url: str, reply: Reply) -> None:
    if reply.status >= 400 and reply.status != 401:
        raise _wrong_status(url, reply)
    if reply.status != 401:
        raise CallbackFault(
            "unasked",
            f"see the callback URL {url} ask for credentials",
            f"it answered {reply.status} without asking",
            "make it require the credentials, or remove application.callback_user: now anyone may post to it",
        )
    if not reply.headers.get("www-authenticate", "").lower().startswith("basic"):
        raise CallbackFault(
            "no-challenge",
            f"see the callback URL {url} ask for credentials",
            "its 401 has no WWW-Authenticate: Basic header",
            'add the header (WWW-Authenticate: Basic realm="..."): without it Bandwidth does not try again '
            "and the event is lost",
        )


def _read(url: str, reply: Reply, challenged: bool, elapsed_s: float) -> CallbackAnswer:
    if reply.status == 401:
        raise CallbackFault(
            "credentials",
            f"ask the callback URL {url}",
            "401: it does not accept the callback credentials",
            "make application.callback_user and callback_password the ones the application expects",
        )
    if reply.status != 200:
        raise _wrong_status(url, reply)
    try:
        verbs = tuple(verb.name for verb in bxml.read(reply.body).verbs)
    except NotAsExpected as error:
        raise CallbackFault("bxml", error.attempted, error.came_back, error.do_next) from error
    return CallbackAnswer(url, reply.status, challenged, verbs, elapsed_s)


def _wrong_status(url: str, reply: Reply) -> CallbackFault:
    return CallbackFault(
        "status",
        f"ask the callback URL {url}",
        f"it answered {reply.status}, Bandwidth expects 200 with BXML",
        "check the path of application.callback_url and the application's own log",
    )
