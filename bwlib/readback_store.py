"""What readback saw: every webhook and the answer it got, in one SQLite file (0600)."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bwlib.models import Webhook

# A public URL is found by strangers: what they send must not push out what Bandwidth sent, nor fill the disk.
KEEP_ADMITTED = 20_000
KEEP_TURNED_AWAY = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    event_type TEXT NOT NULL,
    call_id TEXT NOT NULL,
    path TEXT NOT NULL,
    body TEXT NOT NULL,
    answer_status INTEGER NOT NULL,
    answer_body TEXT NOT NULL,
    authenticated INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS webhook_call ON webhook (call_id);
"""
_COLUMNS = "id, at, event_type, call_id, path, body, answer_status, answer_body, authenticated"


class WebhookStore:
    """Thread-safe. Raises sqlite3.Error and OSError when the file cannot be opened or written."""

    def __init__(self, file: Path) -> None:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))  # so that SQLite never makes it readable to others
        file.chmod(0o600)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def append(
        self,
        *,
        event_type: str,
        call_id: str,
        path: str,
        body: Mapping[str, object],
        answer_status: int,
        answer_body: str,
        authenticated: bool,
    ) -> int:
        """Keep one webhook; returns its id. Ids only grow."""
        row = (
            datetime.now(UTC).isoformat(),
            storable(event_type),
            storable(call_id),
            path,
            json.dumps(body),
            answer_status,
            answer_body,
            int(authenticated),
        )
        with self._lock:
            added = self._db.execute(
                f"INSERT INTO webhook ({_COLUMNS[4:]}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our constant
                row,
            )
            new_id = added.lastrowid or 0
            if new_id % 100 == 0:
                self._forget_oldest()
        return new_id

    def _forget_oldest(self) -> None:
        for turned_away, keep in ((0, KEEP_ADMITTED), (1, KEEP_TURNED_AWAY)):
            self._db.execute(
                "DELETE FROM webhook WHERE (answer_status >= 400) = ?1 AND id NOT IN "
                "(SELECT id FROM webhook WHERE (answer_status >= 400) = ?1 ORDER BY id DESC LIMIT ?2)",
                (turned_away, keep),
            )

    def webhooks(self, *, after_id: int = 0, call_id: str | None = None, limit: int = 1000) -> list[Webhook]:
        """Oldest first, at most `limit`."""
        query = f"SELECT {_COLUMNS} FROM webhook WHERE id > ?"  # noqa: S608 - our constant
        values: list[object] = [after_id]
        if call_id is not None:
            query += " AND call_id = ?"
            values.append(storable(call_id))
        with self._lock:
            rows = self._db.execute(f"{query} ORDER BY id LIMIT ?", [*values, limit]).fetchall()
        return [_webhook(row) for row in rows]

    def last_id(self) -> int:
        """The id of the newest webhook ever kept, 0 before the first."""
        with self._lock:
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'webhook'").fetchone()
        return int(row[0]) if row else 0


def storable(text: str) -> str:
    """Without what SQLite cannot take (lone surrogates from JSON escapes), at most 200 characters."""
    return text[:200].encode("utf-8", "replace").decode()


def _webhook(row: tuple[object, ...]) -> Webhook:
    webhook_id, at, event_type, call_id, path, body, answer_status, answer_body, authenticated = row
    return Webhook(
        id=int(str(webhook_id)),
        at=datetime.fromisoformat(str(at)),
        event_type=str(event_type),
        call_id=str(call_id),
        path=str(path),
        body=json.loads(str(body)),
        answer_status=int(str(answer_status)),
        answer_body=str(answer_body),
        authenticated=bool(authenticated),
    )
