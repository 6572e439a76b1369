"""Drawn outliers."""

import numpy as np

from data.tasks.traffic_sign.drawing.other_signs import TESTING
from data.tasks.traffic_sign.outliers import draw_other_signs, draw_scenes

SIZE = (48, 48)


def test_drawn_outliers_have_the_requested_count_and_differ() -> None:
    signs, scenes = draw_other_signs(SIZE, TESTING, 6, seed=0), draw_scenes(SIZE, 6, seed=0)
    assert signs.shape == scenes.shape == (6, *SIZE, 3)
    assert len(np.unique([*signs, *scenes], axis=0)) == 12
    assert draw_scenes(SIZE, 0, seed=0).shape == (0, *SIZE, 3)
