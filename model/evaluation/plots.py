"""Plots as SVG that takes its colours from the page around it."""

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

Floats = npt.NDArray[np.float64]

# What matplotlib draws with, and what the page puts in its place, so that one plot fits light and dark.
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
    "svg.fonttype": "none",  # text stays text: small, selectable, in the font of the page
    "svg.hashsalt": "report",  # the same figures give the same file
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
_CERTAIN = 1e-6  # nearer to 1 than this is drawn as this near
_Z = 1.96  # standard deviations around the mean that hold 95 % of a normal distribution


def plot_selective_error(errors: dict[str, float], examples: int) -> str:
    """Draw the share of errors among the most confident answers, one bar for each coverage."""
    return _svg((4.6, 3.1), lambda axes: _selective_error(axes, errors, examples))


def plot_reliability(bins: list[dict[str, float]]) -> str:
    """Draw accuracy over probability, both on a scale that widens towards 1, with intervals by Wilson (1927)."""
    return _svg((4.6, 3.9), lambda axes: _reliability(axes, bins))


def wilson_interval(share: Floats, examples: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % interval of a share that was counted among so many independent examples (Wilson 1927)."""
    middle = (share + _Z**2 / (2 * examples)) / (1 + _Z**2 / examples)
    spread = np.sqrt(share * (1 - share) / examples + _Z**2 / (4 * examples**2)) * _Z / (1 + _Z**2 / examples)
    return np.clip(middle - spread, 0, 1), np.clip(middle + spread, 0, 1)


def _selective_error(axes: Axes, errors: dict[str, float], examples: int) -> None:
    values = np.array(list(errors.values()))
    answers = [max(1, round(float(coverage.rstrip("%")) / 100 * examples)) for coverage in errors]
    places = np.arange(len(values))
    axes.barh(places, values, height=0.62, color=BAD)
    scale = values.max() or 1.0
    for place, value, count in zip(places, values, answers, strict=True):
        wrong = round(value * count)
        text = f"{100 * value:.2f} %  ({wrong:,} of {count:,})" if wrong else f"none of {count:,}"
        axes.text(float(value) + 0.02 * scale, float(place), text, va="center", color=INK if wrong else QUIET)
    names = ["all" if coverage == "100.0%" else f"{float(coverage.rstrip('%')):g} %" for coverage in errors]
    axes.set_yticks(places, names)
    axes.set_ylabel("most confident answers that are kept")
    axes.set_xlim(0, 1.75 * scale)  # room for the text beside the longest bar
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _reliability(axes: Axes, bins: list[dict[str, float]]) -> None:
    probability, accuracy, examples = (
        np.array([row[name] for row in bins], np.float64) for name in ("probability", "accuracy", "examples")
    )
    lower, upper = (_widened(end) for end in wilson_interval(accuracy, examples))
    promised = _widened(probability)
    perfect = accuracy == 1
    shown = _widened(accuracy)
    lowest = float(min(promised.min(), lower.min()))
    # A bin without errors has no place on this scale: it stands on a line of its own, above all others.
    highest = float(max([promised.max(), *shown[~perfect], *upper[~perfect]])) + 0.45
    shown, upper = np.where(perfect, highest, shown), np.where(perfect, highest, upper)
    axes.plot([lowest, highest - 0.25], [lowest, highest - 0.25], color=QUIET, linewidth=1, dashes=(4, 3))
    axes.axhline(highest, color=RULE, linewidth=1, zorder=0)
    axes.vlines(promised, lower, upper, color=GOOD, linewidth=1.6, alpha=0.55)
    axes.scatter(promised[~perfect], shown[~perfect], s=34, color=GOOD, zorder=3)
    axes.scatter(promised[perfect], shown[perfect], s=34, facecolor=PAPER, edgecolor=GOOD, linewidth=1.6, zorder=3)
    ticks = list(map(float, range(int(lowest), int(highest) + 1)))
    labels = [f"{100 * (1 - 10**-place):.{max(0, int(place) - 2)}f} %" for place in ticks]
    if lowest < 1:
        ticks, labels = [*ticks, math.log10(2)], [*labels, "50 %"]
    # 0 % would run into 50 % here.
    axes.set_xticks([place for place in ticks if place], labels[0 if ticks[0] else 1 :])
    kept = [place for place in range(len(ticks)) if ticks[place] < highest - 0.3]
    axes.set_yticks([*(ticks[place] for place in kept), highest], [*(labels[place] for place in kept), "all right"])
    axes.set_xlim(lowest - 0.1, max(float(promised.max()) + 0.2, lowest + 1))
    axes.set_ylim(lowest - 0.1, highest + 0.15)
    axes.set_xlabel("probability that was given")
    axes.set_ylabel("share of answers that were right")


def _widened(share: Floats) -> Floats:
    """Map 0, 90 %, 99 %, 99.9 % … to 0, 1, 2, 3 …."""
    return np.asarray(-np.log10(np.maximum(1 - share, _CERTAIN)))


def _svg(size: tuple[float, float], draw: Callable[[Axes], Any]) -> str:
    """Return what is drawn on axes of this size in inches, as an SVG element to be put into a page."""
    with mpl.rc_context(_STYLE):
        figure = Figure(size, layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # would name addresses on the web
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:xmlns(?::\w+)?|version)="[^"]*"', "", text)  # HTML knows what an <svg> is
    text = text.replace("xlink:href", "href")
    text = re.sub(r'<g id="[a-z]+[\w.]*_\d+">', "<g>", text)  # "axes_1" in each plot; a page has each id once
    for drawn, shown in _COLOURS.items():
        text = text.replace(drawn, shown)
    return text
