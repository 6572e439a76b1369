"""The evaluation report: a self-contained HTML page with tables, plots and mistakes."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined

from data.extension import load_extension
from data.images import encode
from data.prepare import Prepared
from model.artifact import Card
from model.evaluation.plots import plot_reliability, plot_selective_error, wilson_interval

TEMPLATE = Path(__file__).with_suffix(".html")
SYMBOL_SIDE = 64  # px, of the drawn class symbols; shown at half this size or less
LISTED = 12  # largest number of confusions in the table
SCORES = ("probability", "energy", "similarity")
VERDICTS = {
    "confident": "confident",
    "unsure": "unsure",
    "not_recognised": "not recognised",
}


def render_report(card: Card, figures: dict[str, Any], prepared: Prepared) -> str:
    """Return the report as HTML without external resources.

    Args:
        card: card of the evaluated classifier.
        figures: the result of `model.evaluation.evaluate.evaluate`; "measured" may describe the data and protocol.
        prepared: the evaluated examples; `mistakes` in the figures refers to its rows.
    """
    # Cards and data may come from untrusted sources, so everything is escaped except our own SVG.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "share": _share}
    extension = load_extension(card.task)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        card=card,
        figures=figures,
        accuracy=figures["accuracy"],
        names={label.index: label.name for label in card.labels},
        symbols={label.index: _png(extension.draw_label(label.index, SYMBOL_SIDE)) for label in card.labels}
        if extension
        else {},
        provenance=list(_provenance(card, figures, prepared)),
        titles=_titles(card, figures),
        selective_plot=plot_selective_error(figures["error_among_most_confident"], figures["accuracy"]["examples"]),
        reliability_plot=plot_reliability(figures["calibration_bins"]),
        verdicts=VERDICTS,
        scores=SCORES,
        matrix=_matrix(figures),
        listed=LISTED,
        classes=_classes(figures),
        corruptions=_corruptions(figures),
        mistakes=[{**mistake, "picture": _png(prepared.pixels[mistake["row"]])} for mistake in figures["mistakes"]],
    )


def _percent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f}%"


def _share(value: float) -> str:
    """Format a share; only exactly 0 and 1 become 0% and 100%, whatever the rounding."""
    if value in {0, 1}:
        return _percent(value, 0)
    return _percent(min(max(value, 0.001), 0.999), 1)


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(encode(pixels)).decode("ascii")


def _provenance(card: Card, figures: dict[str, Any], prepared: Prepared) -> Iterator[tuple[str, str]]:
    """Yield titles and texts that describe the classifier, the data and the protocol."""
    accuracy = figures["accuracy"]
    yield "Classifier", f"{card.title}, version {card.version}, trained on {card.trained_on}"
    own = prepared.grouped and prepared.origin == card.data["name"]
    if own:
        relation = "the part of the training data set that was held out"
    elif prepared.grouped:
        relation = "not the training data set"
    else:
        relation = "without groups, so overlap with the training data cannot be ruled out"
    yield "Data", f"{prepared.origin}; {relation}"
    if accuracy["grouped"]:
        yield "Examples", f"{accuracy['examples']:,} pictures in {accuracy['groups']:,} groups; a group is one object"
    else:
        yield "Examples", f"{accuracy['examples']:,} pictures; it is unknown which of them show the same object"
    if "measured" in figures:
        yield "Protocol", figures["measured"]["protocol"]
    if own and "split" in card.data:
        yield "Split", str(card.data["split"])


def _titles(card: Card, figures: dict[str, Any]) -> dict[str, str]:
    """Return the headings: each one states the result of its section."""
    names = {label.index: label.name for label in card.labels}
    return {
        "headline": _headline(figures["accuracy"]),
        "selective": _selective_title(figures["error_among_most_confident"]),
        "verdicts": _verdict_title(figures["verdicts"]),
        "calibration": _calibration_title(figures),
        "confusions": _confusion_title(_matrix(figures), names),
        "classes": _class_title(figures["accuracy"]["per_class"]),
        "corruptions": _corruption_title(figures["accuracy_under_corruption"]),
        "refusal": _refusal_title(figures["refusal"]),
        "mistakes": _mistake_title(figures),
    }


def _headline(accuracy: dict[str, Any]) -> str:
    if not accuracy["errors"]:
        return f"All {accuracy['examples']:,} pictures were classified correctly"
    return f"{accuracy['errors']:,} of {accuracy['examples']:,} pictures were misclassified"


def _selective_title(errors: dict[str, float]) -> str:
    best = next((coverage for coverage, error in errors.items() if not error), None)
    if best == "100.0%":
        return "There are no errors at any confidence"
    if best:
        return f"The {_coverage(best)} most confident predictions are all correct"
    last, error = list(errors.items())[-1]
    return f"Even among the {_coverage(last)} most confident predictions, {_percent(error)} are wrong"


def _coverage(text: str) -> str:
    return text.replace(".0%", "%")


def _verdict_title(verdicts: dict[str, dict[str, int]]) -> str:
    examples, errors = verdicts["confident"]["examples"], verdicts["confident"]["errors"]
    if not examples:
        return "No prediction has the verdict “confident”"
    return f"{errors or 'None'} of the {examples:,} “confident” predictions {'is' if errors == 1 else 'are'} wrong"


def _calibration_title(figures: dict[str, Any]) -> str:
    bins = figures["calibration_bins"]
    columns = ("probability", "accuracy", "examples")
    probability, accuracy, examples = (np.array([row[name] for row in bins], np.float64) for name in columns)
    low, high = wilson_interval(accuracy, examples)
    inside = int(np.sum((low <= probability) & (probability <= high)))
    points = f"{100 * figures['expected_calibration_error']:.2f} percentage points"
    return f"Probabilities are off by {points} on average; {inside} of {len(bins)} bins are consistent with chance"


def _confusion_title(matrix: list[dict[str, Any]], names: dict[int, str]) -> str:
    if not matrix:
        return "There are no confusions"
    worst = matrix[0]
    times = {1: "once", 2: "twice"}.get(worst["count"], f"{worst['count']:,} times")
    truth, predicted = names[worst["class_index"]], names[worst["predicted"]]
    return f"The most frequent confusion is “{truth}” with “{predicted}”: {times}"


def _class_title(per_class: list[dict[str, int]]) -> str:
    seen = [row for row in per_class if row["examples"]]
    return f"{sum(not row['errors'] for row in seen)} of {len(seen)} classes have no errors"


def _corruption_title(table: dict[str, Any]) -> str:
    worst = min(_rows(table), key=lambda name: float(np.mean(table[name])))
    return f"Accuracy on corrupted pictures is {_percent(table['mean'], 1)}; {worst} does the most harm"


def _rows(table: dict[str, Any]) -> list[str]:
    return [name for name in table if name not in {"examples", "mean"}]


def _refusal_title(refusal: dict[str, Any]) -> str:
    if not refusal:
        return "No outliers were evaluated"
    worst = min(refusal, key=lambda kind: refusal[kind]["not_recognised"])
    share = refusal[worst]["not_recognised"]
    if share == 1:
        return "All outliers were rejected"
    return f"The outliers “{worst}” are the hardest to reject: {_share(share)} of them are"


def _mistake_title(figures: dict[str, Any]) -> str:
    mistakes = figures["mistakes"]
    if not mistakes:
        return "There are no mistakes"
    first = f"The most confident mistake has a probability of {_share(mistakes[0]['probability'])}"
    groups = len({mistake["group"] for mistake in mistakes})
    if not figures["accuracy"]["grouped"] or groups == len(mistakes):
        return first
    all_shown = len(mistakes) == figures["accuracy"]["errors"]
    which = f"all {len(mistakes)} mistakes" if all_shown else f"the {len(mistakes)} shown"
    return f"{first}; {which} are from {groups} {'object' if groups == 1 else 'objects'}"


def _matrix(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of the confusion matrix with errors and their share of the true class, largest count first."""
    examples = {row["class_index"]: row["examples"] for row in figures["accuracy"]["per_class"]}
    cells = [{**cell, "share": cell["count"] / examples[cell["class_index"]]} for cell in figures["confusions"]]
    most = max((cell["share"] for cell in cells), default=1.0)
    # The square root keeps single errors visible next to classes that failed completely.
    strengths = [0.3 + 0.7 * (cell["share"] / most) ** 0.5 for cell in cells]
    cells = [{**cell, "strength": strength} for cell, strength in zip(cells, strengths, strict=True)]
    return sorted(cells, key=lambda cell: (-cell["count"], -cell["share"]))


def _classes(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the class table, lowest accuracy first; classes without examples come last."""
    rows = [
        {**row, "accuracy": 1 - row["errors"] / row["examples"] if row["examples"] else None}
        for row in figures["accuracy"]["per_class"]
    ]
    return sorted(rows, key=lambda row: (row["accuracy"] is None, row["accuracy"], -row["errors"]))


def _corruptions(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the corruption table, most harmful first; a cell's strength grows with the accuracy loss."""
    table, clean = figures["accuracy_under_corruption"], figures["accuracy"]["accuracy"]

    def cell(value: float) -> dict[str, float]:
        # The square root makes small losses visible.
        return {"accuracy": value, "strength": max(0.0, (clean - value) / clean) ** 0.5 if clean else 0.0}

    rows = [
        {"name": name, "cells": [cell(value) for value in table[name]], "mean": cell(float(np.mean(table[name])))}
        for name in _rows(table)
    ]
    return sorted(rows, key=lambda row: float(row["mean"]["accuracy"]))
