"""bw-runbook verify: look at a record without trusting it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bwlib.cli_output import AsJson, talk
from bwlib.errors import SettingsError

if TYPE_CHECKING:
    from bwlib.record.verdict import Verdict


def verify(
    record: Annotated[
        Path, typer.Argument(help="a run's folder, a zip of it, or a folder of runs", show_default=False)
    ],
    trust_on_first_use: Annotated[
        bool, typer.Option("--trust-on-first-use", help="add the unknown signer of an intact record to allowed_signers")
    ] = False,
    name: Annotated[str, typer.Option("--as", help="the name to trust the signer by, such as ada@example.com")] = "",
    as_json: AsJson = False,
) -> None:
    """Look at a record without trusting it, offline: who signed what, what failed, what is missing, what was changed.

    Exit 0 when it is intact, signed by somebody in your allowed_signers, and the run ended well; else 9.

    Of a folder of runs: exit 0 when every record holds and each follows the one before it; else 9.
    """
    from bwlib.record.verdict import as_json as as_data
    from bwlib.record.verdict import as_text
    from bwlib.record.verify import verify as look_at
    from bwlib.record.verify_runs import as_json_of_runs, as_text_of_runs, exit_code_of, holds_runs, verify_runs

    if name and not trust_on_first_use:
        raise SettingsError(f"verify {record}", "--as says by what name to trust", "add --trust-on-first-use")
    if holds_runs(record):
        if trust_on_first_use:
            raise SettingsError(f"verify {record}", "that is a folder of runs", "name the one record you looked at")
        sites = verify_runs(record)
        _print(json.dumps(as_json_of_runs(sites)) if as_json else as_text_of_runs(sites))
        raise typer.Exit(exit_code_of(sites))
    verdict = look_at(record)
    if trust_on_first_use:
        _trust(verdict, name)
        verdict = look_at(record)
    _print(json.dumps(as_data(verdict)) if as_json else as_text(verdict))
    raise typer.Exit(verdict.exit_code)


def _print(text: str) -> None:
    """A record may hold any character; a terminal may know few."""
    known = sys.stdout.encoding or "ascii"
    print(text.encode(known, "backslashreplace").decode(known))


def _trust(verdict: Verdict, name: str) -> None:
    from bwlib.record.signers import allowed_signers_file
    from bwlib.record.verify import trust_on_first_use

    trusted_as = trust_on_first_use(verdict, name)
    fingerprint = verdict.signer.fingerprint if verdict.signer else ""
    talk(f"trusted as {trusted_as}: {fingerprint}, in {allowed_signers_file()}")
