"""The routes of SIP credentials, below a realm and below the account, in XML: the specification, tag "Sip Registrar",
github.com/Bandwidth/api-docs site/specs/numbers_v2.yml. The rules are in `sip_credentials`.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bwlib.sandbox import realms
from bwlib.sandbox.account_xml import AccountError, answer, build, parse, status_element, text
from bwlib.sandbox.realms import RealmRow, all_realms, default_realm, realm_of
from bwlib.sandbox.sip_credentials import (
    CredentialRow,
    Road,
    Wanted,
    all_credentials,
    check_active,
    check_entitled,
    create,
    credentials_of,
    delete,
    update,
)
from bwlib.sandbox.state import State

ROOT = "SipCredentialResponse"
LIST_ROOT = "SipCredentialsResponse"
PAGE_SIZE = 500
MAX_PAGE_SIZE = 5000

# -------------------------------------------------------------------- below a realm


async def list_of_realm(request: Request, state: State) -> Response:
    realm = realm_of(request, state)
    return _list(request, state, credentials_of(state, realm))


async def create_on_realm(request: Request, state: State) -> Response:
    """201 when at least one entry is valid, else 400; invalid ones come back under Errors, hashes and all."""
    realm = realm_of(request, state)
    check_entitled(state)
    check_active(realm)
    return _create(state, await _entries(request, state), "realm", lambda wanted: realm)


async def get_of_realm(request: Request, state: State) -> Response:
    return _answer(state, _by_id(request, state, realm_of(request, state)))


async def put_of_realm(request: Request, state: State) -> Response:
    """RealmId must be in the body and UserName must not."""
    realm = realm_of(request, state)
    row = _by_id(request, state, realm)
    body = parse(await request.body(), "SipCredential")
    if not text(body, "RealmId"):
        raise AccountError(400, 23031, "RealmId is required")
    if text(body, "RealmId") != str(realm.id) or text(body, "Realm") not in (None, "", realm.fqdn):
        raise AccountError(400, 23018, f"The realm of the body is not the realm with ID = {realm.id}")
    if body.find("UserName") is not None or body.find("Domain") is not None:
        code = int(state.switch("username_on_put_code"))
        raise AccountError(400, code, "UserName must not be sent when SIP credentials are updated")
    return _answer(state, update(state, row, wanted_of(body), realm))


async def delete_of_realm(request: Request, state: State) -> Response:
    delete(state, _by_id(request, state, realm_of(request, state)))
    return Response(status_code=200)


def _by_id(request: Request, state: State, realm: RealmRow) -> CredentialRow:
    wanted = request.path_params["credential_id"]
    for row in credentials_of(state, realm):
        if str(row.id) == wanted:
            return row
    raise AccountError(404, 23025, f"SIP credential with ID {wanted} was not found on the realm with ID = {realm.id}")


# -------------------------------------------------------------------- below the account


async def list_of_account(request: Request, state: State) -> Response:
    return _list(request, state, all_credentials(state))


async def create_on_account(request: Request, state: State) -> Response:
    """As below a realm; each entry names its realm by FQDN, or goes to the default one."""
    check_entitled(state)
    return _create(state, await _entries(request, state), "account", lambda wanted: _named_realm(state, wanted.realm))


async def get_of_account(request: Request, state: State) -> Response:
    return _answer(state, _by_name(request, state))


async def put_of_account(request: Request, state: State) -> Response:
    """The older update: no RealmId; neither UserName nor Domain may change."""
    row = _by_name(request, state)
    body = parse(await request.body(), "SipCredential")
    for name, kept in (("UserName", row.username), ("Domain", row.domain)):
        if text(body, name) not in (None, kept):
            raise AccountError(400, 23004, "UserName and Domain cannot change: delete the credential and add another")
    realm = _named_realm(state, text(body, "Realm") or _realm(state, row).fqdn)
    return _answer(state, update(state, row, wanted_of(body), realm))


async def delete_of_account(request: Request, state: State) -> Response:
    delete(state, _by_name(request, state))
    return Response(status_code=200)


def _by_name(request: Request, state: State) -> CredentialRow:
    wanted = request.path_params["composite"]
    for row in all_credentials(state):
        if row.composite.lower() == wanted.lower():
            return row
    raise AccountError(404, 23007, f"SIP credential {wanted} was not found on the account {state.account_id}")


def _named_realm(state: State, fqdn: str) -> RealmRow:
    if not fqdn:
        default = default_realm(state)
        if default is None:
            raise AccountError(400, 23021, f"Account {state.account_id} has no default realm: create one")
        return default
    for realm in all_realms(state):
        if realm.fqdn == fqdn.lower():
            return realm
    if realms.find_host(state, fqdn) is not None:
        raise AccountError(400, 23018, f"Realm '{fqdn}' was not found on the account {state.account_id}")
    raise AccountError(400, 23017, f"Realm '{fqdn}' was not found on any account")


# -------------------------------------------------------------------- both


def wanted_of(entry: Element) -> Wanted:
    names = ("UserName", "Hash1", "Hash1b", "HttpVoiceV2AppId", "Domain", "Realm")
    username, hash1, hash1b, application_id, domain, realm = (text(entry, name) or "" for name in names)
    return Wanted(username, hash1, hash1b, application_id or None, domain, realm)


def _list(request: Request, state: State, rows: list[CredentialRow]) -> Response:
    """Without a query: 303 to the first page. page = the id or user@domain of its first element, or 1."""
    if "page" not in request.query_params and "size" not in request.query_params:
        return RedirectResponse(_page_url(request, "1", PAGE_SIZE), status_code=303)
    first, size = _page(request, rows)
    rows = [row for row in rows if row.id >= first]
    if not rows and state.switch("empty_credential_list") == "404":
        raise AccountError(404, 23008, f"Account {state.account_id} has no SIP credentials")
    root = build(LIST_ROOT, {"Links": _links(request, rows, size)})
    listed = build("SipCredentials", [])
    listed.extend([_element(state, row) for row in rows[:size]])
    root.append(listed)
    return answer(root)


def _page(request: Request, rows: list[CredentialRow]) -> tuple[int, int]:
    """(id of the first element, how many)."""
    page, size = request.query_params.get("page", "1"), request.query_params.get("size", str(PAGE_SIZE))
    bad = AccountError(400, 23012, f"Wrong page format: {page}. It is a number or userName@domain")
    if not (size.isascii() and size.isdecimal() and len(size) < 6 and 1 <= int(size) <= MAX_PAGE_SIZE):
        raise bad
    if page.isascii() and page.isdecimal() and len(page) < 16:
        return int(page), int(size)
    named = [row.id for row in rows if "@" in page and row.composite.lower() == page.lower()]
    if not named:
        raise bad
    return named[0], int(size)


def _page_url(request: Request, page: str, size: int) -> str:
    return str(request.url.replace(query=f"page={page}&size={size}"))


def _links(request: Request, rows: list[CredentialRow], size: int) -> dict[str, str]:
    links = {"first": f'Link=<{_page_url(request, "1", size)}>;rel="first";'}
    if len(rows) > size:
        links["next"] = f'Link=<{_page_url(request, str(rows[size].id), size)}>;rel="next";'
    return links


async def _entries(request: Request, state: State) -> list[Element]:
    sent = parse(await request.body(), "SipCredentials").findall("SipCredential")
    most = int(state.switch("credentials_per_request"))
    if not sent:
        raise AccountError(400, 23006, "The list of SIP credentials is empty")
    if len(sent) > most:
        raise AccountError(400, 23003, f"There cannot be more than {most} SIP credentials in a list")
    return sent


def _create(state: State, sent: list[Element], where: Road, realm_for: Callable[[Wanted], RealmRow]) -> Response:
    valid, errors = build("ValidSipCredentials", []), build("Errors", [])
    for entry in sent:
        wanted = wanted_of(entry)
        try:
            valid.append(_element(state, create(state, realm_for(wanted), wanted, where)))
        except AccountError as error:
            errors.append(_error(state, entry, error))
    root = build(LIST_ROOT, [])
    status = 201 if len(valid) else int(state.switch("invalid_credentials_status"))
    if status == 400:
        root.append(status_element(AccountError(400, None, "Please check your input parameters.")))
    root.extend([part for part in (errors, valid) if len(part)])
    return answer(root, status)


def _error(state: State, entry: Element, error: AccountError) -> Element:
    description = error.description
    if state.switch("credential_error_text") == "with-hashes":
        description += f" (Hash1 {text(entry, 'Hash1')}, Hash1b {text(entry, 'Hash1b')})"
    element = build("Error", {"ErrorCode": error.code, "Description": description})
    element.append(entry)
    return element


def _realm(state: State, row: CredentialRow) -> RealmRow:
    return next(realm for realm in all_realms(state) if realm.id == row.realm_id)


def _element(state: State, row: CredentialRow) -> Element:
    fields: dict[str, object] = {"Id": row.id, "RealmId": row.realm_id, "UserName": row.username}
    if row.domain:
        fields["Domain"] = row.domain
    fields |= {"Hash1": row.hash1, "Hash1b": row.hash1b, "Realm": _realm(state, row).fqdn}
    if row.application_id:
        fields["HttpVoiceV2AppId"] = row.application_id
    return build("SipCredential", fields)


def _answer(state: State, row: CredentialRow) -> Response:
    root = build(ROOT, [])
    root.append(_element(state, row))
    return answer(root)
