"""Write the sample pictures of the page: `python -m data.samples ui/samples`."""

import sys
from pathlib import Path

import numpy as np

from data.render import draw_example

SIDE = 160
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
    """Draw each of `SAMPLES` as a PNG of `SIDE` × `SIDE` pixels into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (class_index, seed) in SAMPLES.items():
        image, _ = draw_example(class_index, np.random.default_rng(seed), SIDE)
        image.save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]))
