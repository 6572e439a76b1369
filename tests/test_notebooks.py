"""Every notebook in the repository: stored without outputs, without logic of its own, and runs on a small data set."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from data.render import write_drawn
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TIMEOUT_S = 120

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of drawn signs, two of each class."""
    folder = tmp_path_factory.mktemp("drawn") / "signs"
    write_drawn(folder, 2, seed=1)
    return folder


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert "explore_data" in {path.stem for path in NOTEBOOKS}


@every_notebook
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    for cell in code_cells(path):
        assert cell.outputs == [], f"run it with `make notebooks`, and clear its outputs: {cell.source}"
        assert cell.execution_count is None, cell.source


@every_notebook
def test_a_notebook_defines_nothing_itself(path: Path) -> None:
    for cell in code_cells(path):
        assert not re.search(r"^\s*(def|class|async) |\blambda\b", cell.source, re.MULTILINE), cell.source


@every_notebook
def test_a_notebook_runs_on_a_small_data_set_and_shows_figures(path: Path, drawn: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env={**os.environ, "GTSRB": str(drawn)})
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    complaints = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert complaints == []
    assert any("image/png" in output.get("data", {}) for output in outputs)
