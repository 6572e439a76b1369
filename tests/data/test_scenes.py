"""Reading scenes with boxes: both layouts, from folders and archives, and damaged tables."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import SourceError
from data.scenes import find_scenes, open_scenes
from data.task import Task
from tests.conftest import drawing

SIZE = (160, 120)  # width, height
SIGN = drawing(14, 40)


def scene(number: int) -> Image.Image:
    image = Image.new("RGB", SIZE, (60 + number, 90, 120))
    image.paste(SIGN, (30, 20))
    return image


@pytest.fixture
def official(tmp_path: Path) -> Path:
    folder = tmp_path / "TrainIJCNN2013"
    folder.mkdir()
    for number in range(3):
        scene(number).save(folder / f"{number:05d}.ppm")
    (folder / "gt.txt").write_text("00000.ppm;34;24;65;55;14\n00000.ppm;100;10;119;29;1\n00002.ppm;34;24;65;55;14\n")
    (folder / "14").mkdir()  # the official archive also has crops of the signs
    SIGN.save(folder / "14" / "00000.ppm")
    return folder


@pytest.fixture
def as_json(tmp_path: Path) -> Path:
    folder = tmp_path / "gtsdb"
    (folder / "images").mkdir(parents=True)
    for number in range(3):
        scene(number).save(folder / "images" / f"{number:05d}.jpg", quality=95)
    sign = {"left": 34, "top": 24, "right": 65, "bottom": 55, "objectId": 14}
    other = {"left": 100, "top": 10, "right": 119, "bottom": 29, "objectId": 1}
    (folder / "gt.json").write_text(json.dumps({"0": [sign, other], "2": [sign]}))
    return folder


def test_both_layouts_give_the_same_boxes(official: Path, as_json: Path, task: Task) -> None:
    one, other = open_scenes(official, task), open_scenes(as_json, task)
    assert [scene.boxes for scene in one.scenes] == [scene.boxes for scene in other.scenes]
    assert one.scenes[0].boxes == ((34, 24, 66, 56), (100, 10, 120, 30))
    assert one.scenes[0].class_index == (14, 1)
    assert one.scenes[1].boxes == ()


def test_archive_is_read_without_unpacking(official: Path, task: Task, tmp_path: Path) -> None:
    archive = tmp_path / "TrainIJCNN2013.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in official.rglob("*"):
            file.write(path, f"TrainIJCNN2013/{path.relative_to(official)}")
    assert len(open_scenes(archive, task).scenes) == 3
    assert open_scenes(archive, task).fingerprint == open_scenes(official, task).fingerprint


def test_scenes_of_the_official_test_part_are_never_read(official: Path, task: Task) -> None:
    assert task.scenes is not None
    scene(9).save(official / f"{task.scenes.count:05d}.ppm")
    (official / "gt.txt").write_text(f"00000.ppm;34;24;65;55;14\n{task.scenes.count:05d}.ppm;34;24;65;55;14\n")
    assert [scene.path for scene in open_scenes(official, task).scenes] == ["00000.ppm", "00001.ppm", "00002.ppm"]


def test_neighbouring_scenes_share_a_group(official: Path, task: Task) -> None:
    assert task.scenes is not None
    fine = dataclasses.replace(task, scenes=dataclasses.replace(task.scenes, group_size=2))
    groups = [scene.group for scene in open_scenes(official, fine).scenes]
    assert groups[0] == groups[1] != groups[2]


def test_decoded_scenes_come_from_the_cache_the_second_time(official: Path, task: Task, tmp_path: Path) -> None:
    source = open_scenes(official, task)
    first = source.decode(tmp_path / "cache")
    assert first.shape == (3, SIZE[1], SIZE[0], 3)
    assert np.array_equal(first[1], np.asarray(scene(1)))
    decoded: list[int] = []

    def count(items: object, total: int) -> object:
        decoded.append(total)
        return items

    again = source.decode(tmp_path / "cache", count)  # type: ignore[arg-type]
    assert np.array_equal(first, again)
    assert decoded == []


def test_scenes_of_different_sizes_are_an_error(official: Path, task: Task, tmp_path: Path) -> None:
    Image.new("RGB", (80, 80)).save(official / "00001.ppm")
    with pytest.raises(SourceError, match=r"00001\.ppm: all scenes must have the same size, 160 × 120"):
        open_scenes(official, task).decode(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("00000.ppm;34;24;65;14", "line 1: not NAME;left;top;right;bottom;class"),
        ("00000.ppm;34,24,65,55,14", "line 1: not NAME;left;top;right;bottom;class"),
        ("00007.ppm;34;24;65;55;14", "the picture of scene 7 is missing"),
        ("00000.ppm;34;24;65;55;43", "scene 0: there is no class 43"),
        ("00000.ppm;65;24;34;55;14", "scene 0: the box"),
    ],
)
def test_damaged_table_is_an_error_that_names_it(official: Path, task: Task, table: str, message: str) -> None:
    (official / "gt.txt").write_text(table)
    with pytest.raises(SourceError, match=message) as raised:
        open_scenes(official, task)
    assert "gt.txt" in str(raised.value)


def test_damaged_json_is_an_error_that_names_it(as_json: Path, task: Task) -> None:
    good = {"left": 34, "top": 24, "right": 65, "bottom": 55, "objectId": 14}
    as_text, as_key = json.dumps({"0": [good]}), json.dumps([good])
    for table, message in (
        (as_text.replace("14", '"14"'), "not all values are integers: .*'objectId': '14'"),
        (as_text.replace("65", "65.5"), "not all values are integers"),
        (as_text.replace("34", "true"), "not all values are integers"),
        (as_text.replace('"top"', '"up"'), "KeyError: 'top'"),
        (f'{{"0": {as_key}, "00000": {as_key}}}', "scene 0 is there twice"),
        (f'{{"0": {as_key}, "0": {as_key}}}', "'0' is there twice in one object"),
        (f'{{"sign": {as_key}}}', "invalid literal"),
        (as_key, "'list' object has no attribute"),
    ):
        (as_json / "gt.json").write_text(table)
        with pytest.raises(SourceError, match=message) as raised:
            open_scenes(as_json, task)
        assert "gt.json: " in str(raised.value)


@pytest.mark.parametrize("row", ["00000.ppm;-1;24;65;55;14", "00000.ppm;34;24;160;55;14", "00000.ppm;34;24;65;120;14"])
def test_box_outside_its_picture_is_an_error_that_names_it(
    official: Path, task: Task, tmp_path: Path, row: str
) -> None:
    (official / "gt.txt").write_text(row)
    source = open_scenes(official, task)
    for decode in (lambda: source.decode(tmp_path / "cache"), lambda: source.decode_photo(0, 1_000_000)):
        with pytest.raises(SourceError, match=r"00000\.ppm: the labelled box .* is not inside its 160 × 120 pixels"):
            decode()


@pytest.mark.parametrize("name", ["0.ppm", "images/00000.png"])
def test_picture_that_is_there_twice_is_an_error_that_names_both(official: Path, task: Task, name: str) -> None:
    (official / "images").mkdir()
    scene(1).save(official / name)
    with pytest.raises(SourceError, match="scene 0 is there twice, ") as raised:
        open_scenes(official, task)
    assert "00000.ppm" in str(raised.value)
    assert name in str(raised.value)


def test_blank_last_row_is_ignored(official: Path, task: Task) -> None:
    (official / "gt.txt").write_text("00000.ppm;34;24;65;55;14\n;;;;;\n\n")
    assert len(open_scenes(official, task).scenes[0].boxes) == 1


def test_folder_without_scenes_is_an_error(tmp_path: Path, task: Task) -> None:
    with pytest.raises(SourceError, match=r"no scenes \(gt\.txt or gt\.json"):
        open_scenes(tmp_path, task)
    (tmp_path / "gt.txt").write_text("")  # a table without its pictures
    with pytest.raises(SourceError, match=r"no scenes \(gt\.txt or gt\.json"):
        open_scenes(tmp_path, task)


def test_scenes_are_found_in_the_store(official: Path, task: Task, tmp_path: Path) -> None:
    found = find_scenes(task, official.parent)
    assert found is not None
    assert len(found.scenes) == 3
    (tmp_path / "empty").mkdir()
    assert find_scenes(task, tmp_path / "empty") is None


def test_task_without_scenes_says_so(official: Path, shapes: Task) -> None:
    assert find_scenes(shapes, official.parent) is None
    with pytest.raises(SourceError, match="the task shapes has no scenes"):
        open_scenes(official, shapes)
