"""bw-runbook train: labs for a class. Each trainee has a sandbox of their own, which is broken, judges and signs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bwlib.cli_output import AsJson, talk
from bwlib.errors import SettingsError

if TYPE_CHECKING:
    from bwlib.training.certificate import Certificate

app = typer.Typer(no_args_is_help=True, help="Labs: find and mend what is broken; only a heard call passes.")
Trainee = Annotated[str, typer.Argument(help="the trainee: lower-case letters, digits, hyphens")]
LabsFolder = Annotated[Path | None, typer.Option("--labs", help="a folder with labs of your own (TOML)")]
FIRST = "01"


@app.command("list")
def list_labs(labs: LabsFolder = None, as_json: AsJson = False) -> None:
    """The labs there are, from easy to nasty."""
    from bwlib.training.labs import labs_folder, labs_in

    found = labs_in(labs or labs_folder())
    if as_json:
        print(json.dumps([{"id": lab.id, "title": lab.title, "level": lab.level, "call": lab.call} for lab in found]))
        return
    for lab in found:
        print(f"{lab.id:<34} {lab.level:<7} {lab.title}")


@app.command()
def start(
    name: Trainee,
    lab: Annotated[str, typer.Option("--lab", help="a lab's id, or its number")] = FIRST,
    seed: Annotated[str, typer.Option(help="for the made-up values; the same for a class")] = "0",
    labs: LabsFolder = None,
    again: Annotated[bool, typer.Option("--again", help="begin the lab anew; hints taken go on counting")] = False,
    as_json: AsJson = False,
) -> None:
    """Prepare a lab for a trainee: a sandbox of their own walks the guide, then something in it is broken, unseen."""
    from bwlib.training.desk import begin_lab, keep_class
    from bwlib.training.labs import find_lab, labs_folder, labs_in
    from bwlib.training.notebook import write_notebooks
    from bwlib.training.seat import Seat, trainee_folder

    folder, texts = trainee_folder(name), (labs or labs_folder()).absolute()
    seat = Seat(folder, find_lab(texts, lab).id)
    keep_class(folder, seed, texts)
    talk("preparing the lab: a sandbox, a PBX, the guide from its first step")
    opened = begin_lab(seat, again=again)
    notebook = folder / "notebooks" / "labs" / f"{seat.lab}.ipynb"
    write_notebooks(labs_in(texts), notebook.parent)
    handed_in = str(seat.all_certificates)
    facts = {
        "trainee": name, "lab": seat.lab, "notebook": str(notebook), "home": str(seat.home), "certificates": handed_in
    }  # fmt: skip
    if as_json:
        print(json.dumps({**facts, "started": opened.about["started"], "certificate": opened.about["certificate"]}))
        return
    talk(f"{opened.about['title']}: {opened.about['story']}")
    talk(f"certificates will be in {handed_in}; bw-runbook train passed tells who passed what")
    print(f"bw-runbook train open {name} --lab {seat.lab}")


@app.command("open")
def open_lab(
    name: Trainee,
    lab: Annotated[str, typer.Option("--lab", help="a lab's id, or its number")] = FIRST,
    browser: Annotated[bool, typer.Option(help="open a browser")] = True,
    as_json: AsJson = False,
) -> None:
    """JupyterLab on a trainee's lab; Ctrl-C ends it and the labs' sandboxes. What was done stays."""
    from bwlib.lab import running_lab, signals_as_interrupt
    from bwlib.training.desk import begin_lab, class_of, variables_of
    from bwlib.training.labs import find_lab, labs_folder, labs_in
    from bwlib.training.notebook import write_notebooks
    from bwlib.training.opening import end_sandbox
    from bwlib.training.seat import Seat, seats_of, trainee_folder

    folder = trainee_folder(name)
    texts = Path(class_of(folder).get("labs") or labs_folder())
    seat = Seat(folder, find_lab(texts, lab).id)
    begin_lab(seat)
    write_notebooks(labs_in(texts), folder / "notebooks" / "labs")
    try:
        with (
            signals_as_interrupt(),
            running_lab(
                folder, folder / "jupyter", variables_of(seat), browser=browser, first=f"labs/{seat.lab}.ipynb"
            ) as server,
        ):
            talk(f"log        {server.log_file}\nJupyterLab is ready. Ctrl-C ends it. Open:")
            print(json.dumps({"url": server.url}) if as_json else server.url, flush=True)
            ended = server.process.wait()
    except KeyboardInterrupt:
        ended = 0
    finally:
        for each in seats_of(folder):  # another lab may have been opened there
            end_sandbox(each)
    raise typer.Exit(int(ended != 0))


@app.command()
def passed(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="a folder with certificates anywhere below it; without it that of this user's trainees",
            show_default=False,
        ),
    ] = None,
    labs: LabsFolder = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV on stdout, for a spreadsheet")] = False,
) -> None:
    """Who passed what, with verify's word on each certificate. Exit 9 when one does not hold.

    One line for each trainee and lab, the first pass; --json and --csv have them all.

    A lab is known by what it breaks, not by its name: one that breaks something else than the lab of that name here
    (in the project, or in --labs) does not hold either.

    A certificate was made on its trainee's machine, whose owner could forge one: a signature tells who signed it, and
    that nothing was changed since.
    """
    from bwlib.training.certificate import certificates_in
    from bwlib.training.labs import labs_folder, labs_in
    from bwlib.training.seat import train_folder

    here = train_folder()
    folder = folder or here
    if not folder.is_dir():
        do_next = f"name the folder with them; those of this user's trainees are in {here}"
        raise SettingsError(f"collect certificates in {folder}", "there is no such folder", do_next)
    found = certificates_in(folder, labs_in(labs or labs_folder()))
    if as_json:
        print(json.dumps([each.as_json() for each in found]))
    elif as_csv:
        _print_csv(found)
    else:
        _print_table(found)
    raise typer.Exit(0 if all(each.holds and each.known_lab is not False for each in found) else 9)


@app.command()
def end(
    name: Trainee,
    remove: Annotated[bool, typer.Option("--remove", help="take the labs away too; certificates stay")] = False,
) -> None:
    """End the sandboxes of a trainee's labs."""
    import shutil

    from bwlib.training.opening import end_sandbox
    from bwlib.training.seat import seats_of, trainee_folder

    seats = seats_of(trainee_folder(name))
    ended = [seat.lab for seat in seats if end_sandbox(seat)]
    for seat in seats if remove else []:
        shutil.rmtree(seat.home)
    talk(f"ended: {', '.join(ended) or 'nothing was running'}" + (f"; removed: {len(seats)}" if remove else ""))


