"""Figures for notebooks, drawn from the results of `data.exploration` and `model.evaluation.leaderboard`.

Every function returns a plain `Figure`, made without pyplot: nothing stays open, and any program can show or save it.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from data.exploration import ClassCounts, Tracks
from data.images import Pixels
from data.task import Task
from model.evaluation.leaderboard import Entry, SharedGroup

WIDTH = 9.0  # inches; the width of a notebook's column
DPI = 110
# Okabe and Ito (2008): distinguishable with every kind of colour vision, and in grey.
BLUE, ORANGE, SKY, GREY = "#0072B2", "#D55E00", "#56B4E9", "#666666"
NETWORK_COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", SKY, "#000000", GREY)
NETWORK_MARKERS = "osD^vPX*"
SHEET_COLUMNS = 15
LISTED = 25  # maximum rows in a table of tracks or confusions
BAND = (5, 95)  # percentiles
BAND_LABEL = "the middle 90%"
LUMA_LABEL = "mean luma of the object, 0 to 255"

_THOUSANDS = StrMethodFormatter("{x:,.0f}")


def draw_class_balance(counts: ClassCounts, task: Task) -> Figure:
    """Draw a bar for each class, largest on top, labelled with its number of groups."""
    order = np.argsort(counts.examples, kind="stable")
    figure, axes = _axes(height=9.5)
    bars = axes.barh(_class_names(task, order), counts.examples[order], color=BLUE)
    axes.bar_label(bars, [f"{tracks:,}" for tracks in counts.tracks[order]], padding=3, fontsize=8, color=GREY)
    _label(axes, "Pictures of each class; in grey, its groups", "pictures")
    _class_rows(axes, len(order))
    return figure


def draw_sizes(sizes: npt.NDArray[np.int64], task: Task) -> Figure:
    """Draw a histogram of picture sizes; `sizes` has shape (n, 2), (height, width) in pixels."""
    longer, inside = sizes.max(axis=1), max(task.input_size)
    figure, axes = _axes(height=3.6)
    # GTSRB's margins grow by 2 pixels whenever a sign grows by 10; narrower bars would show that instead of the sizes.
    axes.hist(longer, bins=_bins(longer, step=12), color=BLUE, edgecolor="white")
    axes.axvline(inside, color=ORANGE, linewidth=2)
    share = np.mean(longer <= inside)
    axes.annotate(
        f" {inside} px, the classifier's input:\n {share * 100:.0f}% of the pictures are not longer",
        (inside, 0.95),
        xycoords=("data", "axes fraction"),
        va="top",
        color=ORANGE,
    )
    _label(axes, "Size of the pictures", "longer side in pixels, 12 to a bar", "pictures")
    axes.set_xlim(0, None)
    return figure


def draw_tracks(tracks: Tracks, task: Task) -> Figure:
    """Draw the number of pictures per group, and how an object grows from the first of them to the last."""
    figure = _figure(height=3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    frames, count = np.unique(tracks.frames, return_counts=True)
    bars = left.bar(frames, count, color=BLUE, width=0.6)
    if len(frames) <= 6:
        left.bar_label(bars, [f"{number:,}" for number in count], padding=2)
    left.set_xlim(frames.min() - 1, frames.max() + 1)
    left.margins(y=0.12)
    left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _label(left, f"Size of the groups (each is a {task.data.group})", "pictures in a group", "groups")

    frame = np.arange(1, tracks.sides.shape[1] + 1)
    low, middle, high = np.nanpercentile(tracks.sides, (BAND[0], 50, BAND[1]), axis=0)
    right.fill_between(frame, low, high, color=SKY, alpha=0.4, linewidth=0, label=BAND_LABEL)
    right.plot(frame, middle, color=BLUE, linewidth=2, marker="o", markersize=3, label="median")
    right.set(ylim=(0, None), xticks=[1, *range(5, len(frame) + 1, 5)])
    _label(right, "How an object grows", "picture of its group", "longer side of the object in pixels")
    right.legend(loc="upper left", frameon=False)
    return figure


def draw_margins(boxes: npt.NDArray[np.int64], margins: npt.NDArray[np.int64]) -> Figure:
    """Draw the margin on each side of a sign against the size of the sign in that direction.

    Args:
        boxes: (height, width) of the regions of interest in pixels, shape (n, 2).
        margins: left, top, right and bottom margin in pixels, shape (n, 4).
    """
    extent = boxes[:, [1, 0, 1, 0]].ravel()
    margin = margins.ravel()
    figure, axes = _axes(height=4.2)
    # Cells are centred on whole pixels, so that no value lies on an edge.
    across, up = np.arange(-0.5, extent.max() + 2, 2), np.arange(-0.5, margin.max() + 1.5)
    _, _, _, image = axes.hist2d(extent, margin, bins=(across, up), norm=LogNorm(), cmap="viridis_r")
    figure.colorbar(image, label="margins, four to a picture", pad=0.01, format="{x:,.0f}")
    corners = np.array([0, 50, max(50, extent.max())])
    axes.plot(corners, np.maximum(corners / 10, 5), color=ORANGE, label="GTSRB's rule: a tenth of the sign, 5 at least")
    _label(
        axes,
        "Margin around the sign",
        "width (left, right) or height (above, below) of the sign in pixels",
        "margin in pixels",
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", frameon=False)
    return figure


def draw_brightness(brightness: npt.NDArray[np.float32]) -> Figure:
    """Draw a histogram of the brightness of the signs; `brightness` has shape (n,), in [0, 255]."""
    figure, axes = _axes(height=3.2)
    axes.hist(brightness, bins=list(range(0, 257, 8)), color=BLUE, edgecolor="white")
    axes.axvline(float(np.median(brightness)), color=ORANGE, linewidth=2)
    axes.annotate(
        f" median {np.median(brightness):.0f}",
        (float(np.median(brightness)), 0.95),
        xycoords=("data", "axes fraction"),
        va="top",
        color=ORANGE,
    )
    _label(axes, "Brightness of the signs", LUMA_LABEL, "pictures")
    axes.set_xlim(0, 255)
    return figure


def draw_brightness_of_classes(
    brightness: npt.NDArray[np.float32], class_index: npt.NDArray[np.int64], task: Task
) -> Figure:
    """Draw median and middle 90% of the brightness of each class, brightest on top; both arrays have shape (n,)."""
    levels = [np.percentile(brightness[class_index == label.index], (BAND[0], 50, BAND[1])) for label in task.labels]
    low, middle, high = np.array(levels).T
    order = np.argsort(middle, kind="stable")
    figure, axes = _axes(height=9.5)
    names = _class_names(task, order)
    axes.hlines(names, low[order], high[order], color=SKY, linewidth=5, label=BAND_LABEL)
    axes.plot(middle[order], names, "o", color=BLUE, label="median")
    _label(axes, "Brightness of each class", LUMA_LABEL)
    axes.set_xlim(0, 255)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(loc="lower right")
    _class_rows(axes, len(order))
    return figure


def draw_strip(title: str, pixels: Pixels, captions: Sequence[str]) -> Figure:
    """Draw pictures in a row, each with a caption below; `pixels` has shape (n, side, side, 3)."""
    figure = _figure(height=WIDTH / max(len(pixels), 6) + 0.4)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    for axes, picture, caption in zip(
        figure.subplots(1, max(len(pixels), 6), squeeze=False)[0], pixels, captions, strict=False
    ):
        axes.imshow(picture)
        axes.set_xlabel(caption, fontsize=8)
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def draw_contact_sheet(title: str, pixels: Pixels) -> Figure:
    """Draw pictures in rows of `SHEET_COLUMNS`; `pixels` has shape (n, side, side, 3) with n ≥ 1."""
    count, side = pixels.shape[:2]
    rows = math.ceil(count / SHEET_COLUMNS)
    cells = np.full((rows * SHEET_COLUMNS, side, side, 3), 255, np.uint8)
    cells[:count] = pixels
    sheet = cells.reshape(rows, SHEET_COLUMNS, side, side, 3).swapaxes(1, 2)
    figure = _figure(height=WIDTH * rows / SHEET_COLUMNS + 0.35)
    axes = figure.subplots()
    axes.imshow(sheet.reshape(rows * side, SHEET_COLUMNS * side, 3), interpolation="nearest")
    axes.set_title(title, loc="left")
    axes.set_axis_off()
    return figure


def draw_cost(networks: Sequence[Entry]) -> Figure:
    """Draw accuracy against multiply-adds and against parameters, both logarithmic, with a bar for the spread.

    Networks with a single seed have a hollow marker: their bar is a bootstrap interval, not a standard deviation.
    """
    figure = _figure(height=4.6)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, title in (
        (left, "multiply_adds", "multiply-adds of one inference"),
        (right, "parameters", "parameters"),
    ):
        for network, style in zip(networks, _styles(networks), strict=True):
            mean, (low, high) = float(np.mean(network.accuracies)), network.accuracy_range
            cost = network.cards[0].training[name]
            axes.vlines(cost, low, high, color=style["color"], linewidth=1.5)
            face = style["color"] if len(network.cards) > 1 else "white"
            axes.plot(cost, mean, style["marker"], color=style["color"], markerfacecolor=face, markersize=9)
        axes.set_xscale("log")
        axes.margins(x=0.15)
        _label(axes, f"Accuracy against {title.split(' ')[0]}", f"{title}, logarithmic")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
    left.set_ylabel("accuracy on held-out examples")
    left.yaxis.set_major_formatter(PercentFormatter(1))
    _network_legend(figure, networks)
    return figure


def draw_times(networks: Sequence[Entry]) -> Figure:
    """Draw the time of one inference of each network as a bar (mean over seeds), fastest on top."""
    times = np.array([np.mean([card.metrics["milliseconds_per_image"] for card in each.cards]) for each in networks])
    order = np.argsort(-times)
    figure, axes = _axes(height=1.1 + 0.35 * len(networks))
    bars = axes.barh([networks[row].title for row in order], times[order], color=BLUE, height=0.7)
    axes.bar_label(bars, [f"{time:.2f} ms" for time in times[order]], padding=4)
    _label(axes, "Time of one inference", "milliseconds per picture, one core, without decoding")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    return figure


def draw_class_errors(shares: npt.NDArray[np.float64], networks: Sequence[Entry], task: Task) -> Figure:
    """Draw each network's share of wrong answers per class, worst class on top; classes without errors are left out.

    Args:
        shares: in [0, 1], shape (classes, networks), NaN for a class without examples.
        networks: the columns.
        task: names the rows.
    """
    order = np.argsort(-np.nan_to_num(shares).mean(axis=1), kind="stable")
    rows = order[np.nan_to_num(shares[order]).max(axis=1) > 0]
    return _draw_cells(
        "Share of wrong answers in each class, in %; classes without a mistake are left out",
        100 * shares[rows],
        _class_names(task, rows),
        networks,
        "{:.1f}",
    )


def draw_confusions(
    confusions: Mapping[tuple[int, int], Sequence[int]], networks: Sequence[Entry], task: Task
) -> Figure:
    """Draw how often each network confused one class with another, for the `LISTED` most frequent pairs.

    Args:
        confusions: counts per network, keyed by (class, answer), most frequent first.
        networks: the columns.
        task: names the classes.
    """
    pairs = list(confusions)[:LISTED]
    return _draw_cells(
        _listed_title("Pictures of one class that were taken for another", len(pairs), len(confusions)),
        np.array([confusions[pair] for pair in pairs], np.float64),
        [f"{task.labels[truth].name} → {task.labels[answer].name}" for truth, answer in pairs],
        networks,
        "{:.0f}",
    )


def draw_shared_tracks(tracks: Sequence[SharedGroup], networks: Sequence[Entry], task: Task) -> Figure:
    """Draw how many pictures of each group each network gets wrong, for the first `LISTED` groups."""
    listed = tracks[:LISTED]
    return _draw_cells(
        _listed_title("Wrong pictures in groups where several networks err", len(listed), len(tracks)),
        np.array([track.wrong for track in listed], np.float64),  # None becomes NaN
        [f"{task.labels[track.class_index].name}, {track.group}, seed {track.seed}" for track in listed],
        networks,
        "{:.0f}",
    )


def draw_corruptions(accuracies: Mapping[str, npt.NDArray[np.float64]], networks: Sequence[Entry]) -> Figure:
    """Draw accuracy against severity for each corruption, with one line per network.

    Args:
        accuracies: by corruption, in [0, 1], each of shape (networks, severities).
        networks: the lines.
    """
    columns = 4
    rows = math.ceil(len(accuracies) / columns)
    figure = _figure(height=1.8 * rows + 1)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(accuracies) :]:
        axes.set_axis_off()
    for axes, (name, values) in zip(grid.flat, accuracies.items(), strict=False):
        severity = np.arange(1, values.shape[1] + 1)
        for line, style in zip(values, _styles(networks), strict=True):
            axes.plot(severity, line, color=style["color"], marker=style["marker"], linewidth=1.5, markersize=4)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xticks(severity)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9")
    for axes in grid[-1]:
        axes.set_xlabel("severity")
    figure.suptitle("Accuracy on corrupted pictures", x=0.01, ha="left", fontsize=12)
    figure.supylabel("accuracy", fontsize=10)
    _network_legend(figure, networks)
    return figure


def _draw_cells(
    title: str,
    values: npt.NDArray[np.float64],
    names: Sequence[str],
    networks: Sequence[Entry],
    number: str,
) -> Figure:
    """Draw a table with darker cells for larger values; 0 is left blank, NaN is a dash."""
    figure, axes = _axes(height=1.3 + 0.25 * max(len(names), 1))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    axes.spines[:].set_visible(False)
    if not names:
        axes.text(0, 0.5, "none", color=GREY)
        axes.set(xticks=[], yticks=[])
        return figure
    largest = float(np.nanmax(values)) or 1.0
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1.25 * largest, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "–" if math.isnan(value) else number.format(value) if value else ""
        colour = "white" if value > 0.7 * largest else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(networks)), [_broken(network.title) for network in networks], fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xticks(np.arange(len(networks) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="0.9")
    axes.tick_params(which="both", length=0)
    return figure


def _listed_title(title: str, listed: int, total: int) -> str:
    return title if listed == total else f"{title}: the first {listed} of {total:,}"


def _broken(title: str) -> str:
    """Break a network's title into lines, for narrow columns."""
    return title.replace(":", "\n").replace("=", "\n")


