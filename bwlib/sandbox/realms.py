"""Realms: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23) and tag "Sip Registrar" of
github.com/Bandwidth/api-docs site/specs/numbers_v2.yml; error codes from site/docs/numbers/errors.mdx;
states and 404 without ErrorCode as github.com/Bandwidth/cli internal/sip says it measured.

`create`, `update` and `delete` hold the rules; the routes below them only speak XML.
"""

from __future__ import annotations

import re
import sqlite3
import time
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from starlette.requests import Request
from starlette.responses import Response

from bwlib.sandbox.account_xml import AccountError, answer, boolean, build, parse, text
from bwlib.sandbox.state import State

ROOT = "RealmResponse"
LIST_ROOT = "RealmsResponse"
MAX_DESCRIPTION = 255
_NAMES = {
    "inner-hyphens": re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"),
    "lower-alphanumeric": re.compile(r"[a-z0-9]+"),
}


@dataclass(frozen=True)
class RealmRow:
    """active_at and gone_at are points in time (seconds): the state follows from the clock."""

    id: int
    name: str
    fqdn: str
    description: str
    is_default: bool
    active_at: float
    gone_at: float | None
    account_id: str
    create_fails: bool
    delete_fails: bool

    @property
    def status(self) -> str:
        now = time.time()
        if self.gone_at is not None:
            return "DELETE_FAILED" if self.delete_fails and now >= self.gone_at else "DELETE_PENDING"
        if now < self.active_at:
            return "CREATE_PENDING"
        return "CREATE_FAILED" if self.create_fails else "ACTIVE"


# -------------------------------------------------------------------- looking


def all_realms(state: State) -> list[RealmRow]:
    """Those of the account, by id. What is gone by now is gone."""
    state.run("delete from realms where gone_at <= ? and delete_fails = 0", time.time())
    return [_row(row) for row in state.all("select * from realms where account_id = ? order by id", state.account_id)]


def find_realm(state: State, key: str) -> RealmRow | None:
    """By id or FQDN, and by short name where the switch realm_short_name allows it."""
    for realm in all_realms(state):
        if key == str(realm.id) or key.lower() == realm.fqdn:
            return realm
        if key.lower() == realm.name.lower() and state.switch("realm_short_name") == "found":
            return realm
    return None


def find_host(state: State, host: str) -> tuple[State, RealmRow] | None:
    """The realm of this FQDN in whichever account has it, with that account's view."""
    for view in state.accounts():
        for realm in all_realms(view):
            if realm.fqdn == host.lower():
                return view, realm
    return None


def default_realm(state: State) -> RealmRow | None:
    return next((realm for realm in all_realms(state) if realm.is_default), None)


def realm_of(request: Request, state: State) -> RealmRow:
    """The realm named in the path. An unknown one is 404 with a Description and no ErrorCode."""
    realm = find_realm(state, request.path_params["realm"])
    if realm is None:
        raise AccountError(404, None, f"Realm {request.path_params['realm']} was not found")
    return realm


# -------------------------------------------------------------------- the rules


def create(state: State, name: str | None, description: str, is_default: bool | None) -> RealmRow:
    """A new realm, CREATE_PENDING for a while. Raises AccountError."""
    if state.switch("sip_entitled") == "no":
        raise AccountError(400, 33004, "The account is not set up for SIP credentials")
    if not name:
        raise AccountError(400, 1003, "Realm is required")
    if is_default is None:
        raise AccountError(400, 1003, "Default is required")
    _check_name(state, name)
    _check_description(description)
    others = all_realms(state)
    if any(realm.name.lower() == name.lower() for realm in others):
        raise AccountError(400, 33002, f"Realm {name} exists already")
    if not others and state.switch("first_realm") == "default":
        is_default = True
    realm = find_realm(state, str(_insert(state, name, description, is_default)))
    assert realm is not None
    return realm


def update(state: State, realm: RealmRow, name: str | None, description: str, is_default: bool) -> RealmRow:
    """PUT: a description that is not sent is cleared, the name cannot change. Raises AccountError."""
    if name and name.lower() not in (realm.name.lower(), realm.fqdn):
        raise AccountError(400, 33005, "The name of a realm cannot be changed")
    _check_description(description)
    if realm.is_default and not is_default:
        raise AccountError(400, 1005, "The default realm stays default until another one is made default")
    if is_default:
        _demote_others(state)
    state.run("update realms set description = ?, is_default = ? where id = ?", description, is_default, realm.id)
    after = find_realm(state, str(realm.id))
    assert after is not None
    return after


