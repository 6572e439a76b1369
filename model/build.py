"""From a data set to an artifact: prepare, train, evaluate, export."""

import dataclasses
import hashlib
import importlib
import json
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from data.images import DECODER_VERSION
from data.prepare import Prepared, prepare
from data.source import DRAWN, Source, describe_gaps
from data.task import Task, Training
from model.artifact import FORMAT_VERSION, Card, write_artifact
from model.calibrate import UNCALIBRATED, choose_calibration, choose_temperature, softmax
from model.classifier import Classifier
from model.corrupt import corrupt_mildly
from model.errors import TrainingError
from model.evaluate import evaluate, make_outlier_sets
from model.export import to_litert
from model.metrics import expected_calibration_error
from model.network import multiply_adds
from model.progress import Progress, Reporter, training_folder
from model.serving import serving_network
from model.train import Epoch, Trained, checkpoint_key, train


def build_artifact(
    task: Task,
    preset: str,
    settings: Training,
    source: Source,
    store: Path,
    folder: Path,
    command: str,
    reporter: Reporter,
    measured: Card | None = None,
) -> Card:
    """Train a classifier on a source and write it as an artifact.

    Args:
        task: what to tell apart.
        preset: what the settings are called; settings: how to train.
        source: where the examples come from.
        store: holds the cache of decoded pictures and, until the artifact is written, the checkpoints.
        folder: where the artifact goes; one that is there is replaced when the new one is complete.
        command: what a person would type to get this artifact, for the card.
        reporter: is told what goes on.
        measured: the card of a classifier that was trained in the same way and measured on held-out examples. If it
            is given, this one is trained on all examples and takes its calibration and figures from there.

    Returns:
        The card of the new artifact.

    Raises:
        DataError: the data cannot be read or divided.
        TrainingError: the measured classifier was trained otherwise.
        OSError: the disk is full or cannot be written to.
    """
    if measured:
        check_same_training(settings, measured)
        settings = dataclasses.replace(settings, validation=0.0)
    for gap in describe_gaps(source, task):
        reporter.say(f"note: {gap}")
    reporter.stage("prepare", f"preparing {len(source.examples):,} images of {source.files.location}")
    prepared = prepare(source, task, store / "cache", reporter.bar)
    reporter.stage("train", f"training on {len(np.unique(prepared.groups)):,} {task.data.group}s, preset {preset}")
    checkpoint = training_folder(store, task.name) / "checkpoints" / checkpoint_key(task, settings, prepared)
    trained = train(task, settings, prepared, checkpoint, lambda epoch: reporter.train(*_progress(epoch)))
    card = finish_artifact(task, preset, settings, prepared, trained, folder, command, reporter, measured)
    shutil.rmtree(checkpoint)
    return card


def check_same_training(settings: Training, measured: Card) -> None:
    """See that a measured classifier was trained with these settings, on less than all examples.

    Raises:
        TrainingError: it was not.
    """
    theirs, ours = dict(measured.training["settings"]), dataclasses.asdict(settings)
    differing = sorted(
        name for name in ours if name != "validation" and json.dumps(ours[name]) != json.dumps(theirs.get(name))
    )
    if differing or not theirs.get("validation"):
        what = f"its {', '.join(differing)} differ" if differing else "it held nothing out"
        raise TrainingError(f"the figures of classifier {measured.version} cannot be taken over: {what}")


def finish_artifact(
    task: Task,
    preset: str,
    settings: Training,
    prepared: Prepared,
    trained: Trained,
    folder: Path,
    command: str,
    reporter: Reporter,
    measured: Card | None,
) -> Card:
    """Convert a trained network, calibrate and measure it, and write the artifact."""
    reporter.stage("export", "converting to LiteRT with 8-bit weights")
    lessons = prepared.subset(trained.training)
    inference = to_litert(serving_network(trained.network, lessons.pixels, lessons.class_index))
    card = Card(
        format_version=FORMAT_VERSION,
        task=task.name,
        title=task.title,
        version=f"{datetime.now(UTC):%Y-%m-%d}-{hashlib.sha256(inference).hexdigest()[:8]}",
        trained_on="drawings" if prepared.origin == DRAWN else "photographs",
        input_size=task.input_size,
        decoder_version=DECODER_VERSION,
        labels=task.labels,
        calibration=measured.calibration if measured else UNCALIBRATED,
        data=_describe_data(task, settings, prepared, trained),
        training=_describe_training(preset, settings, trained, command),
        metrics={},
        files={},
    )
    if measured:
        card = dataclasses.replace(card, metrics={**measured.metrics, "measured_on": measured.version})
    else:
        held_out = prepared.subset(trained.validation)
        reporter.stage("evaluate", f"evaluating on {len(held_out):,} images of {task.data.group}s held out")
        card = _measured(card, task, inference, trained.network, held_out)
    return write_artifact(folder, card, inference, trained.network.save)


