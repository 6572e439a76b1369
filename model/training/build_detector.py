"""Build the detector of an artifact from scenes: train, export, evaluate and add it."""

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.errors import SourceError
from data.feedback_photos import DecodedPhoto, PhotoSource
from data.images import Pixels
from data.pictures import digest
from data.scenes import SceneSource
from data.source import FEEDBACK, Source
from data.task import SceneSet, Task
from data.training_settings import DetectorTraining
from model.artifact import Card, add_detector, read_models
from model.classifier import Classifier
from model.detector import MAX_PIXELS, Detector
from model.engine import LiteRtNetwork
from model.errors import TrainingError
from model.evaluation.detection import SceneMatches, describe
from model.evaluation.scenes import detect_in_scenes, find_in_scenes
from model.progress import training_folder
from model.recogniser import Recogniser
from model.training.build import describe_versions
from model.training.export import to_litert
from model.training.reporter import Reporter
from model.training.train_detector import TrainedDetector, detector_key, load_cutouts, split_scenes, train_detector

MIN_SCORE = 0.5  # of objects that the classifier is confident of: as likely an object as not
FALSE_ALARMS = 0.1  # per scene, of the detector alone, above the score that is enough where the classifier is unsure


@dataclass(frozen=True)
class DetectorRecipe:
    """How to build a detector.

    Attributes:
        task: the task, which has scenes.
        settings: the settings of the training.
        command: command line that builds this detector, for the card.
        reference: the card's part of a detector with the same recipe that was evaluated on held-out scenes. If given,
            the new one is trained on all scenes and copies the threshold and the metrics of the reference.
        feedback: photos from users, for training; never held out.
    """

    task: Task
    settings: DetectorTraining
    command: str
    reference: Mapping[str, Any] | None = None
    feedback: PhotoSource | None = None


def build_detector(
    recipe: DetectorRecipe, source: SceneSource, examples: Source | None, store: Path, folder: Path, reporter: Reporter
) -> Card:
    """Train a detector on scenes and add it to an artifact.

    Args:
        recipe: how to build it.
        source: the scenes.
        examples: classification examples to paste into the scenes; None for none.
        store: folder for the cache of decoded scenes and for checkpoints.
        folder: folder of the artifact; its classifier stays.
        reporter: reports progress.

    Returns:
        The artifact's new card.

    Raises:
        DataError: the data cannot be read.
        ModelError: see `prepare_scenes`; or the training cannot continue.
        OSError: the disk is full or not writable.
    """
    settings, scenes = recipe.settings, _scenes_of(recipe.task)
    pixels = prepare_scenes(recipe, source, store, reporter)
    if recipe.reference:
        settings = dataclasses.replace(settings, folds=0, fold=0)
    photos = _load_feedback(recipe.feedback, pixels, store, reporter) if recipe.feedback else []
    cutouts = load_cutouts(recipe.task, examples) if settings.pasted else ([], [])
    key = detector_key(settings, source, cutouts, recipe.feedback)
    checkpoint = training_folder(store, recipe.task.name) / "checkpoints" / f"detector-{key}"
    reporter.stage("train", f"training the detector on {len(source.scenes):,} scenes")
    trained = train_detector(settings, source, pixels, cutouts, checkpoint, reporter.train, photos)
    reporter.stage("export", "converting the detector to LiteRT with 8-bit weights")
    inference = to_litert(trained.network)
    part = _describe(recipe, settings, scenes, source, trained, inference)
    if recipe.feedback:
        part["data"][FEEDBACK] = _describe_feedback(recipe.feedback, photos)
    if len(trained.held_out):
        reporter.stage("evaluate", f"evaluating the detector on {len(trained.held_out):,} held-out scenes")
        detector, models = Detector(LiteRtNetwork(inference)), read_models(folder)
        part |= _choose_min_scores(detect_in_scenes(detector, source, trained.held_out))
        classifier = Classifier(dataclasses.replace(models.card, detector=part), LiteRtNetwork(models.classifier))
        found = find_in_scenes(Recogniser(classifier, detector), source, trained.held_out)
        part |= {"metrics": describe(found, len(recipe.task.labels))}
    card = add_detector(folder, inference, trained.network.save, part)
    shutil.rmtree(checkpoint)
    return card


def prepare_scenes(recipe: DetectorRecipe, source: SceneSource, store: Path, reporter: Reporter) -> Pixels:
    """Find everything that would stop a training, and decode the scenes; the next time they come from the cache.

    Args:
        recipe, source, store, reporter: as for `build_detector`.

    Returns:
        Shape (n, height, width, 3), uint8, read-only.

    Raises:
        DataError: the scenes cannot be read.
        TrainingError: the reference has other settings or scenes, or no figures; or no labelled object is held out.
        OSError: the disk is full or not writable.
    """
    _scenes_of(recipe.task)
    if recipe.reference:
        _check_reference(recipe.reference, recipe.settings, source, recipe.feedback)
    else:
        _check_split(recipe.settings, source)
    reporter.stage("prepare", f"reading {len(source.scenes):,} scenes from {source.files.location}")
    return source.decode(store / "cache", reporter.bar)


def _scenes_of(task: Task) -> SceneSet:
    if task.scenes is None:
        raise SourceError(f"the task {task.name} has no scenes")
    return task.scenes


