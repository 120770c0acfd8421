"""bw-runbook: the command line. Data on stdout, talk on stderr; exit codes as Bandwidth's `band`, plus 9.

0 ok, 1 other, 2 not authenticated, 3 not found, 4 conflict or not entitled, 5 timed out, 6 usage, 7 rate limited,
8 secret unavailable, 9 verification failed. Heavy imports stay inside the commands, so that --help is quick.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bwlib import cli_diagnose, cli_record, cli_run, cli_sandbox, cli_sheet, cli_sites, cli_train, cli_verify
from bwlib.cli_output import AsJson, AsJsonLines, Parameters, SiteFiles, talk
from bwlib.cli_run import pairs, run_notebooks
from bwlib.errors import BwlibError, SettingsError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="A guided, provable runbook that wires a PBX to Bandwidth Programmable Voice. "
    "Without a Bandwidth account everything runs on a local sandbox with a real PBX.",
)

_options = {"debug": False}
INTERRUPTED = 130  # as a shell has it for what Ctrl-C ended


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("bw-runbook"))
        raise typer.Exit


@app.callback()
def _all(
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks; stands before the command")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    _options["debug"] = debug


def main() -> None:
    """Run the command line; every known error is three sentences on stderr and an exit code."""
    try:
        code = app(standalone_mode=False)  # typer hands an Exit's code back instead of raising it
    except BwlibError as error:
        if _options["debug"]:
            raise
        _say_error(error)
        raise SystemExit(error.exit_code) from None
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except Exception as error:
        if _options["debug"] or not hasattr(error, "format_message"):
            raise
        if error.format_message():  # click's UsageError; without a message it printed the help itself
            _say_error(
                SettingsError(
                    f"read the command line: {_typed()}",
                    str(error.format_message()),
                    "bw-runbook --help, or bw-runbook COMMAND --help",
                )
            )
        raise SystemExit(6) from None
    if code == INTERRUPTED:  # typer makes this of Ctrl-C
        talk("interrupted")
    raise SystemExit(code if isinstance(code, int) else 0)


def _typed() -> str:
    """What was typed, without the values: one of them may be a secret."""
    return " ".join(word.partition("=")[0] for word in sys.argv[1:])


def _say_error(error: BwlibError) -> None:
    """Three sentences on stderr; with --json also as an object on stdout, for the program that reads there."""
    talk(f"{type(error).__name__}\n{error}")
    if "--json" in sys.argv:
        said = {"attempted": error.attempted, "came_back": error.came_back, "do_next": error.do_next}
        print(json.dumps({"error": type(error).__name__, "exit_code": error.exit_code, **said}))


# ---------------------------------------------------------------- the guide, unattended


@app.command()
def demo(
    road: Annotated[str, typer.Option(help="realm, or sip-uri: Bandwidth's Inbound SIP URI instead")] = "realm",
    as_json: AsJsonLines = False,
) -> None:
    """The whole guide on the sandbox: application, realm, credential, PBX, two calls, both heard."""
    from bwlib.sandbox.control import home
    from bwlib.starting import start_site

    if road not in ("realm", "sip-uri"):
        raise SettingsError("start the demo", f"there is no road {road!r}", "use realm or sip-uri")
    name = "demo" if road == "realm" else f"demo-{road}"
    site_file = home() / name / "site.toml"
    start_site(site_file, name=name, road=road)
    run_notebooks(site_file, {"mode": "apply"}, None, as_json)


@app.command()
def run(
    site_files: SiteFiles,
    mode: Annotated[str | None, typer.Option(help="apply (unless it resumes: as before), plan or auto")] = None,
    parameter: Parameters = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest run, which did not end well")] = False,
    as_json: AsJsonLines = False,
) -> None:
    """Run the guide unattended, and seal its record. Ends with status, exit code and the record's path.

    Several sites are run one after the other, each into its own record; one that fails does not stop the others, and
    the exit code is that of the first that failed.
    A missing secret is an error here (exit 8): notebook 00_start makes it, or -p make_secrets=true. With --resume the
    run before is closed and cited, and nothing that it passed is believed: every object is read again.
    """
    given = {**({"mode": mode} if mode else {}), **pairs(parameter)}
    if len(site_files) > 1:
        if resume:
            raise SettingsError("resume a run", "several site files are named", "resume one site at a time")
        cli_run.run_sites(site_files, {"mode": "apply", "make_secrets": False, **given}, as_json)
    site_file = site_files[0]
    before = cli_run.resume(site_file) if resume else None
    parameters = {"mode": "apply", "make_secrets": False, **(before.parameters if before else {}), **given}
    run_notebooks(site_file, parameters, None, as_json, {"resumes": before.citation} if before else None)


# ---------------------------------------------------------------- interactive


@app.command()
def lab(
    site_file: Annotated[Path | None, typer.Argument(help="the site file; one of its own when left out")] = None,
    browser: Annotated[bool, typer.Option(help="open a browser")] = True,
    as_json: AsJson = False,
) -> None:
    """JupyterLab on the first notebook, with the sandbox behind it; Ctrl-C ends all that it started."""
    from bwlib.lab import running_lab, signals_as_interrupt
    from bwlib.sandbox import control
    from bwlib.starting import SITE_FILE

    path = (site_file or control.home() / "lab" / "site.toml").absolute()
    variables = {SITE_FILE: str(path)}
    found_running = control.attach() is not None
    talk(f"site file  {path}\nnotebooks  {path.parent / 'notebooks'} (yours to change)")
    try:
        with (
            signals_as_interrupt(),
            running_lab(path.parent, control.home() / "jupyter", variables, browser=browser) as server,
        ):
            talk(f"log        {server.log_file}\nJupyterLab is ready. Ctrl-C ends it. Open:")
            print(json.dumps({"url": server.url, "site_file": str(path)}) if as_json else server.url, flush=True)
            ended = server.process.wait()
    except KeyboardInterrupt:
        ended = 0
    finally:
        _end_sandbox(found_running)
    raise typer.Exit(int(ended != 0))


def _end_sandbox(found_running: bool) -> None:
    """End the sandbox that the notebooks started; one that was there before stays."""
    from bwlib.sandbox import control

    sandbox = control.attach()
    if sandbox is not None and not found_running:
        sandbox.down()
        talk("JupyterLab and the sandbox have ended")
    else:
        talk("JupyterLab has ended" + ("; the sandbox that was running before goes on" if sandbox else ""))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is missing on this machine, and the line that mends it."""
    from bwlib import doctor as checks

    raise typer.Exit(checks.main(["--json"] if as_json else []))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def readback(context: typer.Context) -> None:
    """The webhook/BXML application alone, for a live account behind your own public URL (--help shows its options)."""
    from bwlib.readback import main as readback_main

    raise typer.Exit(readback_main(context.args))


app.command()(cli_verify.verify)
app.command()(cli_sheet.sheet)
app.command()(cli_sites.sites)
app.command()(cli_diagnose.diagnose)
app.command()(cli_record.undo)
app.command()(cli_record.drift)
app.command()(cli_record.runs)
app.command()(cli_record.seal)
app.command()(cli_record.pack)
app.add_typer(cli_sandbox.app, name="sandbox")
app.add_typer(cli_train.app, name="train")

if __name__ == "__main__":
    main()
