"""The corruptions, on drawn signs."""

import numpy as np
import numpy.typing as npt
import pytest

from data.tasks.traffic_sign.outliers import draw_signs
from model.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt

DEFOCUS_RADIUS = 0.025  # of severity 2, as a fraction of the width


@pytest.fixture(scope="module")
def signs() -> npt.NDArray[np.uint8]:
    return draw_signs((48, 48), np.arange(43), seed=3)


def test_pictures_of_odd_sizes_can_be_corrupted(signs: npt.NDArray[np.uint8]) -> None:
    for name in CORRUPTIONS:
        assert corrupt(signs[:2, :47, :45], name, 3).shape == (2, 47, 45, 3)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_higher_severity_changes_pictures_more(signs: npt.NDArray[np.uint8], name: str) -> None:
    corrupted = [corrupt(signs, name, severity) for severity in SEVERITIES]
    assert all(pixels.shape == signs.shape and pixels.dtype == np.uint8 for pixels in corrupted)
    difference = [float(np.abs(pixels.astype(float) - signs).mean()) for pixels in corrupted]
    assert difference == sorted(difference)
    assert difference[0] > 0.5
    assert np.array_equal(corrupted[2], corrupt(signs, name, 3))


@pytest.mark.parametrize(("height", "width"), [(48, 48), (47, 45)])
def test_defocus_equals_a_direct_convolution_with_a_disc(signs: npt.NDArray[np.uint8], height: int, width: int) -> None:
    pictures = signs[:, :height, :width]
    radius, reach = DEFOCUS_RADIUS * width, 2
    padded = np.pad(pictures.astype(float), ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    offsets = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    weights = [max(0.0, min(1.0, radius + 0.5 - float(np.hypot(y, x)))) for y, x in offsets]
    blurred = sum(
        weight * padded[:, reach + y : reach + y + height, reach + x : reach + x + width]
        for (y, x), weight in zip(offsets, weights, strict=True)
    ) / sum(weights)
    # At most half a grey level from rounding, and a little from single precision.
    assert np.abs(corrupt(pictures, "defocus", 2) - blurred).max() < 0.501


def test_motion_blurs_along_one_direction_only() -> None:
    """A dot becomes a symmetric line with its centre at the dot; its length is 12% of the width at severity 3."""
    dot = np.zeros((8, 48, 48, 3), np.uint8)
    dot[:, 24, 24] = 255
    for picture in corrupt(dot, "motion", 3).astype(float).mean(axis=3):
        y, x = np.nonzero(picture)
        weights = picture[y, x]
        covariance = np.cov(np.stack([y, x]), aweights=weights)
        across, along = np.linalg.eigvalsh(covariance)
        assert (np.average(y, weights=weights), np.average(x, weights=weights)) == pytest.approx((24, 24), abs=0.1)
        assert across < 0.5
        assert along == pytest.approx((0.12 * 48) ** 2 / 12, rel=0.35)
