"""Draw the pictures of the page (icon, samples, signs): `python -m data.tasks.traffic_sign.drawing.samples ui`."""

import sys
from pathlib import Path

import numpy as np

from data.tasks.traffic_sign.drawing.render import SIGN_COUNT, draw_example, draw_sign

SIDE = 160
ICON_SIDE, ICON_CLASS = 64, 14
SIGN_SIDE = 240  # shown at half of that or less, so it is sharp on dense screens too
# name: (class index, seed); the seeds are those whose pictures can be read at a glance
SAMPLES = {
    "speed_limit_30": (1, 4),
    "stop": (14, 2),
    "yield": (13, 0),
    "priority_road": (12, 10),
    "road_work": (25, 12),
    "wild_animals": (31, 9),
    "roundabout": (40, 8),
    "end_of_limits": (32, 7),
}


def write_samples(folder: Path) -> None:
    """Draw all pictures of the page into a folder, as PNG, and the signs as WebP, which is half as long.

    The icon goes to `icon.png`; what browsers may ask for below `static`: each of `SAMPLES`, as a camera may see it, to
    `samples`, and each class, frontal on a transparent ground, to its index in two digits in `signs`.
    """
    draw_sign(ICON_CLASS, ICON_SIDE).save(folder / "icon.png", optimize=True)
    samples, signs = folder / "static" / "samples", folder / "static" / "signs"
    samples.mkdir(parents=True, exist_ok=True)
    for name, (class_index, seed) in SAMPLES.items():
        image, _ = draw_example(class_index, np.random.default_rng(seed), SIDE)
        image.save(samples / f"{name}.png", optimize=True)
    signs.mkdir(parents=True, exist_ok=True)
    for class_index in range(SIGN_COUNT):
        draw_sign(class_index, SIGN_SIDE).save(signs / f"{class_index:02}.webp", lossless=True, method=6)


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]))
