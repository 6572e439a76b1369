"""A page about what an evaluation found: one HTML file that needs nothing else."""

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
SIGN_SIDE = 64  # px, of a drawn sign; shown at half of it or less
PER_CENT = "\N{NO-BREAK SPACE}%"
LISTED = 12  # confusions in the table, the most frequent ones
SCORES = ("probability", "energy", "similarity")
VERDICTS = {
    "confident": "confident",
    "unsure": "unsure",
    "not_recognised": "not recognised",
}


def render_report(card: Card, figures: dict[str, Any], prepared: Prepared) -> str:
    """Return a page with tables, plots and mistakes as HTML; it refers to nothing outside itself.

    Args:
        card: of the classifier that was measured.
        figures: what `model.evaluation.evaluate.evaluate` returned for it; "measured" may say on what.
        prepared: the examples that were measured; `mistakes` in the figures names rows of it.
    """
    # Card and data may come from anybody, so every text is escaped but our own SVG.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "share": _share}
    extension = load_extension(card.task)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        card=card,
        figures=figures,
        accuracy=figures["accuracy"],
        names={label.index: label.name for label in card.labels},
        signs={label.index: _png(extension.draw_label(label.index, SIGN_SIDE)) for label in card.labels}
        if extension
        else {},
        measured_on=list(_provenance(card, figures, prepared)),
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
    return f"{100 * value:.{digits}f}{PER_CENT}"


def _share(value: float) -> str:
    """Write a share so that 100 % means all and 0 % none, whatever is rounded."""
    if value in {0, 1}:
        return _percent(value, 0)
    return _percent(min(max(value, 0.001), 0.999), 1)


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(encode(pixels)).decode("ascii")


def _provenance(card: Card, figures: dict[str, Any], prepared: Prepared) -> Iterator[tuple[str, str]]:
    """Say what was measured on what."""
    accuracy = figures["accuracy"]
    yield "Classifier", f"{card.title}, version {card.version}, trained on {card.trained_on}"
    own = prepared.grouped and prepared.origin == card.data["name"]
    if own:
        whence = "the part of its own data set that was held out from training"
    else:
        whence = "another one than it was trained on" if prepared.grouped else "not known to be what it was trained on"
    yield "Data", f"{prepared.origin}; {whence}"
    if accuracy["grouped"]:
        yield "Examples", f"{accuracy['examples']:,} pictures in {accuracy['groups']:,} groups; a group is one object"
    else:
        yield "Examples", f"{accuracy['examples']:,} pictures; which of them show the same object is not known"
    if "measured" in figures:
        yield "Protocol", figures["measured"]["protocol"]
    if own and "split" in card.data:
        yield "Split", str(card.data["split"])


def _titles(card: Card, figures: dict[str, Any]) -> dict[str, str]:
    """Say in plain words what each section found."""
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
        return f"All {accuracy['examples']:,} pictures were named rightly"
    return f"{accuracy['errors']:,} of {accuracy['examples']:,} pictures were named wrongly"


def _selective_title(errors: dict[str, float]) -> str:
    best = next((coverage for coverage, error in errors.items() if not error), None)
    if best == "100.0%":
        return "There was no error at any level of confidence"
    if best:
        return f"The errors are among the least confident answers: the other {_coverage(best)} hold none"
    last, error = list(errors.items())[-1]
    return f"Even of the {_coverage(last)} most confident answers, {_percent(error)} are wrong"


def _coverage(text: str) -> str:
    return text.replace(".0%", "%").replace("%", PER_CENT)


def _verdict_title(verdicts: dict[str, dict[str, int]]) -> str:
    examples, errors = verdicts["confident"]["examples"], verdicts["confident"]["errors"]
    if not examples:
        return "No answer was called confident"
    return f"{errors or 'None'} of the {examples:,} answers called confident {'is' if errors < 2 else 'are'} wrong"


