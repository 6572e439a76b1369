"""Drawn signs: each class has its own picture, boxes hold their signs, a written set can be written again."""

import csv
import hashlib
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from data.errors import SourceError
from data.tasks.traffic_sign.drawing import render
from data.tasks.traffic_sign.drawing.render import SIGN_COUNT, draw_example, draw_sign, write_drawn

EVERY_CLASS = range(SIGN_COUNT)


def on_white(sign: Image.Image) -> npt.NDArray[np.float64]:
    """Return the RGB pixels a reader sees on a white page."""
    ground = Image.new("RGBA", sign.size, "white")
    return np.asarray(Image.alpha_composite(ground, sign).convert("RGB"), np.float64)


def digests(folder: Path) -> dict[str, str]:
    """Return what lies in a folder, file by file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "drawn"
    write_drawn(folder, images_per_class=2, seed=5)
    return folder


@pytest.mark.parametrize("class_index", EVERY_CLASS)
@pytest.mark.parametrize("size", [16, 47, 96])
def test_every_class_is_drawn_on_a_transparent_ground_and_fills_the_side(class_index: int, size: int) -> None:
    sign = draw_sign(class_index, size)
    assert (sign.mode, sign.size) == ("RGBA", (size, size))
    opacity = np.asarray(sign.getchannel("A"))
    assert [opacity[y, x] for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
    assert opacity[size // 2, size // 2] == 255
    left, _, right, _ = sign.getchannel("A").getbbox() or (0, 0, 0, 0)
    assert right - left >= size - 2


def test_no_two_classes_look_alike() -> None:
    views = [on_white(draw_sign(class_index, 48)) for class_index in EVERY_CLASS]
    distances = {
        (one, other): float(np.abs(views[one] - views[other]).mean())
        for one, other in itertools.combinations(EVERY_CLASS, 2)
    }
    nearest = min(distances, key=lambda pair: distances[pair])
    assert distances[nearest] > 2.0, f"classes {nearest} differ by {distances[nearest]:.2f} of 255 only"


@pytest.mark.parametrize(("one", "other"), [(19, 20), (33, 34), (36, 37), (38, 39)])
def test_left_and_right_are_mirror_images(one: int, other: int) -> None:
    mirrored = on_white(draw_sign(other, 96))[:, ::-1]
    assert np.abs(on_white(draw_sign(one, 96)) - mirrored).mean() < 4


@pytest.mark.parametrize(
    ("class_index", "share_x", "share_y", "channel"),
    [
        (1, 0.5, 0.07, "red"),
        (14, 0.5, 0.15, "red"),
        (17, 0.5, 0.2, "red"),
        (35, 0.2, 0.6, "blue"),
        (38, 0.5, 0.1, "blue"),
    ],
)
def test_a_sign_has_its_colour(class_index: int, share_x: float, share_y: float, channel: str) -> None:
    red, green, blue = on_white(draw_sign(class_index, 100))[int(share_y * 100), int(share_x * 100)]
    strong, weak = (red, blue) if channel == "red" else (blue, red)
    assert strong > 2 * weak
    assert strong > green


@pytest.mark.parametrize("class_index", [-1, SIGN_COUNT, 1000])
def test_an_unknown_class_is_refused(class_index: int) -> None:
    with pytest.raises(ValueError, match="class index"):
        draw_sign(class_index, 32)
    with pytest.raises(ValueError, match="class index"):
        draw_example(class_index, np.random.default_rng(0))


def test_impossible_sizes_and_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 pixel"):
        draw_sign(0, 0)
    with pytest.raises(ValueError, match="at least 8 pixels"):
        draw_example(0, np.random.default_rng(0), size=7)
    with pytest.raises(ValueError, match="images_per_class"):
        write_drawn(tmp_path / "drawn", images_per_class=0, seed=0)
    with pytest.raises(ValueError, match="seed"):
        write_drawn(tmp_path / "drawn", images_per_class=1, seed=-1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("class_index", EVERY_CLASS)
def test_the_box_of_an_example_lies_inside_and_is_no_larger_than_a_sign_may_be(class_index: int) -> None:
    rng = np.random.default_rng(class_index)
    for _ in range(4):
        image, (left, top, right, bottom) = draw_example(class_index, rng)
        side = image.width
        assert (image.mode, image.size) == ("RGB", (side, side))
        assert render.MIN_SIDE <= side <= render.MAX_SIDE
        assert 0 <= left < right <= side
        assert 0 <= top < bottom <= side
        assert 0.6 * side <= max(right - left, bottom - top) <= 0.95 * side + 2


def test_the_box_of_an_example_holds_the_sign_and_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    # On an even ground and without a camera's faults, everything that is not ground is the sign.
    ground = np.array([0, 255, 0], np.float32)

    def even(_rng: np.random.Generator, side: int, _placed: object) -> npt.NDArray[np.float32]:
        return np.tile(ground, (side, side, 1))

    def faultless(scene: npt.NDArray[np.float32], _rng: np.random.Generator, size: int) -> Image.Image:
        image = Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))
        return image.resize((size, size), Image.Resampling.BOX)

    monkeypatch.setattr(render, "_draw_surroundings", even)
    monkeypatch.setattr(render, "_expose", faultless)
    monkeypatch.setattr(render, "_illumination", lambda _rng, _side: np.ones((1, 1, 1), np.float32))
    for class_index in EVERY_CLASS:
        image, box = draw_example(class_index, np.random.default_rng(class_index), size=80)
        pixels = np.asarray(image, np.float32)
        sign = pixels[:, :, [0, 2]].max(axis=2) > 8
        rows, columns = np.flatnonzero(sign.any(axis=1)), np.flatnonzero(sign.any(axis=0))
        seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.abs(np.subtract(seen, box)).max() <= 2, f"class {class_index}: {box} around {seen}"


def test_an_example_depends_on_its_seed_and_on_nothing_else() -> None:
    one, one_box = draw_example(25, np.random.default_rng(3))
    draw_example(7, np.random.default_rng(9))
    same, same_box = draw_example(25, np.random.default_rng(3))
    other, _ = draw_example(25, np.random.default_rng(4))
    assert (one.tobytes(), one_box) == (same.tobytes(), same_box)
    assert other.tobytes() != one.tobytes()


def test_the_43_are_drawn_as_ever() -> None:
    # Whoever changes this on purpose raises DRAWING_VERSION too.
    frontal = hashlib.sha256()
    for class_index in EVERY_CLASS:
        frontal.update(draw_sign(class_index, 48).tobytes())
    assert frontal.hexdigest() == "7e708fc67567145986f3df5369934289e9629c0139ab381e227aa3e7e05d1103"
    seen = hashlib.sha256()
    for class_index in (0, 13, 17, 25, 42):
        for seed in range(12):
            image, box = draw_example(class_index, np.random.default_rng((seed, class_index)), size=40)
            seen.update(image.tobytes() + repr(box).encode())
    image, _ = draw_example(3, np.random.default_rng(1))
    seen.update(image.tobytes())
    assert seen.hexdigest() == "11e3703e02f7f77b102b1074936019e99527bf1f301a4c9eb8c8990452ec82b4"


def test_no_example_is_so_dark_or_so_bright_that_nothing_can_be_seen() -> None:
    for seed in range(150):
        image, box = draw_example(seed % SIGN_COUNT, np.random.default_rng(seed), size=32)
        sign = np.asarray(image.crop(box), np.float64)
        assert 10 < sign.mean() < 252, f"seed {seed}"
        assert sign.std() > 2, f"seed {seed}"


def test_an_example_has_the_side_asked_for() -> None:
    assert draw_example(0, np.random.default_rng(0), size=200)[0].size == (200, 200)


def test_a_written_set_has_the_layout_of_the_kaggle_archive(written: Path) -> None:
    with (written / "Train.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert list(rows[0]) == ["Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId", "Path"]
    expected = [f"Train/{c}/{c:05d}_{track:05d}_00000.png" for c in EVERY_CLASS for track in range(2)]
    assert [row["Path"] for row in rows] == expected
    assert sorted(digests(written)) == sorted([*expected, "ORIGIN", "Train.csv"])
    for row in rows:
        assert int(row["ClassId"]) == int(Path(row["Path"]).parent.name)
        with Image.open(written / row["Path"]) as image:
            assert (image.mode, image.size) == ("RGB", (int(row["Width"]), int(row["Height"])))
        assert 0 <= int(row["Roi.X1"]) < int(row["Roi.X2"]) <= int(row["Width"])
        assert 0 <= int(row["Roi.Y1"]) < int(row["Roi.Y2"]) <= int(row["Height"])


def test_a_written_set_says_that_it_is_drawn_and_leaves_nothing_beside_it(written: Path) -> None:
    version = render.DRAWING_VERSION
    assert (written / "ORIGIN").read_text() == f"drawn seed=5 images_per_class=2 version={version}\n"
    assert list(written.parent.iterdir()) == [written]


def test_the_same_seed_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_drawn(tmp_path / "again", images_per_class=2, seed=5)
    assert digests(tmp_path / "again") == digests(written)


def test_a_set_that_is_there_is_not_written_again(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("an example was drawn")

    monkeypatch.setattr(render, "draw_example", never)
    write_drawn(written, images_per_class=2, seed=5)


def test_drawings_of_another_seed_are_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    folder.mkdir()
    write_drawn(folder, images_per_class=1, seed=1)
    before = digests(folder)
    write_drawn(folder, images_per_class=1, seed=2)
    after = digests(folder)
    assert after.keys() == before.keys()
    assert after["Train/0/00000_00000_00000.png"] != before["Train/0/00000_00000_00000.png"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "Train.csv").write_text("mine")
    with pytest.raises(SourceError, match="something other than drawings"):
        write_drawn(tmp_path / "photographs", images_per_class=1, seed=1)
    assert (tmp_path / "photographs" / "Train.csv").read_text() == "mine"


def test_a_failure_midway_leaves_no_set_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(render, "draw_example", full)
    with pytest.raises(OSError, match="no space left"):
        write_drawn(tmp_path / "drawn", images_per_class=1, seed=1)
    assert list(tmp_path.iterdir()) == []
