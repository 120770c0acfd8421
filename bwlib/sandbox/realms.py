"""Realms: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23) and tag "Sip Registrar" of
github.com/Bandwidth/api-docs site/specs/numbers_v2.yml; error codes from site/docs/numbers/errors.mdx;
states and 404 without ErrorCode as github.com/Bandwidth/cli internal/sip says it measured.
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
MAX_NAME = 30
MAX_DESCRIPTION = 255
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")


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

    @property
    def status(self) -> str:
        if self.gone_at is not None:
            return "DELETE_PENDING"
        return "ACTIVE" if time.time() >= self.active_at else "CREATE_PENDING"


def find_realm(state: State, key: str) -> RealmRow | None:
    """By id or FQDN, and by short name where the switch realm_short_name allows it."""
    for realm in _realms(state):
        if key == str(realm.id) or key.lower() == realm.fqdn:
            return realm
        if key.lower() == realm.name.lower() and state.switch("realm_short_name") == "found":
            return realm
    return None


def default_realm(state: State) -> RealmRow | None:
    return next((realm for realm in _realms(state) if realm.is_default), None)


def realm_of(request: Request, state: State) -> RealmRow:
    """The realm named in the path. An unknown one is 404 with a Description and no ErrorCode."""
    realm = find_realm(state, request.path_params["realm"])
    if realm is None:
        raise AccountError(404, None, f"Realm {request.path_params['realm']} was not found")
    return realm


async def list_realms(request: Request, state: State) -> Response:
    fragment = request.query_params.get("realmfragment")
    if fragment is not None and len(fragment) < 3:
        raise AccountError(400, 33011, "realmfragment must have at least 3 characters")
    listed = build("Realms", [])
    for realm in _realms(state):
        if fragment is None or fragment.lower() in realm.fqdn:
            listed.append(_element(state, realm))
    root = build(LIST_ROOT, [])
    root.append(listed)
    return answer(root)


async def create_realm(request: Request, state: State) -> Response:
    if state.switch("sip_entitled") == "no":
        raise AccountError(400, 33004, "The account is not set up for SIP credentials")
    body = parse(await request.body(), "Realm")
    name, description = text(body, "Realm"), text(body, "Description") or ""
    is_default = boolean(text(body, "Default"), "Default")
    if not name:
        raise AccountError(400, 1003, "Realm is required")
    if is_default is None:
        raise AccountError(400, 1003, "Default is required")
    _check_text(name, description)
    if any(realm.name.lower() == name.lower() for realm in _realms(state)):
        raise AccountError(400, 33002, f"Realm {name} already exists")
    realm_id = _insert(state, name, description, is_default)
    realm = find_realm(state, str(realm_id))
    assert realm is not None
    return _answer(state, realm, 201, {"Location": f"{request.url.replace(query='')}/{realm_id}"})


async def get_realm(request: Request, state: State) -> Response:
    return _answer(state, realm_of(request, state))


async def put_realm(request: Request, state: State) -> Response:
    """A full replacement: a Description that is not sent is cleared. The name cannot change."""
    realm = realm_of(request, state)
    body = parse(await request.body(), "Realm")
    name, description = text(body, "Realm"), text(body, "Description") or ""
    is_default = boolean(text(body, "Default"), "Default") or False
    if name and name.lower() not in (realm.name.lower(), realm.fqdn):
        raise AccountError(400, 33005, "The name of a realm cannot be changed")
    _check_text(realm.name, description)
    if realm.is_default and not is_default:
        raise AccountError(400, 1005, "The default realm stays default until another one is made default")
    if is_default:
        state.run("update realms set is_default = 0")
    state.run("update realms set description = ?, is_default = ? where id = ?", description, is_default, realm.id)
    return _answer(state, realm_of(request, state))


async def delete_realm(request: Request, state: State) -> Response:
    """202 and an empty body; DELETE_PENDING for a while, then 404."""
    realm = find_realm(state, request.path_params["realm"])
    if realm is None:
        raise AccountError(404, 33001, f"Realm {request.path_params['realm']} was not found")
    if realm.is_default:
        raise AccountError(400, 33006, "The default realm cannot be deleted")
    if _credential_count(state, realm):
        raise AccountError(400, 12666, "The realm still has SIP credentials")
    if realm.gone_at is None:
        gone_at = time.time() + state.switch_s("realm_delete_s")
        state.run("update realms set gone_at = ? where id = ?", gone_at, realm.id)
    return Response(status_code=202)


def _realms(state: State) -> list[RealmRow]:
    state.run("delete from realms where gone_at <= ?", time.time())
    return [_row(row) for row in state.all("select * from realms order by id")]


def _row(row: sqlite3.Row) -> RealmRow:
    return RealmRow(**{**dict(row), "is_default": bool(row["is_default"])})


def _insert(state: State, name: str, description: str, is_default: bool) -> int:
    separator, hexes = state.switch("realm_separator"), state.identity.realm_hex
    if is_default:  # there is exactly one: promoting this one demotes the other
        state.run("update realms set is_default = 0")
    return state.run(
        "insert into realms (name, fqdn, description, is_default, active_at) values (?, ?, ?, ?, ?)",
        name,
        f"{name}{separator}{hexes}.auth.bandwidth.test".lower(),
        description,
        is_default,
        time.time() + state.switch_s("realm_create_s"),
    )


def _check_text(name: str, description: str) -> None:
    if len(name) > MAX_NAME:
        raise AccountError(400, 33003, f"Realm must have at most {MAX_NAME} characters")
    if not _NAME.fullmatch(name):
        raise AccountError(400, 12673, "Realm may hold letters, digits and inner hyphens only")
    if len(description) > MAX_DESCRIPTION:
        raise AccountError(400, 1011, f"Description must have at most {MAX_DESCRIPTION} characters")


def _credential_count(state: State, realm: RealmRow) -> int:
    row = state.one("select count(*) as n from sip_credentials where realm_id = ?", realm.id)
    return int(row["n"]) if row else 0


def _element(state: State, realm: RealmRow) -> Element:
    return build(
        "Realm",
        {
            "Id": realm.id,
            "Realm": realm.fqdn,
            "Description": realm.description,
            "Default": str(realm.is_default).lower(),
            "SipCredentialCount": _credential_count(state, realm),
            "Status": realm.status,
        },
    )


def _answer(state: State, realm: RealmRow, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    root = build(ROOT, [])
    root.append(_element(state, realm))
    return answer(root, status, headers)
