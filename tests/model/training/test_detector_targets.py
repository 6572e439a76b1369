"""What the detector should answer and how far an answer is from that, on cases worked out by hand."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from keras import ops

from data.compose import Crop
from model.detector import find_peaks
from model.training.detector_targets import (
    BOX_WEIGHT,
    MIN_SIGMA,
    SIGMA,
    detection_loss,
    generalised_iou,
    make_targets,
)


def crop(boxes: Sequence[Sequence[float]], ignored: Sequence[Sequence[float]]) -> Crop:
    """Return a crop of 96 pixels, 12 × 12 cells."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    return Crop(pixels, np.array(boxes, np.float32).reshape(-1, 4), np.array(ignored, np.float32).reshape(-1, 4))


def answer(targets: npt.NDArray[np.float32], logit: float = 20) -> npt.NDArray[np.float32]:
    """Return the answer that gives exactly the centres and boxes of some targets."""
    left, top, right, bottom = np.moveaxis(targets[..., 3:], -1, 0)
    row, column = np.mgrid[: targets.shape[0], : targets.shape[1]] + 0.5
    with np.errstate(divide="ignore"):  # cells without a box
        sides = np.maximum(np.log([(right - left) / 4, (bottom - top) / 4]), -9)
    heat = np.where(targets[..., 0] == 1, logit, -logit)
    cells = np.stack([heat, (left + right) / 2 - column, (top + bottom) / 2 - row, *sides], axis=-1)
    return cells.astype(np.float32)


def test_heat_is_one_in_the_cell_of_a_centre_and_falls_off_like_a_bell() -> None:
    """A sign of 40 × 16 pixels, 5 × 2 strides, with its centre in the middle of cell (3, 5)."""
    targets = make_targets(crop([[24, 20, 64, 36]], []))
    assert targets.shape == (12, 12, 7)
    assert np.argwhere(targets[..., 0] == 1).tolist() == [[3, 5]]
    assert targets[3, 6, 0] == pytest.approx(np.exp(-0.5 * (1 / (5 * SIGMA)) ** 2))
    assert targets[4, 5, 0] == pytest.approx(np.exp(-0.5 * (1 / MIN_SIGMA) ** 2))
    assert (targets[..., 1] == 1).all()


def test_cells_in_the_middle_of_a_sign_learn_its_box() -> None:
    """Those at most a fifth of its width from the centre, 1 stride, and three quarters of a stride above and below."""
    targets = make_targets(crop([[20, 20, 68, 36]], []))  # 6 × 2 strides; 1.2 strides on each side
    assert np.argwhere(targets[..., 2] == 1).tolist() == [[3, 4], [3, 5], [3, 6]]
    assert targets[3, 4, 3:].tolist() == [2.5, 2.5, 8.5, 4.5]


def test_smaller_one_of_two_signs_at_the_same_place_is_learned() -> None:
    large, small = [8, 8, 88, 88], [44, 44, 60, 60]
    for boxes in ([large, small], [small, large]):
        assert (make_targets(crop(boxes, []))[6, 6, 3:] * 8).tolist() == small


def test_what_is_neither_sign_nor_background_has_no_weight() -> None:
    targets = make_targets(crop([], [[32, 32, 48, 48]]))
    assert np.argwhere(targets[..., 1] == 0).tolist() == [
        [row, column] for row in range(3, 7) for column in range(3, 7)
    ]
    assert (targets[..., [0, 2]] == 0).all()


def test_answer_of_the_targets_costs_nothing_and_is_decoded_to_the_sign() -> None:
    targets = make_targets(crop([[24, 20, 66, 39]], []))
    cells = answer(targets)
    assert float(detection_loss(targets[None], cells[None])) == pytest.approx(0, abs=1e-4)
    boxes, scores = find_peaks(cells, 0.3)
    assert boxes == pytest.approx(np.array([[24, 20, 66, 39]]), abs=1e-3)
    assert scores[0] > 0.99


def test_loss_of_a_missed_sign_of_a_false_alarm_and_of_a_wrong_box() -> None:
    """With probabilities of a half: the focal factors are a quarter; heat near a centre costs less."""
    targets = make_targets(crop([[28, 28, 36, 36]], []))
    cells = answer(targets)
    missed = cells.copy()
    missed[4, 4, 0] = 0
    assert float(detection_loss(targets[None], missed[None])) == pytest.approx(0.25 * np.log(2), abs=1e-3)
    for row, column in ((10, 10), (3, 4)):
        false = cells.copy()
        false[row, column, 0] = 0
        factor = (1 - targets[row, column, 0]) ** 4
        assert float(detection_loss(targets[None], false[None])) == pytest.approx(factor * 0.25 * np.log(2), abs=1e-3)
    wide = cells.copy()
    wide[targets[..., 2] == 1, 3] += np.log(2)  # all learn the box of the one sign, twice as wide
    assert float(detection_loss(targets[None], wide[None])) == pytest.approx(BOX_WEIGHT * 0.5, abs=1e-3)


def test_ignored_cells_cost_nothing() -> None:
    targets = make_targets(crop([], [[32, 32, 48, 48]]))
    cells = answer(targets)
    cells[4, 4, 0] = 20
    assert float(detection_loss(targets[None], cells[None])) == pytest.approx(0, abs=1e-4)
    cells[10, 10, 0] = 20
    assert float(detection_loss(targets[None], cells[None])) > 5


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        ([0, 0, 10, 10], 1),  # the same
        ([5, 0, 15, 10], 1 / 3),  # half of it in common; the box around both has no more than they have
        ([0, 0, 20, 20], 1 / 4),  # around it
        ([10, 0, 20, 10], 0),  # beside it
        ([20, 0, 30, 10], -1 / 3),  # away from it: a third of the box around both is empty
        ([10, 10, 20, 20], -1 / 2),  # corner to corner
    ],
)
def test_generalised_intersection_over_union(other: list[float], wanted: float) -> None:
    one, two = (np.array([box], np.float32) for box in ([0, 0, 10, 10], other))
    for pair in ((one, two), (two, one)):
        assert ops.convert_to_numpy(generalised_iou(*pair)) == pytest.approx([wanted], abs=1e-6)
