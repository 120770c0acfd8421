"""What was said on a call beyond its SIP: webhook bodies with their answers, and the BXML verbs as they began.

Bandwidth shows neither. Kept for the dashboard and the control API, with passwords masked before they are stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from bwlib.sandbox.bxml_reader import Verb
from bwlib.sandbox.exchanges import masked_markup
from bwlib.sandbox.state import State, timestamp

_KEPT_CHARACTERS = 70_000  # a BXML document may have 64 KB
_MASK = "********"
_ATTRIBUTE_SECRET = re.compile(r"""(\b\w*[pP]assword\s*=\s*)("[^"]*"?|'[^']*'?)""")


def add_delivery(
    state: State, event: Mapping[str, Any], url: str, attempt: int, status: int | None, error: str | None, answer: str
) -> None:
    """One attempt to deliver a webhook; `answer` is the body that came back, "" when none did."""
    delivery_id = state.run(
        "insert into deliveries (at, call_id, event, url, attempt, status, error) values (?, ?, ?, ?, ?, ?, ?)",
        timestamp(),
        event["callId"],
        event["eventType"],
        url,
        attempt,
        status,
        error,
    )
    state.run(
        "insert into delivery_bodies (delivery_id, call_id, body, answer) values (?, ?, ?, ?)",
        delivery_id,
        event["callId"],
        masked_markup(json.dumps(dict(event), indent=2, ensure_ascii=False))[:_KEPT_CHARACTERS],
        without_passwords(answer)[:_KEPT_CHARACTERS],
    )


def deliveries(state: State, call_id: str | None = None, latest: int = -1) -> list[dict[str, Any]]:
    """Attempts, oldest first: id, at, call_id, event, url, attempt, status, error, body, answer.

    latest: only so many, the last ones; -1 for all.
    """
    rows = state.all(
        "select deliveries.*, coalesce(body, '') as body, coalesce(answer, '') as answer from deliveries "
        "left join delivery_bodies on delivery_id = deliveries.id "
        "where ? is null or deliveries.call_id = ? order by deliveries.id desc limit ?",
        *(call_id, call_id, latest),
    )
    return [dict(row) for row in reversed(rows)]


def add_verb(state: State, call_id: str, verb: Verb) -> None:
    """A verb that begins now."""
    state.run("insert into verbs (at, call_id, verb) values (?, ?, ?)", timestamp(), call_id, verb_text(verb))


def verbs_of(state: State, call_id: str) -> list[dict[str, Any]]:
    """The verbs of a call in the order in which they began: at, verb (as one XML element)."""
    return [dict(row) for row in state.all("select at, verb from verbs where call_id = ? order by id", call_id)]


def verb_text(verb: Verb) -> str:
    """A verb as XML, its prompts inside it, passwords masked."""
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in verb.attributes.items())
    inside = escape(verb.text, quote=False) + "".join(f"\n  {verb_text(child)}" for child in verb.children)
    closing = "\n" if verb.children else ""
    text = f"<{verb.name}{attributes}>{inside}{closing}</{verb.name}>" if inside else f"<{verb.name}{attributes}/>"
    return without_passwords(text)


def without_passwords(text: str) -> str:
    """A body that came back from an application: BXML, JSON or anything else."""
    return masked_markup(_ATTRIBUTE_SECRET.sub(rf'\1"{_MASK}"', text))
