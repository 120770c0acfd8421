"""OAuth2 client credentials and what every API checks first: who is calling, for which account, in which role.

POST /api/v1/oauth2/token, Basic header, form grant: dev.bandwidth.com/docs/account/credentials/management and
securitySchemes of github.com/Bandwidth/python-sdk bandwidth.yml (read 2026-11-23). The token is a JWT whose payload
github.com/Bandwidth/cli reads: accounts, roles, express. Errors of the token endpoint: RFC 6749 section 5.2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bwlib.sandbox.endpoint import Endpoint
from bwlib.sandbox.service_clock import date_header, makes_stale
from bwlib.sandbox.state import State
from bwlib.sandbox.switches import MANAGEMENT

APPLICATIONS = "Application Management"
SIP_CREDENTIALS = "SIP Credentials"
VOICE = "HttpVoice"
ROLES = (APPLICATIONS, "Configuration", VOICE, SIP_CREDENTIALS, "Voice Configuration")
TOKEN_PATH = "/api/v1/oauth2/token"  # noqa: S105 -- a path


class NotAdmitted(Exception):
    """A caller who is refused. status: 401 (who are you?), 403 (not yours) or 404 (there is no such account)."""

    def __init__(self, status: int, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Caller:
    """Which accounts the credentials are for (none named: every one), and what they may do there."""

    accounts: tuple[str, ...]
    roles: tuple[str, ...]


# -------------------------------------------------------------------- tokens


def token_endpoint(state: State) -> Any:
    async def token(request: Request) -> Response:
        view = _account_of(state, _basic(request))
        if view is None or view.switch("api_credential") == "revoked":
            description = "The client id or the client secret is wrong, or the credential is revoked"
            status = int((view or state).switch("invalid_client_status"))
            return JSONResponse({"error": "invalid_client", "error_description": description}, status)
        async with request.form() as form:
            grant = form.get("grant_type")
        if grant is None:
            return JSONResponse({"error": "invalid_request", "error_description": "grant_type is missing"}, 400)
        if grant != "client_credentials":
            text = "grant_type must be client_credentials"
            return JSONResponse({"error": "unsupported_grant_type", "error_description": text}, 400)
        lifetime_s = int(view.switch_s("token_lifetime_s"))
        access_token = mint(view, time.time() + lifetime_s)
        granted = {"access_token": access_token, "token_type": "Bearer", "expires_in": lifetime_s}
        return JSONResponse(granted, headers=date_header(view))

    return token


TOKEN_ENDPOINT = Endpoint(
    "POST",
    TOKEN_PATH,
    token_endpoint,
    (200, 400, 401),
    MANAGEMENT,
    switches=(
        "token_lifetime_s",
        "api_credential",
        "invalid_client_status",
        "missing_role",
        "token_accounts",
        "clock_ahead_s",
    ),
)


def mint(state: State, expires_at: float) -> str:
    """A signed JWT (HS256) for the account that `state` is the view of."""
    payload = {
        "iss": "sandbox",
        "sub": state.identity.client_id,
        "accounts": {"own": [state.account_id], "other": ["1"], "system-wide": []}[state.switch("token_accounts")],
        "roles": _roles(state),
        "express": False,
        "iat": int(time.time()),
        "exp": int(expires_at),
    }
    head = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(payload)}"
    return f"{head}.{_sign(state, head)}"


def _roles(state: State) -> list[str]:
    return [role for role in ROLES if role != state.switch("missing_role")]


# -------------------------------------------------------------------- every request


def admit(request: Request, state: State, account_id: str, role: str | None = None) -> State:
    """The account's view of the state for a caller who may have it. Raises NotAdmitted."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        caller = _of_token(state, value)
    elif scheme.lower() == "basic":
        caller = _of_basic(request, state)
    else:
        raise NotAdmitted(401, "No credentials were sent")
    view = state.account(account_id)
    if view is None or (caller.accounts and account_id not in caller.accounts):
        raise NotAdmitted(403, f"Access to account {account_id} is not allowed with these credentials", 1001)
    if role is not None and role not in caller.roles:
        raise NotAdmitted(403, f"These credentials lack the role {role}", 1001)
    if view.switch("account_locked") == "yes":
        raise NotAdmitted(404, f"Account '{account_id}' does not exist or is locked", 4022)
    return view


def check_caller(request: Request, state: State, account_id: str, role: str | None = None) -> tuple[int, str] | None:
    """Why the caller is refused, as (status, text); None when he is not. See `admit`."""
    try:
        admit(request, state, account_id, role)
    except NotAdmitted as refused:
        return refused.status, str(refused)
    return None


def _of_token(state: State, token: str) -> Caller:
    head, _, signature = token.rpartition(".")
    if not head or not hmac.compare_digest(signature.encode(), _sign(state, head).encode()):
        raise NotAdmitted(401, "The access token is not one of ours")
    claims = json.loads(_unpadded(head.split(".")[1]))
    if claims["exp"] <= time.time():
        raise NotAdmitted(401, "The access token has expired")
    owner = next((view for view in state.accounts() if view.identity.client_id == claims["sub"]), None)
    if owner is None:
        raise NotAdmitted(401, "The access token belongs to nobody")
    if owner.switch("api_credential") == "revoked" and owner.switch("tokens_of_revoked") == "refused":
        raise NotAdmitted(401, "The credential of this access token is revoked")
    if makes_stale(owner):
        raise NotAdmitted(401, "The access token has expired")
    return Caller(tuple(claims["accounts"]), tuple(claims["roles"]))


def _of_basic(request: Request, state: State) -> Caller:
    """HTTP Basic of API Users: accepted before the day it ends, refused from then on."""
    view = _account_of(state, _basic(request))
    if view is None:
        raise NotAdmitted(401, "User name or password is wrong")
    if _today() >= date.fromisoformat(view.switch("basic_auth_ends")):
        text = "API Users can no longer authenticate: use API Credentials (OAuth2)"
        raise NotAdmitted(int(view.switch("basic_auth_ended_status")), text, 1001)
    return Caller((view.account_id,), tuple(_roles(view)))


def _today() -> date:
    return datetime.now(UTC).date()


def _account_of(state: State, credentials: tuple[str, str] | None) -> State | None:
    if credentials is None:
        return None
    for view in state.accounts():
        identity = view.identity
        if credentials[0] == identity.client_id:
            right = hmac.compare_digest(credentials[1].encode(), identity.client_secret.encode())
            return view if right else None
    return None


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # no base64, or no UTF-8 in it
        return None
    return user, password


def _sign(state: State, head: str) -> str:
    digest = hmac.new(state.token_key.encode(), head.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _unpadded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
