"""Calls as the Voice API remembers them: github.com/Bandwidth/python-sdk bandwidth.yml (read 2026-11-23).

A call is a mapping of the wire's own names. Callback passwords are not among them: they live in memory only.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from bwlib.sandbox.state import State, timestamp

# What GET /calls/{callId} shows, in this order.
_STATE_FIELDS = (
    *("applicationId", "accountId", "callId", "parentCallId", "to", "from", "direction", "state", "identity"),
    *("enqueuedTime", "startTime", "answerTime", "endTime", "disconnectCause", "errorMessage", "errorId", "lastUpdate"),
)


def new_call_id() -> str:
    """`c-` and six groups of hex digits, as Bandwidth writes them."""
    digits = uuid.uuid4().hex + uuid.uuid4().hex[:8]
    groups, start = [], 0
    for length in (8, 8, 4, 4, 4, 12):
        groups.append(digits[start : start + length])
        start += length
    return "c-" + "-".join(groups)


def add_call(state: State, fields: dict[str, Any]) -> None:
    state.run(
        "insert into calls (id, created_at, fields, account_id) values (?, ?, ?, ?)",
        *(fields["callId"], time.time(), json.dumps(fields), fields["accountId"]),
    )


def update_call(state: State, call_id: str, changes: dict[str, Any]) -> None:
    call = find_call(state, call_id)
    if call is None:  # forgotten by a reset while it was up
        return
    call.update(changes, lastUpdate=timestamp())
    state.run("update calls set fields = ? where id = ?", json.dumps(call), call_id)


def find_call(state: State, call_id: str) -> dict[str, Any] | None:
    row = state.one("select fields from calls where id = ?", call_id)
    return json.loads(row["fields"]) if row else None


def age_s(state: State, call_id: str) -> float:
    row = state.one("select created_at from calls where id = ?", call_id)
    return time.time() - row["created_at"] if row else 0.0


def all_calls(state: State) -> list[dict[str, Any]]:
    """Those of every account, oldest first."""
    return [json.loads(row["fields"]) for row in state.all("select fields from calls order by rowid")]


def calls_of_account(state: State) -> list[dict[str, Any]]:
    """Those of the account, oldest first."""
    rows = state.all("select fields from calls where account_id = ? order by rowid", state.account_id)
    return [json.loads(row["fields"]) for row in rows]


def as_state(call: dict[str, Any]) -> dict[str, Any]:
    return {name: call.get(name) for name in _STATE_FIELDS}


def common_fields(call: dict[str, Any], event_type: str) -> dict[str, Any]:
    """The block every voice event starts with: dev.bandwidth.com/docs/voice/webhooks (read 2026-11-23)."""
    event: dict[str, Any] = {"eventType": event_type, "eventTime": timestamp()}
    for name in ("accountId", "applicationId", "from", "to", "direction", "callId", "callUrl", "startTime"):
        event[name] = call.get(name)
    return event
