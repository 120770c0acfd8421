"""Undo: remove what this site's records say we created, newest first, confirming each before it goes.

The record is evidence, not state. So every object is read first; what is not the same any more, what belonged to
somebody before, and what Bandwidth does not let go is kept and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

from bwlib.errors import BwlibError
from bwlib.guide import Run
from bwlib.models import Outcome, Realm
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders
from bwlib.steps import pbx as pbx_steps
from bwlib.steps.application import remove_application
from bwlib.steps.inbound_sip_uri import remove_inbound_sip_uri
from bwlib.steps.realm import remove_realm
from bwlib.steps.sip_credential import remove_sip_credential
from bwlib.widgets import show

# The phone's side first, the application last: nothing is removed while something else still uses it. What each is
# called by, for people.
NAMED_BY = {
    "extension": "number",
    "route": "name",
    "trunk": "name",
    "sip_credential": "username",
    "realm": "fqdn",
    "inbound_sip_uri": "uri",
    "application": "name",
}
KINDS: Mapping[str, pbx_steps.Kind[Any]] = {
    "extension": pbx_steps.EXTENSION,
    "route": pbx_steps.ROUTE,
    "trunk": pbx_steps.TRUNK,
}


def created_objects(run: Run, record: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """By step: the journal lines of what the site's runs (or only `record`) created and no run removed since.

    Each has `run`, the record's name, and `as_left`, the object as a later run of ours left it. Objects on another PBX
    than the run's are left out.
    """
    created: dict[str, list[dict[str, Any]]] = {step: [] for step in NAMED_BY}
    is_here = _on_this_pbx(run)
    for folder in run_folders(run.settings.runs_dir):
        for line in read_lines(folder / "journal.jsonl"):
            if line["kind"] not in ("step", "created") or line.get("account") != run.on.account_id:
                continue
            step, action = line["step"], line.get("action", line["kind"])
            if step in created and action == "created" and record in (None, folder.name) and is_here(line):
                # Written down twice when all went well: at once, and as the step's outcome.
                created[step][:] = [other for other in created[step] if not _is_same(step, other, line)]
                created[step].append({**line, "run": folder.name, "as_left": line["object"]})
            elif step in KINDS and action == "updated" and is_here(line):
                for other in created[step]:
                    if other["object"][NAMED_BY[step]] == line["object"][NAMED_BY[step]]:
                        other["as_left"] = line["object"]
            elif step.startswith("undo ") and action in ("removed", "unchanged"):
                made = created.get(step.removeprefix("undo "), [])
                made[:] = [other for other in made if not _is_undone_by(other, line)]
    return created


def _is_same(step: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    key = "id" if step in ("sip_credential", "realm", "application") else NAMED_BY[step]
    return bool(one["object"].get(key) == other["object"].get(key))


def undo_site(run: Run, record: str | None = None) -> list[Outcome[Any]]:
    """Remove, newest first, what was created (by one record, if named); returns what happened to each object.

    A run that only plans lists it once; asked again, it says that nothing was removed.
    """
    if run.undo_planned:
        _say(run, Outcome("planned", "Undo", None, note="plan only: nothing was removed"))
        return []
    created = created_objects(run, record)
    outcomes = [_undo_one(run, step, line) for step in NAMED_BY for line in reversed(created[step])]
    if not outcomes:
        _say(run, Outcome("unchanged", "Undo", None, note="nothing to undo"))
    run.undo_planned = bool(outcomes) and not run.writes
    return outcomes


def _say(run: Run, outcome: Outcome[Any]) -> None:
    run.step("undo", lambda: outcome, lambda: outcome)


def _undo_one(run: Run, step: str, line: Mapping[str, Any]) -> Outcome[Any]:
    made = line["object"]
    title = f"Undo {line['title']} {made.get(NAMED_BY[step], '')}".rstrip()
    which = {"pbx": line["pbx"]} if line.get("pbx") else {}
    return run.step(
        f"undo {step}",
        lambda: replace(_plan(run, step, line), title=title),
        lambda: replace(_remove(run, step, line), title=title),
        undone=made,
        created_by_run=line["run"],
        **which,
    )


def _plan(run: Run, step: str, line: Mapping[str, Any]) -> Outcome[Any]:
    if step not in KINDS:
        return Outcome("planned", "", line["object"], note="would be removed")
    name = line["object"][NAMED_BY[step]]
    return pbx_steps.plan_removal(run.on.pbx(), KINDS[step], name, lambda found: _why_keep(run, found, line))


def _remove(run: Run, step: str, line: Mapping[str, Any]) -> Outcome[Any]:
    made, client = line["object"], run.on.client
    if step == "sip_credential":
        realm = Realm(made["realm_id"], made["realm_fqdn"], "", False, "ACTIVE")
        return remove_sip_credential(client, realm, made["id"], made["username"])
    if step == "realm":
        return remove_realm(client, made["id"], made["fqdn"])
    if step == "inbound_sip_uri":
        return remove_inbound_sip_uri(client, made["application_id"], made["uri"])
    if step == "application":
        return remove_application(client, made["id"], made["name"])
    name = made[NAMED_BY[step]]
    return pbx_steps.remove_from_pbx(run.on.pbx(), KINDS[step], name, lambda found: _why_keep(run, found, line))


def _why_keep(run: Run, found: Any, line: Mapping[str, Any]) -> str:
    """Names the public fields in which an object on the PBX is not what our record says; empty when it is the same.

    A field that is younger than the record counts as its default.
    """
    recorded, now = line["as_left"], run.record.redactor.value(show.object_facts(found))
    changed = []
    for field in fields(found):
        default = show.object_facts({field.name: field.default}) if field.default is not MISSING else {}
        before = recorded.get(field.name, default.get(field.name))
        if now.get(field.name) != before:
            changed.append(f"{field.name} is {now.get(field.name, 'not set')}, recorded {before or 'not set'}")
    return f"it was changed since: {'; '.join(changed)}" if changed else ""


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


def _is_undone_by(made: Mapping[str, Any], undo: Mapping[str, Any]) -> bool:
    return made["object"] == undo.get("undone") and (made.get("pbx") or None) == undo.get("pbx")
