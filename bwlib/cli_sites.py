"""bw-runbook sites: a site file for each line of a table; and the end of a run over several sites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bwlib.cli_output import AsJson, talk


def sites(
    table: Annotated[Path, typer.Argument(help="the table: one line per site, as notebook 40 writes it")],
    template: Annotated[Path, typer.Option(help="the site file with what they have in common")],
    into: Annotated[Path, typer.Option(help="the folder to write NAME/site.toml into")],
    force: Annotated[bool, typer.Option("--force", help="write over site files that differ")] = False,
    as_json: AsJson = False,
) -> None:
    """A site file for each line of a table. Every line is checked first; with one fault nothing is written."""
    from bwlib.export import site_texts, write_sites

    paths = write_sites(site_texts(table.absolute(), template.absolute()), into.absolute(), force=force)
    if as_json:
        print(json.dumps([str(path) for path in paths]))
        return
    for path in paths:
        print(path)
    talk(f"{len(paths)} site files. Next: bw-runbook run {into}/*/site.toml --mode plan")