def _styles(networks: Sequence[Entry]) -> list[dict[str, str]]:
    """Return the colour and marker of each network, the same in every figure."""
    return [
        {
            "color": NETWORK_COLOURS[row % len(NETWORK_COLOURS)],
            # Markers shift by one after each round of colours, so that 64 networks look different.
            "marker": NETWORK_MARKERS[(row + row // len(NETWORK_COLOURS)) % len(NETWORK_MARKERS)],
        }
        for row in range(len(networks))
    ]


def _network_legend(figure: Figure, networks: Sequence[Entry]) -> None:
    handles = [
        Line2D([], [], linewidth=1.5, label=network.title, color=style["color"], marker=style["marker"])
        for network, style in zip(networks, _styles(networks), strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def _figure(height: float) -> Figure:
    return Figure((WIDTH, height), dpi=DPI, layout="constrained")


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = _figure(height)
    return figure, figure.subplots()


def _class_names(task: Task, order: npt.NDArray[np.int64]) -> list[str]:
    # A figure space is as wide as a digit, so the names line up.
    return [f"{task.labels[row].name}  {row:\u2007>2}" for row in order.tolist()]


def _label(axes: Axes, title: str, x_label: str, y_label: str = "") -> None:
    axes.set_title(title, loc="left")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(_THOUSANDS)
    if y_label:
        axes.yaxis.set_major_formatter(_THOUSANDS)


def _class_rows(axes: Axes, count: int) -> None:
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.set_ylim(-0.7, count - 0.3)


def _bins(values: npt.NDArray[np.int64], step: int) -> list[float]:
    """Return bin edges at whole multiples of `step`, so that each bar covers a round range."""
    return list(range(int(values.min()) // step * step, int(values.max()) + step + 1, step))
