"""The sandbox's memory: one SQLite file. Each noun keeps its own queries beside its routes.

A `State` is the file as one account sees it: `identity` says which, and queries about objects name it. The one that
opens the file sees the account that every sandbox has; `account()` and `named_account()` give the views of others.
"""

from __future__ import annotations

import copy
import json
import re
import sqlite3
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bwlib.sandbox.home import touch_private
from bwlib.sandbox.identity import Identity, from_json, new_identity, to_json
from bwlib.sandbox.switches import BY_NAME, SWITCHES

NO_RESET = "no_reset"  # a note: why this sandbox is not to be reset, in a sentence or two for whoever tries
_SCHEMA = """
create table if not exists identity (key text primary key, value text not null);
create table if not exists accounts (
    account_id text primary key, name text not null unique, identity text not null);
create table if not exists switches (name text primary key, value text not null);
create table if not exists account_switches (
    account_id text not null, name text not null, value text not null, primary key (account_id, name));
create table if not exists notes (key text primary key, value text not null);
create table if not exists applications (id text primary key, fields text not null);
create table if not exists realms (
    id integer primary key autoincrement, name text not null, fqdn text not null, description text not null,
    is_default integer not null, active_at real not null, gone_at real);
create table if not exists sip_credentials (
    id integer primary key autoincrement, realm_id integer not null, username text not null,
    hash1 text not null, hash1b text not null, application_id text);
create table if not exists sip_uris (
    application_id text primary key, account_id text not null, uuid text not null unique, fields text not null);
create table if not exists calls (id text primary key, created_at real not null, fields text not null);
create table if not exists recordings (
    id text primary key, call_id text not null, fields text not null, wav blob not null);
create table if not exists deliveries (
    id integer primary key autoincrement, at text not null, call_id text not null, event text not null,
    url text not null, attempt integer not null, status integer, error text);
create table if not exists delivery_bodies (
    delivery_id integer primary key, call_id text not null, body text not null, answer text not null);
create table if not exists verbs (
    id integer primary key autoincrement, at text not null, call_id text not null, verb text not null);
create table if not exists exchanges (
    id integer primary key autoincrement, at text not null, method text not null, path text not null,
    status integer not null, request_body text not null, response_body text not null);
"""
_OBJECTS = (
    *("applications", "realms", "sip_credentials", "sip_uris"),
    *("calls", "recordings", "deliveries", "delivery_bodies", "verbs"),
    *("exchanges", "switches", "account_switches"),
)

# What belongs to one account, by a column or by its call.
_OWNED = ("applications", "realms", "sip_credentials", "sip_uris", "calls", "exchanges")
_OF_A_CALL = ("recordings", "deliveries", "delivery_bodies", "verbs")
# Columns that came later: a file of an earlier version gets them, and its rows stay the first account's.
_LATER = (
    *((table, "account_id", "text not null default ''") for table in _OWNED),
    ("realms", "create_fails", "integer not null default 0"),
    ("realms", "delete_fails", "integer not null default 0"),
    ("sip_credentials", "domain", "text not null default ''"),
)
_ACCOUNT_IN_PATH = re.compile(r"/accounts/([^/?]+)")


