"""Frames: crops of single signs put into larger pictures, as in people's photos."""

import numpy as np

from data.images import Pixels

RATIOS = ((3, 4), (4, 3), (9, 16), (16, 9))  # width, height
SHARES = (1.0, 0.7, 0.5, 0.35, 0.2)  # of the frame's shorter side that the crop's longer side takes


def frame(crop: Pixels, ratio: tuple[int, int], share: float, surroundings: Pixels, rng: np.random.Generator) -> Pixels:
    """Put a crop, in its own resolution, at a random place of a frame.

    Args:
        crop: shape (height, width, 3), uint8.
        ratio: width and height of the frame, in any unit.
        share: of the frame's shorter side that the crop's longer side takes, in (0, 1].
        surroundings: what fills the frame, shape (rows, columns, 3), uint8; repeated if it is smaller than the frame.
        rng: random generator.

    Returns:
        Shape (frame height, frame width, 3), uint8.
    """
    height, width = crop.shape[:2]
    unit = max(height, width) / share / min(ratio)
    frame_width, frame_height = (
        max(round(unit * side), extent) for side, extent in zip(ratio, (width, height), strict=True)
    )
    rows, columns = surroundings.shape[:2]
    repeats = -(-frame_height // rows), -(-frame_width // columns), 1
    picture = np.tile(surroundings, repeats)
    y = int(rng.integers(picture.shape[0] - frame_height + 1))
    x = int(rng.integers(picture.shape[1] - frame_width + 1))
    picture = picture[y : y + frame_height, x : x + frame_width].copy()
    y, x = int(rng.integers(frame_height - height + 1)), int(rng.integers(frame_width - width + 1))
    picture[y : y + height, x : x + width] = crop
    return picture
