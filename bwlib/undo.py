"""Undo: remove what this site's records say we created, newest first, confirming each before it goes.

The record is evidence, not state. So every object is read first; what is not the same any more, what belonged to
somebody before, and what Bandwidth does not let go is kept and reported. What a run changed on the PBX without having
created it gets its earlier settings back; what it changed at Bandwidth is kept: the record says what it was, a person
decides. A secret that was replaced is in no record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from bwlib.errors import NotAsExpected, Refused, SettingsError, StepError
from bwlib.guide import Run
from bwlib.look import KINDS, NAMED_BY, NOT_SET, changes, look, named, realm_of
from bwlib.made import Line, created_objects, updated_objects
from bwlib.models import Application, Outcome
from bwlib.record.cited import citation, refuse_tampered
from bwlib.record.run_record import run_folders
from bwlib.steps import pbx as pbx_steps
from bwlib.steps.application import find_application, remove_application
from bwlib.steps.compare import is_absent
from bwlib.steps.inbound_sip_uri import read_back, remove_inbound_sip_uri
from bwlib.steps.pbx_restore import restore_on_pbx
from bwlib.steps.realm import find_realm, remove_realm
from bwlib.steps.sip_credential import find_sip_credential, remove_sip_credential
from bwlib.widgets.show import object_facts

__all__ = ["created_objects", "undo_site", "updated_objects"]

_SECRETS = ("password", "secret")
_LOST = "was replaced and cannot be restored: no record holds a secret"


def undo_site(run: Run, record: str | None = None, only: Collection[str] = tuple(NAMED_BY)) -> list[Outcome[Any]]:
    """Remove, newest first, what was created (by one record, if named); returns what happened to each object.

    only: the steps whose objects are meant.

    A run that only plans lists it once; asked again, it says that nothing was removed.
    Raises: RecordError, before anything is touched, when a record is not what it was; SettingsError when the site has
    no record of that name.
    """
    _refuse_unfit(run, record)
    if run.undo_planned:
        _say(run, Outcome("planned", "Undo", None, note="plan only: nothing was removed"))
        return []
    created, updated = created_objects(run, record), updated_objects(run, record)
    outcomes = [_undo_one(run, step, line) for step in NAMED_BY if step in only for line in reversed(created[step])]
    for step in (one for one in NAMED_BY if one in only):
        change_back = _restore_one if step in KINDS else _keep_one
        outcomes += [change_back(run, step, lines) for lines in _by_object(step, updated[step])]
    if not outcomes:
        _say(run, Outcome("unchanged", "Undo", None, note="nothing to undo"))
    run.undo_planned = bool(outcomes) and not run.writes
    return outcomes


def _refuse_unfit(run: Run, record: str | None) -> None:
    """No record that was tampered with decides what is removed. One that was named is cited, once."""
    folders = run_folders(run.settings.runs_dir)
    if record is not None:
        folders = [folder for folder in folders if folder.name == record]
        if not folders:
            raise SettingsError(
                f"undo the run {record}",
                f"there is no such run in {run.settings.runs_dir}",
                "name one of: bw-runbook runs SITE.toml",
            )
    for folder in folders:
        refuse_tampered(folder)
    cited = any(line["kind"] == "cites" or line.get("cites") for line in run.record.journal.lines())
    if record is not None and not cited:
        run.record.journal.append("cites", notebook=run.notebook, **citation(folders[0]))


def _say(run: Run, outcome: Outcome[Any]) -> None:
    run.step("undo", lambda: outcome, lambda: outcome)


# ---------------------------------------------------------------- what was created


def _undo_one(run: Run, step: str, line: Line) -> Outcome[Any]:
    return _do(run, step, line, lambda: _plan(run, step, line), lambda: _remove(run, step, line))


def _do(
    run: Run, step: str, line: Line, plan: Callable[[], Outcome[Any]], apply: Callable[[], Outcome[Any]]
) -> Outcome[Any]:
    made = line["object"]
    title = f"Undo {line['title']} {made.get(NAMED_BY[step]) or made.get('name', '')}".rstrip()
    which = {"pbx": line["pbx"]} if line.get("pbx") else {}
    return run.step(
        f"undo {step}",
        lambda: replace(plan(), title=title),
        lambda: replace(apply(), title=title),
        undone=made,
        created_by_run=line["run"],
        **which,
    )


def _plan(run: Run, step: str, line: Line) -> Outcome[Any]:
    if step in KINDS:
        name = line["object"][NAMED_BY[step]]
        return pbx_steps.plan_removal(run.on.pbx(), KINDS[step], name, lambda found: _why_keep(run, found, line))
    if line.get("cut_off"):
        return _perhaps_ours(run, step, line)
    return Outcome("planned", "", line["object"], note="would be removed")


def _remove(run: Run, step: str, line: Line) -> Outcome[Any]:
    made, client = line["object"], run.on.client
    if step in KINDS:  # also after a cut-off: the PBX itself says whose it is
        name = made[NAMED_BY[step]]
        return pbx_steps.remove_from_pbx(run.on.pbx(), KINDS[step], name, lambda found: _why_keep(run, found, line))
    if line.get("cut_off"):
        return _perhaps_ours(run, step, line)
    if step == "sip_credential":
        return remove_sip_credential(client, realm_of(made), made["id"], made["username"])
    if step == "realm":
        return remove_realm(client, made["id"], made["fqdn"])
    if step == "inbound_sip_uri":
        return remove_inbound_sip_uri(client, made["application_id"], made["uri"])
    return remove_application(client, made["id"], made["name"])


def _why_keep(run: Run, found: Any, line: Line) -> str:
    """Names the public fields in which an object on the PBX is not what our record says; empty when it is the same."""
    rows = changes(run, line["as_left"], found)
    changed = [f"{row.field} is {row.found}, recorded {row.wanted}" for row in rows]
    return f"it was changed since: {'; '.join(changed)}" if changed else ""


# ---------------------------------------------------------------- what a run was cut off while creating


def _perhaps_ours(run: Run, step: str, line: Line) -> Outcome[Any]:
    """Bandwidth does not say who made a thing: what has the name by now is reported, never removed."""
    try:
        found = _of_that_name(run, step, line["object"])
    except NotAsExpected as error:  # several of that name
        return Outcome("kept", "", None, note=f"a run was cut off while creating it; {error.came_back}")
    if found is None:
        return Outcome("unchanged", "", None, note="a run was cut off before it was there")
    which = getattr(found, "id", "") or getattr(found, "application_id", "")
    note = f"a run was cut off while creating it; remove it by hand if it is yours, id {which}"
    return Outcome("kept", "", found, note=note)


def _of_that_name(run: Run, step: str, wanted: Mapping[str, str]) -> Any | None:
    client = run.on.client
    if step == "application":
        return find_application(client, named(step, wanted, "name"))
    if step == "realm":
        return find_realm(client, named(step, wanted, "name"))
    try:
        if step == "sip_credential":
            return find_sip_credential(client, realm_of(wanted), named(step, wanted, "username"))
        application: Application = client.get_application(named(step, wanted, "application_id"))
    except Refused as error:
        if is_absent(error):  # what it would be in is gone
            return None
        raise
    found = read_back(client, application)
    return found if found is not None and found.enabled else None


# ---------------------------------------------------------------- what was changed


def _by_object(step: str, lines: list[Line]) -> list[list[Line]]:
    """The lines of each object together, oldest first; a line that names no difference says nothing."""
    together: dict[str, list[Line]] = {}
    for line in lines:
        if line.get("differences"):
            key = line["object"].get("id") or line["object"].get(NAMED_BY[step], "")
            together.setdefault(key, []).append(line)
    return list(together.values())


def _restore_one(run: Run, step: str, lines: list[Line]) -> Outcome[Any]:
    """Give a thing on the PBX back what it was before our runs, which did not create it, changed it."""
    rows = [row for line in lines for row in line["differences"]]

    def restore(*, write: bool) -> Outcome[Any]:
        name = named(step, lines[-1]["object"], NAMED_BY[step])
        places = dict.fromkeys((line["run"], place) for line in lines for place in line.get("copies") or ("",))
        copies = [(_copy(run, one, place, "before"), _copy(run, one, place, "after")) for one, place in places]
        return restore_on_pbx(run.on.pbx(), KINDS[step], name, rows, copies, write=write)

    return _do(run, step, lines[-1], lambda: restore(write=False), lambda: restore(write=True))


def _copy(run: Run, record: str, place: str, when: str) -> dict[str, str]:
    """The PBX's configuration as a record of ours holds it, secrets masked; empty when it holds none.

    place: around one step; "" around the whole run, in records from before there were copies of steps.
    """
    folder = run.settings.runs_dir / record / "config" / place / when
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace") for path in files}


def _keep_one(run: Run, step: str, lines: list[Line]) -> Outcome[Any]:
    """Say what a thing was before we changed it and what it is now, so that a person can put it back."""

    def report() -> Outcome[Any]:
        try:
            found = look(run, step, lines[-1]["object"])
        except StepError as error:
            return Outcome("kept", "", None, note=f"{_not_put_back(lines, None)} ({error.came_back})")
        if found is None:
            return Outcome("unchanged", "", None, note="already gone")
        now = run.record.redactor.value(object_facts(found))
        return Outcome("kept", "", found, note=_not_put_back(lines, now))

    return _do(run, step, lines[-1], report, report)


def _not_put_back(lines: list[Line], now: Mapping[str, str] | None) -> str:
    """now: its public facts; None when nobody can read them, then what we made of it counts."""
    was: dict[str, str] = {}
    made: dict[str, str] = {}
    for line in lines:
        for row in line["differences"]:
            was.setdefault(row["field"], row["found"])
            made[row["field"]] = row["wanted"]
    said = []
    for field, before in was.items():
        is_now = made[field] if now is None else now.get(field) or now.get(f"{field}_id") or NOT_SET
        if field in _SECRETS:
            said.append(f"its {field} {_LOST}")
        elif is_now != before:
            said.append(f"{field} was {before}, is {is_now}; not put back")
    return "it was there before us; " + ("; ".join(said) or "it is as it was")
