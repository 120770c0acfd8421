"""SIP credentials of a realm: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23), tag "Sip Registrar"
of github.com/Bandwidth/api-docs site/specs/numbers_v2.yml, codes from site/docs/numbers/errors.mdx; 23030 and 23031
from github.com/Bandwidth/cli internal/sip.

Only hashes arrive here, never a password.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bwlib.sandbox.account_xml import AccountError, answer, build, parse, text
from bwlib.sandbox.applications import find_application
from bwlib.sandbox.realms import RealmRow, realm_of
from bwlib.sandbox.state import State

ROOT = "SipCredentialResponse"
LIST_ROOT = "SipCredentialsResponse"
PAGE_SIZE = 500
_USERNAME = re.compile(r"[A-Za-z0-9._\-!$&*+=~@]+")


@dataclass(frozen=True)
class CredentialRow:
    """Whoever reads hash1 can authenticate: it is as good as the password."""

    id: int
    realm_id: int
    username: str
    hash1: str = field(repr=False)
    hash1b: str = field(repr=False)
    application_id: str | None


def find_credential(state: State, realm: RealmRow, username: str) -> CredentialRow | None:
    """By the exact user name: its hash was made with this case."""
    for row in _rows(state, realm):
        if row.username == username:
            return row
    return None


def only_credential(state: State, realm: RealmRow) -> CredentialRow | None:
    """The realm's credential when it has exactly one."""
    rows = _rows(state, realm)
    return rows[0] if len(rows) == 1 else None


async def list_credentials(request: Request, state: State) -> Response:
    """Without a query: 303 to the first page. page = id of the first element, or 1 for the beginning."""
    realm = realm_of(request, state)
    if "page" not in request.query_params and "size" not in request.query_params:
        return RedirectResponse(_page_url(request, "1", PAGE_SIZE), status_code=303)
    page, size = _page(request)
    rows = [row for row in _rows(state, realm) if row.id >= page]
    if not rows and state.switch("empty_credential_list") == "404":
        raise AccountError(404, 23008, "There are no SIP credentials")
    root = build(LIST_ROOT, {"Links": _links(request, rows, size)})
    listed = build("SipCredentials", [])
    for row in rows[:size]:
        listed.append(_element(row, realm))
    root.append(listed)
    return answer(root)


async def create_credentials(request: Request, state: State) -> Response:
    """201 when at least one entry is valid, else 400; invalid ones come back under Errors, hashes and all."""
    realm = realm_of(request, state)
    if state.switch("sip_entitled") == "no":
        raise AccountError(400, 23013, "The account has no SipCredentialSettings")
    if realm.status != "ACTIVE":
        raise AccountError(400, 23022, f"Realm {realm.fqdn} is not active")
    sent = parse(await request.body(), "SipCredentials").findall("SipCredential")
    if not sent:
        raise AccountError(400, 23006, "The list of SIP credentials is empty")
    if len(sent) > PAGE_SIZE:
        raise AccountError(400, 23003, f"At most {PAGE_SIZE} SIP credentials may be sent at once")
    valid, errors = build("ValidSipCredentials", []), build("Errors", [])
    for entry in sent:
        try:
            valid.append(_element(_insert(state, realm, entry), realm))
        except AccountError as error:
            errors.append(_error(entry, error))
    root = build(LIST_ROOT, [])
    root.extend([part for part in (valid, errors) if len(part)])
    return answer(root, 201 if len(valid) else int(state.switch("invalid_credentials_status")))


async def get_credential(request: Request, state: State) -> Response:
    realm = realm_of(request, state)
    return _answer(_of(request, state, realm), realm)


async def put_credential(request: Request, state: State) -> Response:
    """RealmId must be in the body and UserName must not; the id stays."""
    realm = realm_of(request, state)
    row = _of(request, state, realm)
    body = parse(await request.body(), "SipCredential")
    if not text(body, "RealmId"):
        raise AccountError(400, 23031, "RealmId is required")
    if text(body, "RealmId") != str(realm.id):
        raise AccountError(400, 23018, "RealmId does not match the realm of the path")
    if body.find("UserName") is not None:
        raise AccountError(400, 23030, "UserName must not be sent when updating SIP credentials")
    hash1, hash1b = _hashes(body)
    application_id = _updated_application(state, row, body)
    state.run(
        "update sip_credentials set hash1 = ?, hash1b = ?, application_id = ? where id = ?",
        hash1,
        hash1b,
        application_id,
        row.id,
    )
    return _answer(_of(request, state, realm), realm)


async def delete_credential(request: Request, state: State) -> Response:
    row = _of(request, state, realm_of(request, state))
    state.run("delete from sip_credentials where id = ?", row.id)
    return Response(status_code=200)


