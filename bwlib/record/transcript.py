"""What a notebook's cells were and said, as a valid notebook in the run's folder: for cells that are run by hand.

It is written before and after each cell, because a kernel may be killed at any time. Everything in it has passed the
redactor; the streams of a cell are put together and redacted once more when the cell ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bwlib.record.notebook import redact_notebook, redact_outputs
from bwlib.record.run_record import RunRecord

OUTPUTS = ("stream", "display_data", "execute_result", "error")


@dataclass
class Cell:
    """One execution of one cell. request: the message that asked for it; name: the front end's cell id, or a number."""

    request: str
    name: str
    source: str
    count: int | None
    status: str = "running"
    reason: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    displays: dict[str, list[int]] = field(default_factory=dict)  # display id: which outputs show it
    clear_next: bool = False


class Transcript:
    """The cells of one kernel for one notebook in one run. A kernel started later writes `<notebook>-2.ipynb`."""

    def __init__(self, record: RunRecord, notebook: str) -> None:
        self.record = record
        self.notebook = notebook
        self.cells: list[Cell] = []
        self._file = _new_file(record.folder / "notebooks", notebook)

    def hear(self, request: str, kind: str, content: Mapping[str, Any]) -> None:
        """A redacted message of this kind, caused by this request."""
        cell = next((cell for cell in reversed(self.cells) if cell.request == request), None)
        if kind == "update_display_data":
            self._update(content)
        elif cell is None:
            return
        elif kind == "clear_output":
            cell.clear_next = bool(content.get("wait"))
            if not cell.clear_next:
                _clear(cell)
        elif kind in OUTPUTS:
            if cell.clear_next:
                _clear(cell)
            _note_display(cell, content)
            cell.outputs.append(_output(kind, content))

    def _update(self, content: Mapping[str, Any]) -> None:
        """Show something new wherever this display id is shown."""
        shown = (content.get("transient") or {}).get("display_id")
        for cell in self.cells:
            for index in cell.displays.get(str(shown), ()):
                cell.outputs[index].update(data=content["data"], metadata=content.get("metadata") or {})

    def settle(self, cell: Cell) -> None:
        """The cell has ended: put the pieces of its streams together. Later output is appended."""
        cell.outputs = redact_outputs(cell.outputs, self.record.redactor.value)
        cell.displays = {}  # the numbers have changed; what is updated after its cell's end stays as it was

    def write(self) -> None:
        """Put the notebook as it is by now into the run's folder."""
        text = json.dumps(self._notebook(), indent=1, ensure_ascii=False)
        self.record.write_bytes(f"notebooks/{self._file}", text.encode("utf-8", "backslashreplace") + b"\n")

    def write_for_good(self) -> None:
        """The same with everything redacted anew: what the redactor learned late may stand in an early cell."""
        whole = redact_notebook(self._notebook(), self.record.redactor.value)
        self.record.write_json(f"notebooks/{self._file}", whole)

    def _notebook(self) -> dict[str, Any]:
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        return {
            "cells": [_as_cell(index, cell) for index, cell in enumerate(self.cells)],
            "metadata": {"kernelspec": kernel, "bw": {"notebook": self.notebook, "executed": "by hand"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }


def _new_file(folder: Path, notebook: str) -> str:
    """The first free name for this notebook, taken at once: two kernels may ask."""
    folder.mkdir(mode=0o700, exist_ok=True)
    number = 1
    while True:
        name = f"{notebook}.ipynb" if number == 1 else f"{notebook}-{number}.ipynb"
        try:
            os.close(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            number += 1
            continue
        return name


def _as_cell(index: int, cell: Cell) -> dict[str, Any]:
    told = {"status": cell.status, "cell": cell.name, **({"reason": cell.reason} if cell.reason else {})}
    return {
        "cell_type": "code",
        "id": f"executed-{index + 1}",
        "metadata": {"bw": told},
        "execution_count": cell.count,
        "source": cell.source,
        "outputs": cell.outputs,
    }


def _output(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    names = {"stream": ("name", "text"), "error": ("ename", "evalue", "traceback")}
    names["execute_result"] = ("data", "metadata", "execution_count")
    output = {name: content.get(name) for name in names.get(kind, ("data", "metadata"))}
    if "metadata" in output:
        output["metadata"] = output["metadata"] or {}
    return {"output_type": kind, **output}


def _note_display(cell: Cell, content: Mapping[str, Any]) -> None:
    shown = (content.get("transient") or {}).get("display_id")
    if shown:
        cell.displays.setdefault(str(shown), []).append(len(cell.outputs))


def _clear(cell: Cell) -> None:
    cell.outputs, cell.displays, cell.clear_next = [], {}, False
