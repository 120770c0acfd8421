"""The second road (road = "sip-uri") as a run walks it: what is known of the URI, where its password goes.

What makes a step a success is decided in `bwlib.steps.inbound_sip_uri`. Where Bandwidth lets nobody read the settings,
the newest answer in this site's own records stands for them, and every outcome says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bwlib import secret_references, stepping
from bwlib.models import Application, InboundSipUri, Outcome
from bwlib.record.journal import read_lines
from bwlib.record.run_record import run_folders

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.steps.inbound_sip_uri import Keeper, Wanted

STEP = "inbound_sip_uri"


def ensure(run: Run) -> InboundSipUri | None:
    """Guide step 2 by the second road: the application's own SIP URI, enabled with a password that is kept."""
    from bwlib.steps import inbound_sip_uri as steps
    from bwlib.wanted import found_application

    table, client = run.settings.sip_uri, run.on.client

    def go(*, write: bool) -> Outcome[InboundSipUri]:
        application = found_application(run)
        if application is None:
            return run.missing(steps.TITLE, "the application", "10_application")
        known, keeper = last_answer(run, application), keeper_of(run)
        if keeper.exists():
            run.secret(table.password)
        if not write:
            return steps.plan_inbound_sip_uri(client, application, wanted_of(run), known, keeper.exists())
        return steps.ensure_inbound_sip_uri(
            client, application, wanted_of(run), keeper, known=known, rotate=table.rotate
        )

    def verify() -> Outcome[InboundSipUri]:
        plan = stepping.verified(go(write=False))
        told = steps.AS_ANSWERED in plan.note
        words = f"{plan.note}; whether the password that is kept is its own shows in the first call"
        return replace(plan, action="skipped" if told else plan.action, note=words)

    return run.step(STEP, lambda: go(write=False), lambda: go(write=True), verify).found


def current(run: Run, application: Application) -> InboundSipUri | None:
    """The URI as it is now, or as last answered; None when it is not enabled yet, or its password is not here."""
    from bwlib.steps.inbound_sip_uri import check_inbound_sip_uri

    if not keeper_of(run).exists():
        return None
    return check_inbound_sip_uri(run.on.client, application, wanted_of(run), last_answer(run, application))


def wanted_of(run: Run) -> Wanted:
    from bwlib.steps.inbound_sip_uri import Wanted

    table = run.settings.sip_uri
    return Wanted(table.allowed_source_ips, table.allowed_regions)


def keeper_of(run: Run) -> Keeper:
    """The place that sip_uri.password names. The record learns the password before it is written anywhere."""
    from bwlib.steps.inbound_sip_uri import Keeper

    reference, folder = run.settings.sip_uri.password, run.settings.folder

    def keep(password: SecretStr) -> None:
        run.record.redactor.learn(reference, password.get_secret_value())
        secret_references.store(reference, folder, password)

    return Keeper(
        exists=lambda: secret_references.exists(reference, folder),
        check=lambda: secret_references.check_writable(reference, folder),
        keep=keep,
    )


def last_answer(run: Run, application: Application) -> InboundSipUri | None:
    """What this site's records hold as the newest answer about this application's URI, None after an undo."""
    found: dict[str, Any] = {}
    for folder in run_folders(run.settings.runs_dir):
        for line in read_lines(folder / "journal.jsonl"):
            if line["kind"] != "step" or line.get("account") != run.on.account_id:
                continue
            if line["step"] == STEP and line.get("object"):
                found = line["object"]
            elif line["step"] == f"undo {STEP}" and line.get("action") in ("removed", "unchanged"):
                found = {}
    if found.get("application_id") != application.id:
        return None
    return InboundSipUri(
        application_id=application.id,
        uri=found.get("uri", ""),
        enabled=found.get("enabled") == "True",
        password_auth=found.get("password_auth") == "True",
        allowed_source_ips=_listed(found, "allowed_source_ips"),
        allowed_regions=_listed(found, "allowed_regions"),
    )


def _listed(found: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(found[name].split(", ")) if found.get(name) else ()
