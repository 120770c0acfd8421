"""bw-runbook: the command line. Data on stdout, talk on stderr; exit codes as Bandwidth's `band`, plus 9.

0 ok, 1 other, 2 not authenticated, 3 not found, 4 conflict or not entitled, 5 timed out, 6 usage, 7 rate limited,
8 secret unavailable, 9 verification failed. Heavy imports stay inside the commands, so that --help is quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bwlib.errors import BwlibError, SettingsError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="A guided, provable runbook that wires a PBX to Bandwidth Programmable Voice. "
    "Without a Bandwidth account everything runs on a local sandbox with a real PBX.",
)
sandbox_app = typer.Typer(no_args_is_help=True, help="The local stand-in for Bandwidth, with a real Asterisk as PBX.")
app.add_typer(sandbox_app, name="sandbox")

_options = {"debug": False}

SiteFile = Annotated[Path, typer.Argument(help="the site file, site.toml", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="print JSON lines on stdout; the last one is the result")]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", help="name=value, a parameter of the notebooks; repeatable")
]


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
        _talk("interrupted")
        raise SystemExit(1) from None
    except Exception as error:
        if _options["debug"] or not hasattr(error, "format_message"):
            raise
        if error.format_message():  # click's UsageError; without a message it printed the help itself
            _say_error(
                SettingsError(
                    f"read the command line: {' '.join(sys.argv[1:])}",
                    str(error.format_message()),
                    "bw-runbook --help, or bw-runbook COMMAND --help",
                )
            )
        raise SystemExit(6) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _say_error(error: BwlibError) -> None:
    """Three sentences on stderr; with --json also as an object on stdout, for the program that reads there."""
    _talk(f"{type(error).__name__}\n{error}")
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
    from bwlib.run import start_site
    from bwlib.sandbox.control import home

    if road not in ("realm", "sip-uri"):
        raise SettingsError("start the demo", f"there is no road {road!r}", "use realm or sip-uri")
    name = "demo" if road == "realm" else f"demo-{road}"
    site_file = home() / name / "site.toml"
    start_site(site_file, name=name, road=road)
    _run(site_file, {"mode": "apply"}, None, as_json)


@app.command()
def run(
    site_file: SiteFile,
    mode: Annotated[str, typer.Option(help="apply, plan or auto")] = "apply",
    parameter: Parameters = None,
    as_json: AsJsonLines = False,
) -> None:
    """Run the guide unattended for one site, and seal its record. Ends with status, exit code and the record's path.

    A missing secret is an error here (exit 8): notebook 00_start makes it, or -p make_secrets=true.
    """
    _run(site_file, {"mode": mode, "make_secrets": False, **_pairs(parameter)}, None, as_json)


@app.command()
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
    _run(site_file, {"mode": mode, "record": folder.name}, ["90_undo"], as_json)


@app.command()
def seal(site_file: SiteFile) -> None:
    """Close the site's newest open run: its record cannot change any more. A run that is going on is refused."""
    from bwlib.record.manifest import seal_abandoned
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
    seal_abandoned(open_runs[-1], target=settings.target)
    print(open_runs[-1].folder)


def _run(site_file: Path, parameters: Mapping[str, object], notebooks: list[str] | None, as_json: bool) -> None:
    from bwlib.record.redact import Redactor
    from bwlib.run import learn_secrets, operator
    from bwlib.runner import run_site as runner
    from bwlib.settings import load_settings

    path = site_file.absolute()
    settings = load_settings(path)
    chosen = tuple(notebooks or runner.GUIDE_NOTEBOOKS)
    runner.check_parameters(list(parameters), chosen)
    if parameters.get("mode") not in ("auto", "plan", "apply"):
        raise SettingsError("start the run", f"mode is {parameters.get('mode')!r}", "use auto, plan or apply")
    redactor = Redactor()
    result = runner.run_site(
        path,
        settings.runs_dir,
        notebooks=chosen,
        parameters={"site_file": str(path), **parameters},
        redactor=redactor,
        learn_secrets=lambda record: learn_secrets(settings, record),
        tell=_print_json_line if as_json else _Printer(),
        facts={"site": settings.name, "target": settings.target, "operator": operator(), "mode": parameters["mode"]},
    )
    if not result.sealed:
        _talk(f"the record is not sealed: {result.why_not_sealed}")
    _talk(f"status: {result.status}")
    print(json.dumps({"record": str(result.folder), "status": result.status}) if as_json else result.folder)
    raise typer.Exit(result.exit_code)


def _pairs(parameters: list[str] | None) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for text in parameters or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError("read a parameter", f"{text.partition('=')[0]!r} has no value", "write -p name=value")
        pairs[name] = {"true": True, "false": False, "none": None}.get(value.lower(), value)
    return pairs


def _site_of(folder: Path) -> Path:
    """The site file that a run was made with: its journal says so, else it lies beside runs/."""
    from bwlib.record.journal import read_lines

    first = next(read_lines(folder / "journal.jsonl"), {})
    named = Path(str(first.get("site_file") or folder.parents[2] / "site.toml"))
    return named if named.exists() else folder.parents[2] / "site.toml"


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
            _talk(f"{line['notebook']}: {line['status']}{reason}")
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


