"""bw-runbook undo, seal: what is done with a record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bwlib.cli_output import AsJsonLines, SiteFile
from bwlib.cli_run import run_notebooks
from bwlib.errors import SettingsError


def undo(
    record: Annotated[Path, typer.Argument(help="a run's folder, runs/<site>/<run>", show_default=False)],
    mode: Annotated[str, typer.Option(help="apply, plan or auto")] = "apply",
    as_json: AsJsonLines = False,
) -> None:
    """Remove what one run created, after confirming each object; what it found stays."""
    folder = record.absolute()
    if not (folder / "journal.jsonl").exists():
        raise SettingsError(f"undo {record}", "that is no run's folder", "name a folder runs/<site>/<run>")
    site_file = _site_of(folder)
    run_notebooks(site_file, {"mode": mode, "record": folder.name}, ["90_undo"], as_json)


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


def _site_of(folder: Path) -> Path:
    """The site file that a run was made with: its journal says so, else it lies beside runs/."""
    from bwlib.record.journal import read_lines

    first = next(read_lines(folder / "journal.jsonl"), {})
    named = Path(str(first.get("site_file") or folder.parents[2] / "site.toml"))
    return named if named.exists() else folder.parents[2] / "site.toml"
