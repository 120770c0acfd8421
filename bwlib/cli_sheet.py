"""bw-runbook sheet: the site's trunk, route and extension, in the words of a PBX that a person configures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bwlib.cli_output import AsJson
from bwlib.errors import NotAsExpected, SettingsError


def sheet(
    site_file: Annotated[Path | None, typer.Argument(help="the site file, site.toml", show_default=False)] = None,
    pbx: Annotated[str, typer.Option(help="whose words; --list names them")] = "any",
    list_them: Annotated[bool, typer.Option("--list", help="the PBXs that there is a sheet for, and stop")] = False,
    as_json: AsJson = False,
) -> None:
    """What to type into a PBX by hand for this site. Reads Bandwidth, writes nothing, holds no secret.

    Exit 9 when there is nothing to connect to yet; it names the notebook to run first.
    """
    from bwlib.pbx.products import product

    if list_them:
        _print_products(as_json)
        return
    row = product(pbx)
    if site_file is None:
        raise SettingsError(
            f"write a settings sheet for {row.label}", "no site file is named", "bw-runbook sheet SITE.toml --pbx NAME"
        )
    text = _sheet_of(site_file, pbx)
    if as_json:
        print(json.dumps({"pbx": pbx, "label": row.label, "rests_on": row.rests_on, "sheet": text}, sort_keys=True))
        return
    print(text, end="")


def _sheet_of(site_file: Path, pbx: str) -> str:
    """The sheet with the values that are at Bandwidth now. The redactor, which knows the secrets, sees it last."""
    from bwlib.pbx.by_hand import settings_sheet
    from bwlib.run import open_to_look
    from bwlib.wanted import kept_secrets, wanted_extension, wanted_route, wanted_trunk

    with open_to_look(site_file.absolute()) as run:
        trunk, route = wanted_trunk(run), wanted_route(run)
        if trunk is None or route is None:
            entrance = "realm and SIP credential" if run.settings.road == "realm" else "SIP URI and its password"
            raise NotAsExpected(
                f"write the settings sheet of {run.settings.name}",
                f"at Bandwidth the application, or its {entrance}, is not there yet or differs from the site file",
                "run the notebooks 10_application and 20_sip_credentials first (or bw-runbook run)",
            )
        text = settings_sheet(pbx, trunk, route, wanted_extension(run), kept_secrets(run))
        return run.record.redactor.text(text)


def _print_products(as_json: bool) -> None:
    from bwlib.pbx.products import PRODUCTS

    if as_json:
        rows = [
            {
                "pbx": row.name,
                "label": row.label,
                "rests_on": row.rests_on,
                "authenticates_without_registering": row.authenticates,
            }
            for row in PRODUCTS.values()
        ]
        print(json.dumps(rows))
        return
    for row in PRODUCTS.values():
        print(
            f"{row.name:<12} {row.label}" + ("" if row.authenticates else " (no trunk that fits the guide; ways round)")
        )
