"""Voice applications: dev.bandwidth.com/docs/account/applications (read 2026-11-23), error codes from
github.com/Bandwidth/api-docs site/docs/numbers/errors.mdx.

Kept as a flat mapping of the XML's own names; what sits in an element of its own has a path such as
"CallbackCreds/UserId". A password is stored, used for callbacks, and never returned.

`create`, `replace`, `merge` and `delete` hold the rules; the routes below them only speak XML.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import Response

from bwlib.sandbox.account_xml import AccountError, answer, build, parse, text
from bwlib.sandbox.state import State, new_id

ROOT = "ApplicationProvisioningResponse"
MESSAGING = "Messaging-V2"
PEERS_ROOT = "AssociatedSipPeersResponse"
FIELDS = (
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
_MESSAGING = (
    *("InboundCallbackUrl", "OutboundCallbackUrl", "InboundCallbackCreds", "OutboundCallbackCreds"),
    *("CallbackUrl", "MsgCallbackUrl", "RequestedCallbackTypes"),
)
_CREDS = {
    "CallbackCreds": ("CallInitiatedCallbackUrl", "CallStatusCallbackUrl"),
    "CallInitiatedFallbackCreds": ("CallInitiatedFallbackUrl",),
}


@dataclass(frozen=True)
class ApplicationRow:
    id: str
    account_id: str
    fields: dict[str, str] = field(repr=False)  # may hold the callback password

    def get(self, name: str) -> str | None:
        return self.fields.get(name)

    @property
    def is_messaging(self) -> bool:
        return self.fields["ServiceType"] == MESSAGING


# -------------------------------------------------------------------- the rules


def all_applications(state: State) -> list[ApplicationRow]:
    """Those of the account, oldest first."""
    return [_row(row) for row in state.all("select * from applications where account_id = ?", state.account_id)]


def find_voice_application(state: State, application_id: str) -> ApplicationRow | None:
    """What a credential or a call can be bound to: never a messaging application."""
    found = find_application(state, application_id)
    return found if found is not None and not found.is_messaging else None


def find_application(state: State, application_id: str) -> ApplicationRow | None:
    query = "select * from applications where id = ? and account_id = ?"
    row = state.one(query, application_id, state.account_id)
    return _row(row) if row else None


def create(state: State, fields: Mapping[str, str]) -> ApplicationRow:
    """A new application. fields: by the names in FIELDS. Raises AccountError."""
    if state.switch("http_voice") == "no":
        raise AccountError(409, 12150, f"Account {state.account_id} lacks the HTTP voice feature")
    _check(state, dict(fields), None)
    application = ApplicationRow(new_id(), state.account_id, _with_defaults(dict(fields)))
    state.run(
        "insert into applications (id, fields, account_id) values (?, ?, ?)",
        *(application.id, json.dumps(application.fields), application.account_id),
    )
    return application


def replace(state: State, before: ApplicationRow, fields: Mapping[str, str]) -> ApplicationRow:
    """PUT: what is not sent is gone. Raises AccountError."""
    return _save(state, before, dict(fields))


def merge(state: State, before: ApplicationRow, sent: Mapping[str, str]) -> ApplicationRow:
    """PATCH: only what is sent changes; CallStatusCallbackUrl "remove" clears it. Raises AccountError."""
    fields = {**before.fields, **sent}
    for creds in _CREDS:
        if f"{creds}/UserId" in sent and f"{creds}/Password" not in sent:
            fields.pop(f"{creds}/Password", None)
    if sent.get("CallStatusCallbackUrl") == "remove":
        del fields["CallStatusCallbackUrl"]
        fields.pop("CallStatusMethod", None)
    return _save(state, before, fields)


def delete(state: State, application: ApplicationRow) -> None:
    """Raises AccountError when it may not go."""
    bound = state.one("select count(*) as n from sip_credentials where application_id = ?", application.id)
    if bound and bound["n"] and state.switch("bound_application_delete") == "refuse":
        raise AccountError(400, 12107, "The application is in use by SIP credentials")
    state.run("delete from applications where id = ?", application.id)


def _row(row: sqlite3.Row) -> ApplicationRow:
    return ApplicationRow(row["id"], row["account_id"], json.loads(row["fields"]))


def _save(state: State, before: ApplicationRow, fields: dict[str, str]) -> ApplicationRow:
    for creds in _CREDS:  # a password cannot be read, so whoever repeats the user keeps it
        user, password = f"{creds}/UserId", f"{creds}/Password"
        if before.get(user) is not None and fields.get(user) == before.get(user) and password in before.fields:
            fields.setdefault(password, before.fields[password])
    _check(state, fields, before)
    after = ApplicationRow(before.id, before.account_id, _with_defaults(fields))
    state.run("update applications set fields = ? where id = ?", json.dumps(after.fields), after.id)
    return after


def _with_defaults(fields: dict[str, str]) -> dict[str, str]:
    if fields.get("ServiceType") == MESSAGING:
        return {name: fields[name] for name in ("ServiceType", "AppName")}
    filled = {**fields, "ServiceType": "Voice-V2"}
    filled.setdefault("CallInitiatedMethod", "POST")
    if "CallStatusCallbackUrl" in filled:
        filled.setdefault("CallStatusMethod", "POST")
    if "CallInitiatedFallbackUrl" in filled:
        filled.setdefault("CallInitiatedFallbackMethod", "POST")
    return filled


def _check(state: State, fields: dict[str, str], before: ApplicationRow | None) -> None:
    service = fields.get("ServiceType")
    if service == MESSAGING and (before is None or before.is_messaging):
        _check_messaging(state, fields, before)
        return
    if before is not None and (before.is_messaging or service not in (None, "Voice", "Voice-V2")):
        raise AccountError(400, 12964, "The service type of an application cannot be changed")
    if before is None and service is None:
        raise AccountError(400, 1003, "ServiceType is required")
    if before is None and service not in ("Voice", "Voice-V2"):
        raise AccountError(400, 12801, "The service type is not valid: only Voice-V2 is imitated here")
    if not fields.get("AppName"):
        raise AccountError(400, 12806, "The application needs a name")
    _check_name(state, fields["AppName"], before)
    _check_urls(state, fields)
    for creds, urls in _CREDS.items():
        _check_credentials(creds, urls, fields, before)
    _check_timeout(fields.get("CallbackTimeout"))


def _check_messaging(state: State, fields: dict[str, str], before: ApplicationRow | None) -> None:
    """Its own elements are not imitated: it is there to be met by its name and type."""
    if state.switch("messaging_applications") == "refuse":
        raise AccountError(400, 12801, "The service type is not valid: only Voice-V2 is imitated here")
    if not fields.get("AppName"):
        raise AccountError(400, 12806, "The application needs a name")
    _check_name(state, fields["AppName"], before)


def _check_name(state: State, name: str, before: ApplicationRow | None) -> None:
    if state.switch("application_names") == "any":
        return
    others = [application for application in all_applications(state) if before is None or application.id != before.id]
    if any(other.get("AppName") == name for other in others):
        raise AccountError(400, 1015, f"An entry for {name} exists already")


def _check_urls(state: State, fields: dict[str, str]) -> None:
    if not fields.get("CallInitiatedCallbackUrl"):
        raise AccountError(400, 12802, "The URL for inbound calls (CallInitiatedCallbackUrl) must be given")
    for name in ("CallInitiatedCallbackUrl", "CallInitiatedFallbackUrl", "CallStatusCallbackUrl"):
        if name in fields and not _is_url(fields[name]):
            raise AccountError(400, int(state.switch("malformed_url_code")), f"{name} is not a valid URL")
    for name in ("CallInitiatedMethod", "CallInitiatedFallbackMethod", "CallStatusMethod"):
        if name in fields and fields[name] not in ("GET", "POST"):
            raise AccountError(400, 12961, f"{name} is no HTTP method for a callback: GET or POST")
    if "CallStatusMethod" in fields and "CallStatusCallbackUrl" not in fields:
        raise AccountError(400, 12963, "CallStatusMethod needs a CallStatusCallbackUrl")
    if "CallInitiatedFallbackMethod" in fields and "CallInitiatedFallbackUrl" not in fields:
        raise AccountError(400, 13048, "CallInitiatedFallbackMethod needs a CallInitiatedFallbackUrl")


def _check_credentials(
    creds: str, urls: tuple[str, ...], fields: dict[str, str], before: ApplicationRow | None
) -> None:
    user, password = fields.get(f"{creds}/UserId"), fields.get(f"{creds}/Password")
    if user is None and password is None:
        return
    if user is None:
        raise AccountError(400, 12800, f"{creds}: a Password cannot be kept without a UserId")
    if password is None and before is not None and before.get(f"{creds}/UserId") not in (None, user):
        raise AccountError(400, 12976, f"{creds}: the UserId cannot change without a Password")
    if password is None:
        raise AccountError(400, 12977, f"{creds}: a UserId cannot be kept without a Password")
    if any(not fields[url].startswith("https:") for url in urls if url in fields):
        raise AccountError(400, 12812, "Callback URLs must be https when credentials are set")


def _check_timeout(timeout: str | None) -> None:
    if timeout is None:
        return
    if not timeout.lstrip("-").isdecimal() or not timeout.isascii():
        raise AccountError(400, 13049, "CallbackTimeout must be a whole number")
    if len(timeout) > 3 or not 1 <= int(timeout) <= 25:
        raise AccountError(400, 13047, "CallbackTimeout must be a whole number from 1 to 25")


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in value and parts.port != 0
    except ValueError:
        return False


# -------------------------------------------------------------------- the routes


async def list_applications(request: Request, state: State) -> Response:
    listed = build("ApplicationList", [])
    listed.extend([_element(application) for application in all_applications(state)])
    root = build(ROOT, [])
    root.append(listed)
    return answer(root)


async def create_application(request: Request, state: State) -> Response:
    application = create(state, _read(parse(await request.body(), "Application")))
    return _answer(application, 201, {"Location": f"{request.url.replace(query='')}/{application.id}"})


async def get_application(request: Request, state: State) -> Response:
    return _answer(_of(request, state))


async def put_application(request: Request, state: State) -> Response:
    before = _of(request, state)
    return _answer(replace(state, before, _read(parse(await request.body(), "Application"))))


async def patch_application(request: Request, state: State) -> Response:
    before = _of(request, state)
    return _answer(merge(state, before, _read(parse(await request.body(), "Application"))))


async def delete_application(request: Request, state: State) -> Response:
    delete(state, _of(request, state))
    return Response(status_code=200)


async def list_sip_peers(request: Request, state: State) -> Response:
    """Always empty: sites and SIP peers are not imitated, and this guide's calls do not go through them."""
    _of(request, state)
    return answer(build(PEERS_ROOT, {"AssociatedSipPeers": []}))


def _of(request: Request, state: State) -> ApplicationRow:
    application_id = request.path_params["application_id"]
    application = find_application(state, application_id)
    if application is None:
        raise AccountError(404, 13629, f"Application with id '{application_id}' was not found")
    return application


def _read(element: Element) -> dict[str, str]:
    for name in _MESSAGING if text(element, "ServiceType") != MESSAGING else ():
        if element.find(name) is not None:
            raise AccountError(400, 12962, f"{name} belongs to messaging applications only")
    return {name: value for name in FIELDS if (value := text(element, name))}


def _element(application: ApplicationRow) -> Element:
    element = build("Application", {"ApplicationId": application.id})
    for name in FIELDS:
        if name in application.fields and "/" not in name:
            element.append(build(name, application.fields[name]))
    for creds in _CREDS:
        if f"{creds}/UserId" in application.fields:
            element.append(build(creds, {"UserId": application.fields[f"{creds}/UserId"]}))
    return element


def _answer(application: ApplicationRow, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    root = build(ROOT, [])
    root.append(_element(application))
    return answer(root, status, headers)
