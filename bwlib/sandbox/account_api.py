"""The account API: who may call, which path leads to which noun, and errors in Bandwidth's envelope.

Both /api/accounts (dev.bandwidth.com/docs/account/applications) and /api/v2/accounts (github.com/Bandwidth/cli)
are served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bwlib.sandbox import applications, realms, sip_credentials
from bwlib.sandbox.account_xml import MAX_BODY_BYTES, AccountError, error_answer
from bwlib.sandbox.oauth import check_caller
from bwlib.sandbox.state import State

Handler = Callable[[Request, State], Awaitable[Response]]
PREFIXES = ("/api/accounts/{account_id}", "/api/v2/accounts/{account_id}")
_REALM = "/realms/{realm}"


def account_routes(state: State) -> list[Route]:
    return [
        *_routes(
            state,
            "/applications",
            applications.ROOT,
            GET=applications.list_applications,
            POST=applications.create_application,
        ),
        *_routes(
            state,
            "/applications/{application_id}",
            applications.ROOT,
            GET=applications.get_application,
            PUT=applications.put_application,
            PATCH=applications.patch_application,
            DELETE=applications.delete_application,
        ),
        *_routes(state, "/realms", realms.LIST_ROOT, GET=realms.list_realms, POST=realms.create_realm),
        *_routes(state, _REALM, realms.ROOT, GET=realms.get_realm, PUT=realms.put_realm, DELETE=realms.delete_realm),
        *_routes(
            state,
            f"{_REALM}/sipcredentials",
            sip_credentials.LIST_ROOT,
            GET=sip_credentials.list_credentials,
            POST=sip_credentials.create_credentials,
        ),
        *_routes(
            state,
            f"{_REALM}/sipcredentials/{{credential_id}}",
            sip_credentials.ROOT,
            GET=sip_credentials.get_credential,
            PUT=sip_credentials.put_credential,
            DELETE=sip_credentials.delete_credential,
        ),
    ]


def _routes(state: State, path: str, root: str, **handlers: Handler) -> list[Route]:
    endpoint = _endpoint(state, root, handlers)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [Route(prefix + path, endpoint, methods=methods) for prefix in PREFIXES]


def _endpoint(state: State, root: str, handlers: dict[str, Handler]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            refused = check_caller(request, state, request.path_params["account_id"])
            if refused is not None:
                raise AccountError(refused[0], 1001 if refused[0] == 403 else None, refused[1])
            handler = handlers.get(request.method)
            if handler is None:
                raise AccountError(405, None, f"{request.method} is not allowed here")
            _check_body(request)
            return await handler(request, state)
        except AccountError as error:
            return error_answer(root, error)

    return endpoint


def _check_body(request: Request) -> None:
    if request.method not in ("POST", "PUT", "PATCH"):
        return
    if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
        raise AccountError(413, None, f"The body is larger than {MAX_BODY_BYTES} bytes")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in ("application/xml", "text/xml"):
        raise AccountError(415, None, f"Content-Type must be application/xml, not {media_type or 'absent'}")
