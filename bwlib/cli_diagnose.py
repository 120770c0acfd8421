"""bw-runbook diagnose: what keeps calls from working, with the evidence and what mends it."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bwlib.cli_output import AsJson, SiteFile, plain, talk

if TYPE_CHECKING:
    from bwlib.diagnosing import Diagnosis

WIDTH = 110


def diagnose(
    site_file: SiteFile,
    after_call: Annotated[
        str, typer.Option("--after-call", metavar="ID", help="explain this call (Bandwidth's id or a Call-ID)")
    ] = "",
    place_call: Annotated[
        bool, typer.Option("--place-call", help="on a live account: place test calls, which may be billed")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find out what keeps calls from working. Changes nothing; exit 0 when nothing is wrong, 9 when something is.

    On the sandbox short test calls are placed. On a live account only with --place-call: without it the realm is
    asked by one INVITE that ends at the challenge and rings nobody. What was found goes into a record of its own.
    """
    found, folder = _look(site_file.absolute(), place_call=place_call, after_call=after_call)
    if as_json:
        print(json.dumps({**found.as_json(), "record": str(folder)}))
    else:
        _print(found, site_file)
        print(folder)
    raise typer.Exit(found.exit_code)


def _look(site_file: Path, **how: Any) -> tuple[Diagnosis, Path]:
    """The diagnosis, and its record: sealed, and citing the run before it."""
    from bwlib.diagnosing import STEP, diagnose
    from bwlib.lab import signals_as_interrupt
    from bwlib.looking import failure_sealed, seal_look
    from bwlib.record.cited import citation
    from bwlib.record.redact import Redactor
    from bwlib.record.run_record import hold, run_folders, start_run
    from bwlib.run import learn_secrets, operator, run_on
    from bwlib.settings import load_settings

    settings = load_settings(site_file)
    before = run_folders(settings.runs_dir)
    about: dict[str, Any] = {"target": settings.target, "operator": operator(), "command": STEP}
    about |= {"cites": citation(before[-1])} if before else {}
    record = start_run(settings.runs_dir, Redactor(), site=settings.name, site_file=str(settings.path), **about)
    with hold(record), signals_as_interrupt():
        try:
            with failure_sealed(record, settings, about, STEP):
                run = run_on(settings, record, notebook=STEP, mode="plan")
                learn_secrets(settings, record)
                found = diagnose(run, tell=talk, **how)
        except KeyboardInterrupt:
            talk(f"stopped: calls that were up are hung up, nothing was changed; record: {record.folder}")
            raise
        why_open = seal_look(record, settings, about)
    if why_open:
        talk(f"the record of this look is not sealed: {why_open}")
    return found, record.folder


def _print(found: Diagnosis, site_file: Path) -> None:
    verdict = found.verdict
    sign = "✔" if verdict.healthy else "✘"
    _say(f"{sign} {found.sentence}")
    for number, cause in enumerate(verdict.causes, 1):
        print()
        _say(f"{number}. {cause.cause} ({cause.confidence})")
        for because in cause.because:
            _say(f"because {because}", 3)
        _say(f"fix: {cause.fix}", 3)
        if cause.step:
            _say(f"or by Apply: {cause.by_apply}", 3)
        if cause.next_probe:
            _say(f"to be sure: {cause.next_probe}", 3)
    for title, listed in (("not explained", verdict.unexplained), ("could not look at", verdict.not_looked)):
        for said in listed:
            _say(f"{title}: {said}")
    if any(cause.step for cause in verdict.causes):
        print(f"\nall that Apply mends, without a click: bw-runbook run {site_file}")
    if not verdict.healthy and verdict.ruled_out:
        print(f"\nruled out: {len(verdict.ruled_out)} causes (--json lists them)")


def _say(text: str, indent: int = 0) -> None:
    first, rest = " " * indent, " " * (indent + 3)
    print(textwrap.fill(plain(text), WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False))