def delete(state: State, realm: RealmRow) -> None:
    """DELETE_PENDING for a while, then gone, or DELETE_FAILED where the switch says so. Raises AccountError."""
    if realm.is_default:
        raise AccountError(400, 33006, "The default realm cannot be deleted")
    if credential_count(state, realm):
        raise AccountError(400, 12666, "The realm still has SIP credentials")
    if realm.status == "DELETE_PENDING":
        return
    gone_at, fails = time.time() + state.switch_s("realm_delete_s"), state.switch("realm_delete") == "fails"
    state.run("update realms set gone_at = ?, delete_fails = ? where id = ?", gone_at, fails, realm.id)


def credential_count(state: State, realm: RealmRow) -> int:
    row = state.one("select count(*) as n from sip_credentials where realm_id = ?", realm.id)
    return int(row["n"]) if row else 0


def _row(row: sqlite3.Row) -> RealmRow:
    flags = {name: bool(row[name]) for name in ("is_default", "create_fails", "delete_fails")}
    return RealmRow(**{**dict(row), **flags})


def _demote_others(state: State) -> None:
    """There is exactly one default: promoting one demotes the other."""
    state.run("update realms set is_default = 0 where account_id = ?", state.account_id)


def _insert(state: State, name: str, description: str, is_default: bool) -> int:
    separator, hexes = state.switch("realm_separator"), state.identity.realm_hex
    if is_default:
        _demote_others(state)
    return state.run(
        "insert into realms (name, fqdn, description, is_default, active_at, create_fails, account_id) "
        "values (?, ?, ?, ?, ?, ?, ?)",
        name,
        f"{name}{separator}{hexes}.auth.bandwidth.test".lower(),
        description,
        is_default,
        time.time() + state.switch_s("realm_create_s"),
        state.switch("realm_create") == "fails",
        state.account_id,
    )


def _check_name(state: State, name: str) -> None:
    longest = int(state.switch("realm_name_max"))
    if len(name) > longest:
        raise AccountError(400, 33003, f"Realm must have at most {longest} characters")
    if not _NAMES[state.switch("realm_charset")].fullmatch(name):
        raise AccountError(400, 12673, f"Realm '{name}' is not valid: it has characters that are not allowed")


def _check_description(description: str) -> None:
    if len(description) > MAX_DESCRIPTION:
        raise AccountError(400, 1011, f"Description is too long: at most {MAX_DESCRIPTION} characters")


# -------------------------------------------------------------------- the routes


async def list_realms(request: Request, state: State) -> Response:
    fragment = request.query_params.get("realmfragment")
    if fragment is not None and len(fragment) < 3:
        code = int(state.switch("realm_fragment_code"))
        raise AccountError(400, code, "realmfragment must have at least 3 characters")
    listed = build("Realms", [])
    for realm in all_realms(state):
        if fragment is None or fragment.lower() in realm.fqdn:
            listed.append(_element(state, realm))
    root = build(LIST_ROOT, [])
    root.append(listed)
    return answer(root)


async def create_realm(request: Request, state: State) -> Response:
    realm = create(state, *_read(parse(await request.body(), "Realm")))
    return _answer(state, realm, 201, {"Location": f"{request.url.replace(query='')}/{realm.id}"})


async def get_realm(request: Request, state: State) -> Response:
    return _answer(state, realm_of(request, state))


async def put_realm(request: Request, state: State) -> Response:
    realm = realm_of(request, state)
    name, description, is_default = _read(parse(await request.body(), "Realm"))
    return _answer(state, update(state, realm, name, description, bool(is_default)))


async def delete_realm(request: Request, state: State) -> Response:
    """202 and an empty body."""
    realm = find_realm(state, request.path_params["realm"])
    if realm is None:
        raise AccountError(404, 33001, f"Realm '{request.path_params['realm']}' was not found")
    delete(state, realm)
    return Response(status_code=202)


def _read(body: Element) -> tuple[str | None, str, bool | None]:
    return text(body, "Realm"), text(body, "Description") or "", boolean(text(body, "Default"), "Default")


def _element(state: State, realm: RealmRow) -> Element:
    return build(
        "Realm",
        {
            "Id": realm.id,
            "Realm": realm.fqdn,
            "Description": realm.description,
            "Default": str(realm.is_default).lower(),
            "SipCredentialCount": credential_count(state, realm),
            "Status": realm.status,
        },
    )


def _answer(state: State, realm: RealmRow, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    root = build(ROOT, [])
    root.append(_element(state, realm))
    return answer(root, status, headers)
