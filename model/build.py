"""From a data set to an artifact: prepare, train, evaluate, export."""

import dataclasses
import hashlib
import importlib
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from data.images import DECODER_VERSION
from data.prepare import Prepared, prepare
from data.source import DRAWN, Source, describe_gaps
from data.task import Task, Training
from model.accuracy import measure_accuracy
from model.artifact import FORMAT_VERSION, Card, write_artifact
from model.calibrate import choose_thresholds, softmax
from model.classifier import Classifier
from model.export import to_litert
from model.progress import Progress, Reporter, training_folder
from model.train import Epoch, Trained, checkpoint_key, train


def build_artifact(
    task: Task, preset: str, source: Source, store: Path, folder: Path, command: str, reporter: Reporter
) -> Card:
    """Train a classifier on a source and write it as an artifact.

    Args:
        task: what to tell apart; preset: the name of one of its trainings.
        source: where the examples come from.
        store: holds the cache of decoded pictures and, until the artifact is written, the checkpoints.
        folder: where the artifact goes; one that is there is replaced when the new one is complete.
        command: what a person would type to get this artifact, for the card.
        reporter: is told what goes on.

    Returns:
        The card of the new artifact.

    Raises:
        DataError: the data cannot be read or divided.
        OSError: the disk is full or cannot be written to.
    """
    settings = task.training[preset]
    for gap in describe_gaps(source, task):
        reporter.say(f"note: {gap}")
    reporter.stage("prepare", f"preparing {len(source.examples):,} images of {source.files.location}")
    prepared = prepare(source, task, store / "cache", reporter.bar)
    reporter.stage("train", f"training on {len(np.unique(prepared.groups)):,} {task.data.group}s, preset {preset}")
    checkpoint = training_folder(store, task.name) / "checkpoints" / checkpoint_key(task, settings, prepared)
    trained = train(task, settings, prepared, checkpoint, lambda epoch: reporter.train(*_progress(epoch)))
    reporter.stage("export", "converting to LiteRT with 8-bit weights")
    inference = to_litert(trained.network)
    reporter.stage("evaluate", f"evaluating on {len(trained.validation):,} images of {task.data.group}s held out")
    card = _describe(task, preset, settings, prepared, trained, inference, command)
    card = write_artifact(folder, card, inference, trained.network.save)
    shutil.rmtree(checkpoint)
    return card


def _progress(epoch: Epoch) -> tuple[Progress, float]:
    progress = Progress("train", epoch.number, epoch.total, epoch.loss, epoch.validation_accuracy, epoch.remaining_s)
    return progress, epoch.part


def _describe(
    task: Task,
    preset: str,
    settings: Training,
    prepared: Prepared,
    trained: Trained,
    inference: bytes,
    command: str,
) -> Card:
    """Measure the classifier on the held-out examples, as it will serve, and write down what it is."""
    rows = trained.validation
    pixels, truth = prepared.pixels[rows], prepared.class_index[rows]
    card = Card(
        format_version=FORMAT_VERSION,
        task=task.name,
        title=task.title,
        version=f"{datetime.now(UTC):%Y-%m-%d}-{hashlib.sha256(inference).hexdigest()[:8]}",
        trained_on="drawings" if prepared.origin == DRAWN else "photographs",
        input_size=task.input_size,
        decoder_version=DECODER_VERSION,
        labels=task.labels,
        thresholds=choose_thresholds(np.ones(1), np.ones(1, bool)),
        data={},
        training={},
        metrics={},
        files={},
    )
    logits = Classifier(card, inference).logits(pixels)
    float_logits = trained.network.predict(pixels, batch_size=settings.batch_size, verbose=0)
    predicted, float_predicted = logits.argmax(axis=1), float_logits.argmax(axis=1)
    served = measure_accuracy(predicted, truth, prepared.groups[rows], task.labels)
    return dataclasses.replace(
        card,
        thresholds=choose_thresholds(softmax(logits).max(axis=1), predicted == truth),
        data={
            "name": prepared.origin,
            **({} if prepared.origin == DRAWN else {"citation": task.data.citation, "licence": task.data.licence}),
            "fingerprint": prepared.fingerprint,
            "images": len(prepared),
            "group": task.data.group,
            "groups": len(np.unique(prepared.groups)),
            "excluded": sorted(task.data.excluded_groups),
            "images_trained_on": trained.train_count,
            "images_held_out": len(rows),
            "split": f"{settings.validation:.0%} of the {task.data.group}s of each class held out, "
            f"one at least, seed {settings.seed}",
        },
        training={
            "command": command,
            "preset": preset,
            "settings": dataclasses.asdict(settings),
            "parameters": trained.network.count_params(),
            "precision": trained.precision,
            "duration_s": round(trained.duration_s),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("keras", "numpy", "pillow")},
                keras.backend.backend(): importlib.import_module(keras.backend.backend()).__version__,
            },
        },
        metrics={
            "held_out": served.to_json(),
            "float32_errors": int(np.sum(float_predicted != truth)),
            "float32_differing_answers": int(np.sum(float_predicted != predicted)),
        },
    )
