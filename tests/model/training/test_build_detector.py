"""Training a detector on a few small scenes, adding it to an artifact, and resuming."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.compose import Crop
from data.feedback import FeedbackPhoto, feedback_folder, keep
from data.feedback_photos import PhotoSource, open_photos
from data.images import Box
from data.scenes import SceneSource, open_scenes
from data.task import Task
from model.artifact import read_models
from model.errors import TrainingError
from model.progress import TrainingState
from model.training.build_detector import DetectorRecipe, build_detector
from model.training.detector_targets import detection_loss, make_targets
from model.training.reporter import Reporter
from model.training.train_detector import detector_key, load_cutouts, split_scenes, train_detector
from tests.conftest import SHIPPED, drawing, encoded


@pytest.fixture
def small(task: Task) -> Task:
    """The task with groups of one scene."""
    assert task.scenes is not None
    return dataclasses.replace(task, scenes=dataclasses.replace(task.scenes, group_size=1))


@pytest.fixture
def scenes(tmp_path: Path, small: Task) -> SceneSource:
    folder = tmp_path / "scenes"
    folder.mkdir()
    lines = []
    for number in range(6):
        image = Image.new("RGB", (160, 128), (90, 110 + 10 * number, 150))
        image.paste(drawing(14, 48, number), (20 + 8 * number, 30))
        image.save(folder / f"{number:05d}.ppm")
        lines.append(f"{number:05d}.ppm;{24 + 8 * number};34;{63 + 8 * number};73;14")
    (folder / "gt.txt").write_text("\n".join(lines))
    return open_scenes(folder, small)


def test_detector_is_added_to_an_artifact(small: Task, scenes: SceneSource, tmp_path: Path) -> None:
    folder, store = tmp_path / "artifact", tmp_path / "store"
    shutil.copytree(SHIPPED, folder)
    (store / "training" / small.name).mkdir(parents=True)
    before = read_models(folder)
    recipe = DetectorRecipe(small, small.detector["quick"], "python init.py --detector")
    reporter = Reporter(store / "training" / small.name)
    card = build_detector(recipe, scenes, None, store, folder, reporter)
    after = read_models(folder)
    assert after.classifier == before.classifier
    assert after.card.version == before.card.version
    assert card.detector is not None
    assert (card.detector["data"]["scenes"], card.detector["data"]["scenes_held_out"]) == (6, 1)
    assert card.detector["metrics"]["signs"] == 1
    assert not list((store / "training" / small.name / "checkpoints").iterdir())

    everything = dataclasses.replace(recipe, reference=card.detector)
    whole = build_detector(everything, scenes, None, store, folder, reporter).detector
    assert whole is not None
    assert whole["metrics"]["measured_on"] == card.detector["version"]
    assert whole["min_unsure_score"] == card.detector["min_unsure_score"]
    assert whole["data"]["scenes_held_out"] == 0
    other = dataclasses.replace(everything, settings=dataclasses.replace(recipe.settings, epochs=3))
    with pytest.raises(TrainingError, match=r"cannot be the reference: \['epochs'\] differ"):
        build_detector(other, scenes, None, store, folder, reporter)
    dropped = dataclasses.replace(recipe, reference={**card.detector, "metrics": {}})
    with pytest.raises(TrainingError, match="its figures were dropped when the classifier was replaced"):
        build_detector(dropped, scenes, None, store, folder, reporter)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 0}, r"to measure the detector on: the settings hold no fold \(`folds` is 0\)"),
        ({"folds": 9, "fold": 8}, "to measure the detector on: the settings hold fold 8 of 9"),
        ({"folds": 1, "fold": 0}, "to train on: the settings hold fold 0 of 1"),
    ],
)
def test_settings_that_leave_nothing_to_measure_or_to_train_on_are_rejected_before_training(
    small: Task, scenes: SceneSource, tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    settings = dataclasses.replace(small.detector["quick"], **changes)  # type: ignore[arg-type]
    recipe = DetectorRecipe(small, settings, "python init.py --detector")
    with pytest.raises(TrainingError, match=message):
        build_detector(recipe, scenes, None, tmp_path, tmp_path / "artifact", Reporter(tmp_path))
    assert not (tmp_path / "cache").exists()


def test_only_the_same_training_resumes(small: Task, scenes: SceneSource) -> None:
    settings = small.detector["quick"]
    photos, drawings = load_cutouts(small, None)
    key = detector_key(settings, scenes, (photos, drawings))
    assert detector_key(settings, scenes, load_cutouts(small, None)) == key
    redrawn = dataclasses.replace(drawings[0], pixels=255 - drawings[0].pixels)
    others = [
        detector_key(dataclasses.replace(settings, seed=1), scenes, (photos, drawings)),
        detector_key(settings, scenes, (photos, [redrawn, *drawings[1:]])),
        detector_key(settings, scenes, (photos, [])),
    ]
    assert len({key, *others}) == 4


@pytest.mark.slow
def test_interrupted_training_gives_the_same_network(small: Task, scenes: SceneSource, tmp_path: Path) -> None:
    settings = small.detector["quick"]
    pixels = scenes.decode(tmp_path / "cache")
    cutouts = load_cutouts(small, None)
    whole = train_detector(settings, scenes, pixels, cutouts, tmp_path / "whole")

    def interrupt(state: TrainingState, part: float) -> None:
        if state.epoch == 1 and part == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_detector(settings, scenes, pixels, cutouts, tmp_path / "parts", interrupt)
    resumed = train_detector(settings, scenes, pixels, cutouts, tmp_path / "parts")
    for one, other in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_folds_cover_all_scenes_once(small: Task, scenes: SceneSource) -> None:
    settings = small.detector["quick"]
    held_out = [split_scenes(scenes, dataclasses.replace(settings, folds=3, fold=fold))[1] for fold in range(3)]
    assert sorted(np.concatenate(held_out)) == list(range(6))
    training, none = split_scenes(scenes, dataclasses.replace(settings, folds=0))
    assert (len(training), len(none)) == (6, 0)


def add_feedback(store: Path, task: Task, photo: bytes, box: Box, class_index: int | None) -> PhotoSource:
    folder = feedback_folder(store, task.name)
    part = encoded(drawing(14, 40, len(list(folder.rglob("*.png")))))
    keep(folder, part, ".png", class_index, FeedbackPhoto(photo, ".png", box, located=False))
    return open_photos(folder / "photos", task)


def test_photos_from_users_are_trained_on_and_never_held_out(
    small: Task, scenes: SceneSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, store = tmp_path / "artifact", tmp_path / "store"
    shutil.copytree(SHIPPED, folder)
    (store / "training" / small.name).mkdir(parents=True)
    reporter = Reporter(store / "training" / small.name)
    photo = Image.new("RGB", (300, 200), (90, 110, 150))
    photo.paste(drawing(14, 48, 7), (100, 30))
    add_feedback(store, small, encoded(photo), (104, 34, 144, 74), 14)
    add_feedback(store, small, encoded(photo), (200, 100, 260, 160), None)
    with Image.open(tmp_path / "scenes" / "00003.ppm") as scene:
        feedback = add_feedback(store, small, encoded(scene), (44, 34, 84, 74), 14)
    recipe = DetectorRecipe(small, small.detector["quick"], "python init.py --detector", feedback=feedback)
    card = build_detector(recipe, scenes, None, store, folder, reporter)
    said = capsys.readouterr().err
    assert "ignoring 1 feedback photos that are also scenes" in said
    assert "adding 1 photos from feedback, with 1 signs and 1 boxes of no sign" in said
    assert card.detector is not None
    known = {"photos": 1, "signs": 1, "boxes_of_no_sign": 1, "fingerprint": feedback.fingerprint}
    assert card.detector["data"]["feedback"] == known
    assert (card.detector["data"]["scenes"], card.detector["data"]["scenes_held_out"]) == (6, 1)
    assert card.detector["metrics"]["scenes"] == 1

    without = dataclasses.replace(recipe, reference=card.detector, feedback=None)
    with pytest.raises(TrainingError, match=r"cannot be the reference: \['feedback'\] differ"):
        build_detector(without, scenes, None, store, folder, reporter)
    assert detector_key(recipe.settings, scenes, ([], []), feedback) != detector_key(recipe.settings, scenes, ([], []))


def test_nothing_outside_of_the_boxes_of_a_photo_from_users_counts() -> None:
    sign, other = (16.0, 16.0, 56.0, 56.0), (80.0, 16.0, 120.0, 56.0)
    crop = Crop(
        np.zeros((128, 128, 3), np.uint8),
        boxes=np.array([sign], np.float32),
        ignored=np.empty((0, 4), np.float32),
        known=np.array([sign, other], np.float32),
    )
    targets = make_targets(crop)[None]

    def loss(row: int, column: int, logit: float) -> float:
        """Return the loss of a network that gives this logit at one place of 8 pixels, and -4 elsewhere."""
        places = np.full((1, 16, 16, 5), [-4.0, 0.0, 0.0, 0.0, 0.0], np.float32)
        places[0, row, column, 0] = logit
        return float(detection_loss(targets, places))

    nothing = loss(12, 4, -4.0)
    assert loss(12, 4, 8.0) == loss(4, 8, 8.0) == nothing  # below the sign, and between the boxes
    assert loss(4, 4, 8.0) < nothing  # the middle of the sign
    assert loss(4, 12, 8.0) > nothing + 1  # in the box that is no sign
    everything = make_targets(dataclasses.replace(crop, known=None))[None]
    assert everything[0, 12, 4, 1] == 1
