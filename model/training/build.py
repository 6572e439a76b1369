"""Build an artifact from a data set: prepare, train, export, calibrate and evaluate."""

import dataclasses
import hashlib
import importlib
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from data.example import NO_CLASS
from data.images import DECODER_VERSION, Pixels
from data.pictures import digest
from data.prepare import Prepared, prepare
from data.source import DRAWN, FEEDBACK, Source, describe_gaps
from data.split import require_two_groups
from data.task import Task
from data.training_settings import Training
from model.artifact import FORMAT_VERSION, Card, write_artifact
from model.calibrate import UNCALIBRATED, choose_calibration, choose_temperature, softmax
from model.classifier import Classifier
from model.engine import LiteRtNetwork
from model.errors import TrainingError
from model.evaluation.corruptions import corrupt_mildly
from model.evaluation.evaluate import decode_pictures, evaluate, make_outlier_sets
from model.evaluation.leaderboard import differing_settings
from model.evaluation.metrics import expected_calibration_error
from model.progress import training_folder
from model.training.compact import save_compact
from model.training.export import to_litert
from model.training.inference_graph import serving_network
from model.training.network import multiply_adds
from model.training.reporter import Reporter
from model.training.train import Trained, checkpoint_key, describe_settings, train

HELD_OUT_OUTLIERS = 5  # of this many given outliers, the first one is held out


@dataclass(frozen=True)
class Recipe:
    """How to build an artifact.

    Attributes:
        task: the task.
        preset: name of the settings, for the card.
        settings: the settings of the training.
        command: command line that builds this artifact, for the card.
        reference: card of a classifier with the same recipe that was evaluated on held-out examples. If given, the new
            classifier is trained on all examples and copies the calibration and metrics of the reference.
        feedback: additional training examples from users; never held out.
        outliers: folders or archives of pictures that show none of the classes; a fifth of them is held out.
    """

    task: Task
    preset: str
    settings: Training
    command: str
    reference: Card | None = None
    feedback: Source | None = None
    outliers: tuple[Path, ...] = ()


def build_artifact(recipe: Recipe, source: Source, store: Path, folder: Path, reporter: Reporter) -> Card:
    """Train a classifier on a source and write it as an artifact.

    Args:
        recipe: how to build the artifact.
        source: the examples.
        store: folder for the cache of decoded pictures and, until the artifact is written, for checkpoints.
        folder: folder of the artifact; an existing one is replaced once the new one is complete.
        reporter: reports progress.

    Returns:
        The card of the new artifact.

    Raises:
        DataError: the data cannot be read or split.
        ModelError: the recipe differs from that of the reference, the teacher is missing or does not fit, or training
            cannot start or continue.
        OSError: the disk is full or not writable.
    """
    task, settings = recipe.task, recipe.settings
    for gap in describe_gaps(source, task):
        reporter.say(f"note: {gap}")
    reporter.stage("prepare", f"decoding {len(source.examples):,} pictures from {source.files.location}")
    examples = prepare(source, task, store / "cache", reporter.bar)
    if examples.duplicates:
        reporter.say("\n".join(examples.duplicates.lines(task.data.group)))
    if recipe.reference:
        _check_reference(recipe, recipe.reference, examples)
        settings = dataclasses.replace(settings, validation=0.0)
    if settings.validation:
        require_two_groups(task, examples.class_index, examples.groups)
    prepared = examples
    if recipe.feedback:
        feedback = prepare(recipe.feedback, task, store / "cache", reporter.bar)
        prepared = _with_feedback(task, examples, feedback, settings, reporter)
    outliers = {path.stem: decode_pictures(path, task.input_size) for path in recipe.outliers}
    if len(outliers) < len(recipe.outliers):
        raise TrainingError("two folders or archives of outliers have the same name; rename one of them")
    learned = _with_outliers(prepared, outliers, settings) if outliers else prepared
    groups = len(np.unique(examples.groups))
    reporter.stage("train", f"training on {groups:,} {task.data.group}s, preset {recipe.preset}")
    checkpoint = training_folder(store, task.name) / "checkpoints" / checkpoint_key(task, settings, learned)
    trained = train(task, settings, learned, checkpoint, reporter.train)
    reporter.stage("export", "converting to LiteRT with 8-bit weights")
    training_examples = prepared.subset(trained.training_rows)
    inference = to_litert(
        serving_network(trained.network, training_examples.pixels, training_examples.class_index, settings.prototypes)
    )
    card = _build_card(recipe, settings, examples, prepared, trained, inference)
    if not recipe.reference:
        held_out = prepared.subset(trained.validation_rows)
        reporter.stage("evaluate", f"evaluating on {len(held_out):,} pictures of held-out {task.data.group}s")
        unseen = {name: pixels[::HELD_OUT_OUTLIERS] for name, pixels in outliers.items()}
        card = _calibrate_and_evaluate(card, task, inference, trained.network, held_out, unseen)
    card = write_artifact(folder, card, inference, partial(save_compact, trained.network))
    shutil.rmtree(checkpoint)
    return card


