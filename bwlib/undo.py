"""Undo: remove what this site's records say we created, newest first, confirming each before it goes.

The record is evidence, not state. So every object is read first; what is not the same any more, what belonged to
somebody before, and what Bandwidth does not let go is kept and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

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

# The phone's side first, the application last: nothing is removed while something else still uses it.
ORDER = ("extension", "route", "trunk", "sip_credential", "realm", "inbound_sip_uri", "application")


def created_objects(run: Run, record: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """By step: the journal lines of what the site's runs (or only `record`) created and no run removed since."""
    created: dict[str, list[dict[str, Any]]] = {step: [] for step in ORDER}
    for folder in run_folders(run.settings.runs_dir):
        for line in read_lines(folder / "journal.jsonl"):
            if line["kind"] != "step" or line.get("account") != run.on.account_id:
                continue
            step, action = line["step"], line.get("action")
            if step in created and action == "created" and record in (None, folder.name):
                created[step].append({**line, "run": folder.name})
            elif step.startswith("undo ") and action in ("removed", "unchanged"):
                made = created.get(step.removeprefix("undo "), [])
                made[:] = [other for other in made if other["object"] != line.get("undone")]
    return created


def undo_site(run: Run, record: str | None = None) -> list[Outcome[Any]]:
    """Remove, newest first, what was created (by one record, if named); returns what happened to each object."""
    outcomes = []
    created = created_objects(run, record)
    for step in ORDER:
        for line in reversed(created[step]):
            outcomes.append(_undo_one(run, step, line))
    if not outcomes:
        show.show_text("Nothing to undo", ["this site's records hold nothing that we created and did not remove"])
    return outcomes


def _undo_one(run: Run, step: str, line: Mapping[str, Any]) -> Outcome[Any]:
    made, title = line["object"], f"Undo {line['title']}"
    return run.step(
        f"undo {step}",
        lambda: Outcome("planned", title, made, note="would be removed"),
        lambda: replace(_REMOVERS[step](run, made), title=title),
        undone=made,
        created_by_run=line["run"],
    )


def _remove_credential(run: Run, made: Mapping[str, str]) -> Outcome[Any]:
    realm = Realm(made["realm_id"], made["realm_fqdn"], "", False, "ACTIVE")
    return remove_sip_credential(run.on.client, realm, made["id"], made["username"])


_REMOVERS: Mapping[str, Callable[[Run, Mapping[str, str]], Outcome[Any]]] = {
    "extension": lambda run, made: pbx_steps.remove_from_pbx(run.on.pbx(), pbx_steps.EXTENSION, made["number"]),
    "route": lambda run, made: pbx_steps.remove_from_pbx(run.on.pbx(), pbx_steps.ROUTE, made["name"]),
    "trunk": lambda run, made: pbx_steps.remove_from_pbx(run.on.pbx(), pbx_steps.TRUNK, made["name"]),
    "sip_credential": _remove_credential,
    "realm": lambda run, made: remove_realm(run.on.client, made["id"], made["fqdn"]),
    "inbound_sip_uri": lambda run, made: remove_inbound_sip_uri(run.on.client, made["application_id"], made["uri"]),
    "application": lambda run, made: remove_application(run.on.client, made["id"], made["name"]),
}
