"""The Voice Application Management API: PATCH of an application's Inbound SIP URI, JSON, Bearer only.

dev.bandwidth.com/docs/voice/programmable-voice/inbound-sip-uri/quick-start (read 2026-11-23). Whether GET is there,
what a repeated PATCH does and whether the URI survives being disabled is not public: switches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bwlib.sandbox.applications import ApplicationRow, find_voice_application
from bwlib.sandbox.endpoint import Endpoint
from bwlib.sandbox.json_body import read_json
from bwlib.sandbox.oauth import APPLICATIONS, NotAdmitted, admit
from bwlib.sandbox.sip_uris import SipUriRow, find_by_application, new_sip_uri, save, with_new_password
from bwlib.sandbox.state import State, new_id
from bwlib.sandbox.switches import NOT_PUBLIC, SIP_URI

PATH = "/v2/accounts/{account_id}/voice-applications/{application_id}"
_TYPES = {401: "authentication-error", 403: "authorization-error"}
_FLAGS = ("inboundSipCallsEnabled", "passwordAuthEnabled")
_LISTS = ("allowedSourceIps", "allowedRegions")
_NO_METHOD = "{} of a voice application is not documented (switch voice_application_get)"


class PlatformError(Exception):
    """An answer that is an error, in the envelope {links, data, errors}."""

    def __init__(self, status: int, type_: str, description: str, pointer: str = "") -> None:
        super().__init__(description)
        self.status = status
        self.type = type_
        self.description = description
        self.pointer = pointer


def voice_application_routes(state: State) -> list[Route]:
    return [Route(PATH, _endpoint(state), methods=["GET", "POST", "PUT", "PATCH", "DELETE"])]


def _endpoint(state: State) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse({"links": [], "data": await _answer(request, state), "errors": []})
        except PlatformError as error:
            source = {"field": error.pointer} if error.pointer else {}
            told = {"type": error.type, "description": error.description, "source": source}
            return JSONResponse({"links": [], "data": None, "errors": [told]}, error.status)

    return endpoint


async def _answer(request: Request, state: State) -> dict[str, Any]:
    state, application = _of(request, state)
    if request.method == "GET" and state.switch("voice_application_get") == "200":
        return _data(application, _row_of(state, application))
    if request.method != "PATCH":
        raise PlatformError(405, "validation", _NO_METHOD.format(request.method))
    wanted = await _wanted(request)
    before = _row_of(state, application)
    after, password = _changed(state, before, wanted)
    save(state, after)
    data = _data(application, after)
    return {**data, "sipAuthPassword": password} if password else data


def _of(request: Request, state: State) -> tuple[State, ApplicationRow]:
    """The account's view and the application in the path, once the caller has shown a token for them."""
    if request.headers.get("authorization", "").partition(" ")[0].lower() != "bearer":
        raise PlatformError(401, "authentication-error", "This API takes OAuth2 access tokens only")
    try:
        view = admit(request, state, request.path_params["account_id"], APPLICATIONS)
    except NotAdmitted as refused:
        raise PlatformError(refused.status, _TYPES.get(refused.status, "validation"), str(refused)) from refused
    application = find_voice_application(view, request.path_params["application_id"])
    if application is None:
        raise PlatformError(404, "not-found", "The voice application was not found")
    return view, application


def _row_of(state: State, application: ApplicationRow) -> SipUriRow:
    return find_by_application(state, application.id) or new_sip_uri(state, application.id)


async def _wanted(request: Request) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type != "application/json":
        raise PlatformError(415, "validation", f"Content-Type must be application/json, not {media_type or 'absent'}")
    try:
        wanted = read_json(await request.body())
    except ValueError as error:
        raise PlatformError(400, "validation", "The body is not JSON") from error
    if not isinstance(wanted, dict):
        raise PlatformError(400, "validation", "The body must be a JSON object")
    for name in _FLAGS:
        if name in wanted and not isinstance(wanted[name], bool):
            raise PlatformError(400, "validation", f"{name} must be true or false", name)
    for name in _LISTS:
        given = wanted.get(name, [])
        if not isinstance(given, list) or not all(isinstance(item, str) and 0 < len(item) <= 64 for item in given):
            raise PlatformError(400, "validation", f"{name} must be a list of strings", name)
    for network in wanted.get("allowedSourceIps", []):
        _check_network(network)
    return wanted


def _check_network(text: str) -> None:
    try:
        ip_network(text, strict=False)
    except ValueError as error:
        raise PlatformError(400, "validation", f"{text} is not a CIDR network", "allowedSourceIps") from error


def _changed(state: State, before: SipUriRow, wanted: dict[str, Any]) -> tuple[SipUriRow, str | None]:
    """What the settings become, and the new password when this PATCH makes one."""
    after = replace(
        before,
        enabled=wanted.get("inboundSipCallsEnabled", before.enabled),
        password_auth=wanted.get("passwordAuthEnabled", before.password_auth),
        source_ips=tuple(wanted.get("allowedSourceIps", before.source_ips)),
        regions=tuple(wanted.get("allowedRegions", before.regions)),
    )
    if not after.enabled:
        return replace(after, ha1s={}), None
    if not after.password_auth and not after.source_ips:
        text = "At least one of passwordAuthEnabled and a non-empty allowedSourceIps is required"
        raise PlatformError(400, "validation", text, "inboundSipCallsEnabled")
    if not before.enabled and before.uuid and state.switch("sip_uri_reenable") == "new":
        after = replace(after, uuid=new_id())
    if not after.password_auth:
        return replace(after, ha1s={}), None
    asked_again = bool(wanted.get("passwordAuthEnabled")) and state.switch("sip_uri_repeat_enable") == "rotate"
    if after.ha1s and not asked_again:
        return after, None
    return with_new_password(after)


def _data(application: ApplicationRow, row: SipUriRow) -> dict[str, Any]:
    return {
        "applicationId": application.id,
        "applicationName": application.get("AppName"),
        "sipUri": row.uri if row.enabled else None,
        "inboundSipCallsEnabled": row.enabled,
        "passwordAuthEnabled": row.password_auth,
        "allowedSourceIps": list(row.source_ips),
        "allowedRegions": list(row.regions),
    }


ENDPOINTS = (
    Endpoint("GET", PATH, _answer, (200, 401, 403, 404, 405), NOT_PUBLIC, switches=("voice_application_get",)),
    Endpoint(
        *("PATCH", PATH, _answer, (200, 400, 401, 403, 404, 415), f"{SIP_URI}/quick-start"),
        switches=("sip_uri_repeat_enable", "sip_uri_reenable"),
    ),
)
