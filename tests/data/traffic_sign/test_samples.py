"""The pictures that the page shows: all there, and each the right one."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from data.task import Task
from data.tasks.traffic_sign.drawing.render import draw_sign
from data.tasks.traffic_sign.drawing.samples import SAMPLES, SIGN_SIDE, write_samples
from tests.conftest import ROOT

PAGE = ROOT / "ui"


def on(ground: str, sign: Image.Image) -> npt.NDArray[np.float64]:
    """Return the RGB pixels that a reader sees on a page of this colour."""
    page = Image.new("RGBA", sign.size, ground)
    return np.asarray(Image.alpha_composite(page, sign.convert("RGBA")).convert("RGB"), np.float64)


def test_page_has_a_sign_for_each_label_and_they_load_fast(task: Task) -> None:
    files = sorted((PAGE / "static" / "signs").iterdir())
    assert [path.name for path in files] == [f"{label.index:02}.webp" for label in task.labels]
    assert sum(path.stat().st_size for path in files) < 500_000


@pytest.mark.parametrize("class_index", range(43))
def test_sign_of_the_page_is_that_of_its_class_on_a_transparent_ground(class_index: int) -> None:
    with Image.open(PAGE / "static" / "signs" / f"{class_index:02}.webp") as file:
        sign = file.convert("RGBA")
    assert sign.size == (SIGN_SIDE, SIGN_SIDE)
    opacity = np.asarray(sign.getchannel("A"))
    assert [opacity[y, x] for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
    for ground in ("white", "#0e1117"):
        assert (
            np.abs(on(ground, sign) - on(ground, draw_sign(class_index, SIGN_SIDE))).mean() < 1.5
        )  # no two classes are that alike


@pytest.mark.parametrize("class_index", range(43))
@pytest.mark.parametrize("ground", ["white", "#0e1117"])
def test_rim_of_a_sign_stands_out_from_a_light_and_from_a_dark_page(class_index: int, ground: str) -> None:
    with Image.open(PAGE / "static" / "signs" / f"{class_index:02}.webp") as file:
        seen = on(ground, file)
    middle = seen[SIGN_SIDE * 4 // 5] if class_index != 13 else seen[SIGN_SIDE // 5]
    contrast = np.abs(middle - middle[0]).max(axis=1)
    first = int(np.flatnonzero(contrast > 8)[0])
    assert contrast[first : first + 6].max() > 60


def test_pictures_of_the_page_can_be_drawn_anew(tmp_path: Path) -> None:
    write_samples(tmp_path)
    drawn = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert drawn == {
        "icon.png",
        *(f"static/samples/{name}.png" for name in SAMPLES),
        *(f"static/signs/{class_index:02}.webp" for class_index in range(43)),
    }
