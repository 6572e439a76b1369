"""What the detector should answer for a crop, and how far an answer is from that."""

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from data.compose import Crop
from model.detector import STRIDE, decode_boxes

SIGMA = 0.14  # standard deviation of the heat around a centre, as a share of the sign's side
MIN_SIGMA = 0.6  # in strides
CORE = 0.2  # cells this near the centre, as a share of the sign's sides, learn its box
BOX_WEIGHT = 1.5  # of the boxes' loss; the heat map's has 1
CHANNELS = 7  # of the targets: heat, weight of the heat, weight of the box, and the box


def make_targets(crop: Crop) -> npt.NDArray[np.float32]:
    """Return what the network should answer for a crop.

    Args:
        crop: the crop; its side is a multiple of 8 pixels.

    Returns:
        Shape (side / 8, side / 8, 7), float32: the heat in [0, 1], 1 in the grid cell of a centre; the weight
        of the heat, 0 where it does not matter; the weight of the box; and the sign's left, top, right and bottom in
        strides.
    """
    count = crop.pixels.shape[0] // STRIDE
    middle_y, middle_x = np.mgrid[:count, :count].astype(np.float32) + 0.5
    targets = np.zeros((count, count, CHANNELS), np.float32)
    targets[..., 1] = crop.known is None
    for left, top, right, bottom in () if crop.known is None else crop.known / STRIDE:
        inside = (middle_x > left) & (middle_x < right) & (middle_y > top) & (middle_y < bottom)
        targets[inside, 1] = 1
    for left, top, right, bottom in crop.ignored / STRIDE:
        inside = (middle_x > left - 1) & (middle_x < right + 1) & (middle_y > top - 1) & (middle_y < bottom + 1)
        targets[inside, 1] = 0
    boxes = crop.boxes / STRIDE
    # Small signs last: where two overlap, the smaller one is in front or would be lost.
    for left, top, right, bottom in boxes[np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1))]:
        width, height, center_x, center_y = right - left, bottom - top, (left + right) / 2, (top + bottom) / 2
        sigma_x, sigma_y = max(MIN_SIGMA, SIGMA * width), max(MIN_SIGMA, SIGMA * height)
        away_x, away_y = middle_x - center_x, middle_y - center_y
        heat = np.exp(-0.5 * ((away_x / sigma_x) ** 2 + (away_y / sigma_y) ** 2))
        row, column = (int(np.clip(np.floor(center), 0, count - 1)) for center in (center_y, center_x))
        heat[row, column] = 1
        targets[..., 0] = np.maximum(targets[..., 0], heat)
        core = (np.abs(away_x) < max(0.75, CORE * width)) & (np.abs(away_y) < max(0.75, CORE * height))
        core[row, column] = True
        targets[core, 1] = 1
        targets[core, 2:] = 1, left, top, right, bottom
    return targets


def detection_loss(targets: Any, cells: Any) -> Any:
    """Return the loss of a batch: focal loss of the heat map (Law & Deng 2018) and generalised IoU (Rezatofighi 2019).

    Args:
        targets: see `make_targets`, (batch, rows, columns, 7), float32.
        cells: the network's answers, (batch, rows, columns, 5), float32.

    Returns:
        A scalar, float32, at least 0.
    """
    heat, heat_weight, box_weight = targets[..., 0], targets[..., 1], targets[..., 2]
    logit = ops.cast(cells[..., 0], "float32")
    probability = ops.clip(ops.sigmoid(logit), 1e-5, 1 - 1e-5)
    centre = ops.cast(heat > 0.999, "float32") * heat_weight
    found = centre * (1 - probability) ** 2 * ops.log(probability)
    wrong = (1 - centre) * heat_weight * (1 - heat) ** 4 * probability**2 * ops.log(1 - probability)
    heat_loss = -ops.sum(found + wrong) / ops.maximum(ops.sum(centre), 1.0)
    rows, columns = (ops.arange(ops.shape(cells)[axis], dtype="float32") for axis in (1, 2))
    overlap = generalised_iou(decode_boxes(cells, rows[:, None], columns, ops), targets[..., 3:])
    box_loss = ops.sum(box_weight * (1 - overlap)) / ops.maximum(ops.sum(box_weight), 1.0)
    return heat_loss + BOX_WEIGHT * box_loss


def generalised_iou(one: Any, other: Any) -> Any:
    """Return the generalised intersection over union of pairs of boxes.

    Args:
        one, other: left, top, right and bottom in any unit, shape (…, 4), float32.

    Returns:
        Shape (…), float32 in [-1, 1]: 1 for the same box, below 0 for boxes that are far apart.
    """
    width = ops.minimum(one[..., 2], other[..., 2]) - ops.maximum(one[..., 0], other[..., 0])
    height = ops.minimum(one[..., 3], other[..., 3]) - ops.maximum(one[..., 1], other[..., 1])
    common = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
    areas = [(box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (one, other)]
    union = areas[0] + areas[1] - common
    outer_width = ops.maximum(one[..., 2], other[..., 2]) - ops.minimum(one[..., 0], other[..., 0])
    outer_height = ops.maximum(one[..., 3], other[..., 3]) - ops.minimum(one[..., 1], other[..., 1])
    outer = ops.maximum(outer_width * outer_height, 1e-6)
    return common / ops.maximum(union, 1e-6) - (outer - union) / outer
