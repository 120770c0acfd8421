"""Put back on the PBX what a run of ours changed without having created it, from the differences that it wrote down.

A secret that was replaced is in no record, and stays as it is. So does a field that somebody has changed since, and
one whose earlier value was more than our settings can say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar, get_args, get_type_hints

from bwlib.errors import PbxRefused, SettingsError
from bwlib.models import Difference, Extension, OutboundRoute, Outcome, Trunk
from bwlib.pbx import Copies, Pbx, PutsBack
from bwlib.steps.compare import differences, shown
from bwlib.steps.pbx import Kind, check_on_pbx

T = TypeVar("T", Trunk, OutboundRoute, Extension)

_SECRETS = ("password", "secret")
_BEFORE_US = "it was there before us"


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
            stays.append(_lost(name))
        elif name not in types or "(" in text:
            stays.append(f"{name} was {text}, which cannot be written from here")
        elif now not in (made[name], text):
            stays.append(f"{name} was changed since: it is {now}")
        else:
            back[name] = _value(text, types[name])
    return replace(found, **back), stays


def restore_on_pbx(
    pbx: Pbx,
    kind: Kind[T],
    name: str,
    rows: Sequence[Mapping[str, str]],
    copies: Sequence[Copies] = (),
    *,
    write: bool,
) -> Outcome[T]:
    """Give an object the settings back that it had before our runs changed it; read it back.

    rows: as `earlier` takes them. copies: the runs' snapshots, oldest first, for a PBX that can put back from them.
    What the PBX refuses (it is somebody else's by now, or has a value that we do not write) is kept, and said.
    """
    found = kind.get(pbx, name)
    if found is None:
        return Outcome("unchanged", kind.title, None, note="already gone")
    try:
        exactly = pbx.put_back(kind.word, name, copies, write=write) if isinstance(pbx, PutsBack) and copies else None
        if exactly is None:
            return _by_settings(pbx, kind, found, rows, write=write)
    except (PbxRefused, SettingsError) as error:
        return Outcome("kept", kind.title, found, note=f"{_BEFORE_US}; not put back: {error.came_back}")
    changes, stays = exactly
    stays += [_lost(row["field"]) for row in _first_of_each(rows) if row["field"] in _SECRETS]
    if changes and write:
        pbx.apply()
        found = kind.get(pbx, name)
    return _outcome(kind, found, changes, stays, write=write)


def _by_settings(pbx: Pbx, kind: Kind[T], found: T, rows: Iterable[Mapping[str, str]], *, write: bool) -> Outcome[T]:
    was: T
    was, stays = earlier(found, rows)
    changes = differences(found, was, [field.name for field in fields(found)])
    if not changes:
        return _outcome(kind, found, changes, stays, write=write)
    pbx.check_put(was)
    if write:
        kind.put(pbx, was)
        pbx.apply()
        found = check_on_pbx(pbx, kind, was)
    return _outcome(kind, found, changes, stays, write=write)


def _outcome(
    kind: Kind[T], found: T | None, changes: tuple[Difference, ...], stays: list[str], *, write: bool
) -> Outcome[T]:
    if not changes:
        return Outcome("kept", kind.title, found, note="; ".join([_BEFORE_US, *(stays or ["it is as it was"])]))
    done = "put back as it was before" if write else "would be put back as it was before"
    return Outcome("updated" if write else "planned", kind.title, found, changes, "; ".join([done, *stays]))


def _first_of_each(rows: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return list({row["field"]: row for row in rows}.values())


def _lost(name: str) -> str:
    return f"its {name} was replaced and cannot be restored: no record holds a secret"


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
