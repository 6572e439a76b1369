"""From a data set to an artifact: prepare, train, evaluate, export."""

import dataclasses
import hashlib
import importlib
import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from data.images import DECODER_VERSION
from data.prepare import Prepared, prepare
from data.source import DRAWN, FEEDBACK, NO_CLASS, Source, describe_gaps
from data.task import Task
from data.training_settings import Training
from model.artifact import FORMAT_VERSION, Card, write_artifact
from model.calibrate import UNCALIBRATED, choose_calibration, choose_temperature, softmax
from model.classifier import Classifier
from model.errors import TrainingError
from model.evaluation.corruptions import corrupt_mildly
from model.evaluation.evaluate import evaluate, make_outlier_sets
from model.evaluation.leaderboard import differing_settings
from model.evaluation.metrics import expected_calibration_error
from model.progress import training_folder
from model.training.export import to_litert
from model.training.inference_graph import serving_network
from model.training.network import multiply_adds
from model.training.reporter import Reporter
from model.training.train import Trained, checkpoint_key, describe_settings, train


@dataclass(frozen=True)
class Recipe:
    """What an artifact is made by.

    `preset` is what the settings are called; `command` is what a person would type to get this artifact, for the
    card. `reference` is the card of a classifier that was trained by the same recipe and measured on held-out examples:
    if it is given, this one is trained on all examples and takes its calibration and figures from there. `feedback` is
    learnt from besides the examples, and never held out.
    """

    task: Task
    preset: str
    settings: Training
    command: str
    reference: Card | None = None
    feedback: Source | None = None


def build_artifact(recipe: Recipe, source: Source, store: Path, folder: Path, reporter: Reporter) -> Card:
    """Train a classifier on a source and write it as an artifact.

    Args:
        recipe: what is made.
        source: where the examples come from.
        store: holds the cache of decoded pictures and, until the artifact is written, the checkpoints.
        folder: where the artifact goes; one that is there is replaced when the new one is complete.
        reporter: is told what goes on.

    Returns:
        The card of the new artifact.

    Raises:
        DataError: the data cannot be read or divided.
        ModelError: the measured classifier was made otherwise, or there is no good teacher.
        OSError: the disk is full or cannot be written to.
    """
    task, settings = recipe.task, recipe.settings
    for gap in describe_gaps(source, task):
        reporter.say(f"note: {gap}")
    reporter.stage("prepare", f"preparing {len(source.examples):,} images of {source.files.location}")
    examples = prepare(source, task, store / "cache", reporter.bar)
    if recipe.reference:
        _check_same(recipe, recipe.reference, examples)
        settings = dataclasses.replace(settings, validation=0.0)
    prepared = examples
    if recipe.feedback:
        feedback = prepare(recipe.feedback, task, store / "cache", reporter.bar)
        prepared = _with_feedback(task, examples, feedback, settings, reporter)
    groups = len(np.unique(examples.groups))
    reporter.stage("train", f"training on {groups:,} {task.data.group}s, preset {recipe.preset}")
    checkpoint = training_folder(store, task.name) / "checkpoints" / checkpoint_key(task, settings, prepared)
    trained = train(task, settings, prepared, checkpoint, reporter.train)
    reporter.stage("export", "converting to LiteRT with 8-bit weights")
    lessons = prepared.subset(trained.training)
    inference = to_litert(serving_network(trained.network, lessons.pixels, lessons.class_index))
    card = _describe(recipe, settings, examples, prepared, trained, inference)
    if not recipe.reference:
        held_out = prepared.subset(trained.validation)
        reporter.stage("evaluate", f"evaluating on {len(held_out):,} images of {task.data.group}s held out")
        card = _calibrate_and_evaluate(card, task, inference, trained.network, held_out)
    card = write_artifact(folder, card, inference, trained.network.save)
    shutil.rmtree(checkpoint)
    return card


def _with_feedback(
    task: Task, examples: Prepared, feedback: Prepared, settings: Training, reporter: Reporter
) -> Prepared:
    """Add feedback to the examples: signs behind them, the others as outliers if any are learnt.

    People may send pictures of the data set, even such that are held out; those are left out here.
    """
    known = {_digest(pixels) for pixels in examples.pixels}
    new = np.array([_digest(pixels) not in known for pixels in feedback.pixels])
    signs = feedback.subset(np.flatnonzero(new & (feedback.class_index != NO_CLASS)))
    others = feedback.pixels[new & (feedback.class_index == NO_CLASS)]
    if not new.all():
        reporter.say(f"note: {np.sum(~new):,} pictures of the feedback are in the data set too and not used again")
    if len(others) and not settings.outliers:
        reporter.say(f"note: {len(others):,} pictures of no sign are not used: this preset learns no outliers")
        others = others[:0]
    reporter.say(f"adding {len(signs):,} pictures of signs and {len(others):,} of no sign from the feedback")
    return dataclasses.replace(
        examples,
        pixels=np.concatenate([examples.pixels, signs.pixels]),
        boxes=np.concatenate([examples.boxes, np.tile(np.array([task.data.default_box], np.float32), (len(signs), 1))]),
        class_index=np.concatenate([examples.class_index, signs.class_index]),
        groups=np.concatenate([examples.groups, np.char.add(f"{FEEDBACK}/", signs.groups)]),
        fingerprint=f"{examples.fingerprint} {feedback.fingerprint}",
        outliers=others,
    )


