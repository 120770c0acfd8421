"""Voice applications: dev.bandwidth.com/docs/account/applications (read 2026-11-23), error codes from
github.com/Bandwidth/api-docs site/docs/numbers/errors.mdx.

Kept as a flat mapping of the XML's own names; what sits in an element of its own has a path such as
"CallbackCreds/UserId". A password is stored, used for callbacks, and never returned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import Response

from bwlib.sandbox.account_xml import AccountError, answer, build, parse, text
from bwlib.sandbox.state import State, new_id

ROOT = "ApplicationProvisioningResponse"
_FIELDS = (
    "ServiceType",
    "AppName",
    "CallInitiatedCallbackUrl",
    "CallInitiatedMethod",
    "CallInitiatedFallbackUrl",
    "CallInitiatedFallbackMethod",
    "CallStatusCallbackUrl",
    "CallStatusMethod",
    "CallbackTimeout",
    "CallbackCreds/UserId",
    "CallbackCreds/Password",
    "CallInitiatedFallbackCreds/UserId",
    "CallInitiatedFallbackCreds/Password",
)
_MESSAGING = ("InboundCallbackUrl", "OutboundCallbackUrl", "CallbackUrl", "MsgCallbackUrl", "RequestedCallbackTypes")


@dataclass(frozen=True)
class ApplicationRow:
    id: str
    fields: dict[str, str] = field(repr=False)  # may hold the callback password

    def get(self, name: str) -> str | None:
        return self.fields.get(name)


def find_application(state: State, application_id: str) -> ApplicationRow | None:
    row = state.one("select * from applications where id = ?", application_id)
    return ApplicationRow(row["id"], json.loads(row["fields"])) if row else None


async def list_applications(request: Request, state: State) -> Response:
    listed = build("ApplicationList", [])
    for row in state.all("select * from applications order by rowid"):
        listed.append(_element(ApplicationRow(row["id"], json.loads(row["fields"]))))
    root = build(ROOT, [])
    root.append(listed)
    return answer(root)


async def create_application(request: Request, state: State) -> Response:
    fields = _read(parse(await request.body(), "Application"))
    _check(fields, None)
    application = ApplicationRow(new_id(), _with_defaults(fields))
    state.run("insert into applications values (?, ?)", application.id, json.dumps(application.fields))
    return _answer(application, 201, {"Location": f"{request.url.replace(query='')}/{application.id}"})


async def get_application(request: Request, state: State) -> Response:
    return _answer(_of(request, state))


async def put_application(request: Request, state: State) -> Response:
    """A full replacement: what is not sent is gone. The password is the exception, as it can never be read."""
    before = _of(request, state)
    fields = _read(parse(await request.body(), "Application"))
    return _save(state, before, fields)


async def patch_application(request: Request, state: State) -> Response:
    """Only what is sent changes; CallStatusCallbackUrl "remove" clears it."""
    before = _of(request, state)
    sent = _read(parse(await request.body(), "Application"))
    fields = {**before.fields, **sent}
    if "CallbackCreds/UserId" in sent and "CallbackCreds/Password" not in sent:
        fields.pop("CallbackCreds/Password", None)
    if sent.get("CallStatusCallbackUrl") == "remove":
        del fields["CallStatusCallbackUrl"]
        fields.pop("CallStatusMethod", None)
    return _save(state, before, fields)


async def delete_application(request: Request, state: State) -> Response:
    application = _of(request, state)
    bound = state.one("select count(*) as n from sip_credentials where application_id = ?", application.id)
    if bound and bound["n"] and state.switch("bound_application_delete") == "refuse":
        raise AccountError(400, 12107, "The application is in use by SIP credentials")
    state.run("delete from applications where id = ?", application.id)
    return Response(status_code=200)


def _of(request: Request, state: State) -> ApplicationRow:
    application = find_application(state, request.path_params["application_id"])
    if application is None:
        raise AccountError(404, 13629, "The application was not found")
    return application


def _save(state: State, before: ApplicationRow, fields: dict[str, str]) -> Response:
    if fields.get("CallbackCreds/UserId") == before.get("CallbackCreds/UserId") is not None:
        fields.setdefault("CallbackCreds/Password", before.fields.get("CallbackCreds/Password", ""))
    _check(fields, before)
    after = ApplicationRow(before.id, _with_defaults(fields))
    state.run("update applications set fields = ? where id = ?", json.dumps(after.fields), after.id)
    return _answer(after)


def _read(element: Element) -> dict[str, str]:
    for name in _MESSAGING:
        if element.find(name) is not None:
            raise AccountError(400, 12962, f"{name} does not belong to a voice application")
    return {name: value for name in _FIELDS if (value := text(element, name))}


def _with_defaults(fields: dict[str, str]) -> dict[str, str]:
    filled = {**fields, "ServiceType": "Voice-V2"}
    filled.setdefault("CallInitiatedMethod", "POST")
    if "CallStatusCallbackUrl" in filled:
        filled.setdefault("CallStatusMethod", "POST")
    if "CallInitiatedFallbackUrl" in filled:
        filled.setdefault("CallInitiatedFallbackMethod", "POST")
    return filled


def _check(fields: dict[str, str], before: ApplicationRow | None) -> None:
    service = fields.get("ServiceType")
    if before is not None and service not in (None, "Voice", "Voice-V2"):
        raise AccountError(400, 12964, "ServiceType cannot be changed")
    if service is None and before is None:
        raise AccountError(400, 1003, "ServiceType is required")
    if before is None and service not in ("Voice", "Voice-V2"):
        raise AccountError(400, 1008, "ServiceType must be Voice-V2: other applications are not imitated here")
    if not fields.get("AppName"):
        raise AccountError(400, 12806, "AppName is required")
    _check_urls(fields)
    _check_credentials(fields)
    _check_timeout(fields.get("CallbackTimeout"))


def _check_urls(fields: dict[str, str]) -> None:
    if not fields.get("CallInitiatedCallbackUrl"):
        raise AccountError(400, 12802, "CallInitiatedCallbackUrl is required for a voice application")
    for name in ("CallInitiatedCallbackUrl", "CallInitiatedFallbackUrl", "CallStatusCallbackUrl"):
        if name in fields and not _is_url(fields[name]):
            raise AccountError(400, 12803, f"{name} is not a valid URL")
    for name in ("CallInitiatedMethod", "CallInitiatedFallbackMethod", "CallStatusMethod"):
        if name in fields and fields[name] not in ("GET", "POST"):
            raise AccountError(400, 12961, f"{name} must be GET or POST")
    if "CallStatusMethod" in fields and "CallStatusCallbackUrl" not in fields:
        raise AccountError(400, 12963, "CallStatusMethod needs a CallStatusCallbackUrl")
    if "CallInitiatedFallbackMethod" in fields and "CallInitiatedFallbackUrl" not in fields:
        raise AccountError(400, 13048, "CallInitiatedFallbackMethod needs a CallInitiatedFallbackUrl")


def _check_credentials(fields: dict[str, str]) -> None:
    for creds, urls in (
        ("CallbackCreds", ("CallInitiatedCallbackUrl", "CallStatusCallbackUrl")),
        ("CallInitiatedFallbackCreds", ("CallInitiatedFallbackUrl",)),
    ):
        user, password = fields.get(f"{creds}/UserId"), fields.get(f"{creds}/Password")
        if user is None and password is None:
            continue
        if not user or not password:
            raise AccountError(400, 12976, f"{creds} needs UserId and Password together")
        if any(not fields[url].startswith("https:") for url in urls if url in fields):
            raise AccountError(400, 12812, "Callback URLs must be https when credentials are set")


def _check_timeout(timeout: str | None) -> None:
    if timeout is None:
        return
    if not timeout.isdecimal():
        raise AccountError(400, 13047, "CallbackTimeout must be a whole number of seconds")
    if not 1 <= int(timeout) <= 25:
        raise AccountError(400, 13049, "CallbackTimeout must be 1 to 25 seconds")


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in value and parts.port != 0
    except ValueError:
        return False


def _element(application: ApplicationRow) -> Element:
    element = build("Application", {"ApplicationId": application.id})
    for name in _FIELDS:
        if name in application.fields and "/" not in name:
            element.append(build(name, application.fields[name]))
    for creds in ("CallbackCreds", "CallInitiatedFallbackCreds"):
        if f"{creds}/UserId" in application.fields:
            element.append(build(creds, {"UserId": application.fields[f"{creds}/UserId"]}))
    return element


def _answer(application: ApplicationRow, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    root = build(ROOT, [])
    root.append(_element(application))
    return answer(root, status, headers)
