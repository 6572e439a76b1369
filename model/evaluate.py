"""Measure a classifier on pictures that it was not trained on.

`python -m model.evaluate ARTIFACT --data PATH` prints a table and writes all figures as JSON with `--output FILE`.
On the data set that the artifact was trained on, only the tracks held out from its training are looked at.
"""

import argparse
import json
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.images import decode
from data.other_signs import TESTING
from data.outliers import draw_other_signs, draw_scenes, mirror, turn
from data.prepare import Prepared, prepare
from data.source import STORE, open_source
from data.split import split_by_group
from data.task import Task, load_task
from model.accuracy import measure_accuracy
from model.calibrate import softmax
from model.classifier import Classifier
from model.corrupt import CORRUPTIONS, SEVERITIES, corrupt
from model.errors import ModelError
from model.metrics import auroc, expected_calibration_error, macro_f1, refused, selective_error

Pixels = npt.NDArray[np.uint8]
CORRUPTED = 1000  # examples for the table of corruptions, 60 times over
DRAWN = 500  # of each kind of drawn outlier
SEED = 1_000_003  # not one that a training uses


@dataclass(frozen=True)
class Answers:
    """What a classifier says of n pictures: logits (n, classes)."""

    logits: npt.NDArray[np.float32]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Most probable classes, shape (n,)."""
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def probability(self) -> npt.NDArray[np.float32]:
        """Largest probabilities, shape (n,), in [0, 1]."""
        return np.asarray(softmax(self.logits).max(axis=1))

    @property
    def energy(self) -> npt.NDArray[np.float32]:
        """Negative energy, log Σ exp of the logits (Liu et al. 2020), shape (n,); low for outliers."""
        largest = self.logits.max(axis=1)
        return np.asarray(largest + np.log(np.exp(self.logits - largest[:, None]).sum(axis=1)))


def evaluate(classifier: Classifier, task: Task, prepared: Prepared, outliers: dict[str, Pixels]) -> dict[str, Any]:
    """Return all figures for labelled examples and for pictures that are none of the classes, in JSON types.

    Args:
        classifier: what is measured, as it serves.
        task: its task.
        prepared: examples that it was not trained on.
        outliers: pictures by kind, each (n, height, width, 3), uint8; of the examples' size.
    """
    truth = prepared.class_index
    began = time.perf_counter()
    answers = Answers(classifier.logits(prepared.pixels))
    milliseconds = (time.perf_counter() - began) / len(prepared) * 1000
    correct = answers.predicted == truth
    return {
        "accuracy": measure_accuracy(answers.predicted, truth, prepared.groups, task.labels).to_json(),
        "macro_f1": macro_f1(answers.predicted, truth),
        "expected_calibration_error": expected_calibration_error(answers.probability, correct),
        "error_among_most_confident": {
            f"{coverage:.0%}": selective_error(answers.probability, correct, coverage)
            for coverage in (1.0, 0.99, 0.95, 0.9)
        },
        "milliseconds_per_image": milliseconds,
        "refusal": {kind: _refusal(answers, Answers(classifier.logits(pixels))) for kind, pixels in outliers.items()},
        "accuracy_under_corruption": _corruption(classifier, prepared),
    }


def held_out(classifier: Classifier, prepared: Prepared) -> Prepared:
    """Return the examples that the classifier was not trained on: all, unless it was trained on this data set."""
    card = classifier.card
    if prepared.fingerprint != card.data["fingerprint"]:
        return prepared
    settings = card.training["settings"]
    _, rows = split_by_group(prepared.class_index, prepared.groups, settings["validation"], settings["seed"])
    return prepared.subset(rows)


def make_outlier_sets(task: Task, prepared: Prepared) -> dict[str, Pixels]:
    """Return pictures that are none of the classes, by kind: changed examples, other signs and empty scenes.

    The other signs are those that no training sees; mirrored and turned signs and scenes are of the kinds that a
    training with outliers sees, made from other examples.
    """
    mirrored = prepared.pixels[np.isin(prepared.class_index, task.outliers.mirrored)]
    turned = prepared.pixels[np.isin(prepared.class_index, task.outliers.turned)]
    sets = {"mirrored": mirror(mirrored), "turned": turn(turned, 1)}
    if task.outliers.drawn:
        sets["other signs, unseen"] = draw_other_signs(task.input_size, TESTING, DRAWN, SEED)
        sets["empty scenes"] = draw_scenes(task.input_size, DRAWN, SEED)
    return {kind: pixels for kind, pixels in sets.items() if len(pixels)}


def read_pictures(location: Path, size: tuple[int, int]) -> Pixels:
    """Decode every picture of a folder or archive; shape (n, height, width, 3), uint8.

    Raises:
        ImageError: a file is no picture.
    """
    return np.stack([decode(payload, size) for payload in _files(location)])


def _files(location: Path) -> Iterator[bytes]:
    if location.is_dir():
        yield from (path.read_bytes() for path in sorted(location.rglob("*")) if path.is_file())
    else:
        with zipfile.ZipFile(location) as archive:
            yield from (archive.read(name) for name in sorted(archive.namelist()) if not name.endswith("/"))


def _refusal(inliers: Answers, outliers: Answers) -> dict[str, Any]:
    figures: dict[str, Any] = {"pictures": len(outliers.logits)}
    scores = {"probability": (inliers.probability, outliers.probability), "energy": (inliers.energy, outliers.energy)}
    for name, (inside, outside) in scores.items():
        figures[name] = {
            "auroc": auroc(inside, outside),
            "refused_at_95_%_accepted": refused(inside, outside, 0.95),
            "refused_at_99_%_accepted": refused(inside, outside, 0.99),
        }
    return figures


def _corruption(classifier: Classifier, prepared: Prepared) -> dict[str, Any]:
    """Accuracies by corruption and severity, on the same random examples each time, and their mean."""
    rows = np.random.default_rng(SEED).permutation(len(prepared))[:CORRUPTED]
    pixels, truth = prepared.pixels[rows], prepared.class_index[rows]
    table: dict[str, Any] = {
        name: [
            float((classifier.logits(corrupt(pixels, name, severity)).argmax(axis=1) == truth).mean())
            for severity in SEVERITIES
        ]
        for name in CORRUPTIONS
    }
    return {"examples": len(rows), "mean": float(np.mean(list(table.values()))), **table}


def _print(figures: dict[str, Any]) -> None:
    accuracy = figures["accuracy"]
    low, high = accuracy["accuracy_interval_95"]
    print(f"accuracy           {accuracy['accuracy']:.3%}  ({accuracy['errors']} errors of {accuracy['examples']:,};")
    print(f"                   95 % interval {low:.2%} to {high:.2%} over {accuracy['groups']} groups)")
    print(f"macro F1           {figures['macro_f1']:.3%}")
    print(f"calibration error  {figures['expected_calibration_error']:.3%}")
    for share, error in figures["error_among_most_confident"].items():
        print(f"error, best {share:<5}  {error:.3%}")
    print(f"time               {figures['milliseconds_per_image']:.3f} ms per image, one thread\n")
    print(f"{'refused at 99 % of signs accepted':<36}{'pictures':>9}{'probability':>13}{'energy':>9}")
    for kind, row in figures["refusal"].items():
        shares = [row[score]["refused_at_99_%_accepted"] for score in ("probability", "energy")]
        print(f"{kind:<36}{row['pictures']:>9}{shares[0]:>13.1%}{shares[1]:>9.1%}")
    table = dict(figures["accuracy_under_corruption"])
    examples, mean = table.pop("examples"), table.pop("mean")
    print(f"\naccuracy on {examples:,} examples, corrupted with severity 1 to 5; mean {mean:.2%}")
    for name, row in table.items():
        print(f"{name:<16}" + "".join(f"{value:>9.1%}" for value in row))


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluate", description=__doc__)
    parser.add_argument("artifact", type=Path, help="folder of a classifier")
    parser.add_argument("--data", type=Path, required=True, help="folder or archive with labelled pictures")
    parser.add_argument("--not-signs", type=Path, help="folder or archive of pictures that hold none of the signs")
    parser.add_argument("--output", type=Path, help="file for all figures, as JSON")
    parser.add_argument("--store", type=Path, default=STORE, help="where decoded pictures are kept")
    options = parser.parse_args(arguments)
    try:
        classifier = Classifier.load(options.artifact)
        task = load_task(classifier.card.task)
        prepared = held_out(classifier, prepare(open_source(options.data, task), task, options.store / "cache"))
        outliers = make_outlier_sets(task, prepared)
        if options.not_signs:
            outliers[options.not_signs.stem] = read_pictures(options.not_signs, task.input_size)
        figures = evaluate(classifier, task, prepared, outliers)
        if options.output:
            options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except (DataError, ModelError, OSError, zipfile.BadZipFile) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
