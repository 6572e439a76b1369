"""Evaluate a classifier on pictures that it was not trained on.

`python -m model.evaluation ARTIFACT --data PATH` prints a table. `--output FILE` writes all figures as JSON,
`--report FILE` a page with plots, and `--card NAME` adds the figures to the artifact's card. Of the data set that the
artifact was trained on, only the held-out groups are used. With `--not-signs PATH…` and no data, it prints only the
share of those pictures that the verdict refuses.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.prepare import prepare
from data.source import STORE, open_labelled
from data.task import load_task
from model.artifact import add_metrics
from model.classifier import Classifier
from model.errors import EvaluationError, ModelError
from model.evaluation.evaluate import count_not_recognised, decode_pictures, evaluate, held_out, make_outlier_sets

Pixels = npt.NDArray[np.uint8]


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
    parser = argparse.ArgumentParser(prog="python -m model.evaluation", description=__doc__)
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
                kind: count_not_recognised(classifier.card.calibration, classifier.run(pixels))
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
            from model.evaluation.report import render_report  # matplotlib takes a second to import

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
