"""Evaluate a classifier on pictures that it was not trained on.

`python -m model.evaluation ARTIFACT --data PATH` prints a summary. `--output FILE` writes all figures as JSON,
`--report FILE` writes an HTML report with plots, and `--card NAME` adds the figures to the artifact's card. If the data
is the training data set, only its held-out groups are used. `--not-signs PATH…` without `--data` prints the share of
those pictures with the verdict "not recognised".
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.images import Pixels
from data.prepare import prepare
from data.source import STORE, open_labelled
from data.task import load_task
from model.artifact import add_metrics
from model.classifier import Classifier
from model.command import run
from model.errors import EvaluationError


def _print(figures: dict[str, Any]) -> None:
    print("evaluated on       " + "; ".join(figures["measured"].values()))
    accuracy = figures["accuracy"]
    low, high = accuracy["accuracy_interval_95"]
    units = "groups" if accuracy["grouped"] else "pictures (groups unknown)"
    print(f"accuracy           {accuracy['accuracy']:.3%}  ({accuracy['errors']} errors of {accuracy['examples']:,};")
    print(f"                   95% interval {low:.2%} to {high:.2%} over {accuracy['groups']:,} {units})")
    print(f"macro F1           {figures['macro_f1']:.3%}")
    print(f"calibration error  {figures['expected_calibration_error']:.3%}")
    for share, error in figures["error_among_most_confident"].items():
        print(f"error, top {share:<7} {error:.3%}")
    for verdict, row in figures["verdicts"].items():
        print(f"{verdict:<19}{row['examples']:,} ({row['errors']} wrong)")
    print(f"time               {figures['milliseconds_per_image']:.3f} ms per picture, one thread\n")
    print(f"{'rejected if 99% of inliers pass':<36}{'pictures':>9}{'probability':>13}{'energy':>9}{'similarity':>12}")
    for kind, row in figures["refusal"].items():
        shares = [row[score]["refused_at_99_%_accepted"] for score in ("probability", "energy", "similarity")]
        print(f"{kind:<36}{row['pictures']:>9}{shares[0]:>13.1%}{shares[1]:>9.1%}{shares[2]:>12.1%}")
    table = dict(figures["accuracy_under_corruption"])
    examples, mean = table.pop("examples"), table.pop("mean")
    print(f"\naccuracy on {examples:,} corrupted examples at severities 1 to 5; mean {mean:.2%}")
    for name, row in table.items():
        print(f"{name:<16}" + "".join(f"{value:>9.1%}" for value in row))


def _decode_sets(locations: Sequence[Path], size: tuple[int, int]) -> dict[str, Pixels]:
    """Decode sets of pictures, named after their folder or archive."""
    from model.evaluation.evaluate import decode_pictures

    sets: dict[str, Pixels] = {}
    for location in locations:
        if location.stem in sets:
            raise EvaluationError(f"{location}: duplicate name {location.stem!r}; rename the folder or archive")
        sets[location.stem] = decode_pictures(location, size)
    return sets


def _write(output: Path | None, figures: dict[str, Any]) -> None:
    if output:
        output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation", description=__doc__)
    parser.add_argument("artifact", type=Path, help="folder of the classifier")
    parser.add_argument("--data", type=Path, help="folder or archive with labelled pictures")
    parser.add_argument(
        "--not-signs",
        type=Path,
        nargs="+",
        default=[],
        help="folders or archives of pictures that show none of the classes",
    )
    parser.add_argument("--roi", action="store_true", help="crop each picture to its region of interest")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--report", type=Path, help="write a report with plots and mistakes to this HTML file")
    parser.add_argument("--card", metavar="NAME", help="add the figures to the artifact's card under this name")
    parser.add_argument(
        "--store", type=Path, default=STORE, help="folder for the cache of decoded pictures (default: data/store)"
    )
    options = parser.parse_args(arguments)
    if not options.data and (not options.not_signs or options.roi or options.report or options.card):
        parser.error("--data is required, except with --not-signs and --output only")
    return run(lambda: _evaluate(options), resumes=False)


def _evaluate(options: argparse.Namespace) -> int:
    from model.evaluation.evaluate import (  # here, so that --help needs no package for training
        count_not_recognised,
        evaluate,
        make_outlier_sets,
        select_held_out,
    )

    classifier = Classifier.load(options.artifact)
    task = load_task(classifier.card.task)
    if task.input_size != classifier.card.input_size:
        sizes = f"{classifier.card.input_size}, but its task file now says {task.input_size}"
        raise EvaluationError(f"the classifier's input size is {sizes}; retrain it")
    others = _decode_sets(options.not_signs, task.input_size)
    if not options.data:
        verdicts = {
            kind: count_not_recognised(classifier.card.calibration, classifier.run(pixels))
            for kind, pixels in others.items()
        }
        _write(options.output, verdicts)
        for kind, row in verdicts.items():
            print(f"{kind:<24}{row['pictures']:>9,} pictures, {row['not_recognised']:.2%} not recognised")
        return 0
    source = open_labelled(options.data, task)
    everything = prepare(source, task, options.store / "cache", roi=options.roi)
    prepared = select_held_out(classifier.card, everything)
    trained_on = "; the others were used for training" if len(prepared) < len(everything) else ""
    outliers = make_outlier_sets(task, prepared)
    if both := outliers.keys() & others.keys():
        raise EvaluationError(f"duplicate name {min(both)!r}; rename the folder or archive")
    outliers |= others
    figures = {
        "measured": {
            "data": f"{prepared.origin}{'' if prepared.grouped else ', groups unknown'}",
            "pictures": f"{len(prepared):,} of {len(everything):,}{trained_on}",
            "protocol": "cropped to the region of interest" if options.roi else "whole pictures",
        },
        **evaluate(classifier, task, prepared, outliers),
    }
    _write(options.output, figures)
    if options.report:
        from model.evaluation.report import render_report  # matplotlib takes a second to import

        options.report.write_text(render_report(classifier.card, figures, prepared), encoding="utf-8")
    if options.card:
        add_metrics(options.artifact, options.card, figures)
    _print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