def _with_feedback(
    task: Task, examples: Prepared, feedback: Prepared, settings: Training, reporter: Reporter
) -> Prepared:
    """Append feedback to the examples: labelled pictures as examples, the others as outliers.

    Pictures that are also in the data set are ignored, because users may send held-out ones.
    """
    known = {digest(pixels) for pixels in examples.pixels}
    new = np.array([digest(pixels) not in known for pixels in feedback.pixels])
    labelled = feedback.subset(np.flatnonzero(new & (feedback.class_index != NO_CLASS)))
    outliers = feedback.pixels[new & (feedback.class_index == NO_CLASS)]
    if not new.all():
        reporter.say(f"note: ignoring {np.sum(~new):,} feedback pictures that are also in the data set")
    if len(outliers) and not settings.outliers:
        reporter.say(f"note: ignoring {len(outliers):,} outliers from feedback: this preset trains without outliers")
        outliers = outliers[:0]
    reporter.say(f"adding {len(labelled):,} labelled pictures and {len(outliers):,} outliers from feedback")
    return dataclasses.replace(
        examples,
        pixels=examples.pixels.join([labelled.pixels[:]]),
        boxes=np.concatenate(
            [examples.boxes, np.tile(np.array([task.data.default_box], np.float32), (len(labelled), 1))]
        ),
        class_index=np.concatenate([examples.class_index, labelled.class_index]),
        groups=np.concatenate([examples.groups, np.char.add(f"{FEEDBACK}/", labelled.groups)]),
        fingerprint=f"{examples.fingerprint} {feedback.fingerprint}",
        outliers=outliers,
    )


