"""What a detector wrongly takes for a sign, collected for the next classifier."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.images import decode
from data.scenes import SceneSource, open_scenes
from data.task import Task
from model.artifact import read_models
from model.errors import TrainingError
from model.recogniser import Recogniser
from model.training.false_alarms import write_false_alarms
from tests.conftest import drawing, scene

STOP = 14


@pytest.fixture
def source(tmp_path: Path, task: Task) -> SceneSource:
    """Three scenes of two groups with two stop signs each, of which only the first one is labelled."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    lines = []
    for number in (0, 1, 25):
        scene((STOP, 60, 100), (STOP, 400, 200)).save(folder / f"{number:05}.ppm")
        lines.append(f"{number:05}.ppm;60;100;150;190;{STOP}")
    (folder / "gt.txt").write_text("\n".join(lines))
    return open_scenes(folder, task)


def recogniser(artifact: Path, source: SceneSource, **settings: int) -> Recogniser:
    """Return the recogniser of an artifact whose card says that its detector was trained on the scenes."""
    models = read_models(artifact)
    assert models.card.detector
    trained = {"data": {"fingerprint": source.fingerprint}, "training": {"settings": settings}}
    card = dataclasses.replace(models.card, detector={**models.card.detector, **trained})
    return Recogniser.of(dataclasses.replace(models, card=card))


def test_what_touches_no_sign_is_written_as_the_classifier_sees_it(
    red_artifact: Path, source: SceneSource, tmp_path: Path
) -> None:
    assert write_false_alarms(recogniser(red_artifact, source, folds=0), source, tmp_path) == 3
    written = sorted(path.name for path in tmp_path.glob("*.png"))
    assert written == ["00000-00.png", "00001-00.png", "00025-00.png"]
    pixels = decode((tmp_path / written[0]).read_bytes(), (48, 48)).astype(int)
    with Image.open(tmp_path / written[0]) as picture:
        assert picture.size == (48, 48)
    assert np.abs(pixels - np.asarray(drawing(STOP, 90).resize((48, 48)), int)).mean() < 40  # the sign, with a margin


def test_scenes_that_are_held_out_are_left_out(red_artifact: Path, source: SceneSource, tmp_path: Path) -> None:
    assert write_false_alarms(recogniser(red_artifact, source, folds=2, fold=0), source, tmp_path) == 1
    assert [path.name for path in tmp_path.glob("*.png")] == ["00025-00.png"]


def test_other_scenes_are_refused(red_artifact: Path, source: SceneSource, tmp_path: Path) -> None:
    other = dataclasses.replace(source, scenes=source.scenes[:2])
    with pytest.raises(TrainingError, match="no detector that was trained on these scenes"):
        write_false_alarms(recogniser(red_artifact, other, folds=0), source, tmp_path)