def _rows(state: State, realm: RealmRow) -> list[CredentialRow]:
    return [_row(row) for row in state.all("select * from sip_credentials where realm_id = ? order by id", realm.id)]


def _row(row: sqlite3.Row) -> CredentialRow:
    return CredentialRow(**dict(row))


def _of(request: Request, state: State, realm: RealmRow) -> CredentialRow:
    for row in _rows(state, realm):
        if str(row.id) == request.path_params["credential_id"]:
            return row
    raise AccountError(404, 23025, "The SIP credential was not found on the realm")


def _insert(state: State, realm: RealmRow, entry: Element) -> CredentialRow:
    username = text(entry, "UserName")
    if not username:
        raise AccountError(400, 23001, "UserName is required")
    if len(username) > 32:
        raise AccountError(400, 23002, "UserName must have at most 32 characters")
    if not _USERNAME.fullmatch(username):
        raise AccountError(400, 23014, "UserName has characters that are not allowed")
    if text(entry, "Realm") not in (None, realm.fqdn):
        raise AccountError(400, 23018, "Realm does not match the realm of the path")
    if any(row.username.lower() == username.lower() for row in _rows(state, realm)):
        raise AccountError(400, 23026, f"SIP credential {username} already exists on the realm")
    hash1, hash1b = _hashes(entry)
    application_id = _application_id(state, entry)
    if state.switch("credential_username_case") == "lower":
        username = username.lower()
    key = state.run(
        "insert into sip_credentials (realm_id, username, hash1, hash1b, application_id) values (?, ?, ?, ?, ?)",
        realm.id,
        username,
        hash1,
        hash1b,
        application_id,
    )
    return CredentialRow(key, realm.id, username, hash1, hash1b, application_id)


def _hashes(entry: Element) -> tuple[str, str]:
    """Hash1 (required) and Hash1b ("" when not sent), taken as they are: a wrong one never authenticates."""
    hash1, hash1b = text(entry, "Hash1"), text(entry, "Hash1b") or ""
    if not hash1:
        raise AccountError(400, 23001, "Hash1 is required")
    if max(len(hash1), len(hash1b)) > 64:
        raise AccountError(400, 23002, "A hash must have at most 64 characters")
    return hash1, hash1b


def _application_id(state: State, entry: Element) -> str | None:
    application_id = text(entry, "HttpVoiceV2AppId")
    if not application_id:
        return None
    try:
        uuid.UUID(application_id)
    except ValueError as error:
        raise AccountError(400, 23020, "HttpVoiceV2AppId is not a UUID") from error
    if find_application(state, application_id) is None:
        raise AccountError(400, 23019, f"Application {application_id} was not found on the account")
    return application_id


def _updated_application(state: State, row: CredentialRow, body: Element) -> str | None:
    sent = _application_id(state, body)
    if sent is None:
        return row.application_id if state.switch("credential_app_omitted") == "keep" else None
    return sent if state.switch("credential_app_on_put") == "update" else row.application_id


def _page(request: Request) -> tuple[int, int]:
    page, size = request.query_params.get("page", "1"), request.query_params.get("size", str(PAGE_SIZE))
    if not page.isdecimal() or not size.isdecimal() or not 1 <= int(size) <= PAGE_SIZE:
        raise AccountError(400, 23012, "page or size is not valid")
    return int(page), int(size)


def _page_url(request: Request, page: str, size: int) -> str:
    return str(request.url.replace(query=f"page={page}&size={size}"))


def _links(request: Request, rows: list[CredentialRow], size: int) -> dict[str, str]:
    links = {"first": f'Link=<{_page_url(request, "1", size)}>;rel="first";'}
    if len(rows) > size:
        links["next"] = f'Link=<{_page_url(request, str(rows[size].id), size)}>;rel="next";'
    return links


def _element(row: CredentialRow, realm: RealmRow) -> Element:
    fields = {
        "Id": row.id,
        "RealmId": row.realm_id,
        "UserName": row.username,
        "Hash1": row.hash1,
        "Hash1b": row.hash1b,
        "Realm": realm.fqdn,
    }
    if row.application_id:
        fields["HttpVoiceV2AppId"] = row.application_id
    return build("SipCredential", fields)


def _error(entry: Element, error: AccountError) -> Element:
    element = build("Error", {"ErrorCode": error.code, "Description": error.description})
    element.append(entry)
    return element


def _answer(row: CredentialRow, realm: RealmRow) -> Response:
    root = build(ROOT, [])
    root.append(_element(row, realm))
    return answer(root)