def _with_outliers(prepared: Prepared, outliers: Mapping[str, Pixels], settings: Training) -> Prepared:
    """Add given outliers to those from feedback, except those held out.

    They are as many as those made from examples at most, since each costs as much time as an example; every kind has
    the same share where it is large enough.

    Raises:
        TrainingError: the preset trains without outliers.
    """
    if not settings.outliers:
        raise TrainingError("this preset trains without outliers; set outliers in the task file, or omit --outliers")
    kinds = sorted(outliers.values(), key=len)
    if settings.validation:
        kinds = [pixels[np.arange(len(pixels)) % HELD_OUT_OUTLIERS > 0] for pixels in kinds]
    added, left = [], round(settings.outliers * len(prepared))
    for number, pixels in enumerate(kinds):  # from the smallest on: what one does not use is for the others
        count = min(len(pixels), left // (len(kinds) - number))
        added.append(pixels[np.linspace(0, len(pixels) - 1, count).round().astype(int)])
        left -= count
    digests = sorted(digest(pixels).hex()[:16] for pixels in added)
    return dataclasses.replace(
        prepared,
        outliers=np.concatenate([*([] if prepared.outliers is None else [prepared.outliers]), *added]),
        fingerprint=" ".join([prepared.fingerprint, *digests]),
    )


def _check_reference(recipe: Recipe, reference: Card, prepared: Prepared) -> None:
    """Check that the reference differs from the recipe only in its held-out groups.

    Raises:
        TrainingError: it differs in other ways, or held nothing out.
    """
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
        raise TrainingError(f"classifier {reference.version} cannot be the reference: {differing} differ")
    if not theirs["validation"]:
        raise TrainingError(f"classifier {reference.version} cannot be the reference: it held nothing out")


def _calibrate_and_evaluate(
    card: Card,
    task: Task,
    inference: bytes,
    network: keras.Model,
    held_out: Prepared,
    outliers: Mapping[str, Pixels],
) -> Card:
    """Return the card with calibration and metrics of the LiteRT model on the held-out examples and outliers."""
    classifier = Classifier(card, LiteRtNetwork(inference))
    truth = held_out.class_index
    scores = classifier.run(held_out.pixels)
    corrupted = [(classifier.run(pixels).logits, rows) for pixels, rows in corrupt_mildly(held_out.pixels)]
    logits = np.concatenate([scores.logits, *(each for each, _ in corrupted)])
    with_corrupted = np.concatenate([np.arange(len(truth)), *(rows for _, rows in corrupted)])
    temperature = choose_temperature(logits, truth[with_corrupted])
    card = dataclasses.replace(
        card, calibration=choose_calibration(temperature, scores.logits, scores.similarity, truth)
    )
    figures = evaluate(
        Classifier(card, LiteRtNetwork(inference)), task, held_out, {**make_outlier_sets(task, held_out), **outliers}
    )
    chunks = held_out.pixels.chunks()
    float_predicted = np.concatenate([network.predict_on_batch(chunk).argmax(axis=1) for chunk in chunks])
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
    """Return the largest probability of each example, with the temperature chosen on the other half of the groups."""
    _, number = np.unique(groups, return_inverse=True)
    half = np.random.default_rng(0).permutation(number.max() + 1)[number] % 2
    probability = np.empty(len(truth), np.float32)
    for side in (0, 1):
        temperature = choose_temperature(logits[half != side], truth[half != side])
        probability[half == side] = softmax(logits[half == side] / temperature).max(axis=1)
    return probability


def _build_card(
    recipe: Recipe, settings: Training, examples: Prepared, prepared: Prepared, trained: Trained, inference: bytes
) -> Card:
    """Return the card without evaluation; calibration and metrics are those of the reference, if there is one.

    `prepared` contains the examples, followed by any feedback.
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
        **({"duplicates": examples.duplicates.to_json()} if examples.duplicates else {}),
        "images_trained_on": len(trained.training_rows) - added,
        "images_held_out": len(trained.validation_rows),
        "groups_held_out": np.unique(examples.groups[trained.validation_rows]).tolist(),
        "split": f"{share} held out (at least one), seed {settings.seed}"
        if settings.validation
        else "all for training",
        **(_describe_feedback(recipe.feedback, added, prepared) if recipe.feedback else {}),
        **({"outliers": [path.stem for path in recipe.outliers]} if recipe.outliers else {}),
    }


def _describe_feedback(feedback: Source, labelled: int, prepared: Prepared) -> dict[str, Any]:
    outliers = 0 if prepared.outliers is None else len(prepared.outliers)
    return {FEEDBACK: {"images": labelled, "images_of_no_sign": outliers, "fingerprint": feedback.fingerprint}}


def _describe_training(recipe: Recipe, settings: Training, trained: Trained) -> dict[str, Any]:
    return {
        "command": recipe.command,
        "preset": recipe.preset,
        "settings": describe_settings(settings),
        "parameters": trained.network.count_params(),
        "multiply_adds": multiply_adds(trained.network),
        "precision": trained.precision,
        "duration_s": round(trained.duration_s),
        "versions": describe_versions(),
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that determine the result of a training."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("keras", "numpy", "pillow")},
        backend: importlib.import_module(backend).__version__,
    }
