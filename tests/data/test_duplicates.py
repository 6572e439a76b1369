"""Pictures that are there twice."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageEnhance, ImageOps

from data.duplicates import ALTERED, EXACT, NEAR, find_links, main, merge_groups
from data.images import decode
from data.prepare import prepare
from data.source import open_source
from data.split import split_by_group
from data.task import Task
from tests.conftest import ROOT, encoded

SIZE = (128, 128)
COUNT = 16


def photo(seed: int, size: tuple[int, int] = (240, 200)) -> Image.Image:
    """Return a picture with structure at all scales, as photos have it; different for each seed."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((size[1], size[0], 3), np.float32)
    for cells in (2, 4, 8, 16, 32):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        canvas += np.asarray(noise, np.float32) * 1.2 / cells**0.5
    canvas = (canvas - canvas.min()) / np.ptp(canvas) * 255
    return Image.fromarray(canvas.astype(np.uint8))


def pixels_of(pictures: list[Image.Image]) -> npt.NDArray[np.uint8]:
    return np.stack([decode(encoded(picture), SIZE) for picture in pictures])


def turned(image: Image.Image) -> Image.Image:
    return image.rotate(17, Image.Resampling.BICUBIC)


def enlarged(image: Image.Image) -> Image.Image:
    return image.crop((40, 30, 220, 180)).resize(image.size, Image.Resampling.BICUBIC)


def darker_and_greyer(image: Image.Image) -> Image.Image:
    return ImageEnhance.Color(ImageEnhance.Brightness(enlarged(image)).enhance(0.6)).enhance(0.3)


def mirrored_and_turned(image: Image.Image) -> Image.Image:
    return turned(ImageOps.mirror(image))


def as_jpeg(image: Image.Image) -> Image.Image:
    return Image.fromarray(decode(encoded(image, "JPEG", quality=40), (image.height, image.width)))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda image: image, EXACT),
        (as_jpeg, NEAR),
        (lambda image: image.resize((90, 80)), NEAR),
        (ImageOps.mirror, NEAR),
        (lambda image: ImageEnhance.Brightness(image).enhance(0.7), NEAR),
        (turned, ALTERED),
        (enlarged, ALTERED),
        (darker_and_greyer, ALTERED),
        (mirrored_and_turned, ALTERED),
    ],
)
def test_copies_are_linked_to_their_photo_and_to_no_other(
    change: Callable[[Image.Image], Image.Image], kind: int
) -> None:
    photos = [photo(seed) for seed in range(COUNT)]
    pixels = pixels_of([*photos, *map(change, photos)])
    links = find_links(pixels, [str(row) for row in range(len(pixels))])
    assert sorted(links[:, :2].tolist()) == [[row, row + COUNT] for row in range(COUNT)]
    assert set(links[:, 2].tolist()) == {kind}


def test_flat_pictures_and_very_few_pictures_are_no_problem() -> None:
    flat = np.stack([np.full((*SIZE, 3), value, np.uint8) for value in (0, 90, 255)])
    assert len(find_links(flat, ["a", "b", "c"])) == 0
    assert len(find_links(flat[:1], ["a"])) == 0
    assert find_links(flat[[1, 1]], ["a", "b"]).tolist() == [[0, 1, EXACT]]


def test_linked_pictures_get_one_group_also_through_others() -> None:
    links = np.array([[0, 1, EXACT], [2, 3, NEAR], [3, 4, ALTERED]])
    groups, paths = ["d", "a", "b", "c", "d", "e"], ["0", "1", "2", "3", "4", "5"]
    after, report = merge_groups(links, groups, np.array([0, 0, 0, 0, 1, 1]), paths)
    assert after == ["a", "a", "a", "a", "a", "e"]  # 0 and 4 were of one group already
    assert (report.exact, report.near, report.altered) == (1, 1, 1)
    assert (report.groups_before, report.groups) == (5, 2)
    assert report.across_classes == (("2", "3", "4"),)
    assert report.across_groups == (("0", "1"), ("2", "3", "4"))
    text = "\n".join(report.lines("track"))
    assert "5 tracks become 2" in text
    assert "in several classes: 1 sets of pictures\n  2, 3, 4" in text
    assert report.to_json()["examples_across_classes"] == ["2, 3, 4"]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Class folders for the task `shapes`: 12 photos with an altered copy each, one of them in the other class."""
    folder = tmp_path / "copies"
    for seed in range(12):
        name = ("round", "triangular")[seed % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{seed}.png").write_bytes(encoded(photo(seed)))
        other = "round" if seed == 1 else name
        (folder / other / f"copy of {seed}.png").write_bytes(encoded(enlarged(photo(seed))))
    return folder


def test_copies_never_stand_on_both_sides_of_a_split(shapes: Task, copies: Path, tmp_path: Path) -> None:
    task = replace(shapes, input_size=SIZE)
    prepared = prepare(open_source(copies, task), task, tmp_path / "cache")
    assert prepared.duplicates is not None
    assert prepared.duplicates.altered == 12
    assert prepared.duplicates.across_classes == (("round/copy of 1.png", "triangular/1.png"),)
    assert len(set(prepared.groups)) == 12
    training, validation = split_by_group(prepared.class_index, prepared.groups, 0.25, seed=0)
    assert not set(prepared.groups[training]) & set(prepared.groups[validation])
    again = prepare(open_source(copies, task), task, tmp_path / "cache")  # from the cache
    assert again.duplicates == prepared.duplicates
    assert again.groups.tolist() == prepared.groups.tolist()
    without = replace(task, data=replace(task.data, duplicates=False))
    plain = prepare(open_source(copies, without), without, tmp_path / "cache")
    assert len(set(plain.groups)) == 24
    assert plain.duplicates is None


def test_the_command_prints_duplicates_and_how_many_of_the_named_groups_it_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for name in ("pizza", "not_pizza"):
        (data / name).mkdir(parents=True)
        for seed in range(3):
            (data / name / f"{seed}.png").write_bytes(encoded(photo(seed + 10 * len(name))))
    (data / "pizza" / "again.jpg").write_bytes((data / "not_pizza" / "1.png").read_bytes())
    options = ["--task", "pizza", "--data", str(data), "--store", str(tmp_path / "store")]
    assert main(options) == 0
    printed = capsys.readouterr().out
    assert "1 identical" in printed
    assert "in several classes: 1 sets of pictures\n  not_pizza/1.png, pizza/again.jpg" in printed
    assert main([*options, "--ignore-names"]) == 0
    assert "1 links join different photos" in capsys.readouterr().out
    (data / "pizza" / "text.png").write_bytes(b"no picture")
    assert main(options) == 1
    assert "error: " in capsys.readouterr().err


def test_the_command_explains_its_options() -> None:
    command = [sys.executable, "-m", "data.duplicates", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--ignore-names" in result.stdout
