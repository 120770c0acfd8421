"""How we show Bandwidth who we are: OAuth2 client credentials, or the ending Basic authentication.

Source: dev.bandwidth.com/docs/account/credentials/management, RFC 6749 section 4.4 (read 2026-11-23).
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Generator
from typing import Final

import httpx
from pydantic import SecretStr

from bwlib.bandwidth.http import SAFE_TO_RESEND, check_url
from bwlib.bandwidth.wire import UnreadableBody, json_errors, read_json
from bwlib.errors import NotAuthenticated, Unavailable

log = logging.getLogger(__name__)

EARLY_EXPIRY_S: Final = 60.0  # a token this close to its end is not used for a new request
DEFAULT_LIFETIME_S: Final = 3600.0  # when the answer has no expires_in
BASIC_ENDS: Final = "2026-12-02"

_basic_warning_given = threading.Event()


def _basic(user: str, secret: SecretStr) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret.get_secret_value()}".encode()).decode()


class OAuth2(httpx.Auth):
    """API Credentials: a client id and secret buy short-lived Bearer tokens.

    One token serves all threads; one refresh happens at a time; a request answered 401 is sent once more with
    a new token. The token request passes through the same client, so its exchange reaches the same hook, masked.

    Raises: NotAuthenticated when the credential is refused, Unavailable when no usable token came back.
    """

    advice_on_401 = "Check the client id and secret, and that the credential's accounts include this account."

    def __init__(
        self,
        client_id: str,
        client_secret: SecretStr,
        token_url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._token_url = check_url("token URL", token_url)
        self._clock = clock
        self._lock = threading.Lock()
        self._token: SecretStr | None = None
        self._use_until = 0.0

    def __repr__(self) -> str:
        return f"OAuth2(client_id={self._client_id!r}, token_url={self._token_url!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = yield from self._valid_token(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            response.read()
            token = yield from self._valid_token(token)
            request.headers["Authorization"] = f"Bearer {token}"
            yield request

    def _valid_token(self, refused: str | None) -> Generator[httpx.Request, httpx.Response, str]:
        """The token, fetched if there is none, if it is about to end, or if it is the one just refused."""
        with self._lock:  # held while fetching: the other threads want that same token
            token = self._token.get_secret_value() if self._token else None
            if token is None or token == refused or self._clock() >= self._use_until:
                response = yield self._token_request()
                response.read()
                token = self._take(response)
            return token

    def _token_request(self) -> httpx.Request:
        return httpx.Request(
            "POST",
            self._token_url,
            headers={"Authorization": _basic(self._client_id, self._client_secret), "Accept": "application/json"},
            data={"grant_type": "client_credentials"},
            extensions={SAFE_TO_RESEND: True, "timeout": httpx.Timeout(30.0, connect=10.0).as_dict()},
        )

    def _take(self, response: httpx.Response) -> str:
        self._token = None
        status, document = response.status_code, _json_or_none(response.content)
        if status != 200:
            raise self._refused(status, document)
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise Unavailable(
                "get an access token",
                f"HTTP {status} without a usable access_token.",
                f"Check that {self._token_url} is Bandwidth's token URL.",
                status=status,
            )
        lifetime_s = _lifetime_s(document)
        self._token = SecretStr(token)
        self._use_until = self._clock() + lifetime_s - min(EARLY_EXPIRY_S, lifetime_s / 2)
        return token

    def _refused(self, status: int, document: object) -> NotAuthenticated | Unavailable:
        errors = json_errors(document)
        said = f"HTTP {status}" + "".join(f", {error.code}: {error.text}" for error in errors)
        if status == 401 or (status == 400 and any(error.code == "invalid_client" for error in errors)):
            return NotAuthenticated(
                f"get an access token for client id {self._client_id}",
                f"{said}.",
                "Check the client id and secret in the Bandwidth App (Account > API Credentials); "
                "a lost secret is replaced there.",
                status=status,
                code=errors[0].code if errors else None,
            )
        return Unavailable("get an access token", f"{said}.", "Wait a minute, then run again.", status=status)


def _json_or_none(body: bytes) -> object:
    try:
        return read_json(body)
    except UnreadableBody:
        return None


def _lifetime_s(document: object) -> float:
    expires_in = document.get("expires_in") if isinstance(document, dict) else None
    try:
        lifetime_s = float(expires_in)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return DEFAULT_LIFETIME_S
    return lifetime_s if 0 < lifetime_s < 10 * 365 * 86400 else DEFAULT_LIFETIME_S


class BasicAuth(httpx.Auth):
    """A legacy API User's name and password. Works until Bandwidth ends it on 2026-12-02; warns once."""

    advice_on_401 = (
        f"Bandwidth ends user name and password on {BASIC_ENDS}. Create API Credentials in the Bandwidth App "
        "(Account > API Credentials) and set BW_CLIENT_ID and BW_CLIENT_SECRET."
    )

    def __init__(self, username: str, password: SecretStr) -> None:
        self._username = username
        self._password = password
        if not _basic_warning_given.is_set():
            _basic_warning_given.set()
            log.warning("Bandwidth ends Basic authentication on %s: move to API Credentials.", BASIC_ENDS)

    def __repr__(self) -> str:
        return f"BasicAuth(username={self._username!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = _basic(self._username, self._password)
        yield request
