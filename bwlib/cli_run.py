"""Run notebooks for the command line: what is printed meanwhile, and what comes last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from bwlib.cli_output import talk
from bwlib.errors import SettingsError

if TYPE_CHECKING:
    from bwlib.record.run_record import RunRecord
    from bwlib.runner.resume import Resumed
    from bwlib.runner.run_site import RunResult


def run_notebooks(
    site_file: Path,
    parameters: Mapping[str, object],
    notebooks: list[str] | None,
    as_json: bool,
    about: Mapping[str, object] | None = None,
) -> None:
    """Run notebooks (None: the guide's) for a site, print what happens, and end with the run's exit code.

    about: what the first line of the journal says besides, such as the run that this one resumes.
    """
    raise typer.Exit(_run_one(site_file, parameters, notebooks, as_json, about).exit_code)


def run_sites(site_files: list[Path], parameters: Mapping[str, object], as_json: bool) -> NoReturn:
    """Run the guide for one site after the other, and end with the first exit code that is not 0.

    A site file with a fault is told before anything is run: nobody wants to learn of it at the 200th.
    """
    from bwlib.settings import load_settings

    for path in site_files:
        load_settings(path.absolute())
    ended: list[tuple[Path, str, int]] = []
    for path in site_files:
        talk(f"\n{path}")
        try:
            result = _run_one(path, parameters, None, as_json, None)
            ended.append((path, result.status, result.exit_code))
            if _was_interrupted(result.folder):
                break  # whoever said stop meant all of it
        except Exception as error:  # a full disk or a slip of ours stops this site; the next may fare better
            talk(f"{type(error).__name__}\n{error}")
            ended.append((path, type(error).__name__, getattr(error, "exit_code", 1)))
    ended += [(path, "not run", 1) for path in site_files[len(ended) :]]
    talk(f"\n{len(ended)} sites, {sum(code == 0 for *_, code in ended)} passed")
    for path, status, code in ended:
        talk(f"  {'✔' if code == 0 else '✘'} {status:<10} {path}")
    if as_json:
        rows = [{"site_file": str(path), "status": status, "exit_code": code} for path, status, code in ended]
        print(json.dumps({"sites": rows}))
    raise typer.Exit(next((code for *_, code in ended if code), 0))


def _was_interrupted(folder: Path) -> bool:
    from bwlib.record.journal import read_lines

    lines = read_lines(folder / "journal.jsonl")
    return any(line.get("kind") == "notebook" and line.get("reason") == "interrupted" for line in lines)


def _run_one(
    site_file: Path,
    parameters: Mapping[str, object],
    notebooks: list[str] | None,
    as_json: bool,
    about: Mapping[str, object] | None,
) -> RunResult:
    from bwlib.record.logs import redacted_logs
    from bwlib.record.redact import Redactor
    from bwlib.run import learn_secrets, operator
    from bwlib.runner import run_site as runner
    from bwlib.secret_references import refuse_values
    from bwlib.settings import load_settings

    refuse_values(parameters, "start the run")
    path = site_file.absolute()
    settings = load_settings(path)
    chosen = tuple(notebooks or runner.GUIDE_NOTEBOOKS)
    runner.check_parameters(list(parameters), chosen)
    _check_values(parameters)
    redactor = Redactor()
    about_it = {"site": settings.name, "target": settings.target, "operator": operator(), "mode": parameters["mode"]}
    with redacted_logs(redactor):
        result = runner.run_site(
            path,
            settings.runs_dir,
            notebooks=chosen,
            parameters={**parameters, "site_file": str(path)},
            redactor=redactor,
            learn_secrets=lambda record: learn_secrets(settings, record),
            tell=_print_json_line if as_json else _Printer(),
            about=about,
            facts=about_it,
        )
    _print_result(result, as_json)
    return result


def _print_result(result: RunResult, as_json: bool) -> None:
    """The end of a run: what it came to, where its report is, and last, on stdout, its record."""
    if not result.sealed:
        talk(f"the record is not sealed: {result.why_not_sealed}")
    talk(f"status: {result.status}")
    if (result.folder / "report.html").exists():
        talk(f"report: {result.folder / 'report.html'}")
    print(json.dumps({"record": str(result.folder), "status": result.status}) if as_json else result.folder)


def _check_values(parameters: Mapping[str, object]) -> None:
    """Refuse now what a notebook would refuse only when its turn comes."""
    from bwlib.pbx.products import product

    if parameters.get("mode") not in ("auto", "plan", "apply"):
        raise SettingsError("start the run", f"mode is {parameters.get('mode')!r}", "use auto, plan or apply")
    product(str(parameters.get("pbx_sheet", "any")))


def resume(site_file: Path) -> Resumed:
    """Close the run that the site is to go on from, and say what it was."""
    from bwlib.record.closing import close_abandoned
    from bwlib.run import learn_secrets
    from bwlib.runner.resume import run_to_resume, take_over
    from bwlib.runner.run_site import GUIDE_NOTEBOOKS
    from bwlib.settings import load_settings

    settings = load_settings(site_file.absolute())

    def close(record: RunRecord) -> None:
        learn_secrets(settings, record)
        close_abandoned(record, target=settings.target)

    resumed = take_over(run_to_resume(settings.runs_dir, GUIDE_NOTEBOOKS), close)
    talk(f"resuming {resumed.run}: what it passed is looked at again")
    return resumed


def pairs(parameters: list[str] | None) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for text in parameters or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError("read a parameter", f"{text.partition('=')[0]!r} has no value", "write -p name=value")
        pairs[name] = {"true": True, "false": False, "none": None}.get(value.lower(), value)
    return pairs


# ---------------------------------------------------------------- what a run prints


def _print_json_line(line: Mapping[str, Any]) -> None:
    print(json.dumps(line, sort_keys=True, ensure_ascii=False), flush=True)


class _Printer:
    """Journal lines for people: steps on stdout, what goes on around them on stderr."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, line: Mapping[str, Any]) -> None:
        if line["kind"] == "notebook":
            reason = f" ({line['reason']})" if line.get("reason") else ""
            talk(f"{line['notebook']}: {line['status']}{reason}")
        elif line["kind"] == "step" and line["status"] != "running":
            self._print_step(line)

    def _print_step(self, line: Mapping[str, Any]) -> None:
        if line["status"] == "failed":
            print(f"✘ {line['step'].replace('_', ' ')}: failed", flush=True)
            for name in ("attempted", "came_back", "do_next"):
                if line.get(name):
                    print(f"    {name.replace('_', ' ')}: {line[name]}", flush=True)
            return
        sign = {"passed": "✔", "pending": "…", "skipped": "–"}.get(line["status"], "·")
        again = " (checked again)" if line["step"] in self._seen else ""
        self._seen.add(line["step"])
        print(f"{sign} {line['title']}: {line['action']}{again}{_telling(line)}", flush=True)


def _telling(line: Mapping[str, Any]) -> str:
    """The facts of a step that belong on its line, or below it for a call."""
    facts = line.get("object") or {}
    if "webhooks" in facts:
        return "".join(f"\n    {name}: {value}" for name, value in facts.items())
    shown = [str(facts[name]) for name in ("name", "fqdn", "uri", "username", "number", "id") if facts.get(name)]
    note = f" ({line['note']})" if line.get("note") else ""
    return (f"  {' · '.join(shown)}" if shown else "") + note
