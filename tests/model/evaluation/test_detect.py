"""The command that evaluates how signs are found in scenes, photos and frames, with the shipped artifact."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.evaluation.detect import main
from tests.conftest import SHIPPED, drawing

STOP = 14


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Five scenes with a stop sign each; the last one is labelled at another place."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    lines = []
    for number, left in enumerate((40, 90, 60, 120, 40)):
        noise = np.random.default_rng(number).normal(0, 6, (256, 320, 3))
        image = Image.fromarray(np.clip(np.array([120, 130, 140]) + noise, 0, 255).astype(np.uint8))
        image.paste(drawing(STOP, 64, number), (left, 60))
        image.save(folder / f"{number:05d}.ppm")
        label = 200 if number == 4 else left
        lines.append(f"{number:05d}.ppm;{label + 8};68;{label + 55};115;{STOP}")
    (folder / "gt.txt").write_text("\n".join(lines))
    return folder


def test_figures_and_mistakes_of_scenes(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, report = tmp_path / "figures.json", tmp_path / "mistakes.html"
    assert main([str(SHIPPED), "--scenes", str(scenes), "--output", str(output), "--report", str(report)]) == 0
    figures = json.loads(output.read_text())["scenes"]
    assert (figures["scenes"], figures["signs"], figures["classes"]) == (5, 5, 1)
    loose = figures["at_false_alarms_per_scene"]["0.2"]
    assert loose["recall_by_class"] == {str(STOP): [4, 5]}
    assert loose["wrongly_named"] == 0
    assert "5 with 5 signs of 1 classes" in capsys.readouterr().out
    page = report.read_text()
    assert page.count("<img") == 2
    assert "Missed signs (1 of 1)" in page
    assert "False alarms (1 of 1)" in page


def test_scenes_without_signs_give_no_figures_but_their_false_alarms(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenes / "gt.txt").write_text("")
    output, report = tmp_path / "figures.json", tmp_path / "mistakes.html"
    assert main([str(SHIPPED), "--scenes", str(scenes), "--output", str(output), "--report", str(report)]) == 0
    figures = json.loads(output.read_text(), parse_constant=pytest.fail)["scenes"]
    assert (figures["signs"], figures["map50"]) == (0, None)
    assert capsys.readouterr().out.splitlines() == ["scenes  5 with 0 signs of 0 classes"]
    assert "False alarms (1 of 1)" in report.read_text()


def test_photos_in_places_of_the_same_name_are_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(SHIPPED), "--not-signs", str(tmp_path / "one/photos"), str(tmp_path / "two/photos.zip")])
    assert "folders or archives with different names" in capsys.readouterr().err
