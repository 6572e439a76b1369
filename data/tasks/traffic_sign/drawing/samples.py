"""Draw the page's pictures (icon, samples, signs): `python -m data.tasks.traffic_sign.drawing.samples ui`."""

import sys
from pathlib import Path

import numpy as np

from data.tasks.traffic_sign.drawing.render import SIGN_COUNT, draw_example, draw_sign
from data.tasks.traffic_sign.drawing.street import COUNTRY, TOWN, draw_street

SIDE = 160
ICON_SIDE, ICON_CLASS = 64, 14
SIGN_SIDE = 240  # pixels; shown at half that size or less, so that it is sharp on high-density screens
# name: (class index, seed); the seeds give pictures that are easy to recognise
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
SCENES = {"town": (TOWN, 3, True), "country": (COUNTRY, 5, False)}  # name: (posts, seed, whether there are houses)


def write_samples(folder: Path) -> None:
    """Write the page's pictures to a folder.

    Args:
        folder: folder for `icon.png`; `static/traffic_sign/samples/<name>.png`, `SAMPLES` as in photos, and
            `<name>.jpg`, the street scenes; and `static/traffic_sign/drawings/<class index in two digits>.webp`, all
            classes, seen from the front on a transparent background. WebP takes half the space of PNG.
    """
    draw_sign(ICON_CLASS, ICON_SIDE).save(folder / "icon.png", optimize=True)
    samples, signs = (folder / "static" / "traffic_sign" / kind for kind in ("samples", "drawings"))
    samples.mkdir(parents=True, exist_ok=True)
    for name, (class_index, seed) in SAMPLES.items():
        image, _ = draw_example(class_index, np.random.default_rng(seed), SIDE)
        image.save(samples / f"{name}.png", optimize=True)
    for name, (posts, seed, houses) in SCENES.items():
        draw_street(posts, seed, houses=houses).save(samples / f"{name}.jpg", quality=88, optimize=True)
    signs.mkdir(parents=True, exist_ok=True)
    for class_index in range(SIGN_COUNT):
        draw_sign(class_index, SIGN_SIDE).save(signs / f"{class_index:02}.webp", lossless=True, method=6)


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]))
