"""Tiny notebooks for the tests of the runner, made on the spot and run by real kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

DIE = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
PARAMETERS = "site_file = None\nmode = 'auto'\ndial = 'x'  # a remark with = in it"


def make_notebook(folder: Path, name: str, *sources: str, parameters: str = PARAMETERS) -> Path:
    """A notebook of a heading, a parameters cell and one cell for each source."""
    cells = [new_markdown_cell(f"# {name}"), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def read_notebook(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def statuses(notebook: Any) -> list[str]:
    """Our own status of each code cell, the parameter cells left out."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    plain = [cell for cell in cells if not {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", []))]
    return [cell.metadata["bw"]["status"] for cell in plain]


def printed(notebook: Any) -> str:
    """Everything the cells wrote to stdout and stderr."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def is_gone(pid: int) -> bool:
    """Say whether a process has ended (one that waits to be reaped has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