def _progress(epoch: Epoch) -> tuple[Progress, float]:
    progress = Progress("train", epoch.number, epoch.total, epoch.loss, epoch.validation_accuracy, epoch.remaining_s)
    return progress, epoch.part


def _measured(card: Card, task: Task, inference: bytes, network: keras.Model, held_out: Prepared) -> Card:
    """Calibrate the classifier on held-out examples, measure it as it will serve, and write both into its card."""
    classifier = Classifier(card, inference)
    truth = held_out.class_index
    scores = classifier.run(held_out.pixels)
    corrupted, corrupted_truth = corrupt_mildly(held_out.pixels, truth)
    both = np.concatenate([scores.logits, classifier.run(corrupted).logits])
    temperature = choose_temperature(both, np.concatenate([truth, corrupted_truth]))
    calibration = choose_calibration(temperature, scores.logits, scores.similarity, truth)
    card = dataclasses.replace(card, calibration=calibration)
    figures = evaluate(Classifier(card, inference), task, held_out, make_outlier_sets(task, held_out))
    float_predicted = network.predict(held_out.pixels, batch_size=256, verbose=0).argmax(axis=1)
    return dataclasses.replace(
        card,
        metrics={
            "held_out": figures.pop("accuracy"),
            **figures,
            "expected_calibration_error_cross_fitted": cross_fitted_error(scores.logits, truth, held_out.groups),
            "float32_errors": int(np.sum(float_predicted != truth)),
            "float32_differing_answers": int(np.sum(float_predicted != scores.predicted)),
        },
    )


def cross_fitted_error(
    logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], groups: npt.NDArray[np.str_]
) -> float:
    """Return the calibration error of temperatures that were chosen on one half of the groups for the other half."""
    _, number = np.unique(groups, return_inverse=True)
    half = np.random.default_rng(0).permutation(number.max() + 1)[number] % 2
    probability = np.empty(len(truth), np.float32)
    for side in (0, 1):
        temperature = choose_temperature(logits[half != side], truth[half != side])
        probability[half == side] = softmax(logits[half == side] / temperature).max(axis=1)
    return expected_calibration_error(probability, logits.argmax(axis=1) == truth)


def _describe_data(task: Task, settings: Training, prepared: Prepared, trained: Trained) -> dict[str, Any]:
    share = f"{settings.validation:.0%} of the {task.data.group}s of each class"
    return {
        "name": prepared.origin,
        **({} if prepared.origin == DRAWN else {"citation": task.data.citation, "licence": task.data.licence}),
        "fingerprint": prepared.fingerprint,
        "images": len(prepared),
        "group": task.data.group,
        "groups": len(np.unique(prepared.groups)),
        "excluded": sorted(task.data.excluded_groups),
        "images_trained_on": len(trained.training),
        "images_held_out": len(trained.validation),
        "split": f"{share} held out, one at least, seed {settings.seed}" if settings.validation else "all for training",
    }


def _describe_training(preset: str, settings: Training, trained: Trained, command: str) -> dict[str, Any]:
    backend = keras.backend.backend()
    return {
        "command": command,
        "preset": preset,
        "settings": dataclasses.asdict(settings),
        "parameters": trained.network.count_params(),
        "multiply_adds": multiply_adds(trained.network),
        "precision": trained.precision,
        "duration_s": round(trained.duration_s),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("keras", "numpy", "pillow")},
            backend: importlib.import_module(backend).__version__,
        },
    }
