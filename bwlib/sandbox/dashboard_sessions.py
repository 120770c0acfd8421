"""Who is signed in to the dashboard, and which forms are its own.

A cookie names the browser (HttpOnly, SameSite=Strict, only for /dashboard). The token in each form is a keyed hash
of that name: another site can make a browser send a form, but it cannot know the token. Sessions live in memory and
end with the sandbox.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from bwlib.sandbox.home import write_private

COOKIE_PATH = "/dashboard"
TOKEN_FIELD = "form_token"  # noqa: S105 -- the name of a field
MAX_FORM_BYTES = 64 * 1024
_LIFETIME_S = 12 * 3600
_KEPT_SESSIONS = 100
_HEADERS = {
    # Nothing but this page's own style and pictures: a script in a stored name has nowhere to run.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self'; "
    "media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Stopped(Exception):
    """A page cannot be shown, or a form is not accepted; str() says why. status: 400, 403, 404, 413 or 415."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Login:
    """The one user of a sandbox's dashboard."""

    user: str
    password: str = field(repr=False)

    def fits(self, user: str, password: str) -> bool:
        given, right = f"{user}\n{password}".encode(), f"{self.user}\n{self.password}".encode()
        return hmac.compare_digest(given, right)


def login_of(directory: Path) -> Login:
    """Made at random the first time, then kept in the sandbox's own folder (dashboard.json, mode 0600)."""
    file = directory / "dashboard.json"
    if not file.exists():
        made = {"user": f"trainee-{secrets.token_hex(2)}", "password": secrets.token_urlsafe(12)}
        write_private(file, json.dumps(made))
    return Login(**json.loads(file.read_text(encoding="utf-8")))


@dataclass
class Session:
    """A signed-in browser. `notice` is shown once, on the next page."""

    account_id: str
    ends_at: float
    notice: str = ""


class Sessions:
    """All browsers of one sandbox."""

    def __init__(self) -> None:
        # A name of its own: cookies do not tell ports apart, and two sandboxes may run on one machine.
        self._cookie = f"sandbox-dashboard-{secrets.token_hex(4)}"
        self._key = secrets.token_bytes(32)
        self._signed_in: dict[str, Session] = {}

    def find(self, request: Request) -> Session | None:
        session = self._signed_in.get(self.browser(request))
        return session if session is not None and time.monotonic() < session.ends_at else None

    def browser(self, request: Request) -> str:
        """The name in the browser's cookie; "" when it has none."""
        return request.cookies.get(self._cookie, "")

    def new_browser(self) -> str:
        return secrets.token_hex(16)

    def sign_in(self, account_id: str) -> str:
        """A new name for a browser that has shown its password: one that was planted before is worth nothing."""
        while len(self._signed_in) >= _KEPT_SESSIONS:
            del self._signed_in[next(iter(self._signed_in))]
        browser = self.new_browser()
        self._signed_in[browser] = Session(account_id, time.monotonic() + _LIFETIME_S)
        return browser

    def sign_out(self, request: Request) -> None:
        self._signed_in.pop(self.browser(request), None)

    def remember(self, response: Response, browser: str) -> None:
        response.set_cookie(self._cookie, browser, path=COOKIE_PATH, httponly=True, samesite="strict")

    def form_token(self, browser: str) -> str:
        return hmac.new(self._key, browser.encode("utf-8", "replace"), "sha256").hexdigest()

    async def read_form(self, request: Request) -> dict[str, str]:
        """The fields of a form of ours, the last one of each name. Raises Stopped for any other."""
        fields = await _fields(request)
        given = fields.pop(TOKEN_FIELD, "").encode()
        browser = self.browser(request)
        if not browser or not hmac.compare_digest(given, self.form_token(browser).encode()):
            raise Stopped(403, "This form is not one of this page, or it is too old. Open the page again.")
        return fields


async def _fields(request: Request) -> dict[str, str]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise Stopped(415, "A form is sent as application/x-www-form-urlencoded.")
    body = bytearray()
    async for chunk in request.stream():
        body.extend(chunk)
        if len(body) > MAX_FORM_BYTES:
            raise Stopped(413, f"A form may have at most {MAX_FORM_BYTES} bytes.")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="replace", max_num_fields=500)
    except ValueError as error:
        raise Stopped(400, "This form cannot be read.") from error
    return dict(pairs)


def secured(response: Response) -> Response:
    """With the headers that every page of the dashboard carries."""
    response.headers.update(_HEADERS)
    return response
