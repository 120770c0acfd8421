"""How every step goes: written down before and after, shown, and known to undo even when it is cut off in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from bwlib.cut_off import open_creations
from bwlib.errors import BwlibError, NotAsExpected
from bwlib.models import Outcome
from bwlib.record.report_facts import exchanges_of
from bwlib.record.run_record import running_cell
from bwlib.site_lock import one_at_a_time
from bwlib.widgets import show

if TYPE_CHECKING:
    from bwlib.guide import Run
    from bwlib.steps.compare import Witness

T = TypeVar("T")


def do(
    run: Run,
    name: str,
    plan: Callable[[], Outcome[T]],
    apply: Callable[[], Outcome[T]],
    verify: Callable[[], Outcome[T]] | None = None,
    **facts: object,
) -> Outcome[T]:
    """Plan, do or verify one step; write it down before and after, with `facts`; show it."""
    started, before = time.monotonic(), len(run.on.recorder.ids)
    where = _where(run)
    run.record.journal.append("step", step=name, status="running", mode=run.mode, **where)
    run.status[name] = "failed"  # until it is known better
    go = {"plan": plan, "apply": apply, "verify": verify or (lambda: verified(plan()))}[run.doing]
    try:
        with one_at_a_time(run.settings.runs_dir, run.notebook, show.show_progress) if run.writes else nullcontext():
            outcome = go()
    except BaseException as error:
        _write_failure(run, name, error, time.monotonic() - started, run.on.recorder.ids[before:], where)
        _show_exchanges(run, before)
        raise
    if run.writes and outcome.action in ("unchanged", "updated"):
        _claim(run, name, outcome, facts)
    note(run, name, outcome, time.monotonic() - started, exchanges=run.on.recorder.ids[before:], **facts)
    _show_exchanges(run, before)
    return outcome


def _show_exchanges(run: Run, before: int) -> None:
    """To somebody at the front end; everybody else has them in the report."""
    if run.attended:
        show.show_exchanges(exchanges_of(run.record.folder, run.on.recorder.ids[before:]))


def note(run: Run, name: str, outcome: Outcome[Any], elapsed_s: float = 0.0, **facts: object) -> None:
    """Write an outcome into the journal and show it."""
    status = {"planned": "pending", "skipped": "skipped"}.get(outcome.action, "passed")
    run.status[name], run.made[name] = status, outcome.found
    run.record.journal.append(
        "step",
        step=name,
        status=status,
        action=outcome.action,
        title=outcome.title,
        note=outcome.note,
        object=show.object_facts(outcome.found),
        differences=[vars(row) for row in outcome.differences],
        account=run.on.account_id,
        elapsed_s=round(elapsed_s, 3),
        **_where(run),
        **facts,
    )
    show.show_outcome(outcome, status, elapsed_s)


def witness(run: Run, name: str, title: str, wanted: Mapping[str, str], **facts: object) -> Witness:
    """Writes a creation down right before it, and right after it with what was made.

    What comes after it may fail, or the run be killed in between: undo, and the next run, must still know.
    """
    from bwlib.steps.compare import Witness

    def write(kind: str, thing: object) -> None:
        run.record.journal.append(
            kind, step=name, title=title, object=thing, account=run.on.account_id, **_where(run), **facts
        )

    return Witness(lambda: write("creating", dict(wanted)), lambda made: write("created", show.object_facts(made)))


def verified(plan: Outcome[T]) -> Outcome[T]:
    """What was only read: as wanted when a plan finds nothing to change. Raises: NotAsExpected naming what differs."""
    if plan.action != "planned":
        return replace(plan, action="passed", note="; ".join(filter(None, ["read back just now", plan.note])))
    rows = [f"{row.field} is {row.found}, wanted {row.wanted}" for row in plan.differences]
    raise NotAsExpected(
        f"verify: {plan.title}",
        "there is none" if plan.found is None else "; ".join(rows) or plan.note,
        "press Apply, or mend it by hand; then verify it again",
    )


def _where(run: Run) -> dict[str, object]:
    """Who does it, in which cell of which notebook; by which button, if one was pressed."""
    cell = {} if run.click else {"cell": running_cell(run.record, run.notebook)}
    return {"notebook": run.notebook, "operator": run.operator, **cell, **run.click}


def _claim(run: Run, name: str, outcome: Outcome[Any], facts: Mapping[str, object]) -> None:
    """What a run that was killed in the middle of a create has left is ours: write down that it was created."""
    found, pbx = show.object_facts(outcome.found), facts.get("pbx")
    for creation in open_creations(run.settings.runs_dir):
        if creation.fits(run.on.account_id, name, found, pbx if isinstance(pbx, dict) else {}):
            run.record.journal.append(
                "created",
                step=name,
                title=outcome.title,
                object=found,
                account=run.on.account_id,
                found_after_cut_off=creation.run,
                **_where(run),
                **facts,
            )
            return


def _write_failure(
    run: Run, name: str, error: BaseException, elapsed_s: float, exchanges: list[str], where: Mapping[str, object]
) -> None:
    said = (
        {
            "attempted": error.attempted,
            "came_back": error.came_back,
            "do_next": error.do_next,
            "exit_code": error.exit_code,
        }
        if isinstance(error, BwlibError)
        else {"came_back": "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__}
    )
    run.record.journal.append(
        "step",
        step=name,
        status="failed",
        error=type(error).__name__,
        exchanges=exchanges,
        elapsed_s=round(elapsed_s, 3),
        **where,
        **said,
    )
