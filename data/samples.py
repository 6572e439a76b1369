"""Write the sample pictures and the icon of the page: `python -m data.samples ui`."""

import sys
from pathlib import Path

import numpy as np

from data.render import draw_example, draw_sign

SIDE = 160
ICON_SIDE, ICON_CLASS = 64, 14
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
    """Draw the icon into a folder and each of `SAMPLES`, `SIDE` × `SIDE` pixels, into `samples` below it; all PNG."""
    draw_sign(ICON_CLASS, ICON_SIDE).save(folder / "icon.png", optimize=True)
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    for name, (class_index, seed) in SAMPLES.items():
        image, _ = draw_example(class_index, np.random.default_rng(seed), SIDE)
        image.save(folder / "samples" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]))