def _digest(pixels: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()


def _check_same(recipe: Recipe, reference: Card, prepared: Prepared) -> None:
    """See that figures may be taken over from a measured classifier: it differs only in what was held out."""
    theirs = reference.training["settings"]
    differing = differing_settings(describe_settings(recipe.settings), theirs, free=("validation",))
    same = {
        "task": (reference.task, recipe.task.name),
        "input size": (reference.input_size, recipe.task.input_size),
        "decoder": (reference.decoder_version, DECODER_VERSION),
        "data": (reference.data["fingerprint"], prepared.fingerprint),
        "feedback": (
            reference.data.get(FEEDBACK, {}).get("fingerprint"),
            recipe.feedback.fingerprint if recipe.feedback else None,
        ),
        f"excluded {recipe.task.data.group}s": (reference.data["excluded"], sorted(recipe.task.data.excluded_groups)),
    }
    differing += [name for name, (one, other) in same.items() if one != other]
    if differing:
        raise TrainingError(f"the figures of classifier {reference.version} cannot be taken over: {differing} differ")
    if not theirs["validation"]:
        raise TrainingError(f"classifier {reference.version} has no figures of its own: it held nothing out")


def _calibrate_and_evaluate(card: Card, task: Task, inference: bytes, network: keras.Model, held_out: Prepared) -> Card:
    """Calibrate the classifier on held-out examples, measure it as it will serve, and write both into its card."""
    classifier = Classifier(card, inference)
    truth = held_out.class_index
    scores = classifier.run(held_out.pixels)
    corrupted, rows = corrupt_mildly(held_out.pixels)
    with_corrupted = np.concatenate([np.arange(len(truth)), rows])
    logits = np.concatenate([scores.logits, classifier.run(corrupted).logits])
    temperature = choose_temperature(logits, truth[with_corrupted])
    card = dataclasses.replace(
        card, calibration=choose_calibration(temperature, scores.logits, scores.similarity, truth)
    )
    figures = evaluate(Classifier(card, inference), task, held_out, make_outlier_sets(task, held_out))
    float_predicted = network.predict(held_out.pixels, batch_size=256, verbose=0).argmax(axis=1)
    cross_fitted = _cross_fitted_probability(logits, truth[with_corrupted], held_out.groups[with_corrupted])[
        : len(truth)
    ]
    return dataclasses.replace(
        card,
        metrics={
            "held_out": figures.pop("accuracy"),
            **figures,
            "expected_calibration_error_cross_fitted": expected_calibration_error(
                cross_fitted, scores.predicted == truth
            ),
            "float32_errors": int(np.sum(float_predicted != truth)),
            "float32_differing_answers": int(np.sum(float_predicted != scores.predicted)),
        },
    )


def _cross_fitted_probability(
    logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], groups: npt.NDArray[np.str_]
) -> npt.NDArray[np.float32]:
    """Return the largest probabilities by temperatures that were chosen on the other half of the groups."""
    _, number = np.unique(groups, return_inverse=True)
    half = np.random.default_rng(0).permutation(number.max() + 1)[number] % 2
    probability = np.empty(len(truth), np.float32)
    for side in (0, 1):
        temperature = choose_temperature(logits[half != side], truth[half != side])
        probability[half == side] = softmax(logits[half == side] / temperature).max(axis=1)
    return probability


def _describe(
    recipe: Recipe, settings: Training, examples: Prepared, prepared: Prepared, trained: Trained, inference: bytes
) -> Card:
    """Write down what the classifier is and how it was made, and what is taken over from a measured one.

    `prepared` are the examples, with the feedback behind them if there is any.
    """
    reference = recipe.reference
    return Card(
        format_version=FORMAT_VERSION,
        task=recipe.task.name,
        title=recipe.task.title,
        version=f"{datetime.now(UTC):%Y-%m-%d}-{hashlib.sha256(inference).hexdigest()[:8]}",
        trained_on="drawings" if examples.origin == DRAWN else "photographs",
        input_size=recipe.task.input_size,
        decoder_version=DECODER_VERSION,
        facts=recipe.task.facts,
        labels=recipe.task.labels,
        calibration=reference.calibration if reference else UNCALIBRATED,
        data=_describe_data(recipe, settings, examples, prepared, trained),
        training=_describe_training(recipe, settings, trained),
        metrics={**reference.metrics, "measured_on": reference.version} if reference else {},
        files={},
    )


def _describe_data(
    recipe: Recipe, settings: Training, examples: Prepared, prepared: Prepared, trained: Trained
) -> dict[str, Any]:
    task = recipe.task
    added = len(prepared) - len(examples)
    share = f"{settings.validation:.0%} of the {task.data.group}s of each class"
    return {
        "name": examples.origin,
        **({} if examples.origin == DRAWN else {"citation": task.data.citation, "licence": task.data.licence}),
        "fingerprint": examples.fingerprint,
        "images": len(examples),
        "group": task.data.group,
        "groups": len(np.unique(examples.groups)),
        "excluded": sorted(task.data.excluded_groups),
        "images_trained_on": len(trained.training) - added,
        "images_held_out": len(trained.validation),
        "groups_held_out": np.unique(examples.groups[trained.validation]).tolist(),
        "split": f"{share} held out, one at least, seed {settings.seed}" if settings.validation else "all for training",
        **(_describe_feedback(recipe.feedback, added, prepared) if recipe.feedback else {}),
    }


def _describe_feedback(feedback: Source, signs: int, prepared: Prepared) -> dict[str, Any]:
    others = 0 if prepared.outliers is None else len(prepared.outliers)
    return {FEEDBACK: {"images": signs, "images_of_no_sign": others, "fingerprint": feedback.fingerprint}}


def _describe_training(recipe: Recipe, settings: Training, trained: Trained) -> dict[str, Any]:
    backend = keras.backend.backend()
    return {
        "command": recipe.command,
        "preset": recipe.preset,
        "settings": describe_settings(settings),
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
