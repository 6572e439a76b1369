"""Figures of a data set, for notebooks and reports: each function draws what `data.statistics` measured.

They are plain `Figure`s, made without pyplot, so that nothing is kept open and any program can show or save them.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from data.statistics import ClassCounts, Tracks
from data.task import Task

WIDTH = 9.0  # inches; what a notebook's column holds
DPI = 110
# Okabe and Ito (2008): told apart with every kind of colour vision, and in grey.
BLUE, ORANGE, SKY, GREY = "#0072B2", "#D55E00", "#56B4E9", "#666666"
SHEET_COLUMNS = 15
BAND = (5, 95)  # percentiles
BAND_LABEL = "the middle 90 %"
LUMA_LABEL = "mean luma in the sign's box, 0 to 255"

_THOUSANDS = StrMethodFormatter("{x:,.0f}")

Pixels = npt.NDArray[np.uint8]


def draw_class_balance(counts: ClassCounts, task: Task) -> Figure:
    """Draw a bar for each class, the largest on top, with its number of tracks at the end."""
    order = np.argsort(counts.examples, kind="stable")
    figure, axes = _axes(height=9.5)
    bars = axes.barh(_class_names(task, order), counts.examples[order], color=BLUE)
    axes.bar_label(bars, [f"{tracks:,}" for tracks in counts.tracks[order]], padding=3, fontsize=8, color=GREY)
    _label(axes, "Pictures of each class; in grey, its tracks", "pictures")
    _class_rows(axes, len(order))
    return figure


def draw_sizes(sizes: npt.NDArray[np.int64], task: Task) -> Figure:
    """Draw how many pictures there are of each size; `sizes` has shape (n, 2), (height, width) in pixels."""
    longer, inside = sizes.max(axis=1), max(task.input_size)
    figure, axes = _axes(height=3.6)
    # GTSRB's margins grow by 2 pixels whenever a sign grows by 10: narrower bars would show that, not the sizes.
    axes.hist(longer, bins=_bins(longer, step=12), color=BLUE, edgecolor="white")
    axes.axvline(inside, color=ORANGE, linewidth=2)
    share = np.mean(longer <= inside)
    axes.annotate(
        f" {inside} px, the classifier's input:\n {share * 100:.0f} % of the pictures are not longer",
        (inside, 0.95),
        xycoords=("data", "axes fraction"),
        va="top",
        color=ORANGE,
    )
    _label(axes, "Size of the pictures", "longer side in pixels, 12 to a bar", "pictures")
    axes.set_xlim(0, None)
    return figure


def draw_tracks(tracks: Tracks) -> Figure:
    """Draw how many frames the tracks have, and how a sign grows from its first frame to its last."""
    figure = _figure(height=3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    frames, count = np.unique(tracks.frames, return_counts=True)
    bars = left.bar(frames, count, color=BLUE, width=0.6)
    if len(frames) <= 6:
        left.bar_label(bars, [f"{number:,}" for number in count], padding=2)
    left.set_xlim(frames.min() - 1, frames.max() + 1)
    left.margins(y=0.12)
    left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _label(left, "Length of the tracks", "frames in a track", "tracks")

    frame = np.arange(1, tracks.sides.shape[1] + 1)
    low, middle, high = np.nanpercentile(tracks.sides, (BAND[0], 50, BAND[1]), axis=0)
    right.fill_between(frame, low, high, color=SKY, alpha=0.4, linewidth=0, label=BAND_LABEL)
    right.plot(frame, middle, color=BLUE, linewidth=2, marker="o", markersize=3, label="median")
    right.set(ylim=(0, None), xticks=[1, *range(5, len(frame) + 1, 5)])
    _label(right, "How a sign grows", "frame of its track", "longer side of the sign in pixels")
    right.legend(loc="upper left", frameon=False)
    return figure


def draw_margins(boxes: npt.NDArray[np.int64], margins: npt.NDArray[np.int64]) -> Figure:
    """Draw the margin on every side of a sign against the sign's extent in that direction.

    Args:
        boxes: (height, width) of the regions of interest in pixels, shape (n, 2).
        margins: pixels left, above, right and below, shape (n, 4).
    """
    extent = boxes[:, [1, 0, 1, 0]].ravel()
    margin = margins.ravel()
    figure, axes = _axes(height=4.2)
    # A cell around each whole pixel, so that none lies on an edge.
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
    """Draw how bright the signs are; `brightness` has shape (n,), in [0, 255]."""
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
    """Draw median and 90 % range of the brightness of each class, the brightest on top; both arrays (n,)."""
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
    """Draw pictures in a row; `pixels` has shape (n, side, side, 3), and each has a caption below it."""
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
    """Draw pictures side by side in rows of `SHEET_COLUMNS`; `pixels` has shape (n, side, side, 3), n at least 1."""
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


def _figure(height: float) -> Figure:
    return Figure((WIDTH, height), dpi=DPI, layout="constrained")


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = _figure(height)
    return figure, figure.subplots()


def _class_names(task: Task, order: npt.NDArray[np.int64]) -> list[str]:
    # A figure space is as wide as a digit, so the names stand in line.
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
    """Return edges at whole multiples of a step, so that a bar stands for a range that can be named."""
    return list(range(int(values.min()) // step * step, int(values.max()) + step + 1, step))
