"""A task with class folders and without an extension."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data.errors import SourceError
from data.images import FORMATS, Picture
from data.prepare import prepare
from data.source import describe_gaps, find_source, open_source
from data.split import split_by_group
from data.task import Task
from tests.conftest import drawing, encoded


def test_class_folders_are_a_training_set_with_one_group_per_picture(shapes: Task, pictures: Path) -> None:
    source = open_source(pictures, shapes)
    assert [example.class_index for example in source.examples] == [0] * 8 + [1] * 8
    assert len({example.group for example in source.examples}) == 16
    assert source.origin == "Test shapes"
    assert describe_gaps(source, shapes) == []


def test_class_folders_are_read_from_an_archive(shapes: Task, pictures: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "shapes"), "zip", pictures))
    assert zipfile.is_zipfile(archive)
    assert open_source(archive, shapes).fingerprint == open_source(pictures, shapes).fingerprint
    assert find_source(shapes, tmp_path).files.location == archive


def test_error_says_how_to_provide_missing_class_folders(shapes: Task, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--task shapes --data PATH") as caught:
        find_source(shapes, tmp_path)
    assert "drawn" not in str(caught.value)
    assert "--download" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no pictures in folders named after their classes"):
        open_source(tmp_path / "empty", shapes)


def test_class_folders_can_be_split_and_the_default_box_is_the_whole_picture(
    shapes: Task, pictures: Path, tmp_path: Path
) -> None:
    prepared = prepare(open_source(pictures, shapes), shapes, tmp_path / "cache")
    assert prepared.pixels.shape == (16, 24, 24, 3)
    training, validation = split_by_group(prepared.class_index, prepared.groups, 0.25, seed=0)
    assert (len(training), len(validation)) == (12, 4)
    assert shapes.data.default_box == (0, 0, 1, 1)
    assert np.array_equal(prepared.boxes, np.tile([0, 0, 1, 1], (16, 1)))


def test_a_task_without_an_extension_can_set_its_own_distortions(shapes: Task, task: Task) -> None:
    assert shapes.load_extension() is None
    assert task.load_extension() is not None
    assert shapes.distortions.rotation_deg == 20
    assert shapes.distortions.brightness == (0.9, 1.1)
    assert shapes.distortions.blur == task.distortions.blur


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_in_every_format_are_found(shapes: Task, tmp_path: Path, kind: str) -> None:
    """Feedback is kept with these extensions, for training."""
    for name, class_index in (("round", 17), ("triangular", 13)):
        payload = encoded(drawing(class_index, 40), kind)
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a{Picture(payload).extension}").write_bytes(payload)
    assert len(open_source(tmp_path, shapes).examples) == 2
