"""SIP credentials, what they are and what is allowed: dev.bandwidth.com/docs/account/sipRegistrar (read 2026-11-23),
tag "Sip Registrar" of github.com/Bandwidth/api-docs site/specs/numbers_v2.yml, codes from
site/docs/numbers/errors.mdx; 23030 and 23031 from github.com/Bandwidth/cli internal/sip.

Only hashes arrive here, never a password. The routes are in `credential_routes`.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from dataclasses import dataclass, field
from typing import Literal

from bwlib.sandbox.account_xml import AccountError
from bwlib.sandbox.applications import find_voice_application
from bwlib.sandbox.realms import RealmRow
from bwlib.sandbox.state import State

Road = Literal["realm", "account"]
MAX_NAME = 32
MAX_HASH = 64
_PART = re.compile(r"[A-Za-z0-9._\-!$&*+=~]+")
_USERNAME_ALONE = re.compile(r"[A-Za-z0-9._\-!$&*+=~@]+")


@dataclass(frozen=True)
class CredentialRow:
    """Whoever reads hash1 can authenticate: it is as good as the password."""

    id: int
    realm_id: int
    username: str
    hash1: str = field(repr=False)
    hash1b: str = field(repr=False)
    application_id: str | None
    account_id: str
    domain: str = ""

    @property
    def composite(self) -> str:
        """The name a device gives: `user`, or `user@domain` where there is a Domain."""
        return f"{self.username}@{self.domain}" if self.domain else self.username


@dataclass(frozen=True)
class Wanted:
    """A credential as it is asked for; "" and None stand for what was not sent. realm: its FQDN, if named."""

    username: str = ""
    hash1: str = field(default="", repr=False)
    hash1b: str = field(default="", repr=False)
    application_id: str | None = None
    domain: str = ""
    realm: str = ""


# -------------------------------------------------------------------- looking


def credentials_of(state: State, realm: RealmRow) -> list[CredentialRow]:
    """Those of a realm, by id."""
    return [_row(row) for row in state.all("select * from sip_credentials where realm_id = ? order by id", realm.id)]


def all_credentials(state: State) -> list[CredentialRow]:
    """Those of the account, by id."""
    query = "select * from sip_credentials where account_id = ? order by id"
    return [_row(row) for row in state.all(query, state.account_id)]


def find_credential(state: State, realm: RealmRow, username: str) -> CredentialRow | None:
    """By the exact name that a device gives: its hash was made with this case."""
    return next((row for row in credentials_of(state, realm) if row.composite == username), None)


def only_credential(state: State, realm: RealmRow) -> CredentialRow | None:
    """The realm's credential when it has exactly one."""
    rows = credentials_of(state, realm)
    return rows[0] if len(rows) == 1 else None


def _row(row: sqlite3.Row) -> CredentialRow:
    return CredentialRow(**dict(row))


# -------------------------------------------------------------------- the rules


def check_entitled(state: State) -> None:
    """Raises AccountError 23013 when the account is not set up. Reading works all the same."""
    if state.switch("sip_entitled") == "no":
        raise AccountError(400, 23013, "The account is not set up for SIP credentials: no SipCredentialSettings")


def check_active(realm: RealmRow) -> None:
    if realm.status != "ACTIVE":
        raise AccountError(400, 23022, f"Realm '{realm.fqdn}' is not active")


def create(state: State, realm: RealmRow, wanted: Wanted, where: Road = "realm") -> CredentialRow:
    """A new credential. where: the road it came by, which decides the code for a duplicate. Raises AccountError."""
    check_entitled(state)
    check_active(realm)
    _check_names(wanted)
    if where == "realm" and wanted.realm not in ("", realm.fqdn):
        raise AccountError(400, 23018, f"Realm '{wanted.realm}' is not the realm with ID = {realm.id}")
    _check_new(state, realm, wanted, where)
    _check_hashes(wanted)
    application_id = _checked_application(state, wanted.application_id)
    lower = state.switch("credential_username_case") == "lower"
    username = wanted.username.lower() if lower else wanted.username
    values = (realm.id, username, wanted.hash1, wanted.hash1b, application_id, state.account_id, wanted.domain)
    key = state.run(
        "insert into sip_credentials (realm_id, username, hash1, hash1b, application_id, account_id, domain) "
        "values (?, ?, ?, ?, ?, ?, ?)",
        *values,
    )
    return CredentialRow(key, *values)


