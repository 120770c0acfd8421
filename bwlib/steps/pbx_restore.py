"""Put back on the PBX what a run of ours changed without having created it, from the differences that it wrote down.

A secret that was replaced is in no record, and stays as it is. So does a field that somebody has changed since, and
one whose earlier value was more than our settings can say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar, get_args, get_type_hints

from bwlib.models import Extension, OutboundRoute, Outcome, Trunk
from bwlib.pbx import Pbx
from bwlib.steps.compare import differences, shown
from bwlib.steps.pbx import Kind, check_on_pbx

T = TypeVar("T", Trunk, OutboundRoute, Extension)

_SECRETS = ("password", "secret")


def earlier(found: T, rows: Iterable[Mapping[str, str]]) -> tuple[T, list[str]]:
    """The object as it was before the differences, oldest first, and a sentence for each field that stays.

    rows: `field`, `found` and `wanted`, as an outcome's differences stand in a record.
    """
    was: dict[str, str] = {}
    made: dict[str, str] = {}
    for row in rows:
        was.setdefault(row["field"], row["found"])
        made[row["field"]] = row["wanted"]
    types = get_type_hints(type(found))
    back: dict[str, Any] = {}
    stays: list[str] = []
    for name, text in was.items():
        now = shown(getattr(found, name)) if name in types else ""
        if name in _SECRETS:
            stays.append(f"its {name} was replaced, and no record holds the earlier one")
        elif name not in types or "(" in text:
            stays.append(f"{name} was {text}, which cannot be written from here")
        elif now not in (made[name], text):
            stays.append(f"{name} was changed since: it is {now}")
        else:
            back[name] = _value(text, types[name])
    return replace(found, **back), stays


def restore_on_pbx(pbx: Pbx, kind: Kind[T], name: str, rows: Iterable[Mapping[str, str]], *, write: bool) -> Outcome[T]:
    """Give an object the settings back that it had before our runs changed it; read it back.

    Raises: PbxRefused when it is somebody else's by now, or the PBX does not take it.
    """
    found = kind.get(pbx, name)
    if found is None:
        return Outcome("unchanged", kind.title, None, note="already gone")
    was: T
    stays: list[str]
    was, stays = earlier(found, rows)
    changes = differences(found, was, [field.name for field in fields(found)])
    note = "; ".join(["it was there before us", *stays])
    if not changes:
        return Outcome("kept", kind.title, found, note=note)
    pbx.check_put(was)
    if not write:
        return Outcome("planned", kind.title, found, changes, f"would be put back as it was; {note}")
    kind.put(pbx, was)
    pbx.apply()
    return Outcome("updated", kind.title, check_on_pbx(pbx, kind, was), changes, f"put back as it was; {note}")


def _value(text: str, wanted: Any) -> Any:
    """What `shown` made this text of."""
    kinds = (wanted, *get_args(wanted))
    if text == "not set":
        return None if type(None) in kinds else () if wanted == tuple[str, ...] else ""
    if bool in kinds:
        return text == "True"
    if int in kinds:
        return int(text)
    return tuple(text.split(", ")) if wanted == tuple[str, ...] else text
