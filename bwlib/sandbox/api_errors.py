"""An error in the form of the API that a path belongs to, for what is refused before any route is reached.

Account API: github.com/Bandwidth/api-docs site/docs/numbers/errors.mdx. Voice API: github.com/Bandwidth/python-sdk
bandwidth.yml. Token: RFC 6749 section 5.2. Platform API: github.com/Bandwidth/cli.
"""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from bwlib.sandbox.account_xml import AccountError, error_answer

_ACCOUNT = re.compile(r"^/api/(v2/)?accounts/[^/]*/(applications|realms|sipcredentials)(/|$)")
_ROOTS = (
    (re.compile(r"/sipcredentials(/|$)"), "SipCredentialsResponse"),
    (re.compile(r"/realms(/|$)"), "RealmResponse"),
    (re.compile(r"/applications(/|$)"), "ApplicationProvisioningResponse"),
)
_TYPES = {401: "authentication-error", 403: "authorization-error", 429: "error", 503: "system-overloaded"}


def is_api(path: str) -> bool:
    """Does the path belong to what imitates Bandwidth, and not to the sandbox's own pages?"""
    return path.startswith(("/api/", "/v2/"))


def speaks_xml(path: str) -> bool:
    """Is it a path of the account API?"""
    return bool(_ACCOUNT.match(path))


def root_of(path: str) -> str:
    """The root element of the account API's answers at this path."""
    return next((root for pattern, root in _ROOTS if pattern.search(path)), "ErrorResponse")


def error_for(path: str, status: int, description: str, code: int | None = None) -> Response:
    """`code` is the account API's ErrorCode; without one the envelope has a Description only."""
    if speaks_xml(path):
        return error_answer(root_of(path), AccountError(status, code, description))
    kind = _TYPES.get(status, "validation" if status < 500 else "internal-error")
    if path.startswith("/api/v1/oauth2/"):
        kind = "invalid_request" if status < 500 else "server_error"
        return JSONResponse({"error": kind, "error_description": description}, status)
    if path.startswith("/v2/"):
        error = {"type": kind, "description": description, "source": {}}
        return JSONResponse({"links": [], "data": None, "errors": [error]}, status)
    return JSONResponse({"type": kind, "description": description, "id": None}, status)
