"""The pictures of the page are complete and correct."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from data.task import Task
from data.tasks.traffic_sign.drawing.render import draw_sign
from data.tasks.traffic_sign.drawing.samples import SAMPLES, SCENES, SIGN_SIDE, write_samples
from tests.conftest import ROOT

PAGE = ROOT / "ui"


def on_page(colour: str, sign: Image.Image) -> npt.NDArray[np.float64]:
    """Return the RGB pixels of a sign on a page of this colour."""
    page = Image.new("RGBA", sign.size, colour)
    return np.asarray(Image.alpha_composite(page, sign.convert("RGBA")).convert("RGB"), np.float64)


def test_page_has_a_small_picture_of_each_sign(task: Task) -> None:
    files = sorted((PAGE / "static" / "traffic_sign" / "drawings").iterdir())
    assert [path.name for path in files] == [f"{label.index:02}.webp" for label in task.labels]
    assert sum(path.stat().st_size for path in files) < 500_000


@pytest.mark.parametrize("class_index", range(43))
def test_page_shows_the_right_sign_on_a_transparent_background(class_index: int) -> None:
    with Image.open(PAGE / "static" / "traffic_sign" / "drawings" / f"{class_index:02}.webp") as file:
        sign = file.convert("RGBA")
    assert sign.size == (SIGN_SIDE, SIGN_SIDE)
    opacity = np.asarray(sign.getchannel("A"))
    assert [opacity[y, x] for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
    for colour in ("white", "#0e1117"):
        difference = np.abs(on_page(colour, sign) - on_page(colour, draw_sign(class_index, SIGN_SIDE))).mean()
        assert difference < 1.5  # smaller than between any two classes


@pytest.mark.parametrize("class_index", range(43))
@pytest.mark.parametrize("colour", ["white", "#0e1117"])
def test_rim_of_a_sign_is_visible_on_light_and_dark_pages(class_index: int, colour: str) -> None:
    with Image.open(PAGE / "static" / "traffic_sign" / "drawings" / f"{class_index:02}.webp") as file:
        pixels = on_page(colour, file)
    row = pixels[SIGN_SIDE * 4 // 5] if class_index != 13 else pixels[SIGN_SIDE // 5]
    contrast = np.abs(row - row[0]).max(axis=1)
    first = int(np.flatnonzero(contrast > 8)[0])
    assert contrast[first : first + 6].max() > 60


def test_all_pictures_of_the_page_are_written(tmp_path: Path) -> None:
    write_samples(tmp_path)
    drawn = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert drawn == {
        "icon.png",
        *(f"static/traffic_sign/samples/{name}.png" for name in SAMPLES),
        *(f"static/traffic_sign/samples/{name}.jpg" for name in SCENES),
        *(f"static/traffic_sign/drawings/{class_index:02}.webp" for class_index in range(43)),
    }
