"""HTTP with explicit timeouts, careful retries and a hook for every attempt.

A GET, PUT or DELETE may be sent again (RFC 9110 section 9.2.2). A POST is sent again only when it cannot have
been carried out: no connection, or 429. A dropped POST /calls sent twice would call twice.

Everything that passes is offered to `on_exchange` as an Exchange, one per attempt, failed ones included,
with Authorization, tokens, passwords and SIP hashes already masked.

httpx is imported here, in auth.py and in bwlib/readback_client.py only.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

import httpx

from bwlib.bandwidth.wire import mask_secrets
from bwlib.errors import SettingsError, Unavailable
from bwlib.models import Exchange

log = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
BACKOFF_S = (0.5, 1.0, 2.0)  # waits between attempts, so four attempts in all
RETRY_AFTER_CAP_S = 30.0  # a server that asks for more gets its 429 shown instead: a notebook must not hang
MAX_REPLY_BYTES = 10 * 1024 * 1024
MAX_REPLY_S = 60.0  # for the body: one that drips never runs into the timeout of a single read
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
# Request extension: this POST changes nothing at the server, so it may be sent again (the token request).
SAFE_TO_RESEND = "bw_safe_to_resend"


@dataclass(frozen=True)
class Reply:
    """What came back: header names in lower case, the body decoded from its content encoding only."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(name: str, url: str) -> str:
    """The URL without its last slash. Raises SettingsError unless it is https, or http on loopback."""
    try:
        httpx.URL(url)
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except (ValueError, httpx.InvalidURL):
        host, parts = "", urlsplit("")
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not secure or parts.username is not None:
        raise SettingsError(
            f"use the {name} {url.split('@')[-1]!r}",
            "Credentials go there, so it must be https:// (http:// only on this machine), without user or password.",
            f"Correct the {name}.",
        )
    return url.rstrip("/")


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds asked for by a Retry-After header (RFC 9110 section 10.2.3); None when absent or unreadable."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