def _check_split(settings: DetectorTraining, source: SceneSource) -> None:
    """Check that there are objects to train on, and others to measure on.

    Raises:
        TrainingError: there are none.
    """
    held_out = f"fold {settings.fold} of {settings.folds}" if settings.folds else "no fold (`folds` is 0)"
    parts = split_scenes(source, settings)
    for rows, purpose in zip(parts, ("to train on", "to measure the detector on"), strict=True):
        if not any(source.scenes[row].boxes for row in rows):
            raise TrainingError(
                f"there is no labelled object {purpose}: the settings hold {held_out} of the scenes out; change `fold` "
                "or `folds` of the detector in the task file, or add scenes"
            )


def _load_feedback(feedback: PhotoSource, scenes: Pixels, store: Path, reporter: Reporter) -> list[DecodedPhoto]:
    """Decode the photos from users, without those that are also scenes: users may send held-out ones.

    Args:
        feedback: the photos.
        scenes: the decoded scenes, shape (n, height, width, 3), uint8.
        store: folder for the cache of decoded photos.
        reporter: reports progress.
    """
    known = {digest(scene) for scene in scenes}
    decoded = feedback.decode(store / "cache", MAX_PIXELS, reporter.bar)
    photos = [photo for photo in decoded if digest(photo.pixels) not in known]
    if len(photos) < len(decoded):
        reporter.say(f"note: ignoring {len(decoded) - len(photos):,} feedback photos that are also scenes")
    added = _count_boxes(photos)
    reporter.say(
        f"adding {len(photos):,} photos from feedback, with {added['signs']:,} signs and "
        f"{added['boxes_of_no_sign']:,} boxes of no sign"
    )
    return photos


def _check_reference(
    reference: Mapping[str, Any], settings: DetectorTraining, source: SceneSource, feedback: PhotoSource | None
) -> None:
    """Check that the reference differs from the recipe only in its held-out scenes.

    Raises:
        TrainingError: it differs in other ways, held nothing out, or has no figures.
    """
    theirs, ours = reference["training"]["settings"], _settings_to_json(settings)
    differing = [name for name in ours if name not in {"folds", "fold"} and ours[name] != theirs.get(name)]
    if reference["data"]["fingerprint"] != source.fingerprint:
        differing.append("data")
    if reference["data"].get(FEEDBACK, {}).get("fingerprint") != (feedback.fingerprint if feedback else None):
        differing.append(FEEDBACK)
    if differing:
        raise TrainingError(f"detector {reference['version']} cannot be the reference: {differing} differ")
    if not theirs["folds"]:
        raise TrainingError(f"detector {reference['version']} cannot be the reference: it held nothing out")
    if not reference["metrics"]:
        raise TrainingError(
            f"detector {reference['version']} cannot be the reference: its figures were dropped when the classifier "
            "was replaced; train it again with --detector"
        )


def _choose_min_scores(scenes: Sequence[SceneMatches]) -> dict[str, float]:
    """Return the card's smallest scores of accepted objects, from what a detector alone found in held-out scenes."""
    rates = describe(scenes, class_count=1)["at_false_alarms_per_scene"]
    return {"min_score": MIN_SCORE, "min_unsure_score": max(MIN_SCORE, float(rates[str(FALSE_ALARMS)]["threshold"]))}


def _settings_to_json(settings: DetectorTraining) -> dict[str, Any]:
    table = dataclasses.asdict(settings)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in table.items()}


def _describe(
    recipe: DetectorRecipe,
    settings: DetectorTraining,
    scenes: SceneSet,
    source: SceneSource,
    trained: TrainedDetector,
    inference: bytes,
) -> dict[str, Any]:
    """Return the card's part without evaluation; threshold and metrics are those of the reference, if there is one."""
    reference = recipe.reference
    return {
        "version": f"{datetime.now(UTC):%Y-%m-%d}-{hashlib.sha256(inference).hexdigest()[:8]}",
        "margin": recipe.task.data.margin,
        **{name: reference[name] if reference else 1.0 for name in ("min_score", "min_unsure_score")},
        "data": _describe_scenes(scenes, source, settings, len(trained.held_out)),
        "training": {
            "command": recipe.command,
            "settings": _settings_to_json(settings),
            "parameters": trained.network.count_params(),
            "duration_s": round(trained.duration_s),
            "versions": describe_versions(),
        },
        "metrics": {**reference["metrics"], "measured_on": reference["version"]} if reference else {},
    }


def _describe_scenes(
    scenes: SceneSet, source: SceneSource, settings: DetectorTraining, held_out: int
) -> dict[str, Any]:
    """Return what a card says about the scenes that a detector was trained on, in JSON types."""
    return {
        "name": scenes.name,
        "citation": scenes.citation,
        "licence": scenes.licence,
        "fingerprint": source.fingerprint,
        "scenes": len(source.scenes),
        "signs": sum(len(scene.boxes) for scene in source.scenes),
        "scenes_held_out": held_out,
        "split": f"fold {settings.fold} of {settings.folds} held out, {scenes.group_size} neighbouring scenes together"
        if settings.folds
        else "all for training",
    }


def _describe_feedback(feedback: PhotoSource, photos: Sequence[DecodedPhoto]) -> dict[str, Any]:
    """Return what a card says about the photos from users that a detector was trained on, in JSON types."""
    return {"photos": len(photos), **_count_boxes(photos), "fingerprint": feedback.fingerprint}


def _count_boxes(photos: Sequence[DecodedPhoto]) -> dict[str, int]:
    return {
        "signs": sum(len(photo.signs) for photo in photos),
        "boxes_of_no_sign": sum(len(photo.others) for photo in photos),
    }
