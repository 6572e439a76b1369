"""All notebooks are stored without outputs, define no functions, and run on a small data set."""

import os
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from data.task import load_task
from data.tasks.traffic_sign.drawing.render import write_drawn
from tests.conftest import ROOT, Comparison

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TIMEOUT_S = 120

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set with two drawings of each class."""
    folder = tmp_path_factory.mktemp("drawn") / "signs"
    write_drawn(folder, 2, seed=1)
    return folder


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_notebooks_exist() -> None:
    assert {"explore_data", "compare_models"} <= {path.stem for path in NOTEBOOKS}


@every_notebook
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    for cell in code_cells(path):
        assert cell.outputs == [], f"clear the outputs before you commit: {cell.source}"
        assert cell.execution_count is None, cell.source


@every_notebook
def test_notebook_defines_no_functions_or_classes(path: Path) -> None:
    for cell in code_cells(path):
        assert not re.search(r"^\s*(def|class|async) |\blambda\b", cell.source, re.MULTILINE), cell.source


@every_notebook
def test_notebook_runs_on_a_small_data_set_and_shows_figures(path: Path, drawn: Path, comparison: Comparison) -> None:
    outputs = run(path, DATA=drawn, COMPARISON=comparison.output)
    errors = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert errors == []
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_data_of_another_task_is_shown_with_its_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in load_task("pizza").labels:
        folder = tmp_path / "data" / label.name
        folder.mkdir(parents=True)
        for number in range(6):
            picture = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((96, 96))
            picture.save(folder / f"{number}.png")
            picture.save(folder / f"{number}.jpg", quality=90)
    outputs = run(ROOT / "notebooks" / "explore_data.ipynb", TASK="pizza", DATA=tmp_path / "data")
    texts = "".join(str(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert "24 photos become 12" in texts
    assert sum("image/png" in output.get("data", {}) for output in outputs) > 8


def test_notebook_without_a_comparison_says_how_to_create_one(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match=r"nothing: there is no comparison; create one with"):
        run(ROOT / "notebooks" / "compare_models.ipynb", COMPARISON=tmp_path / "nothing")


def test_comparison_of_one_network_with_one_seed_has_figures(comparison: Comparison, tmp_path: Path) -> None:
    shutil.copytree(comparison.output / "plain-seed0", tmp_path / "plain-seed0")
    outputs = run(ROOT / "notebooks" / "compare_models.ipynb", COMPARISON=tmp_path)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6


def run(path: Path, **variables: Path | str) -> list[nbformat.NotebookNode]:
    """Run a notebook with these environment variables and return the outputs of its cells."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": str(path.parent)}})
    client.execute(env={**os.environ, **{name: str(value) for name, value in variables.items()}})
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
