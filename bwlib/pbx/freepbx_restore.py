"""Put a page of FreePBX's back as it was, from the copies that a record holds of it before and after. Pure.

Our settings say less than a page does: two ways to register are one of ours, and a name beside the caller id is none.
So what is put back are FreePBX's own fields, those that a run changed and nobody else since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bwlib.models import Difference
from bwlib.pbx import Copies
from bwlib.pbx.freepbx_driver import Thing
from bwlib.pbx.freepbx_fields import SECRET_FIELDS, Fields, mark_in


def file_of(thing: Thing, name: str, key: str) -> str:
    """Where a snapshot keeps one page."""
    return f"freepbx/{thing}_{name}_{key}.json"


def to_put_back(
    copies: Sequence[Copies], file: str, now: Mapping[str, str]
) -> tuple[Fields, tuple[Difference, ...], list[str]] | None:
    """(the fields to send, what that changes, a sentence for each that stays); None when no copy holds the page.

    copies: oldest first. now: the page as it is.
    """
    was: Fields = {}
    made: Fields = {}
    pairs = [(_read(before.get(file)), _read(after.get(file))) for before, after in copies]
    pairs = [(before, after) for before, after in pairs if before and after]
    if not pairs:
        return None
    for before, after in pairs:
        for name in sorted(set(before) & set(after) - SECRET_FIELDS):
            if before[name] != after[name]:
                was.setdefault(name, before[name])
                made[name] = after[name]
    back: Fields = {}
    stays: list[str] = []
    for name, text in was.items():
        is_now = now.get(name, "")
        if "«redacted" in text:
            stays.append(f"{name} was something that the record does not show")
        elif is_now not in (made[name], text):
            stays.append(f"{name} was changed since: it is {is_now or 'blank'}")
        elif is_now != text:
            back[name] = text
    rows = tuple(Difference(name, now.get(name) or "blank", text or "blank") for name, text in back.items())
    return back, rows, stays


def had_inbound_route(copies: Sequence[Copies], mark: str) -> bool:
    """Whether an inbound route of ours was there before the oldest of the runs; True when nobody knows."""
    told = copies[0][0].get("freepbx/dids.json")
    if told is None:
        return True
    return any(mark_in(str(row.get("description", ""))) == mark for row in json.loads(told))


def _read(text: str | None) -> Fields:
    found = json.loads(text) if text else {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