def _calibration_title(figures: dict[str, Any]) -> str:
    bins = figures["calibration_bins"]
    columns = ("probability", "accuracy", "examples")
    probability, accuracy, examples = (np.array([row[name] for row in bins], np.float64) for name in columns)
    low, high = wilson_interval(accuracy, examples)
    explained = int(np.sum((low <= probability) & (probability <= high)))
    points = f"{100 * figures['expected_calibration_error']:.2f} percentage points"
    return f"Probabilities are off by {points} on average; in {explained} of {len(bins)} bins that may be chance"


def _confusion_title(matrix: list[dict[str, Any]], names: dict[int, str]) -> str:
    if not matrix:
        return "No class was taken for another"
    worst = matrix[0]
    times = {1: "once", 2: "twice"}.get(worst["count"], f"{worst['count']:,} times")
    truth, answer = names[worst["class_index"]], names[worst["predicted"]]
    return f"Nothing is confused more often than “{truth}” with “{answer}”: {times}"


def _class_title(per_class: list[dict[str, int]]) -> str:
    seen = [row for row in per_class if row["examples"]]
    return f"{sum(not row['errors'] for row in seen)} of {len(seen)} classes are without an error"


def _corruption_title(table: dict[str, Any]) -> str:
    worst = min(_rows(table), key=lambda name: float(np.mean(table[name])))
    return f"Of pictures made worse {_percent(table['mean'], 1)} are still right; {worst} does most harm"


def _rows(table: dict[str, Any]) -> list[str]:
    return [name for name in table if name not in {"examples", "mean"}]


def _refusal_title(refusal: dict[str, Any]) -> str:
    if not refusal:
        return "No pictures of anything else were shown"
    worst = min(refusal, key=lambda kind: refusal[kind]["not_recognised"])
    share = refusal[worst]["not_recognised"]
    if share == 1:
        return "Every picture that is none of the classes was refused"
    return f"Of what is none of the classes, “{worst}” passes most easily: {_share(share)} of it is refused"


def _mistake_title(figures: dict[str, Any]) -> str:
    mistakes = figures["mistakes"]
    if not mistakes:
        return "There are no mistakes to show"
    first = f"The most confident mistake was made with a probability of {_share(mistakes[0]['probability'])}"
    groups = len({mistake["group"] for mistake in mistakes})
    if not figures["accuracy"]["grouped"] or groups == len(mistakes):
        return first
    all_shown = len(mistakes) == figures["accuracy"]["errors"]
    which = f"all {len(mistakes)}" if all_shown else f"these {len(mistakes)}"
    return f"{first}; {which} come from {groups} {'object' if groups == 1 else 'objects'}"


def _matrix(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of the confusion matrix that hold errors, with their share of the true class, worst first."""
    examples = {row["class_index"]: row["examples"] for row in figures["accuracy"]["per_class"]}
    cells = [{**cell, "share": cell["count"] / examples[cell["class_index"]]} for cell in figures["confusions"]]
    most = max((cell["share"] for cell in cells), default=1.0)
    # A root, so that one picture of many can still be seen beside a class that failed as a whole.
    strengths = [0.3 + 0.7 * (cell["share"] / most) ** 0.5 for cell in cells]
    cells = [{**cell, "strength": strength} for cell, strength in zip(cells, strengths, strict=True)]
    return sorted(cells, key=lambda cell: (-cell["count"], -cell["share"]))


def _classes(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the table of classes, worst first; those without examples come last."""
    rows = [
        {**row, "accuracy": 1 - row["errors"] / row["examples"] if row["examples"] else None}
        for row in figures["accuracy"]["per_class"]
    ]
    return sorted(rows, key=lambda row: (row["accuracy"] is None, row["accuracy"], -row["errors"]))


def _corruptions(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the table of corruptions, most harmful first; the strength of a cell grows with the loss."""
    table, clean = figures["accuracy_under_corruption"], figures["accuracy"]["accuracy"]

    def cell(value: float) -> dict[str, float]:
        # A root, so that small losses can be told from none.
        return {"accuracy": value, "strength": max(0.0, (clean - value) / clean) ** 0.5 if clean else 0.0}

    rows = [
        {"name": name, "cells": [cell(value) for value in table[name]], "mean": cell(float(np.mean(table[name])))}
        for name in _rows(table)
    ]
    return sorted(rows, key=lambda row: float(row["mean"]["accuracy"]))