class State:
    """Opens (or makes) the file. Used from one thread: the event loop of the supervisor."""

    def __init__(self, path: Path) -> None:
        touch_private(path)
        self.directory = path.parent
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        # Only a crash of the whole machine can cost rows; waiting for the disk would cost 10 ms a request.
        self.database.execute("pragma synchronous = off")
        self.database.executescript(_SCHEMA)
        self.identity = self._first = self._first_identity()
        self._add_columns()

    def close(self) -> None:
        self.database.close()

    def one(self, query: str, *values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.database.execute(query, values).fetchone()
        return row

    def all(self, query: str, *values: object) -> list[sqlite3.Row]:
        return self.database.execute(query, values).fetchall()

    def run(self, query: str, *values: object) -> int:
        """Execute a statement that writes; the id of the row it inserted, if it did."""
        return self.database.execute(query, values).lastrowid or 0

    # ---------------------------------------------------------------- accounts

    @property
    def account_id(self) -> str:
        return self.identity.account_id

    @property
    def token_key(self) -> str:
        """What signs the access tokens of every account."""
        return self._first.token_key

    def account(self, account_id: str) -> State | None:
        """The view of one account; None when there is none with this id."""
        return next((view for view in self.accounts() if view.account_id == account_id), None)

    def named_account(self, name: str) -> State:
        """The view of the account of this name, made when missing. "" is the one that every sandbox has."""
        if not name:
            return self._seen_by(self._first)
        row = self.one("select identity from accounts where name = ?", name)
        if row is not None:
            return self._seen_by(from_json(row["identity"]))
        made = new_identity([view.identity for view in self.accounts()])
        self.run("insert into accounts values (?, ?, ?)", made.account_id, name, to_json(made))
        return self._seen_by(made)

    def accounts(self) -> list[State]:
        """The view of every account, the first one first."""
        rows = self.all("select identity from accounts order by rowid")
        return [self._seen_by(identity) for identity in (self._first, *(from_json(row["identity"]) for row in rows))]

    def account_names(self) -> dict[str, str]:
        """Account ids by name; "" is the one that every sandbox has."""
        rows = self.all("select name, account_id from accounts order by rowid")
        return {"": self._first.account_id, **{row["name"]: row["account_id"] for row in rows}}

    def _seen_by(self, identity: Identity) -> State:
        view = copy.copy(self)
        view.identity = identity
        return view

    def _first_identity(self) -> Identity:
        row = self.one("select value from identity where key = 'account'")
        if row is not None:
            return from_json(row["value"])
        made = new_identity()
        self.run("insert into identity values ('account', ?)", to_json(made))
        return made

    def _add_columns(self) -> None:
        for table, column, definition in _LATER:
            if column in {row["name"] for row in self.all(f"pragma table_info({table})")}:
                continue
            self.run(f"alter table {table} add column {column} {definition}")
            if column == "account_id":
                self.run(f"update {table} set account_id = ?", self._first.account_id)  # noqa: S608

    # ---------------------------------------------------------------- reset

    def reset(self) -> None:
        """Forget every object and every switch, of all accounts. Accounts, their credentials and the notes stay."""
        for table in _OBJECTS:
            self.run(f"delete from {table}")  # noqa: S608 -- names from the tuple above

    def reset_account(self) -> None:
        """Forget the objects, calls, log and switches of this account only."""
        mine = "select id from calls where account_id = ?"
        for table in _OF_A_CALL:
            self.run(f"delete from {table} where call_id in ({mine})", self.account_id)  # noqa: S608
        for table in (*_OWNED, "account_switches"):
            self.run(f"delete from {table} where account_id = ?", self.account_id)  # noqa: S608

    # ---------------------------------------------------------------- switches

    def switch(self, name: str) -> str:
        """A switch of `bwlib.sandbox.switches` as this account has it. Raises KeyError for a name that is not there."""
        own = "select value from account_switches where account_id = ? and name = ?"
        row = self.one(own, self.account_id, name) or self.one("select value from switches where name = ?", name)
        return str(row["value"]) if row else BY_NAME[name].default

    def switch_s(self, name: str) -> float:
        """The value of a switch that counts seconds."""
        return float(self.switch(name))

    def set_switch(self, name: str, value: str) -> None:
        """For every account that has not set it for itself."""
        self.run("insert or replace into switches values (?, ?)", name, value)

    def set_account_switch(self, name: str, value: str) -> None:
        self.run("insert or replace into account_switches values (?, ?, ?)", self.account_id, name, value)

    def switches(self) -> dict[str, str]:
        return {switch.name: self.switch(switch.name) for switch in SWITCHES}

    # ---------------------------------------------------------------- notes and exchanges

    def put_note(self, key: str, value: object) -> None:
        self.run("insert or replace into notes values (?, ?)", key, json.dumps(value))

    def get_note(self, key: str) -> object:
        row = self.one("select value from notes where key = ?", key)
        return json.loads(row["value"]) if row else None

    def add_exchange(self, method: str, path: str, status: int, request_body: str, response_body: str) -> None:
        found = _ACCOUNT_IN_PATH.search(path)
        self.run(
            "insert into exchanges (at, method, path, status, request_body, response_body, account_id) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            *(timestamp(), method, path, status, request_body, response_body, found[1] if found else ""),
        )

    def exchanges(self, since: int, *, account_only: bool = False) -> list[dict[str, Any]]:
        """Of all accounts, or of this one: a request for a token names no account, so it is in the first list only."""
        wanted = self.account_id if account_only else None
        query = "select * from exchanges where id > ? and (? is null or account_id = ?) order by id"
        return [dict(row) for row in self.all(query, since, wanted, wanted)]


def timestamp(seconds: float | None = None) -> str:
    """ISO 8601 in UTC with milliseconds, as Bandwidth writes times: 2026-11-23T04:57:02.123Z."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    return str(uuid.uuid4())