def _print_table(found: list[Certificate]) -> None:
    from bwlib.training.certificate import one_each

    if not found:
        talk("no certificate there")
        return
    rows = [("trainee", "lab", "passed (UTC)", "minutes", "hints", "attempts", "verify")]
    for each, times in one_each(found):
        hints = f"{each.hints}{' +solution' if each.saw_solution else ''}"
        when, word = each.passed[:16].replace("T", " "), f"{each.signer or 'nobody'}: {each.sentence}"
        if each.known_lab is False:
            word += "; NOT the lab of that name here: it breaks something else"
        if times > 1:
            word += f" (the first of {times})"
        rows.append((each.trainee, each.lab, when, f"{each.minutes:g}", hints, str(each.attempts), word))
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    for row in rows:
        _print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[6]]))


def _print_csv(found: list[Certificate]) -> None:
    import csv
    import dataclasses

    from bwlib.training.certificate import Certificate

    names = [field.name for field in dataclasses.fields(Certificate)]
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(names)
    for each in found:
        out.writerow([_cell(getattr(each, name)) for name in names])


def _cell(value: object) -> object:
    """A certificate is its maker's word: a spreadsheet is not to take it for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _print(text: str) -> None:
    """A certificate may hold any character; a terminal may know few."""
    known = sys.stdout.encoding or "ascii"
    print(text.encode(known, "backslashreplace").decode(known))
