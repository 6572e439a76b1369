"""Plots of the evaluation report, as inline SVG that uses the colours of the page."""

import io
import math
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binomtest

Floats = npt.NDArray[np.float64]

# Placeholder colours for matplotlib; replaced by CSS variables, so that one plot works in light and dark mode.
INK, QUIET, RULE, GOOD, BAD, PAPER = "#010203", "#010204", "#010205", "#010206", "#010207", "#010208"
_COLOURS = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    RULE: "var(--rule)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    PAPER: "var(--paper)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # keep text as text: small, selectable, in the page's font
    "svg.hashsalt": "report",  # deterministic element ids
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
}
_SMALLEST_GAP = 1e-6  # shares closer to 1 than this are drawn at this distance


def plot_selective_error(errors: dict[str, float], examples: int) -> str:
    """Plot the error rate among the most confident predictions.

    Args:
        errors: error rate in [0, 1] by coverage, written as in "99.0%".
        examples: number of all predictions.

    Returns:
        An SVG element with one bar for each coverage.
    """
    return _svg((4.6, 3.1), lambda axes: _selective_error(axes, errors, examples))


def plot_reliability(bins: list[dict[str, float]]) -> str:
    """Plot accuracy over probability with 95% Wilson intervals, on logarithmic scales that stretch towards 1.

    Args:
        bins: the bins of `model.evaluation.metrics.calibration_bins`.

    Returns:
        An SVG element.
    """
    return _svg((4.6, 3.9), lambda axes: _reliability(axes, bins))


def wilson_interval(share: Floats, examples: Floats) -> tuple[Floats, Floats]:
    """Return the lower and upper ends of 95% confidence intervals for binomial proportions (Wilson 1927).

    Args:
        share: share of successes in [0, 1], shape (n,).
        examples: number of independent examples, shape (n,).
    """
    intervals = [
        binomtest(round(one_share * count), round(count)).proportion_ci(method="wilson")
        for one_share, count in zip(share, examples, strict=True)
    ]
    return np.array([interval.low for interval in intervals]), np.array([interval.high for interval in intervals])


def _selective_error(axes: Axes, errors: dict[str, float], examples: int) -> None:
    values = np.array(list(errors.values()))
    counts = [max(1, round(float(coverage.rstrip("%")) / 100 * examples)) for coverage in errors]
    places = np.arange(len(values))
    axes.barh(places, values, height=0.62, color=BAD)
    scale = values.max() or 1.0
    for place, value, count in zip(places, values, counts, strict=True):
        wrong = round(value * count)
        text = f"{100 * value:.2f}%  ({wrong:,} of {count:,})" if wrong else f"none of {count:,}"
        axes.text(float(value) + 0.02 * scale, float(place), text, va="center", color=INK if wrong else QUIET)
    names = ["all" if coverage == "100.0%" else f"{float(coverage.rstrip('%')):g}%" for coverage in errors]
    axes.set_yticks(places, names)
    axes.set_ylabel("most confident predictions kept")
    axes.set_xlim(0, 1.75 * scale)  # leave room for the text next to the longest bar
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _reliability(axes: Axes, bins: list[dict[str, float]]) -> None:
    probability, accuracy, examples = (
        np.array([row[name] for row in bins], np.float64) for name in ("probability", "accuracy", "examples")
    )
    lower, upper = (_stretch(end) for end in wilson_interval(accuracy, examples))
    predicted = _stretch(probability)
    perfect = accuracy == 1
    shown = _stretch(accuracy)
    lowest = float(min(predicted.min(), lower.min()))
    # 100% is infinitely far up on this scale, so bins without errors get a separate line above all others.
    highest = float(max([predicted.max(), *shown[~perfect], *upper[~perfect]])) + 0.45
    shown, upper = np.where(perfect, highest, shown), np.where(perfect, highest, upper)
    axes.plot([lowest, highest - 0.25], [lowest, highest - 0.25], color=QUIET, linewidth=1, dashes=(4, 3))
    axes.axhline(highest, color=RULE, linewidth=1, zorder=0)
    axes.vlines(predicted, lower, upper, color=GOOD, linewidth=1.6, alpha=0.55)
    axes.scatter(predicted[~perfect], shown[~perfect], s=34, color=GOOD, zorder=3)
    axes.scatter(predicted[perfect], shown[perfect], s=34, facecolor=PAPER, edgecolor=GOOD, linewidth=1.6, zorder=3)
    ticks = list(map(float, range(int(lowest), int(highest) + 1)))
    labels = [f"{100 * (1 - 10**-place):.{max(0, int(place) - 2)}f}%" for place in ticks]
    if lowest < 1:
        ticks, labels = [*ticks, math.log10(2)], [*labels, "50%"]
    # The labels 0% and 50% would overlap on this axis.
    axes.set_xticks([place for place in ticks if place], labels[0 if ticks[0] else 1 :])
    kept = [place for place in range(len(ticks)) if ticks[place] < highest - 0.3]
    axes.set_yticks([*(ticks[place] for place in kept), highest], [*(labels[place] for place in kept), "all correct"])
    axes.set_xlim(lowest - 0.1, max(float(predicted.max()) + 0.2, lowest + 1))
    axes.set_ylim(lowest - 0.1, highest + 0.15)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("accuracy")


def _stretch(share: Floats) -> Floats:
    """Map 0, 90%, 99%, 99.9% … to 0, 1, 2, 3 …."""
    return np.asarray(-np.log10(np.maximum(1 - share, _SMALLEST_GAP)))


def _svg(size: tuple[float, float], draw: Callable[[Axes], Any]) -> str:
    """Return a plot as an SVG element for an HTML page; `size` is (width, height) in inches."""
    with mpl.rc_context(_STYLE):
        figure = Figure(size, layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # it would contain a date and web addresses
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:xmlns(?::\w+)?|version)="[^"]*"', "", text)  # not needed inside HTML
    text = text.replace("xlink:href", "href")
    text = re.sub(r'<g id="[a-z]+[\w.]*_\d+">', "<g>", text)  # such ids occur in every plot; a page needs unique ones
    for drawn, shown in _COLOURS.items():
        text = text.replace(drawn, shown)
    return text
