"""Sending webhooks by Bandwidth's delivery rules: dev.bandwidth.com/docs/voice/webhooks (read 2026-11-23) and
github.com/Bandwidth/api-docs site/docs/numbers/webhooks.md for callback credentials.

- POST with a JSON body, or GET with the same fields as query parameters.
- A BXML event needs an answer: no retry, but the fallback URL when there is one.
- Any other event is sent again once, to the same URL, after a connection exception only.
- Credentials are never volunteered. The first request goes without; only a 401 that carries
  `WWW-Authenticate: Basic` brings a second one with them. Without that header the event is lost.

Only loopback addresses are called: nothing of a sandbox leaves this machine.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from bwlib.sandbox.conversations import add_delivery
from bwlib.sandbox.state import State

log = logging.getLogger(__name__)
DEFAULT_TIMEOUT_S = 15.0
_CAN_FAIL = (httpx.HTTPError, httpx.InvalidURL, ValueError)  # the URL is what an application wrote
MAX_ANSWER_BYTES = 1_000_000  # far above BXML's 64 KB: the reader says what is too large


@dataclass(frozen=True)
class Target:
    """Where an event goes, and what a challenge from there is answered with."""

    url: str
    method: str = "POST"
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Reply:
    """What came back: `url` is the base for relative URLs in the BXML."""

    status: int
    body: str
    url: str


class Undeliverable(Exception):
    """An event that nobody took; str() says why."""


def is_loopback(host: str | None) -> bool:
    """True for localhost and literal loopback addresses. Names are not resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class WebhookSender:
    """One per sandbox. Every attempt is written to the deliveries table."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tls = ssl.create_default_context()
        self._client: httpx.AsyncClient | None = None

    def trust(self, ca_file: Path) -> None:
        """Also accept certificates of this authority: readback's throw-away one."""
        self._tls.load_verify_locations(ca_file)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self, event: Mapping[str, Any], target: Target, fallback: Target | None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Reply:
        """Send an event that BXML answers. Raises Undeliverable when neither URL answers with 2xx."""
        try:
            return await self._attempt(event, target, 1, timeout_s)
        except (Undeliverable, *_CAN_FAIL) as error:
            if fallback is None:
                raise Undeliverable(_reason(error)) from error
        try:
            return await self._attempt(event, fallback, 2, timeout_s)
        except _CAN_FAIL as error:
            raise Undeliverable(_reason(error)) from error

    async def tell(self, event: Mapping[str, Any], target: Target, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Send an event that wants no answer. An undeliverable one is logged and forgotten."""
        for attempt in (1, 2):
            try:
                await self._attempt(event, target, attempt, timeout_s)
                return
            except httpx.TransportError as error:
                log.warning("%s to %s, attempt %d: %s", event["eventType"], target.url, attempt, _reason(error))
            except (Undeliverable, *_CAN_FAIL) as error:
                log.warning("%s to %s is lost: %s", event["eventType"], target.url, error)
                return

    async def fetch(self, target: Target, timeout_s: float = DEFAULT_TIMEOUT_S) -> bytes:
        """GET an audio file. Raises Undeliverable."""
        try:
            _check_loopback(target.url)
            response = await self._challenged(httpx.Request("GET", target.url), target, timeout_s)
        except _CAN_FAIL as error:
            raise Undeliverable(_reason(error)) from error
        if not response.is_success:
            raise Undeliverable(f"{target.url} answered {response.status_code}")
        return response.content

    async def _attempt(self, event: Mapping[str, Any], target: Target, attempt: int, timeout_s: float) -> Reply:
        status, error, answer = None, None, ""
        try:
            _check_loopback(target.url)
            response = await self._challenged(_request(event, target), target, timeout_s)
            status, answer = response.status_code, response.text[:MAX_ANSWER_BYTES]
            if not response.is_success:
                error = f"the answer was {status}"
                if status == 401:
                    error = _why_unauthorized(response, target)
                raise Undeliverable(error)
            return Reply(status, answer, target.url)
        except (Undeliverable, *_CAN_FAIL) as failure:
            error = _reason(failure)
            raise
        finally:
            add_delivery(self._state, event, target.url, attempt, status, error, answer)

    async def _challenged(self, request: httpx.Request, target: Target, timeout_s: float) -> httpx.Response:
        client = self._opened()
        request.extensions["timeout"] = httpx.Timeout(timeout_s).as_dict()
        response = await client.send(request)
        challenge = response.headers.get("www-authenticate", "")
        if response.status_code != 401 or target.user is None or not challenge.lower().startswith("basic"):
            return response
        return await client.send(request, auth=httpx.BasicAuth(target.user, target.password or ""))

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(verify=self._tls, trust_env=False)
        return self._client


def _request(event: Mapping[str, Any], target: Target) -> httpx.Request:
    if target.method != "GET":
        return httpx.Request("POST", target.url, json=dict(event))
    present = {key: value for key, value in event.items() if value is not None}
    fields = {key: value if isinstance(value, str) else json.dumps(value) for key, value in present.items()}
    return httpx.Request("GET", httpx.URL(target.url).copy_merge_params(fields))


def _check_loopback(url: str) -> None:
    if not is_loopback(urlsplit(url).hostname):
        raise Undeliverable("the sandbox calls loopback addresses only")


def _why_unauthorized(response: httpx.Response, target: Target) -> str:
    if "www-authenticate" not in response.headers:
        return "the answer was 401 without WWW-Authenticate: credentials are only sent when asked for"
    return "the answer was 401" + ("" if target.user else ", and there are no callback credentials")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