def _talk(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- interactive


@app.command()
def lab(
    site_file: Annotated[Path | None, typer.Argument(help="the site file; one of its own when left out")] = None,
    browser: Annotated[bool, typer.Option(help="open a browser")] = True,
    as_json: AsJson = False,
) -> None:
    """JupyterLab on the first notebook, with the sandbox behind it; Ctrl-C ends all that it started."""
    from bwlib.lab import running_lab, signals_as_interrupt
    from bwlib.run import SITE_FILE
    from bwlib.sandbox import control

    path = (site_file or control.home() / "lab" / "site.toml").absolute()
    variables = {SITE_FILE: str(path)}
    found_running = control.attach() is not None
    _talk(f"site file  {path}\nnotebooks  {path.parent / 'notebooks'} (yours to change)")
    try:
        with (
            signals_as_interrupt(),
            running_lab(path.parent, control.home() / "jupyter", variables, browser=browser) as server,
        ):
            _talk(f"log        {server.log_file}\nJupyterLab is ready. Ctrl-C ends it. Open:")
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
        _talk("JupyterLab and the sandbox have ended")
    else:
        _talk("JupyterLab has ended" + ("; the sandbox that was running before goes on" if sandbox else ""))


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


# ---------------------------------------------------------------- the sandbox


@sandbox_app.command()
def up(as_json: AsJson = False) -> None:
    """Start the sandbox, or say where the running one is."""
    from bwlib.sandbox import control

    _print_sandbox(control.start(), as_json)


@sandbox_app.command()
def status(as_json: AsJson = False) -> None:
    """Where the sandbox is and what it does. Exit 3 when none is running."""
    _print_sandbox(_running_sandbox(), as_json)


@sandbox_app.command()
def down() -> None:
    """End the sandbox, its readback and its PBX."""
    from bwlib.sandbox import control

    sandbox = control.attach()
    if sandbox is None:
        _talk("no sandbox is running")
        return
    sandbox.down()
    _talk("the sandbox is down")


@sandbox_app.command()
def fault(
    name: Annotated[str, typer.Argument(help="its name; `bw-runbook sandbox faults --all` lists them")],
    value: Annotated[str | None, typer.Option(help="a status, seconds, percent, ...; each fault has a default")] = None,
    times: Annotated[int | None, typer.Option(help="how often it acts; without it until it is switched off")] = None,
    match: Annotated[
        list[str] | None, typer.Option("--match", "-m", help="what it acts on, such as path=/realms*; repeatable")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="switch the faults of this name off")] = False,
    as_json: AsJson = False,
) -> None:
    """Switch a fault on, or off with --clear. Exit 3 when no sandbox is running, or none of that name is on."""
    sandbox = _running_sandbox()
    if not clear:
        wanted = _matches(match)
        _print_faults([sandbox.switch_fault_on(name, value=value, times=times, match=wanted)], as_json)
        return
    ended = [each for each in sandbox.faults() if each["name"] == name]
    for each in ended:
        sandbox.switch_faults_off(each["id"])
    _print_faults(ended, as_json)
    if not ended:
        _talk(f"no fault {name} is switched on")
        raise typer.Exit(3)


@sandbox_app.command()
def faults(
    show_all: Annotated[bool, typer.Option("--all", help="every fault there is, and what it takes")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="switch all of them off")] = False,
    as_json: AsJson = False,
) -> None:
    """The faults that are switched on. Exit 3 when no sandbox is running."""
    if show_all:
        from bwlib.sandbox.faults import table

        _print_faults(table(), as_json)
        return
    sandbox = _running_sandbox()
    switched_on = sandbox.faults()
    if clear:
        _talk(f"switched off: {sandbox.switch_faults_off()}")
    _print_faults(switched_on, as_json)
    if not switched_on:
        _talk("no fault is switched on")


def _running_sandbox() -> Any:
    from bwlib.sandbox import control

    sandbox = control.attach()
    if sandbox is None:
        _talk("no sandbox is running; bw-runbook sandbox up starts one")
        raise typer.Exit(3)
    return sandbox


def _matches(pairs: list[str] | None) -> dict[str, str]:
    found = {}
    for text in pairs or []:
        key, equals, pattern = text.partition("=")
        if not equals:
            raise SettingsError("read --match", f"{text!r} has no pattern", "write it as path=/realms* or method=POST")
        found[key] = pattern
    return found


def _print_faults(rows: list[dict[str, Any]], as_json: bool) -> None:
    from bwlib.sandbox.faults import in_words

    print(json.dumps(rows, sort_keys=True) if as_json else in_words(rows), end="\n" if as_json or rows else "")


def _print_sandbox(sandbox: Any, as_json: bool) -> None:
    pbx = sandbox.get_note("pbx") or {}
    facts = {
        "folder": str(sandbox.directory),
        "api": sandbox.api_url,
        "sip edge": ":".join(map(str, sandbox.edge_address or ())),
        "readback": sandbox.readback_address.url if sandbox.readback_address else "",
        "pbx": ":".join(map(str, pbx.get("sip", ()))),
        "dashboard": sandbox.dashboard_url,
        "dashboard_user": sandbox.dashboard_user,
        "dashboard_password": f"in {sandbox.directory / 'dashboard.json'}",
        **sandbox.status(),
    }
    if as_json:
        print(json.dumps(facts, default=str, sort_keys=True))
        return
    for name, value in facts.items():
        print(f"{name}: {'yes' if value is True else 'no' if value is False else value}")


if __name__ == "__main__":
    main()