def update(state: State, row: CredentialRow, wanted: Wanted, realm: RealmRow) -> CredentialRow:
    """New hashes, and the application as the switches say; the id stays. Raises AccountError."""
    _check_hashes(wanted)
    application_id = _checked_application(state, wanted.application_id)
    if application_id is None and state.switch("credential_app_omitted") == "keep":
        application_id = row.application_id
    if wanted.application_id and state.switch("credential_app_on_put") == "ignore":
        application_id = row.application_id
    values = (realm.id, row.username, wanted.hash1, wanted.hash1b, application_id, row.account_id, row.domain)
    state.run(
        "update sip_credentials set realm_id = ?, hash1 = ?, hash1b = ?, application_id = ? where id = ?",
        *(realm.id, wanted.hash1, wanted.hash1b, application_id, row.id),
    )
    return CredentialRow(row.id, *values)


def delete(state: State, row: CredentialRow) -> None:
    state.run("delete from sip_credentials where id = ?", row.id)


def _check_names(wanted: Wanted) -> None:
    if not wanted.username:
        raise AccountError(400, 1003, "UserName is required")
    for name, value in (("UserName", wanted.username), ("Domain", wanted.domain)):
        if len(value) > MAX_NAME:
            raise AccountError(400, 23002, f"{name} '{value}' is too long ({MAX_NAME} characters max)")
    if wanted.domain and not _PART.fullmatch(wanted.domain):
        raise AccountError(400, 23015, f"Domain '{wanted.domain}' has characters that are not allowed")
    if wanted.domain and not _PART.fullmatch(wanted.username):
        raise AccountError(400, 23014, f"UserName '{wanted.username}' has characters that are not allowed")
    if not _USERNAME_ALONE.fullmatch(wanted.username):
        raise AccountError(400, 23016, f"UserName '{wanted.username}' has characters that are not allowed")


def _check_new(state: State, realm: RealmRow, wanted: Wanted, where: Road) -> None:
    """No other with this name, whatever its case."""
    rows = credentials_of(state, realm) if where == "realm" else all_credentials(state)
    name = f"{wanted.username}@{wanted.domain}" if wanted.domain else wanted.username
    if not any(row.composite.lower() == name.lower() for row in rows):
        return
    if where == "realm":
        raise AccountError(400, 23026, f"SIP credential {name} exists already on the realm with ID = {realm.id}")
    raise AccountError(400, 23009, f"SIP credential {name} exists already on the account {state.account_id}")


def _check_hashes(wanted: Wanted) -> None:
    """Taken as they are: a wrong one never authenticates. The text repeats one that is too long, as theirs does."""
    if not wanted.hash1:
        raise AccountError(400, 23001, "Element Hash1 is required")
    for name, value in (("Hash1", wanted.hash1), ("Hash1b", wanted.hash1b)):
        if len(value) > MAX_HASH:
            raise AccountError(400, 23002, f"{name} '{value}' is too long ({MAX_HASH} characters max)")


def _checked_application(state: State, application_id: str | None) -> str | None:
    if not application_id:
        return None
    try:
        uuid.UUID(application_id)
    except ValueError as error:
        raise AccountError(400, 23020, f"Application ID {application_id} is not a valid UUID") from error
    if find_voice_application(state, application_id) is None:
        raise AccountError(400, 23019, f"Application {application_id} was not found on account {state.account_id}")
    return application_id
