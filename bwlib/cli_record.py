"""bw-runbook undo, drift, seal, pack, runs: what is done with records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bwlib.cli_output import AsJson, AsJsonLines, SiteFile, plain, talk
from bwlib.cli_run import run_notebooks
from bwlib.errors import SettingsError

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

Record = Annotated[Path, typer.Argument(help="a run's folder, runs/<site>/<run>", show_default=False)]


def undo(
    record: Record,
    mode: Annotated[str, typer.Option(help="apply, plan or auto")] = "apply",
    as_json: AsJsonLines = False,
) -> None:
    """Remove what one run created, after confirming each object; what it found stays."""
    from bwlib.record.cited import citation, refuse_tampered

    folder = _folder_of("undo", record)
    refuse_tampered(folder)
    parameters = {"mode": mode, "record": folder.name}
    run_notebooks(_site_of(folder), parameters, ["90_undo"], as_json, {"cites": citation(folder)})


def drift(
    record: Record,
    site: Annotated[Path | None, typer.Option(help="its site file, when the record was moved")] = None,
    as_json: AsJsonLines = False,
) -> None:
    """Read Bandwidth and the PBX again: is what the record says still so? Exit 9 when not. Writes to neither."""
    from bwlib.drift import check_record, still_open
    from bwlib.settings import load_settings

    folder = _folder_of("look again at", record)
    site_file = site.absolute() if site else _site_of(folder)
    if not site_file.exists():
        raise SettingsError(f"look again at {record}", f"{site_file} is not there", "name it: --site SITE.toml")
    warning = still_open(folder)
    if warning:
        talk(warning)
    checked = check_record(folder, load_settings(site_file), _print_json if as_json else _print_fact)
    if checked.why_not_sealed:
        talk(f"the record of this look is not sealed: {checked.why_not_sealed}")
    counts = checked.counts()
    talk(f"status: {checked.word} ({', '.join(f'{number} {word}' for word, number in counts.items())})")
    result = {"record": str(checked.folder), "status": checked.word, "of": str(folder), "of_sealed": not warning}
    print(json.dumps({**result, "counts": counts}) if as_json else checked.folder)
    raise typer.Exit(checked.exit_code)


def seal(site_file: SiteFile) -> None:
    """Close the site's newest open run: its record cannot change any more. A run that is going on is refused."""
    from bwlib.record.closing import close_abandoned
    from bwlib.record.redact import Redactor
    from bwlib.record.run_record import RunRecord, run_folders
    from bwlib.run import learn_secrets
    from bwlib.settings import load_settings

    settings = load_settings(site_file.absolute())
    open_runs = [RunRecord(folder, Redactor()) for folder in run_folders(settings.runs_dir)]
    open_runs = [record for record in open_runs if not record.is_sealed]
    if not open_runs:
        raise SettingsError(f"seal {site_file}", "there is no unsealed run of this site", "run a notebook first")
    learn_secrets(settings, open_runs[-1])
    close_abandoned(open_runs[-1], target=settings.target)
    print(open_runs[-1].folder)


def pack(
    record: Record,
    target: Annotated[Path | None, typer.Option("--to", help="the zip; beside the record when left out")] = None,
) -> None:
    """A sealed record as one zip, to hand on: the same record gives the same bytes, and `verify` reads it."""
    from bwlib.record.pack import pack as pack_record

    print(pack_record(_folder_of("pack", record), target))


def runs(
    site_file: SiteFile,
    diff: Annotated[
        tuple[str, str] | None, typer.Option(metavar="RUN1 RUN2", help="what differs between two of them")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A site's runs: when, by whom, what kind, how each ended; or what differs between two."""
    from bwlib.history import diff_table, run_of, runs_table
    from bwlib.settings import load_settings

    runs_dir = load_settings(site_file.absolute()).runs_dir
    if diff:
        _print_table(diff_table(*(run_of(runs_dir, name) for name in diff)), as_json, "the two runs do not differ")
    else:
        _print_table(runs_table(runs_dir), as_json, f"no runs in {runs_dir}")


# ---------------------------------------------------------------- which record, which site


def _folder_of(verb: str, record: Path) -> Path:
    folder = record.absolute()
    if not (folder / "journal.jsonl").exists():
        raise SettingsError(f"{verb} {record}", "that is no run's folder", "name a folder runs/<site>/<run>")
    return folder


def _site_of(folder: Path) -> Path:
    """The site file that a run was made with: its journal says so, else it lies beside runs/."""
    from bwlib.record.journal import read_lines

    first = next(read_lines(folder / "journal.jsonl"), {})
    beside = (folder.parents[2] if len(folder.parents) > 2 else folder) / "site.toml"
    named = Path(str(first.get("site_file") or beside))
    return named if named.exists() else beside


# ---------------------------------------------------------------- what is printed


def _print_json(line: Mapping[str, Any]) -> None:
    print(json.dumps(line, sort_keys=True, ensure_ascii=False), flush=True)


def _print_fact(line: Mapping[str, Any]) -> None:
    """One recorded fact and its word, each difference on a line of its own."""
    from bwlib.drift import in_words

    sign = {"passed": "✔", "failed": "✘"}.get(line["status"], "–")
    reason = f" ({line['note']})" if line["note"] else ""
    print(plain(f"{sign} {line['title']}: {line['action']}{reason}"), flush=True)
    for row in line["differences"]:
        print(plain(f"    {in_words(row)}"), flush=True)


def _print_table(table: pandas.DataFrame, as_json: bool, when_empty: str) -> None:
    if as_json:
        print(table.to_json(orient="records"))
    elif table.empty:
        talk(when_empty)
    else:
        shown = table.map(_cell)
        columns = [[name, *shown[name]] for name in shown if any(shown[name])]  # one that says nothing is left out
        widths = [max(map(len, column)) for column in columns]
        for row in zip(*columns, strict=True):
            print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    """What stands in a table for people."""
    if value is None or value != value:  # a number that is missing is NaN
        return ""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else plain(str(value))
