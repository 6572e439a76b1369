"""Find signs in a photo: a small network looks at all of it, then closely at each supposed sign."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data.images import Pixels
from data.photo import Photo
from model.engine import Network
from model.errors import ArtifactError

MAX_PIXELS: Final = 2_000_000  # of the finest scale; a 12-megapixel photo is reduced to 40% of its sides
STRIDE: Final = 8  # pixels per grid cell of the network's answer
MULTIPLE: Final = 32  # the sides of the network's input are multiples of this
ZOOM_STEP: Final = 3  # between two scales; the network finds signs between 12 and 150 pixels
LARGEST: Final = 150  # pixels; coarser scales are added until the photo's shorter side is no longer than this
REFERENCE_SIDE: Final = 4.0  # strides; the unit of the network's widths and heights
LOG_SIDES: Final = (-3.0 - math.log(REFERENCE_SIDE), 5.0 - math.log(REFERENCE_SIDE))  # of 0.4 and 1,187 pixels
MAX_OVERLAP: Final = 0.45  # intersection over union of two detections; of a pair above, the better one is kept
MAX_INSIDE: Final = 0.8  # share of the smaller one of two detections that may lie inside the larger one
MAX_DETECTIONS: Final = 100
REACH: Final = 1.0  # of the photo's sides; a candidate's box may extend beyond each edge of the photo by this much
MIN_FIRST_SCORE: Final = 0.3  # of the first look; what has less is not looked at again
CLOSE_SIDE: Final = 96  # pixels; the network's input in a close look
CLOSE_SIGN: Final = 64  # pixels; side of the supposed sign in it
MIN_SHARED: Final = 0.2  # intersection over union with the supposed sign of what a close look takes for it
AROUND: Final = np.indices((3, 3)).reshape(2, 9)  # rows and columns of a cell and its neighbours, from the first one
ABSENT: Final = 0.005  # score of a close look that finds nothing


@dataclass(frozen=True)
class Detection:
    """Something that looks like a sign.

    Attributes:
        box: left, top, right, bottom in pixels of the upright photo at full resolution; inside the photo.
        score: how much it looks like a sign, in [0, 1]; not a calibrated probability.
    """

    box: tuple[float, float, float, float]
    score: float


class Detector:
    """A detection network. Thread-safe.

    Args:
        network: maps `pixels`, (n, height, width, 3), to `places`, (n, height / 8, width / 8, 5), a grid with one cell
            for every 8 × 8 pixels; see `model.training.detector_network`. Sides must be multiples of 32.

    Raises:
        ArtifactError: the network is not a detector; not known yet if an inference server runs it.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        if not network.is_remote:
            self.verify()

    def verify(self) -> None:
        """Check that the network is a detector.

        Raises:
            ArtifactError: it is not.
            EngineError: see `model.engine.Network`.
        """
        outputs = self._network.run(np.zeros((1, MULTIPLE, MULTIPLE, 3), np.uint8), ())
        shape = outputs["places"].shape if "places" in outputs else None
        taken = self._network.read_input_shape()
        if taken != (None, None, 3) or shape != (1, MULTIPLE // STRIDE, MULTIPLE // STRIDE, 5):
            raise ArtifactError(f"the detector maps {taken} to {shape}")

    def check(self) -> None:
        """Check that the network can be run now; see `model.engine.Network`."""
        self._network.check()

    def detect(self, photo: Photo, min_score: float) -> tuple[list[Detection], bool]:
        """Find what looks like a sign.

        Args:
            photo: the photo.
            min_score: smallest score of a detection, in (0, 1).

        Returns:
            The detections, best first. And whether there may be more: only the best `MAX_DETECTIONS` candidates of the
            first look get a close look, and the others are dropped.

        Raises:
            EngineError: see `model.engine.Network`.
        """
        boxes, scores, capped = self._look(photo)
        boxes, closely = self._look_closely(photo, boxes)
        # The mean of the logits: a sign has to look like one both from afar and closely.
        odds = np.sqrt(scores / (1 - scores) * closely / (1 - closely))
        scores = odds / (1 + odds)
        good = scores >= min_score
        boxes, scores = _clip(boxes[good], photo), scores[good]
        kept = non_maximum_suppression(boxes, scores)
        return [Detection(_as_box(boxes[row]), float(scores[row])) for row in kept], capped

    def _look(self, photo: Photo) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], bool]:
        """Look at the whole photo for candidates: parts of it that may be a sign.

        Returns:
            Boxes of the best `MAX_DETECTIONS` candidates, shape (n, 4), and their scores, shape (n,); and whether there
            were more.
        """
        rows, columns = photo.pixels.shape[:2]
        scale = np.tile([photo.width / columns, photo.height / rows], 2)
        boxes, scores = [], []
        factor = 1
        while True:
            name = "photo" if factor == 1 else "reduced photo"
            found, certainty = find_peaks(self._run(_pad(photo.reduce(factor))[None], name)[0], MIN_FIRST_SCORE)
            boxes.append(found * factor * scale)
            scores.append(certainty)
            if min(rows, columns) <= LARGEST * factor:
                break
            factor *= ZOOM_STEP
        every, score = np.concatenate(boxes), np.concatenate(scores)
        candidates = non_maximum_suppression(_clip(every, photo), score)
        kept = candidates[:MAX_DETECTIONS]
        # A close look needs memory for the part that it cuts out, however large the network says that a sign is.
        return _clip(every[kept], photo, REACH), score[kept], len(candidates) > MAX_DETECTIONS

    def _look_closely(
        self, photo: Photo, boxes: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return better boxes of supposed signs, (n, 4), and scores, (n,); the same and `ABSENT` if none is seen."""
        extents = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1, keepdims=True)) * CLOSE_SIDE / CLOSE_SIGN
        corners = (boxes[:, :2] + boxes[:, 2:] - extents) / 2
        views = np.concatenate([corners, corners + extents], axis=1)
        parts = [photo.resize((CLOSE_SIDE, CLOSE_SIDE), _as_box(view)) for view in views]
        better, closely = boxes.copy(), np.full(len(boxes), ABSENT)
        if not parts:
            return better, closely
        for row, cells in enumerate(self._run(np.stack(parts))):
            found, scores = find_peaks(cells, ABSENT)
            found = found * (extents[row] / CLOSE_SIDE) + np.tile(corners[row], 2)
            same = intersection_over_union(boxes[row, None], found)[0] >= MIN_SHARED
            if same.any():
                best = scores[same].argmax()
                better[row], closely[row] = found[same][best], scores[same][best]
        return better, closely

    def _run(self, pixels: Pixels, scale: str = "") -> npt.NDArray[np.float32]:
        """Return the network's answer, (n, rows, columns, 5), for pictures of one scale; by default, close looks."""
        return self._network.run(pixels, ("places",), scale)["places"]


def find_peaks(
    cells: npt.NDArray[np.float32], min_score: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the boxes at the local maxima of a heat map.

    Args:
        cells: the network's answer, (rows, columns, 5), float32.
        min_score: smallest score of a maximum, in (0, 1).

    Returns:
        Boxes in pixels of the network's input, shape (n, 4), and their scores, shape (n,).
    """
    logit = cells[..., 0]
    row, column = np.nonzero(logit > math.log(min_score / (1 - min_score)))
    padded = np.full((logit.shape[0] + 2, logit.shape[1] + 2), -np.inf)
    padded[1:-1, 1:-1] = logit
    # Compare only the few cells above the score with their neighbours; a filter over the whole map takes longer.
    around = padded[row[:, None] + AROUND[0], column[:, None] + AROUND[1]].max(axis=1)
    is_peak = logit[row, column] >= around
    row, column = row[is_peak], column[is_peak]
    peak = cells[row, column].astype(np.float64)
    scores = 1 / (1 + np.exp(-np.clip(peak[:, 0], -30, 30)))
    boxes: npt.NDArray[np.float64] = decode_boxes(peak, row, column) * STRIDE
    return boxes, scores


def decode_boxes(cells: Any, row: Any, column: Any, array: Any = np) -> Any:
    """Return the boxes that the network gives in some grid cells, in strides; shape (…, 4), float.

    Serving and the training's loss both call this, so that they cannot differ.

    Args:
        cells: the network's answer in these cells, shape (…, 5), float; see `model.training.detector_network`.
        row, column: of each cell, shape (…), or shapes that broadcast to it.
        array: module with the array functions: NumPy, or `keras.ops` for tensors.
    """
    center_x, center_y = column + 0.5 + cells[..., 1], row + 0.5 + cells[..., 2]
    half_width, half_height = (
        REFERENCE_SIDE * array.exp(array.clip(cells[..., channel], *LOG_SIDES)) / 2 for channel in (3, 4)
    )
    return array.stack(
        [center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height], axis=-1
    )


def non_maximum_suppression(boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the indices of the boxes to keep, best first: greedy non-maximum suppression.

    A box is dropped if a better one overlaps it by more than `MAX_OVERLAP`, or one of the two lies inside the other by
    more than `MAX_INSIDE`. Empty boxes are dropped too.

    Args:
        boxes: shape (n, 4): left, top, right, bottom.
        scores: shape (n,).

    Returns:
        Shape (m,), int64.
    """
    order = np.argsort(-scores, kind="stable")
    area = _area(boxes)
    order = order[area[order] > 0]
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        common = _common(boxes[best], boxes[order])
        overlap = common / (area[best] + area[order] - common)
        inside = common / np.minimum(area[best], area[order])
        order = order[(overlap <= MAX_OVERLAP) & (inside <= MAX_INSIDE)]
    return np.array(kept, np.int64)


def intersection_over_union(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the intersection over union of every pair of boxes, shape (n, 4) and (m, 4); shape (n, m)."""
    low, high = np.maximum(one[:, None, :2], other[None, :, :2]), np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    overlap: npt.NDArray[np.float64] = common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9)
    return overlap


def _common(box: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the area that a box, shape (4,), has in common with others, shape (n, 4); shape (n,)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common: npt.NDArray[np.float64] = np.maximum(sides, 0).prod(axis=1)
    return common


def _area(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    area: npt.NDArray[np.float64] = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    return area


def _clip(boxes: npt.NDArray[np.float64], photo: Photo, reach: float = 0.0) -> npt.NDArray[np.float64]:
    """Clip boxes to a photo that is enlarged on each side by `reach`, as a fraction of its sides."""
    size = np.tile([photo.width, photo.height], 2)
    return np.clip(boxes, 0 - reach * size, (1 + reach) * size)


def _as_box(sides: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, sides)
    return left, top, right, bottom


def _pad(pixels: Pixels) -> Pixels:
    """Repeat the last row and column until the sides are multiples of 32."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), mode="edge")
