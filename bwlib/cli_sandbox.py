"""bw-runbook sandbox: the local stand-in for Bandwidth, up and down, its state and its faults."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from bwlib.cli_output import AsJson, talk
from bwlib.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="The local stand-in for Bandwidth, with a real Asterisk as PBX.")


@app.command()
def up(as_json: AsJson = False) -> None:
    """Start the sandbox, or say where the running one is."""
    from bwlib.sandbox import control

    _print_sandbox(control.start(), as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Where the sandbox is and what it does. Exit 3 when none is running."""
    _print_sandbox(_running_sandbox(), as_json)


@app.command()
def down() -> None:
    """End the sandbox, its readback and its PBX."""
    from bwlib.sandbox import control

    sandbox = control.attach()
    if sandbox is None:
        talk("no sandbox is running")
        return
    sandbox.down()
    talk("the sandbox is down")


@app.command()
def reload() -> None:
    """Have the sandbox's Asterisk read its files again, after somebody has written into them by hand.

    Exit 4 when its log complains of one of them.
    """
    from bwlib.pbx.asterisk import AsteriskPbx
    from bwlib.run import sandbox_pbx

    pbx = sandbox_pbx(_running_sandbox())
    assert isinstance(pbx, AsteriskPbx)
    pbx.reload_and_listen()
    talk("Asterisk has read its files, and its log complains of none; bw-runbook diagnose tells whether calls work")


@app.command()
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
        talk(f"no fault {name} is switched on")
        raise typer.Exit(3)


@app.command()
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
        talk(f"switched off: {sandbox.switch_faults_off()}")
    _print_faults(switched_on, as_json)
    if not switched_on:
        talk("no fault is switched on")


def _running_sandbox() -> Any:
    from bwlib.sandbox import control

    sandbox = control.attach()
    if sandbox is None:
        talk("no sandbox is running; bw-runbook sandbox up starts one")
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
        "broken callbacks": " ".join(sandbox.broken_urls.values()),
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
