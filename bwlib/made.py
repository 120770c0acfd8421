"""What a site's records say that we made, changed, or were cut off while making. Evidence: whoever acts on it looks.

A create is written down three times: `creating` before it, `created` at once after it, and as the step's outcome. Where
the first one is alone, the run was cut off in between, and nobody knows whether the thing is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bwlib.errors import BwlibError
from bwlib.look import KINDS, NAMED_BY
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders

if TYPE_CHECKING:
    from bwlib.guide import Run

Line = dict[str, Any]
# What ends a step without anybody knowing whether its create was carried out.
_CUT_OFF = ("KeyboardInterrupt", "Unavailable")


def created_objects(run: Run, record: str | None = None) -> dict[str, list[Line]]:
    """By step: the journal lines of what the site's runs (or only `record`) created and no run removed since.

    Each has `run`, the record's name, and `as_left`, the object as a later run of ours left it. `cut_off` marks the
    intent of a run that was cut off: its object is what was wanted. Objects on another PBX than the run's are left out.
    """
    return _read(run, record)[0]


def updated_objects(run: Run, record: str | None = None) -> dict[str, list[Line]]:
    """By step: the lines of what the runs changed without having created it, and no undo put back since."""
    return _read(run, record)[1]


def _read(run: Run, record: str | None) -> tuple[dict[str, list[Line]], dict[str, list[Line]]]:
    created: dict[str, list[Line]] = {step: [] for step in NAMED_BY}
    updated: dict[str, list[Line]] = {step: [] for step in NAMED_BY}
    is_here = _on_this_pbx(run)
    for folder in run_folders(run.settings.runs_dir):
        in_scope = record in (None, folder.name)
        for line in read_lines(folder / "journal.jsonl"):
            if line["kind"] not in ("creating", "created", "step"):
                continue
            step = str(line["step"])
            undone = step.startswith("undo ")
            step = step.removeprefix("undo ")
            if step not in created:
                continue
            if line["kind"] == "step" and not undone:
                _end_intents(created[step], step, line, folder.name)
            if line.get("account") != run.on.account_id or not (undone or is_here(line)):
                continue
            if undone:
                _take_back(created[step], updated[step], step, line)
            else:
                _take_up(created[step], updated[step], step, {**line, "run": folder.name}, in_scope)
    return created, updated


def _take_up(created: list[Line], updated: list[Line], step: str, line: Line, in_scope: bool) -> None:
    action = line.get("action", line["kind"])
    if action == "creating" and in_scope:
        created.append({**line, "as_left": line["object"], "cut_off": True})
    elif action == "created":
        # Written down twice when all went well: at once, and as the step's outcome. It also claims what an earlier run
        # was cut off from.
        created[:] = [other for other in created if not _is_same(step, other, line)]
        updated[:] = [other for other in updated if not _is_same(step, other, line)]
        if in_scope:
            created.append({**line, "as_left": line["object"]})
    elif action == "updated":
        ours = [other for other in created if _is_same(step, other, line)]
        for other in ours if step in KINDS else ():
            other["as_left"] = line["object"]
        if not ours and in_scope:
            updated.append(line)


def _take_back(created: list[Line], updated: list[Line], step: str, undo: Line) -> None:
    """What an undo removed is ours no more. What it put back as it was ("updated") is changed by us no more: if an
    earlier run created it, it is still ours to remove, as it is now."""
    gone = {"object": undo.get("undone") or {}}
    if undo.get("action") == "updated":
        for other in created:
            if _is_same(step, other, gone) and _on_one_pbx(other, undo):
                other["as_left"] = undo["object"]
    elif undo.get("action") in ("removed", "unchanged"):
        created[:] = [other for other in created if not _is_undone_by(other, undo)]
    else:
        return
    updated[:] = [other for other in updated if not (_is_same(step, other, gone) and _on_one_pbx(other, undo))]


def _end_intents(created: list[Line], step: str, line: Line, run: str) -> None:
    """A step's outcome that says what became of its create ends the intent; that of a step begun anew does not."""
    # What was put on the PBX and then failed may have stayed there: the PBX says whose it is.
    refused = line["status"] == "failed" and step not in KINDS and line.get("error") not in _CUT_OFF
    if refused or line.get("action") == "created":
        created[:] = [other for other in created if not (other.get("cut_off") and other["run"] == run)]


def is_named_alike(step: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> bool:
    """Whether `found` is what a create of `wanted` would have made. Of a realm only the short name is known before."""
    if step == "realm" and not wanted.get("fqdn"):
        short = re.escape(str(wanted.get("name", "")))
        return re.match(rf"{short}[.-][0-9a-f]+\.auth\.", str(found.get("fqdn", "")), re.IGNORECASE) is not None
    if step == "inbound_sip_uri":
        return wanted.get("application_id") == found.get("application_id")
    if step == "sip_credential" and wanted.get("realm_id") != found.get("realm_id"):
        return False
    return wanted.get(NAMED_BY[step], "") == found.get(NAMED_BY[step])


def _is_same(step: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one.get("cut_off"):
        return is_named_alike(step, one["object"], other["object"])
    key = "id" if step in ("sip_credential", "realm", "application") else NAMED_BY[step]
    return key in one["object"] and bool(one["object"][key] == other["object"].get(key))


def _is_undone_by(made: Mapping[str, Any], undo: Mapping[str, Any]) -> bool:
    return made["object"] == undo.get("undone") and _on_one_pbx(made, undo)


def _on_one_pbx(made: Mapping[str, Any], undo: Mapping[str, Any]) -> bool:
    return (made.get("pbx") or None) == undo.get("pbx")


def _on_this_pbx(run: Run) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a line's object is on the run's PBX, which is asked for only when a line names one."""
    known: list[Mapping[str, str] | None] = []

    def is_here(line: Mapping[str, Any]) -> bool:
        if not line.get("pbx"):
            return True
        if not known:
            try:
                known.append(run.on.pbx().identity())
            except BwlibError:
                known.append(None)  # the step that needs the PBX fails by it, and writes it down
        return known[0] in (None, line["pbx"])

    return is_here
