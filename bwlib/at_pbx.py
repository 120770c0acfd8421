"""Guide step 3 as a run takes it: settings sheet, trunk, outbound route, extension; what a call needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from bwlib.check_pbx import check_one
from bwlib.errors import NotAsExpected
from bwlib.models import Extension, OutboundRoute, Outcome, Trunk
from bwlib.steps import pbx as steps
from bwlib.wanted import kept_secrets, wanted_extension, wanted_route, wanted_trunk
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.guide import Run

P = TypeVar("P", Trunk, OutboundRoute, Extension)

SHEET = "Settings for the PBX"


def settings_sheet(run: Run, pbx: str) -> None:
    """Trunk, route and extension as a sheet to type in by hand, in a PBX's words. Secrets are named, not shown."""
    from bwlib.pbx.by_hand import product
    from bwlib.pbx.by_hand import settings_sheet as sheet_of

    if pbx == "any" and run.settings.pbx.kind == "freepbx":
        pbx = "freepbx"
    product(pbx)
    sheets: list[str] = []

    def write() -> Outcome[dict[str, str]]:
        trunk, route = wanted_trunk(run), wanted_route(run)
        if trunk is None or route is None:
            return run.missing(SHEET, run.entrance(), "20_sip_credentials")
        sheets.append(sheet_of(pbx, trunk, route, wanted_extension(run), kept_secrets(run)))
        run.record.write_text("settings_sheet.txt", sheets[0])
        return Outcome("passed", SHEET, {"PBX": pbx, "in the record": "settings_sheet.txt"})

    run.step("settings_sheet", write, write)
    for sheet in sheets:
        show.show_sheet(SHEET, sheet)


def trunk(run: Run) -> Trunk | None:
    """Guide step 3.1: the trunk to the realm, registration off, authenticating outbound only."""
    return _ensure(run, steps.TRUNK, lambda: wanted_trunk(run))


def route(run: Run) -> OutboundRoute | None:
    """Guide step 3.2: the outbound route that uses the trunk."""
    return _ensure(run, steps.ROUTE, lambda: wanted_route(run))


def extension(run: Run) -> Extension | None:
    """Guide step 3.3: the extension that uses the outbound route."""
    return _ensure(run, steps.EXTENSION, lambda: wanted_extension(run))


def _ensure(run: Run, kind: steps.Kind[P], wanted: Callable[[], P | None]) -> P | None:
    """One object on the PBX, its configuration before and after in the record."""
    which: dict[str, str] = {}  # known once the PBX is at hand, which may fail as part of the step
    copies: list[str] = []  # where the record has the configuration from right before and right after an update

    def go(*, write: bool = False) -> Outcome[P]:
        thing = wanted()
        if thing is None:
            return run.missing(kind.title, run.entrance(), "20_sip_credentials")
        pbx = run.on.pbx()
        which.update(pbx.identity())
        if run.doing == "verify":
            return check_one(run, kind.word, kind.title, thing)
        before = pbx.snapshot()
        run.record.write_config("before", before)
        if not write:
            return steps.plan_on_pbx(pbx, kind, thing)
        witness = run.witness(kind.word, kind.title, show.object_facts(thing), pbx=which)
        outcome = steps.ensure_on_pbx(pbx, kind, thing, witness)
        after = pbx.snapshot()
        run.record.write_config("after", after)
        if outcome.action == "updated":  # what somebody else changes during this run is not ours to put back
            copies.append(run.record.write_config_of_step(kind.word, before, after))
        return outcome

    return run.step(kind.word, go, lambda: go(write=True), go, pbx=which, copies=copies).found


def no_registration(run: Run, given: Trunk | None) -> None:
    """Read from the running PBX that the trunk does not register."""
    title = "No registration at the realm"

    def check() -> Outcome[dict[str, str]]:
        found = given or run.made.get("trunk") or (wanted_trunk(run) if run.attended else None)
        if found is None:
            return run.missing(title, "the trunk", "30_pbx")
        steps.check_no_registration(run.on.pbx(), found)
        return Outcome("passed", title, {"outbound registrations to the realm": "none"})

    run.step("no_registration", lambda: run.planned(title, "the trunk"), check, verify=check)


def ready(run: Run) -> None:
    """Check everything that a call needs by reading it back; name the notebook to run when something is missing."""
    title = "Everything a call needs is in place"

    def check() -> Outcome[dict[str, str]]:
        found, way = wanted_trunk(run), wanted_route(run)
        if found is None or way is None:
            raise NotAsExpected(
                "prepare the test calls",
                f"the application, or {run.entrance()}, is missing",
                "run the notebooks 10_application and 20_sip_credentials first",
            )
        pbx = run.on.pbx()
        steps.check_on_pbx(pbx, steps.TRUNK, found)
        steps.check_on_pbx(pbx, steps.ROUTE, way)
        steps.check_on_pbx(pbx, steps.EXTENSION, wanted_extension(run))
        steps.check_no_registration(pbx, found)
        facts = {"realm" if run.settings.road == "realm" else "SIP URI": way.request_uri or found.server}
        facts |= {"trunk": found.name, "extension": run.settings.pbx.extension}
        return Outcome("passed", title, facts)

    run.step("ready", lambda: run.planned(title, "read back before calling"), check, verify=check)
