"""OAuth2 client credentials and what every API checks first: who is calling, and for which account.

POST /api/v1/oauth2/token, Basic header, form grant: dev.bandwidth.com/docs/account/credentials/management and
securitySchemes of github.com/Bandwidth/python-sdk bandwidth.yml (read 2026-11-23). The token is a JWT whose payload
github.com/Bandwidth/cli reads: accounts, roles, express.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bwlib.sandbox.state import State

ROLES = ["Application Management", "Configuration", "HttpVoice", "SIP Credentials", "Voice Configuration"]


def token_endpoint(state: State) -> Any:
    async def token(request: Request) -> Response:
        if _basic(request) != (state.identity.client_id, state.identity.client_secret):
            description = "The client id or the client secret is wrong"
            return JSONResponse({"error": "invalid_client", "error_description": description}, 401)
        async with request.form() as form:
            grant = form.get("grant_type")
        if grant != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type", "error_description": f"grant_type {grant}"}, 400)
        lifetime_s = int(state.switch_s("token_lifetime_s"))
        access_token = mint(state, time.time() + lifetime_s)
        return JSONResponse({"access_token": access_token, "token_type": "Bearer", "expires_in": lifetime_s})

    return token


def mint(state: State, expires_at: float) -> str:
    """A signed JWT (HS256) for the sandbox's account."""
    payload = {
        "iss": "sandbox",
        "sub": state.identity.client_id,
        "accounts": [state.identity.account_id],
        "roles": ROLES,
        "express": False,
        "iat": int(time.time()),
        "exp": int(expires_at),
    }
    head = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(payload)}"
    return f"{head}.{_sign(state, head)}"


def check_caller(request: Request, state: State, account_id: str) -> tuple[int, str] | None:
    """Why the caller is refused, as (401 or 403, text); None when he is who he says and the account is his."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        refused = _check_token(state, value)
    elif scheme.lower() == "basic":
        refused = _check_basic(request, state)
    else:
        refused = "No credentials were sent"
    if refused is not None:
        return 401, refused
    if account_id != state.identity.account_id:
        return 403, f"Access to account {account_id} is not allowed with these credentials"
    return None


def _check_token(state: State, token: str) -> str | None:
    head, _, signature = token.rpartition(".")
    if not head or not hmac.compare_digest(signature.encode(), _sign(state, head).encode()):
        return "The access token is not valid"
    expires_at = json.loads(_unpadded(head.partition(".")[2]))["exp"]
    return None if time.time() < expires_at else "The access token has expired"


def _check_basic(request: Request, state: State) -> str | None:
    """An API User of the old kind; the sandbox gives it the same name and secret as the API credential."""
    if state.switch("basic_auth") == "refused":
        return "API Users can no longer authenticate: use API Credentials (OAuth2)"
    fits = _basic(request) == (state.identity.client_id, state.identity.client_secret)
    return None if fits else "User name or password is wrong"


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def _sign(state: State, head: str) -> str:
    digest = hmac.new(state.identity.token_key.encode(), head.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _unpadded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
