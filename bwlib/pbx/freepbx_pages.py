"""FreePBX's pages: where each is, and how a form's fields and ours become each other. Pure.

Source: FreePBX's forms as they were read on 17.0.28, and module core of the branches release/16.0 and release/17.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from bwlib.errors import PbxRefused
from bwlib.pbx.freepbx_driver import Thing
from bwlib.pbx.freepbx_fields import Fields
from bwlib.pbx.freepbx_forms import Form

PATTERN_PARTS = ("prepend_digit", "pattern_prefix", "pattern_pass", "match_cid")


@dataclass(frozen=True)
class Page:
    """One kind's page: what it is called, fields that tell its form, its list (or None), its key, its delete action."""

    display: str
    new: tuple[tuple[str, str], ...]
    edit: tuple[tuple[str, str], ...]
    key_name: str
    tells: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    delete: str


PAGES: Mapping[Thing, Page] = {
    "trunk": Page(
        "trunks", (("tech", "PJSIP"),), (("tech", "PJSIP"),), "extdisplay", ("trunk_name", "sip_server"),
        (("command", "getJSON"), ("jdata", "allTrunks")), "deltrunk",
    ),
    "route": Page(
        "routing", (("view", "form"),), (("view", "form"),), "id", ("routename", "dialpatterndata"),
        (("command", "getJSON"), ("jdata", "routingrnav")), "delroute",
    ),
    "extension": Page(
        "extensions", (("tech_hardware", "pjsip_generic"),), (), "extdisplay", ("extension", "devinfo_secret"),
        (("command", "getExtensionGrid"), ("type", "all")), "del",
    ),
    "did": Page(
        "did", (("view", "form"),), (("view", "form"),), "extdisplay", ("old_extension", "goto0"),
        (("command", "getJSON"), ("jdata", "allDID")), "delIncoming",
    ),
}  # fmt: skip


# ------------------------------------------------------------------ between forms and fields


def on_page(thing: Thing, key: str) -> str:
    """How a page's URL names one."""
    return f"OUT_{key}" if thing == "trunk" else key


def row_of(thing: Thing, row: Mapping[str, Any]) -> Fields:
    told = {
        str(name): "" if value is None else str(value) for name, value in row.items() if not isinstance(value, dict)
    }
    if thing == "trunk":
        return {**told, "key": told.get("trunkid", "").removeprefix("OUT_")}
    if thing == "route":
        return {**told, "key": told.get("route_id", "")}
    if thing == "extension":
        return {
            **told,
            "key": told.get("extension", ""),
            "title": told.get("name", ""),
            "name": told.get("extension", ""),
        }
    told |= {name: unquote(told.get(name, "")) for name in ("extension", "cidnum")}  # this list alone is escaped
    key = f"{told['extension']}/{told['cidnum']}"
    return {**told, "key": key, "name": key}


def fields_of(thing: Thing, form: Form) -> Fields:
    """The form's fields by name, the spread ones gathered."""
    found = {name: value for name, value in form.pairs() if "[" not in name}
    if thing == "trunk":
        found["codec"] = ",".join(_inside(name) for name, _ in form.pairs() if name.startswith("codec["))
    elif thing == "route":
        used = [value for name, value in form.pairs() if name.startswith("trunkpriority[")]
        found["trunkpriority"] = ",".join(filter(None, used))
        found["dialpatterndata"] = _patterns_on(form)
    elif thing == "did":
        found["destination"] = found.get(found.get("goto0", "") + "0", "")
    return found


def _patterns_on(form: Form) -> str:
    """The page's script does this when Submit is pressed: the inputs have ids, and no names."""
    columns = {part: form.by_id(f"{part}_") for part in PATTERN_PARTS}
    lines = sorted({number for column in columns.values() for number in column})
    return json.dumps([{part: columns[part].get(number, "") for part in PATTERN_PARTS} for number in lines])


def _inside(name: str) -> str:
    return name.partition("[")[2].rstrip("]")


def filled_in(thing: Thing, form: Form, changes: Mapping[str, str], *, is_new: bool) -> list[tuple[str, str]]:
    """What to send: the form as it is, with the changes. Raises PbxRefused when it lacks a field of them."""
    spread = {"trunk": {"codec"}, "route": {"trunkpriority"}, "did": {"destination"}}.get(thing, set())
    optional = {"devinfo_accountcode", "provider", "emailsubject"}
    lacking = [name for name in changes if name not in spread | optional and not form.has(name)]
    if lacking:
        raise PbxRefused(
            f"fill in FreePBX's form for a {thing}",
            f"it has no field {', '.join(lacking)}",
            "this FreePBX is none that this program knows (16 and 17): type the settings sheet in by hand",
        )
    wanted = dict(changes)
    drop: tuple[str, ...] = ()
    added: list[tuple[str, str]] = []
    if "codec" in wanted:
        drop = ("codec[",)
        # FreePBX takes their order from the order in which they are sent
        added = [(f"codec[{name}]", str(at)) for at, name in enumerate(wanted.pop("codec").split(","), 1)]
    if "trunkpriority" in wanted:
        drop = ("trunkpriority[",)
        added = [(f"trunkpriority[{at}]", key) for at, key in enumerate(wanted.pop("trunkpriority").split(","))]
    if thing == "route" and "dialpatterndata" not in wanted:
        wanted["dialpatterndata"] = _patterns_on(form)  # an empty one would take the patterns away
    if "destination" in wanted:
        wanted |= _destination(form, wanted.pop("destination"))
    if thing == "extension" and is_new and "none" in form.options("userman_assign"):
        wanted.setdefault("userman_assign", "none")  # the page would make a person for User Management as well
    kept = [(name, value) for name, value in form.pairs() if name not in wanted and not name.startswith(drop or "\0")]
    return [*kept, *((n, v) for n, v in wanted.items() if n not in optional or form.has(n)), *added]


def _destination(form: Form, destination: str) -> Fields:
    """A destination is a category, and what is in it. Their names are in the GUI's language, so they are looked for."""
    for category in form.options("goto0"):
        if category and destination in form.options(f"{category}0"):
            return {"goto0": category, f"{category}0": destination}
    return {"goto0": "Extensions", "Extensions0": destination}
