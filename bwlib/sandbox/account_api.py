"""The account API: who may call, which path leads to which noun, and errors in Bandwidth's envelope.

Both /api/accounts (dev.bandwidth.com/docs/account/applications) and /api/v2/accounts (github.com/Bandwidth/cli)
are served.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bwlib.sandbox import applications, realms
from bwlib.sandbox import credential_routes as credentials
from bwlib.sandbox.account_xml import MAX_BODY_BYTES, AccountError, error_answer
from bwlib.sandbox.endpoint import Common, Endpoint
from bwlib.sandbox.oauth import APPLICATIONS, SIP_CREDENTIALS, NotAdmitted, admit
from bwlib.sandbox.rate_limit import RETRY_AFTER, RateLimit
from bwlib.sandbox.state import State
from bwlib.sandbox.switches import APPLICATIONS as APPLICATIONS_PAGE
from bwlib.sandbox.switches import CLI, REGISTRAR, SPEC

log = logging.getLogger(__name__)
PREFIXES = ("/api/accounts/{account_id}", "/api/v2/accounts/{account_id}")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

COMMON = Common(
    (401, 403, 404, 405, 413, 415, 429, 500),
    SPEC,
    codes=(1000, 1001, 1019, 4022),
    switches=(
        *("basic_auth_ends", "basic_auth_ended_status", "api_credential", "tokens_of_revoked", "token_lifetime_s"),
        *("token_accounts", "missing_role", "account_locked", "account_api_per_s", "clock_ahead_s"),
    ),
)
_CREATE = (1003, 1015, 12150, 12800, 12801, 12802, 12803, 12806, 12812, 12961, 12962, 12963, 12974, 12977)
_CHANGE = (1015, 12800, 12802, 12803, 12806, 12812, 12961, 12962, 12963, 12964, 12974, 12976, 12977)
_MERGE = tuple(code for code in _CHANGE if code not in (12802, 12806))  # PATCH cannot take either away
_TIMEOUT = (13047, 13048, 13049)
_ENTRY = (1003, 23001, 23002, 23014, 23015, 23016, 23018, 23019, 23020, 23022)
_ON_PUT = ("credential_app_on_put", "credential_app_omitted")
_ON_POST = (
    *("sip_entitled", "credential_username_case", "invalid_credentials_status"),
    *("credential_error_text", "credentials_per_request"),
)
_NAMES = ("application_names", "messaging_applications", "malformed_url_code")
_APP, _REALM = "/applications/{application_id}", "/realms/{realm}"
_CREDENTIALS, _CREDENTIAL = f"{_REALM}/sipcredentials", f"{_REALM}/sipcredentials/{{credential_id}}"
_BY_NAME = "/sipcredentials/{composite}"

APPLICATION_ENDPOINTS = (
    Endpoint("GET", "/applications", applications.list_applications, (200,), APPLICATIONS_PAGE),
    Endpoint(
        *("POST", "/applications", applications.create_application, (201, 400, 409), APPLICATIONS_PAGE),
        codes=(*_CREATE, *_TIMEOUT),
        switches=("http_voice", *_NAMES),
    ),
    Endpoint("GET", _APP, applications.get_application, (200, 404), APPLICATIONS_PAGE, codes=(13629,)),
    Endpoint(
        *("PUT", _APP, applications.put_application, (200, 400, 404), APPLICATIONS_PAGE),
        codes=(*_CHANGE, *_TIMEOUT, 13629),
        switches=_NAMES,
    ),
    Endpoint(
        *("PATCH", _APP, applications.patch_application, (200, 400, 404), APPLICATIONS_PAGE),
        codes=(*_MERGE, *_TIMEOUT, 13629),
        switches=_NAMES,
    ),
    Endpoint(
        *("DELETE", _APP, applications.delete_application, (200, 400, 404), APPLICATIONS_PAGE),
        codes=(12107, 13629),
        switches=("bound_application_delete",),
    ),
    Endpoint("GET", f"{_APP}/associatedsippeers", applications.list_sip_peers, (200, 404), SPEC, codes=(13629,)),
)
REALM_ENDPOINTS = (
    Endpoint(
        *("GET", "/realms", realms.list_realms, (200, 400), REGISTRAR),
        codes=(13112, 33011),
        switches=("realm_fragment_code",),
    ),
    Endpoint(
        *("POST", "/realms", realms.create_realm, (201, 400), REGISTRAR),
        codes=(1003, 1008, 1011, 12673, 33002, 33003, 33004),
        switches=(
            *("sip_entitled", "realm_separator", "realm_name_max", "realm_charset", "first_realm"),
            *("realm_create", "realm_create_s"),
        ),
    ),
    Endpoint("GET", _REALM, realms.get_realm, (200, 404), CLI, switches=("realm_short_name",)),
    Endpoint(
        *("PUT", _REALM, realms.put_realm, (200, 400, 404), SPEC),
        codes=(1005, 1008, 1011, 33005),
        switches=("realm_short_name",),
    ),
    Endpoint(
        *("DELETE", _REALM, realms.delete_realm, (202, 400, 404), SPEC),
        codes=(12666, 33001, 33006),
        switches=("realm_short_name", "realm_delete", "realm_delete_s"),
    ),
)
CREDENTIAL_ENDPOINTS = (
    Endpoint(
        *("GET", _CREDENTIALS, credentials.list_of_realm, (200, 303, 400, 404), SPEC),
        codes=(23008, 23012),
        switches=("empty_credential_list",),
    ),
    Endpoint(
        *("POST", _CREDENTIALS, credentials.create_on_realm, (201, 400, 404), REGISTRAR),
        codes=(*_ENTRY, 23003, 23006, 23013, 23026),
        switches=_ON_POST,
    ),
    Endpoint("GET", _CREDENTIAL, credentials.get_of_realm, (200, 404), SPEC, codes=(23025,)),
    Endpoint(
        *("PUT", _CREDENTIAL, credentials.put_of_realm, (200, 400, 404), CLI),
        codes=(23001, 23002, 23004, 23018, 23019, 23020, 23025, 23030, 23031),
        switches=("username_on_put_code", *_ON_PUT),
    ),
    Endpoint("DELETE", _CREDENTIAL, credentials.delete_of_realm, (200, 404), SPEC, codes=(23025,)),
    Endpoint(
        *("GET", "/sipcredentials", credentials.list_of_account, (200, 303, 400, 404), SPEC),
        codes=(23008, 23012),
        switches=("empty_credential_list",),
    ),
    Endpoint(
        *("POST", "/sipcredentials", credentials.create_on_account, (201, 400), SPEC),
        codes=(*_ENTRY, 23003, 23006, 23009, 23013, 23017, 23021),
        switches=_ON_POST,
    ),
    Endpoint("GET", _BY_NAME, credentials.get_of_account, (200, 404), SPEC, codes=(23007,)),
    Endpoint(
        *("PUT", _BY_NAME, credentials.put_of_account, (200, 400, 404), SPEC),
        codes=(23001, 23002, 23004, 23007, 23017, 23018, 23019, 23020),
        switches=_ON_PUT,
    ),
    Endpoint("DELETE", _BY_NAME, credentials.delete_of_account, (200, 404), SPEC, codes=(23007,)),
)
ENDPOINTS = (*APPLICATION_ENDPOINTS, *REALM_ENDPOINTS, *CREDENTIAL_ENDPOINTS)

# The root element of an answer, by path; those that list have one of their own.
ROOTS = {
    "/applications": applications.ROOT,
    _APP: applications.ROOT,
    f"{_APP}/associatedsippeers": applications.PEERS_ROOT,
    "/realms": realms.LIST_ROOT,
    _REALM: realms.ROOT,
    _CREDENTIALS: credentials.LIST_ROOT,
    _CREDENTIAL: credentials.ROOT,
    "/sipcredentials": credentials.LIST_ROOT,
    _BY_NAME: credentials.ROOT,
}


def account_routes(state: State) -> list[Route]:
    limit = RateLimit()
    routes = []
    for path in ROOTS:
        endpoint = _served(state, limit, path, {each.method: each for each in ENDPOINTS if each.path == path})
        routes += [Route(prefix + path, endpoint, methods=list(METHODS)) for prefix in PREFIXES]
    return routes


def _served(state: State, limit: RateLimit, path: str, endpoints: dict[str, Endpoint]) -> Callable[[Request], Any]:
    role = APPLICATIONS if path.startswith("/applications") else SIP_CREDENTIALS

    async def endpoint(request: Request) -> Response:
        try:
            view = admit(request, state, request.path_params["account_id"], role)
            if limit.reached(view.account_id, float(view.switch("account_api_per_s"))):
                raise AccountError(429, None, "Too many requests: try again in a second")
            if request.method not in endpoints:
                raise AccountError(405, None, f"{request.method} is not allowed here")
            _check_body(request)
            answer: Response = await endpoints[request.method].handler(request, view)
            return answer
        except NotAdmitted as refused:
            return error_answer(ROOTS[path], AccountError(refused.status, refused.code, str(refused)))
        except AccountError as error:
            return error_answer(ROOTS[path], error, RETRY_AFTER if error.status == 429 else None)
        except Exception:  # Bandwidth has an envelope for its own faults too
            log.exception("%s %s broke", request.method, request.url.path)
            return error_answer(ROOTS[path], AccountError(500, 1000, "Internal server error: the sandbox's log has it"))

    return endpoint


def _check_body(request: Request) -> None:
    if request.method not in ("POST", "PUT", "PATCH"):
        return
    length = request.headers.get("content-length") or "0"
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        raise AccountError(413, None, f"The body is larger than {MAX_BODY_BYTES} bytes")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in ("application/xml", "text/xml"):
        raise AccountError(415, None, f"Content-Type must be application/xml, not {media_type[:80] or 'absent'}")
