"""The form of the notebooks in git: fixed order, no outputs, no logic, parameters that a runner can set."""

from __future__ import annotations

import ast
import json
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from bwlib.runner.run_site import GUIDE_NOTEBOOKS, TROUBLESHOOTING, UNDO_NOTEBOOK, parameters_of

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ORDER = ["Operation note", "Parameters", "Binding", "Steps", "Verification", "Next"]
# A cell holds a call, not a decision.
FORBIDDEN = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.If, ast.Lambda, ast.With,
    ast.ListComp,
)  # fmt: skip


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return read(request.param)


def test_the_guide_has_all_its_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == [*GUIDE_NOTEBOOKS, TROUBLESHOOTING, UNDO_NOTEBOOK]


def test_a_notebook_is_valid_and_short(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    assert len(notebook.cells) <= 30
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_has_an_id_of_its_own(path: Path) -> None:
    """Read as it lies there: nbformat gives a second one of the same id another, and only warns."""
    ids = [cell["id"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    assert len(ids) == len(set(ids))


def test_a_notebook_is_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "widgets" not in notebook.metadata


def test_a_notebook_keeps_the_fixed_order(notebook: nbformat.NotebookNode) -> None:
    first, *rest = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    headings = [line[3:].strip() for source in rest for line in source.splitlines() if line.startswith("## ")]
    assert first.startswith("# ")
    assert "**Afterwards**" in first
    assert headings == ORDER


def test_a_notebook_holds_no_logic(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert not cell.source.lstrip().startswith(("!", "%"))
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, FORBIDDEN)], cell.source
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert modules <= {"bwlib"}
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]


def test_every_step_says_what_a_good_answer_looks_like(notebook: nbformat.NotebookNode) -> None:
    cells = notebook.cells
    for cell, following in pairwise(cells):
        if cell.cell_type == "code" and "run." in cell.source:
            assert following.cell_type == "markdown"
            assert "good answer" in following.source, cell.source


def test_the_parameters_have_the_two_that_every_notebook_needs(notebook: nbformat.NotebookNode) -> None:
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    names = {line.partition("=")[0].strip() for line in tagged[0].source.splitlines()}
    assert {"site_file", "mode"} <= names


def test_parameters_are_read_from_the_tagged_cell() -> None:
    assert {"site_file", "mode", "realm_name"} <= parameters_of(FOLDER / "20_sip_credentials.ipynb")
