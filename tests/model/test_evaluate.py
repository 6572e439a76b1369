"""`python -m model.evaluate` and the corruptions, with the shipped classifier on drawings."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from data.outliers import draw_signs
from data.render import write_drawn
from model.corrupt import CORRUPTIONS, SEVERITIES, corrupt
from tests.conftest import ROOT, SHIPPED, drawing, encoded


@pytest.fixture(scope="module")
def signs() -> npt.NDArray[np.uint8]:
    return draw_signs((48, 48), np.arange(43), seed=3)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_of_a_corruption_changes_more(signs: npt.NDArray[np.uint8], name: str) -> None:
    corrupted = [corrupt(signs, name, severity) for severity in SEVERITIES]
    assert all(pixels.shape == signs.shape and pixels.dtype == np.uint8 for pixels in corrupted)
    difference = [float(np.abs(pixels.astype(float) - signs).mean()) for pixels in corrupted]
    assert difference == sorted(difference)
    assert difference[0] > 0.5
    assert np.array_equal(corrupted[2], corrupt(signs, name, 3))


def evaluate(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "model.evaluate", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_measures_accuracy_refusal_and_robustness(tmp_path: Path) -> None:
    write_drawn(tmp_path / "drawn", 1, seed=9)
    with zipfile.ZipFile(tmp_path / "lawns.zip", "w") as archive:
        archive.writestr("lawn.png", encoded(drawing().point(lambda _: 90)))
    result = evaluate(
        *(SHIPPED, "--data", tmp_path / "drawn", "--store", tmp_path, "--output", tmp_path / "figures.json"),
        *("--not-signs", tmp_path / "lawns.zip", "--report", tmp_path / "report.html"),
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["accuracy"]["examples"] == 43
    assert f"{figures['accuracy']['accuracy']:.3%}" in result.stdout
    assert {"mirrored", "turned", "other signs, unseen", "empty scenes", "lawns"} == set(figures["refusal"])
    assert set(CORRUPTIONS) < set(figures["accuracy_under_corruption"])
    assert "lawns" in (tmp_path / "report.html").read_text()


def test_mistakes_in_the_command_are_told(tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--data", tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {tmp_path}: there is no classifier")