class EnvironmentTransport(httpx.BaseTransport):
    """Direct, or by the proxy that the environment names (HTTPS_PROXY, NO_PROXY). Loopback is always direct."""

    def __init__(self, verify: Literal[True] | str) -> None:
        self._verify = (
            ssl.create_default_context(cafile=verify) if isinstance(verify, str) else httpx.create_ssl_context()
        )
        self._by_proxy: dict[str | None, httpx.HTTPTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        direct = is_loopback(host) or urllib.request.proxy_bypass(host)
        proxy = None if direct else urllib.request.getproxies().get(request.url.scheme)
        with self._lock:
            if proxy not in self._by_proxy:
                self._by_proxy[proxy] = httpx.HTTPTransport(verify=self._verify, proxy=proxy)
            transport = self._by_proxy[proxy]
        return transport.handle_request(request)

    def close(self) -> None:
        for transport in self._by_proxy.values():
            transport.close()


class RetryingTransport(httpx.BaseTransport):
    """Sends a request, again where that is harmless, and reports each attempt to the hook."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        on_exchange: Callable[[Exchange], None] | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner = inner
        self._on_exchange = on_exchange
        self._sleep = sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for wait_s in BACKOFF_S:
            try:
                response = self._attempt(request)
            except httpx.RequestError as error:
                if not _may_resend_after_error(request, error):
                    raise
                log.info("%s %s: %s; again in %s s", request.method, request.url.path, type(error).__name__, wait_s)
            else:
                asked_s = retry_after_s(response.headers.get("retry-after"))
                wait_s = wait_s if asked_s is None else asked_s
                if not _may_resend_after_status(request, response.status_code) or wait_s > RETRY_AFTER_CAP_S:
                    return response
                log.info("%s %s: %s; again in %s s", request.method, request.url.path, response.status_code, wait_s)
            self._sleep(wait_s)
        return self._attempt(request)

    def close(self) -> None:
        self._inner.close()

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        request.read()
        at, started = datetime.now(UTC), time.monotonic()
        try:
            response = _read_capped(self._inner.handle_request(request))
        except (httpx.RequestError, Unavailable) as error:
            self._report(request, None, at, time.monotonic() - started, f"{type(error).__name__}: {error}")
            raise
        self._report(request, response, at, time.monotonic() - started, None)
        return response

    def _report(
        self, request: httpx.Request, response: httpx.Response | None, at: datetime, elapsed_s: float, error: str | None
    ) -> None:
        if self._on_exchange is None:
            return
        self._on_exchange(
            Exchange(
                id=str(uuid.uuid4()),
                at=at,
                method=request.method,
                url=str(request.url),
                request_headers=_masked_headers(request.headers),
                request_body=_masked_body(request.content),
                status=response.status_code if response is not None else None,
                response_headers=_masked_headers(response.headers) if response is not None else {},
                response_body=_masked_body(response.content) if response is not None else "",
                elapsed_s=round(elapsed_s, 6),
                error=mask_secrets(error) if error else None,
            )
        )


def _may_resend_after_error(request: httpx.Request, error: httpx.RequestError) -> bool:
    if "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(error, httpx.UnsupportedProtocol):
        return False
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return True
    return request.method in IDEMPOTENT or bool(request.extensions.get(SAFE_TO_RESEND))


def _may_resend_after_status(request: httpx.Request, status: int) -> bool:
    if status == 429:
        return True
    safe = request.method in IDEMPOTENT or bool(request.extensions.get(SAFE_TO_RESEND))
    return safe and status in (502, 503, 504)


def _read_capped(response: httpx.Response) -> httpx.Response:
    """The response, body read. Raises Unavailable above MAX_REPLY_BYTES (a small gzip can unpack to gigabytes), and
    after MAX_REPLY_S."""
    body, deadline = bytearray(), time.monotonic() + MAX_REPLY_S
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if time.monotonic() > deadline:
                raise _too_slow(response.status_code)
            if len(body) > MAX_REPLY_BYTES:
                raise Unavailable(
                    "read an answer from Bandwidth",
                    f"It is longer than {MAX_REPLY_BYTES // 1024 // 1024} MB, which no answer we ask for is.",
                    "Check the API URL; look at Bandwidth's status page; then run again.",
                    status=response.status_code,
                    may_have_arrived=True,
                )
    finally:
        response.close()
    headers = [(k, v) for k, v in response.headers.multi_items() if k not in ("content-encoding", "transfer-encoding")]
    return httpx.Response(response.status_code, headers=headers, content=bytes(body))


def _too_slow(status: int) -> Unavailable:
    return Unavailable(
        "read an answer from Bandwidth",
        f"After {MAX_REPLY_S:g} s it was still not complete.",
        "Check the network and any proxy on the way; look whether it was carried out, then run again.",
        status=status,
        may_have_arrived=True,
        timed_out=True,
    )


def _masked_headers(headers: httpx.Headers) -> dict[str, str]:
    masked = dict(headers.items())
    for name in SECRET_HEADERS & masked.keys():
        scheme = masked[name].partition(" ")[0] if name.endswith("authorization") else ""
        masked[name] = f"{scheme} «redacted»".strip()
    return masked


def _masked_body(body: bytes) -> str:
    return mask_secrets(body.decode("utf-8", "replace"))


class Http:
    """One pooled connection to Bandwidth's hosts. `send` returns the Reply, whatever its status.

    verify: True, or the path of a CA file to trust instead of the usual ones (the sandbox's).
    """

    def __init__(
        self,
        auth: httpx.Auth,
        *,
        user_agent: str,
        on_exchange: Callable[[Exchange], None] | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        verify: Literal[True] | str = True,
    ) -> None:
        inner = transport or EnvironmentTransport(verify)
        self._client = httpx.Client(
            auth=auth,
            timeout=TIMEOUT,
            follow_redirects=False,  # a redirect must not carry the token to another host
            transport=RetryingTransport(inner, on_exchange, sleep),
            headers={"User-Agent": user_agent},
            trust_env=False,  # EnvironmentTransport looks; a .netrc must not add credentials
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        attempted: str,
        accept: str,
        content_type: str | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send and wait. Raises Unavailable when no usable answer came, NotAuthenticated when no token could be had."""
        headers = {"Accept": accept}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            response = self._client.request(method, url, headers=headers, content=body)
        except httpx.RequestError as error:
            raise _no_answer(attempted, method, url, error) from error
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Reply(str(response.request.url), response.status_code, lowered, response.content)

    def close(self) -> None:
        self._client.close()


def _no_answer(attempted: str, method: str, url: str, error: httpx.RequestError) -> Unavailable:
    host = urlsplit(url).netloc
    never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    came_back = f"No answer from {host}: {type(error).__name__} ({mask_secrets(str(error))[:200]})."
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        do_next = "Check this machine's clock; behind a company proxy set SSL_CERT_FILE to its CA file."
    elif never_sent:
        do_next = f"Check the network and that {host} is right (proxy: HTTPS_PROXY), then run again."
    elif method in IDEMPOTENT:
        do_next = "Run again; nothing is done twice by that."
    else:
        do_next = "It may have been carried out all the same: look first (list, or GET), then decide."
    return Unavailable(
        attempted,
        came_back,
        do_next,
        may_have_arrived=not never_sent and method != "GET",
        timed_out=isinstance(error, httpx.TimeoutException),
    )
