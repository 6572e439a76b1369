"""Measure a classifier on pictures that it was not trained on.

`python -m model.evaluate ARTIFACT --data PATH` prints a table; it writes all figures as JSON with `--output FILE`, a
page with plots with `--report FILE`, and adds the figures to the artifact's card with `--card NAME`. On the data set
that the artifact was trained on, only the tracks held out from its training are looked at. With `--not-signs PATH…` and
no data it tells only how many of those pictures the verdict refuses.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data import numbers
from data.errors import DataError, ImageError, SourceError
from data.images import decode
from data.numbers import renumber_some
from data.other_signs import TESTING
from data.outliers import draw_numbers, draw_other_signs, draw_scenes, mirror, turn
from data.prepare import Prepared, prepare
from data.source import STORE, open_labelled, read_pictures
from data.task import Task, load_task
from model.accuracy import measure_accuracy
from model.artifact import Card, add_metrics
from model.calibrate import Calibration
from model.classifier import Classifier, Scores
from model.corrupt import CORRUPTIONS, SEVERITIES, corrupt
from model.errors import EvaluationError, ModelError
from model.metrics import (
    auroc,
    calibration_bins,
    confusions,
    expected_calibration_error,
    f1_scores,
    refused,
    selective_error,
)

Pixels = npt.NDArray[np.uint8]
CORRUPTED = 1000  # examples for the table of corruptions, 60 times over
DRAWN = 500  # of each kind of drawn outlier
SEED = 1_000_003  # not one that a training uses
COVERAGES = (1.0, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
MISTAKES = 40  # that are listed one by one, the most confident first
TIMED = 500  # pictures


def evaluate(classifier: Classifier, task: Task, prepared: Prepared, outliers: dict[str, Pixels]) -> dict[str, Any]:
    """Return all figures for labelled examples and for pictures that are none of the classes, in JSON types.

    Args:
        classifier: what is measured, as it serves.
        task: its task.
        prepared: examples that it was not trained on.
        outliers: pictures by kind, each (n, height, width, 3), uint8; of the examples' size.
    """
    truth, calibration = prepared.class_index, classifier.card.calibration
    scores = classifier.run(prepared.pixels)
    probability = calibration.probabilities(scores.logits).max(axis=1)
    correct = scores.predicted == truth
    accuracy = measure_accuracy(scores.predicted, truth, prepared.groups, task.labels)
    return {
        "accuracy": {**accuracy.to_json(), "grouped": prepared.grouped},
        "macro_f1": float(np.nanmean(f1_scores(scores.predicted, truth, len(task.labels)))),
        "confusions": confusions(scores.predicted, truth),
        "mistakes": _mistakes(scores, probability, prepared),
        "expected_calibration_error": expected_calibration_error(probability, correct),
        "calibration_bins": calibration_bins(probability, correct),
        "error_among_most_confident": {
            f"{coverage:.1%}": selective_error(probability, correct, coverage) for coverage in COVERAGES
        },
        "verdicts": _verdicts(calibration, scores, probability, correct),
        "refusal": {kind: _refusal(calibration, scores, classifier.run(pixels)) for kind, pixels in outliers.items()},
        "accuracy_under_corruption": _corruption(classifier, prepared),
        "milliseconds_per_image": _milliseconds(classifier, prepared.pixels[:TIMED]),
    }


def held_out(card: Card, prepared: Prepared) -> Prepared:
    """Return the examples that a classifier was not trained on: all, unless they are of the set it was trained on.

    Groups are known by their names, so a part of that set, or the same set with other files, is recognised too;
    pictures without groups, as in folders of their class, cannot be.

    Raises:
        EvaluationError: none is left.
    """
    if prepared.origin != card.data["name"] or not prepared.grouped:
        return prepared
    rows = np.flatnonzero(np.isin(prepared.groups, card.data["groups_held_out"]))
    if not len(rows):
        raise EvaluationError(f"classifier {card.version} was trained on all of these; nothing is left to measure on")
    return prepared.subset(rows)


def make_outlier_sets(task: Task, prepared: Prepared) -> dict[str, Pixels]:
    """Return pictures that are none of the classes, by kind: changed examples, other signs and empty scenes.

    Of what learns from outliers, a measured classifier has seen mirrored and turned signs, scenes, and the other
    limits of German roads (5, 10, 40, 90, 110, 130 km/h), here made from other examples. The other signs and the
    numbers called unseen it has never seen. Of each kind that is drawn there are `DRAWN`, or as many as examples.
    """
    count = min(DRAWN, len(prepared))
    mirrored = prepared.pixels[np.isin(prepared.class_index, task.outliers.mirrored)]
    turned = prepared.pixels[np.isin(prepared.class_index, task.outliers.turned)]
    sets = {"mirrored": mirror(mirrored), "turned": turn(turned, 1)}
    if task.outliers.drawn:
        sets["other limits"] = _numbered(task, prepared, numbers.OTHER, count)
        sets["unseen numbers"] = _numbered(task, prepared, numbers.TESTING, count)
        sets["unseen other signs"] = draw_other_signs(task.input_size, TESTING, count, SEED)
        sets["empty scenes"] = draw_scenes(task.input_size, count, SEED)
    return {kind: pixels for kind, pixels in sets.items() if len(pixels)}


def _numbered(task: Task, prepared: Prepared, digits: Sequence[str], count: int) -> Pixels:
    """Return so many speed limits with these numbers, half of them drawn, half written on the examples' plates."""
    wanted = [digits[n % len(digits)] for n in range(count // 2)]
    written = renumber_some(prepared.pixels, prepared.boxes, prepared.class_index, wanted, SEED)
    return np.concatenate([draw_numbers(task.input_size, wanted, SEED), written])


def decode_pictures(location: Path, size: tuple[int, int]) -> Pixels:
    """Decode every picture of a folder or archive; shape (n, height, width, 3), uint8.

    Raises:
        SourceError: there is none, or one cannot be read.
    """
    pixels = []
    for name, payload in read_pictures(location):
        try:
            pixels.append(decode(payload, size))
        except ImageError as error:
            raise SourceError(f"{name}: {error}") from error
    return np.stack(pixels)


def _mistakes(scores: Scores, probability: npt.NDArray[np.float32], prepared: Prepared) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(scores.predicted != prepared.class_index)
    return [
        {
            "row": int(row),
            "group": str(prepared.groups[row]),
            "class_index": int(prepared.class_index[row]),
            "predicted": int(scores.predicted[row]),
            "probability": float(probability[row]),
        }
        for row in wrong[np.argsort(-probability[wrong], kind="stable")][:MISTAKES]
    ]


def _verdicts(
    calibration: Calibration,
    scores: Scores,
    probability: npt.NDArray[np.float32],
    correct: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Count answers and errors by verdict."""
    answers = zip(probability.tolist(), scores.energy.tolist(), scores.similarity.tolist(), strict=True)
    verdicts = np.array([calibration.verdict(*answer) for answer in answers])
    return {
        verdict: {"examples": int(np.sum(verdicts == verdict)), "errors": int(np.sum(~correct[verdicts == verdict]))}
        for verdict in ("confident", "unsure", "not_recognised")
    }


def _refusal(calibration: Calibration, inliers: Scores, outliers: Scores) -> dict[str, Any]:
    """Tell how well each score sets outliers apart, and how many of them the verdict refuses with the card's limits."""
    figures: dict[str, Any] = _not_recognised(calibration, outliers)
    scores = {
        "probability": [calibration.probabilities(side.logits).max(axis=1) for side in (inliers, outliers)],
        "energy": [inliers.energy, outliers.energy],
        "similarity": [inliers.similarity, outliers.similarity],
    }
    for name, (inside, outside) in scores.items():
        figures[name] = {
            "auroc": auroc(inside, outside),
            "refused_at_95_%_accepted": refused(inside, outside, 0.95),
            "refused_at_99_%_accepted": refused(inside, outside, 0.99),
        }
    return figures


def _not_recognised(calibration: Calibration, scores: Scores) -> dict[str, Any]:
    known = (scores.energy >= calibration.energy) & (scores.similarity >= calibration.similarity)
    return {"pictures": len(scores.logits), "not_recognised": float(1 - known.mean())}


def _milliseconds(classifier: Classifier, pixels: Pixels) -> float:
    """Return the median time of one inference, one thread, without decoding."""
    times = []
    for picture in pixels:
        began = time.perf_counter()
        classifier.run(picture[None])
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1000)


def _corruption(classifier: Classifier, prepared: Prepared) -> dict[str, Any]:
    """Accuracies by corruption and severity, on the same random examples each time, and their mean."""
    rows = np.random.default_rng(SEED).permutation(len(prepared))[:CORRUPTED]
    pixels, truth = prepared.pixels[rows], prepared.class_index[rows]
    table: dict[str, Any] = {
        name: [
            float((classifier.run(corrupt(pixels, name, severity)).predicted == truth).mean())
            for severity in SEVERITIES
        ]
        for name in CORRUPTIONS
    }
    return {"examples": len(rows), "mean": float(np.mean(list(table.values()))), **table}


def _print(figures: dict[str, Any]) -> None:
    print("measured           " + "; ".join(figures["measured"].values()))
    accuracy = figures["accuracy"]
    low, high = accuracy["accuracy_interval_95"]
    over = "groups" if accuracy["grouped"] else "pictures, whose groups are not known"
    print(f"accuracy           {accuracy['accuracy']:.3%}  ({accuracy['errors']} errors of {accuracy['examples']:,};")
    print(f"                   95 % interval {low:.2%} to {high:.2%} over {accuracy['groups']:,} {over})")
    print(f"macro F1           {figures['macro_f1']:.3%}")
    print(f"calibration error  {figures['expected_calibration_error']:.3%}")
    for share, error in figures["error_among_most_confident"].items():
        print(f"error, best {share:<6} {error:.3%}")
    for verdict, row in figures["verdicts"].items():
        print(f"{verdict:<19}{row['examples']:,} ({row['errors']} of them wrong)")
    print(f"time               {figures['milliseconds_per_image']:.3f} ms per image, one thread\n")
    print(f"{'refused at 99 % of signs accepted':<36}{'pictures':>9}{'probability':>13}{'energy':>9}{'similarity':>12}")
    for kind, row in figures["refusal"].items():
        shares = [row[score]["refused_at_99_%_accepted"] for score in ("probability", "energy", "similarity")]
        print(f"{kind:<36}{row['pictures']:>9}{shares[0]:>13.1%}{shares[1]:>9.1%}{shares[2]:>12.1%}")
    table = dict(figures["accuracy_under_corruption"])
    examples, mean = table.pop("examples"), table.pop("mean")
    print(f"\naccuracy on {examples:,} examples, corrupted with severity 1 to 5; mean {mean:.2%}")
    for name, row in table.items():
        print(f"{name:<16}" + "".join(f"{value:>9.1%}" for value in row))


def _decode_sets(locations: Sequence[Path], size: tuple[int, int]) -> dict[str, Pixels]:
    """Decode sets of pictures; each is named as its folder or archive is."""
    sets: dict[str, Pixels] = {}
    for location in locations:
        if location.stem in sets:
            raise EvaluationError(f"{location}: there are two sets of the name {location.stem!r}")
        sets[location.stem] = decode_pictures(location, size)
    return sets


def _write(output: Path | None, figures: dict[str, Any]) -> None:
    if output:
        output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluate", description=__doc__)
    parser.add_argument("artifact", type=Path, help="folder of a classifier")
    parser.add_argument("--data", type=Path, help="folder or archive with labelled pictures")
    parser.add_argument(
        "--not-signs",
        type=Path,
        nargs="+",
        default=[],
        help="folders or archives of pictures that hold none of the signs",
    )
    parser.add_argument("--roi", action="store_true", help="crop each picture to its region of interest")
    parser.add_argument("--output", type=Path, help="file for all figures, as JSON")
    parser.add_argument("--report", type=Path, help="file for a page with tables, plots and mistakes, as HTML")
    parser.add_argument("--card", metavar="NAME", help="add the figures to the artifact's card under this name")
    parser.add_argument("--store", type=Path, default=STORE, help="where decoded pictures are kept")
    options = parser.parse_args(arguments)
    if not options.data and (not options.not_signs or options.roi or options.report or options.card):
        parser.error("--data is needed, or --not-signs alone to see what the verdict refuses")
    try:
        classifier = Classifier.load(options.artifact)
        task = load_task(classifier.card.task)
        if task.input_size != classifier.card.input_size:
            sizes = f"{classifier.card.input_size}, and its task file now says {task.input_size}"
            raise EvaluationError(f"this classifier takes pictures of {sizes}")
        others = _decode_sets(options.not_signs, task.input_size)
        if not options.data:
            verdicts = {
                kind: _not_recognised(classifier.card.calibration, classifier.run(pixels))
                for kind, pixels in others.items()
            }
            _write(options.output, verdicts)
            for kind, row in verdicts.items():
                print(f"{kind:<24}{row['pictures']:>9,} pictures, {row['not_recognised']:.2%} not recognised")
            return 0
        source = open_labelled(options.data, task)
        everything = prepare(source, task, options.store / "cache", roi=options.roi)
        prepared = held_out(classifier.card, everything)
        trained_on = "; the others it was trained on" if len(prepared) < len(everything) else ""
        outliers = make_outlier_sets(task, prepared)
        if both := outliers.keys() & others.keys():
            raise EvaluationError(f"there are two sets of the name {min(both)!r}")
        outliers |= others
        figures = {
            "measured": {
                "data": f"{prepared.origin}{'' if prepared.grouped else ', pictures whose groups are not known'}",
                "pictures": f"{len(prepared):,} of {len(everything):,}{trained_on}",
                "protocol": "cropped to the region of interest" if options.roi else "whole pictures",
            },
            **evaluate(classifier, task, prepared, outliers),
        }
        _write(options.output, figures)
        if options.report:
            from model.report import render_report  # matplotlib takes a second to import

            options.report.write_text(render_report(classifier.card, figures, prepared), encoding="utf-8")
        if options.card:
            add_metrics(options.artifact, options.card, figures)
    except (DataError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
