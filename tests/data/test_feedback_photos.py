"""Photos of feedback: how they are stored beside their boxes, and how a training reads them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import SourceError, StorageFullError
from data.feedback import MAX_BOXES, MAX_KEPT_BYTES, FeedbackPhoto, feedback_folder, keep
from data.feedback_photos import open_photos
from data.images import Box
from data.source import open_feedback
from data.task import Task
from tests.conftest import drawing, encoded, scene

SIGN: Box = (52, 60, 142, 150)
PHOTO = encoded(scene((14, SIGN[0], SIGN[1])), "JPEG", quality=95)
NAME = f"{hashlib.sha256(PHOTO).hexdigest()}.jpeg"
MAX_PIXELS = 2_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return feedback_folder(tmp_path, "traffic_sign")


def label(folder: Path, box: Box, class_index: int | None, photo: bytes = PHOTO, *, located: bool = False) -> str:
    """Keep a part of a photo with its label, and the photo."""
    part = encoded(Image.new("RGB", (9, 9), (box[0] % 256, box[1] % 256, 0)))
    return keep(folder, part, ".png", class_index, FeedbackPhoto(photo, ".jpeg", box, located))


def test_photo_is_stored_once_with_all_of_its_boxes(folder: Path) -> None:
    label(folder, SIGN, 13, located=True)
    label(folder, (300, 200, 340, 240), None)
    label(folder, SIGN, 14, located=True)
    label(folder, SIGN, 14, located=True)
    assert sorted(path.name for path in (folder / "photos").iterdir()) == [NAME, f"{NAME}.json"]
    assert (folder / "photos" / NAME).read_bytes() == PHOTO
    assert json.loads((folder / "photos" / f"{NAME}.json").read_text()) == [
        {"box": list(SIGN), "class_index": 14, "located": True},
        {"box": [300, 200, 340, 240], "class_index": None, "located": False},
    ]


def test_classifier_gets_the_parts_and_not_the_photos(folder: Path, task: Task) -> None:
    stored = [label(folder, SIGN, 14), label(folder, (300, 200, 340, 240), None)]
    examples = open_feedback(folder, task).examples
    assert sorted(example.path for example in examples) == sorted(stored)


def test_picture_and_photo_with_the_same_bytes_are_both_kept(folder: Path) -> None:
    label(folder, SIGN, 14)
    assert keep(folder, PHOTO, ".jpeg", 14) == f"00014/{NAME}"
    assert keep(folder, PHOTO, ".jpeg", None) == f"none/{NAME}"
    assert (folder / "photos" / NAME).exists()
    assert not (folder / "00014" / NAME).exists()


def test_boxes_are_read_in_the_pixels_of_the_decoded_photo(folder: Path, task: Task, tmp_path: Path) -> None:
    label(folder, SIGN, 14)
    label(folder, (300, 200, 340, 240), None)
    source = open_photos(folder / "photos", task)
    [photo] = source.decode(tmp_path / "cache", MAX_PIXELS)
    assert photo.pixels.shape == (480, 640, 3)
    assert (photo.signs, photo.others) == ((SIGN,), ((300, 200, 340, 240),))
    left, top, right, bottom = SIGN
    inside = photo.pixels[top:bottom, left:right].astype(int)
    assert np.mean(inside[..., 0] - inside[..., 1]) > 30  # a stop sign is red
    assert np.abs(photo.pixels[200:, 200:].astype(int) - 128).max() < 10

    [reduced] = source.decode(tmp_path / "cache", 480 * 640 // 4)
    assert reduced.pixels.shape == (240, 320, 3)
    assert reduced.signs == ((26, 30, 71, 75),)


def test_boxes_belong_to_the_upright_photo(folder: Path, task: Task, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° for display
    turned = encoded(scene((14, *SIGN[:2])).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    label(folder, SIGN, 14, turned)
    [photo] = open_photos(folder / "photos", task).decode(tmp_path / "cache", MAX_PIXELS)
    left, top, right, bottom = SIGN
    redness = photo.pixels[..., 0].astype(int) - photo.pixels[..., 1]
    assert redness[top:bottom, left:right].sum() > 0.9 * np.maximum(redness, 0).sum()


def test_photos_are_decoded_once_and_new_feedback_changes_the_fingerprint(
    folder: Path, task: Task, tmp_path: Path
) -> None:
    label(folder, SIGN, 14)
    first = open_photos(folder / "photos", task)
    first.decode(tmp_path / "cache", MAX_PIXELS)
    [cached] = (tmp_path / "cache").iterdir()
    before = cached.stat().st_mtime_ns
    label(folder, (300, 200, 340, 240), None)
    second = open_photos(folder / "photos", task)
    [photo] = second.decode(tmp_path / "cache", MAX_PIXELS)
    assert (photo.signs, photo.others) == ((SIGN,), ((300, 200, 340, 240),))
    assert [(path, path.stat().st_mtime_ns) for path in (tmp_path / "cache").iterdir()] == [(cached, before)]
    assert second.fingerprint != first.fingerprint


def test_store_without_photos_has_none(folder: Path, task: Task) -> None:
    assert open_photos(folder / "photos", task).photos == ()
    keep(folder, encoded(drawing()), ".png", 14)
    assert open_photos(folder / "photos", task).photos == ()


def test_photo_whose_boxes_a_person_deleted_is_not_used(folder: Path, task: Task) -> None:
    label(folder, SIGN, 14)
    (folder / "photos" / f"{NAME}.json").unlink()
    assert open_photos(folder / "photos", task).photos == ()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[", "not a list of labelled boxes"),
        ("[]", "it is empty"),
        ('{"box": 1}', "not a list of labelled boxes"),
        ('[{"box": [1, 2, 30], "class_index": 1, "located": true}]', "box must be four integers"),
        ('[{"box": [1, 2, 30, 40.5], "class_index": 1, "located": true}]', "box must be four integers"),
        ('[{"box": [1, 2, 30, 40], "class_index": "1", "located": true}]', "class_index must be an integer or null"),
        ('[{"box": [1, 2, 30, 40], "class_index": 1, "located": 1}]', "located must be true or false"),
        ('[{"box": [1, 2, 30, 40], "class_index": 1}]', "located"),
        ('[{"box": [1, 2, 30, 40], "class_index": 43, "located": true}]', "there is no class 43"),
        ('[{"box": [1, 2, 641, 40], "class_index": 1, "located": true}]', "is empty or not inside the photo"),
        ('[{"box": [30, 2, 1, 40], "class_index": 1, "located": true}]', "is empty or not inside the photo"),
    ],
)
def test_damaged_table_is_an_error_that_names_it(folder: Path, task: Task, table: str, message: str) -> None:
    label(folder, SIGN, 14)
    path = folder / "photos" / f"{NAME}.json"
    path.write_text(table)
    with pytest.raises(SourceError, match=message) as raised:
        open_photos(folder / "photos", task)
    assert str(path) in str(raised.value)


def test_missing_and_damaged_photos_are_named(folder: Path, task: Task, tmp_path: Path) -> None:
    label(folder, SIGN, 14)
    photo = folder / "photos" / NAME
    photo.write_bytes(b"no picture")
    with pytest.raises(SourceError, match=rf"{NAME}: these bytes are not a picture"):
        open_photos(folder / "photos", task)
    photo.write_bytes(PHOTO[:1500])
    with pytest.raises(SourceError, match=rf"{NAME}: the picture is damaged"):
        open_photos(folder / "photos", task).decode(tmp_path / "cache", MAX_PIXELS)
    photo.unlink()
    with pytest.raises(SourceError, match=rf"{NAME}: cannot be read"):
        open_photos(folder / "photos", task)


def test_full_store_keeps_neither_the_part_nor_the_photo(folder: Path) -> None:
    filler = folder / "00001" / "filler"
    filler.parent.mkdir(parents=True)
    with filler.open("wb") as file:
        file.truncate(MAX_KEPT_BYTES - len(PHOTO))  # room for the part, or for the photo, and not for both
    with pytest.raises(StorageFullError, match=f"or {MAX_KEPT_BYTES:,} bytes is reached: 1 pictures"):
        label(folder, SIGN, 14)
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / ".lock", filler]
    filler.unlink()
    label(folder, SIGN, 14)
    assert (folder / "photos" / NAME).exists()


def test_boxes_of_one_photo_are_limited(folder: Path) -> None:
    for number in range(MAX_BOXES):
        label(folder, (number, 0, number + 30, 30), 13)
    with pytest.raises(StorageFullError, match=f"the limit of {MAX_BOXES} labelled boxes in one photo"):
        label(folder, (0, 100, 30, 130), 13)
    label(folder, (0, 0, 30, 30), 14)
    boxes = json.loads((folder / "photos" / f"{NAME}.json").read_text())
    assert [each["class_index"] for each in boxes] == [14, *[13] * (MAX_BOXES - 1)]
