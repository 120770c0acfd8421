"""The sandbox's memory: one SQLite file. Each noun keeps its own queries beside its routes."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bwlib.sandbox.home import touch_private
from bwlib.sandbox.switches import BY_NAME, SWITCHES

_SCHEMA = """
create table if not exists identity (key text primary key, value text not null);
create table if not exists switches (name text primary key, value text not null);
create table if not exists notes (key text primary key, value text not null);
create table if not exists applications (id text primary key, fields text not null);
create table if not exists realms (
    id integer primary key autoincrement, name text not null, fqdn text not null, description text not null,
    is_default integer not null, active_at real not null, gone_at real);
create table if not exists sip_credentials (
    id integer primary key autoincrement, realm_id integer not null, username text not null,
    hash1 text not null, hash1b text not null, application_id text);
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
    *("applications", "realms", "sip_credentials", "calls", "recordings", "deliveries", "delivery_bodies", "verbs"),
    *("exchanges", "switches"),
)


@dataclass(frozen=True)
class Identity:
    """The imitated account. Random at first start, then kept, so that a restart does not lock anyone out."""

    account_id: str
    client_id: str
    client_secret: str = field(repr=False)
    token_key: str = field(repr=False)
    numbers: tuple[str, ...]
    realm_hex: str
    readback_user: str
    readback_password: str = field(repr=False)


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
        self.identity = self._identity()

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

    def _identity(self) -> Identity:
        row = self.one("select value from identity where key = 'account'")
        kept: dict[str, Any] = json.loads(row["value"]) if row else {}
        if not kept:
            kept = _random_identity()
            self.run("insert into identity values ('account', ?)", json.dumps(kept))
        return Identity(**{**kept, "numbers": tuple(kept["numbers"])})

    def reset(self) -> None:
        """Forget every object and every switch. The account, its credentials and the notes stay."""
        for table in _OBJECTS:
            self.run(f"delete from {table}")  # noqa: S608 -- names from the tuple above

    # ---------------------------------------------------------------- switches

    def switch(self, name: str) -> str:
        """The value of a switch of `bwlib.sandbox.switches`. Raises KeyError for a name that is not there."""
        row = self.one("select value from switches where name = ?", name)
        return str(row["value"]) if row else BY_NAME[name].default

    def switch_s(self, name: str) -> float:
        """The value of a switch that counts seconds."""
        return float(self.switch(name))

    def set_switch(self, name: str, value: str) -> None:
        self.run("insert or replace into switches values (?, ?)", name, value)

    def switches(self) -> dict[str, str]:
        return {switch.name: self.switch(switch.name) for switch in SWITCHES}

    # ---------------------------------------------------------------- notes and exchanges

    def put_note(self, key: str, value: object) -> None:
        self.run("insert or replace into notes values (?, ?)", key, json.dumps(value))

    def get_note(self, key: str) -> object:
        row = self.one("select value from notes where key = ?", key)
        return json.loads(row["value"]) if row else None

    def add_exchange(self, method: str, path: str, status: int, request_body: str, response_body: str) -> None:
        self.run(
            "insert into exchanges (at, method, path, status, request_body, response_body) values (?, ?, ?, ?, ?, ?)",
            timestamp(),
            method,
            path,
            status,
            request_body,
            response_body,
        )

    def exchanges(self, since: int) -> list[dict[str, Any]]:
        return [dict(row) for row in self.all("select * from exchanges where id > ? order by id", since)]


def _random_identity() -> dict[str, Any]:
    return {
        "account_id": str(5_000_000 + secrets.randbelow(4_999_999)),
        "client_id": f"sandbox-{secrets.token_hex(6)}",
        "client_secret": secrets.token_urlsafe(32),
        "token_key": secrets.token_urlsafe(32),
        "numbers": [f"+1919555{100 + secrets.randbelow(100):04d}"],  # 555-0100 to 0199 belong to nobody
        "realm_hex": secrets.token_hex(3),
        "readback_user": f"callback-{secrets.token_hex(3)}",
        "readback_password": secrets.token_urlsafe(24),
    }


def timestamp(seconds: float | None = None) -> str:
    """ISO 8601 in UTC with milliseconds, as Bandwidth writes times: 2026-11-23T04:57:02.123Z."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    return str(uuid.uuid4())
