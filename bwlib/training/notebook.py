"""A lab's notebook, made from its text: the same text gives the same file, byte for byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bwlib.training.labs import LabText

_WAYS = {
    "outward": "a call from the extension to the application",
    "inward": "a programmatic call to the extension",
    "both": "a call from the extension to the application, and a programmatic call to the extension",
}
_NOTE = """\
## Operation note

*Yours to write: what you saw, what you thought, what you changed. It stays with the notebook.*"""
_PARAMETERS = """\
trainee = None  # None: as `train open` was called, else your user name
seed = None  # None: as your trainer said"""
_BINDING = """\
## Binding

Opens your place: a site that has walked the guide, on a sandbox of its own with its own Asterisk. Something is wrong \
with it, put in by another process; nothing in this notebook knows what. The first time takes a quarter of a minute."""
_GOOD_BINDING = """\
A good answer is the lab's title and story. Otherwise it says what this machine lacks (`bw-runbook doctor`)."""
_GOOD_CALL = """\
A good answer, at first, is a failure like the customer's, with the picture of the call up to where it stops. Run this \
cell as often as you like: only the judge's attempts are counted."""
_TOOLS = """\
### Look

Where everything is: the PBX's files and log, the dashboard, the command lines."""
_GOOD_TOOLS = """\
A good answer is a list of places. In a cell of your own: `run = lab.run()`, then `run.diagnose()` names the cause, \
`run.check_pbx()` compares trunk, route and extension field by field, `run.glossary()` explains the guide's words. \
Mend by hand, in the PBX's files (then `lab.reload()` in a cell of your own) or on the dashboard. The guide's own \
Apply would mend most of it too, and teach nothing."""
_HINTS = """\
### Hints

Three, from a nudge to nearly all. Each one that you take stands in the certificate: put 1, 2 or 3 for the 0."""
_GOOD_HINTS = "A good answer is as many hints as you asked for."
_VERIFICATION = """\
## Verification

The judge is a process of its own, with its own copy of site and lab. It places {call}; the lab is passed when both \
sides heard everything (what arrives is compared with what was said) and the PBX registers nowhere, whatever this \
notebook says."""
_GOOD_CHECK = """\
A good answer is **PASSED** and the certificate's folder; before that, *NOT PASSED YET* and what is missing: \
which call was not heard, or that the PBX registers somewhere."""
_GOOD_SOLUTION = "With `show=True` it is told; before the lab is passed, the certificate says that you looked."
_NEXT = """\
## Next

The certificate is a small signed record: `bw-runbook verify FOLDER` checks it, and your trainer collects it with \
`bw-runbook train passed FOLDER`; all of yours are in `certificates`, beside the folder `notebooks`. It was made on \
your own machine, so it proves that nothing was changed since, not that you were alone."""


def notebook_text(lab: LabText) -> str:
    """The file's text, as JupyterLab would write it, without outputs."""
    number = lab.id.partition("_")[0]
    cells = [
        _markdown(f"# Lab {number} · {lab.title}\n\n**Afterwards** {_WAYS[lab.call]} is heard again ({lab.level})."),
        _markdown(_NOTE),
        _markdown("## Parameters"),
        _code(_PARAMETERS, True),
        _markdown(_BINDING),
        _code(f'from bwlib import open_lab\n\nlab = open_lab("{lab.id}", trainee=trainee, seed=seed)'),
        _markdown(_GOOD_BINDING),
        _markdown(f"## Steps\n\n### What the customer says\n\n{lab.story}"),
        _code("lab.call()"),
        _markdown(_GOOD_CALL),
        _markdown(_TOOLS),
        _code("lab.tools()"),
        _markdown(_GOOD_TOOLS),
        _markdown(_HINTS),
        _code("lab.hints(0)"),
        _markdown(_GOOD_HINTS),
        _markdown(_VERIFICATION.format(call=_WAYS[lab.call])),
        _code("passed = lab.check()"),
        _markdown(_GOOD_CHECK),
        _code("lab.solution(show=False)"),
        _markdown(_GOOD_SOLUTION),
        _markdown(_NEXT),
    ]
    prefix = re.sub(r"[^a-z0-9]", "", lab.id)[:40]
    for place, cell in enumerate(cells):
        cell["id"] = f"{prefix}-{place:02}"
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write_notebooks(labs: list[LabText], folder: Path) -> list[Path]:
    """Write them into `folder`; those that are there already stay: they are the trainee's. Returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    new = [(folder / f"{lab.id}.ipynb", lab) for lab in labs if not (folder / f"{lab.id}.ipynb").exists()]
    for path, lab in new:
        path.write_text(notebook_text(lab), encoding="utf-8")
    return [path for path, _ in new]


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(text: str, parameters: bool = False) -> dict[str, Any]:
    metadata = {"tags": ["parameters"]} if parameters else {}
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": metadata,
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }
