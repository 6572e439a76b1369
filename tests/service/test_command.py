"""`python -m service.predict`, without a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.conftest import ROOT, drawing, scene
from tests.red_detector import SIDE


def predict(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "service.predict", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def stop(tmp_path: Path) -> Path:
    drawing(14).save(tmp_path / "stop.png")
    return tmp_path / "stop.png"


def test_one_line_per_picture(stop: Path) -> None:
    result = predict(stop, stop)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{stop}: Stop (")


def test_json_is_the_answer_of_the_service(stop: Path) -> None:
    answer = json.loads(predict("--json", "--explain", "--top-k", 3, stop).stdout)
    assert answer["file"] == str(stop)
    assert answer["class_index"] == 14
    assert len(answer["alternatives"]) == 3
    assert len(answer["heatmap"]) == 6


def test_picture_that_fails_is_reported_and_the_others_are_answered(stop: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    result = predict(tmp_path / "text.png", tmp_path / "missing.png", stop)
    assert result.returncode == 1
    assert result.stdout.startswith(f"{stop}: Stop (")
    told = [line for line in result.stderr.splitlines() if line.startswith(str(tmp_path))]
    assert len(told) == 2
    assert "No such file" in told[1]


def test_missing_classifier_is_one_message(stop: Path, tmp_path: Path) -> None:
    result = predict(stop, "--artifact", tmp_path / "nowhere")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'nowhere'}: there is no classifier")


def test_task_chooses_the_classifier(stop: Path) -> None:
    assert predict("--task", "traffic_sign", stop).stdout == predict(stop).stdout
    unknown = predict("--task", "dinosaurs", stop)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("error: there is no task 'dinosaurs'; known: ")
    assert "not allowed with argument" in predict("--task", "traffic_sign", "--artifact", "folder", stop).stderr


# Where the hand-made detector sees the signs of `street`: left, top, right, bottom in pixels.
STOP_BOX, NO_ENTRY_BOX = ((left, top, left + SIDE, top + SIDE) for left, top in ((80, 104), (320, 256)))


@pytest.fixture
def street(tmp_path: Path) -> Path:
    scene((1, 500, 20), (14, 60, 100), (17, 300, 250)).save(tmp_path / "street.png")
    return tmp_path / "street.png"


def test_most_prominent_sign_of_a_photo_is_printed_with_its_place(
    red_artifact: Path, bare_artifact: Path, street: Path, stop: Path
) -> None:
    result = predict("--artifact", red_artifact, street, stop)
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{street}: Stop at {','.join(map(str, STOP_BOX))} (")
    assert second.startswith(f"{stop}: Stop (")
    whole = predict("--artifact", red_artifact, "--no-locate", street)
    assert whole.stdout == predict("--artifact", bare_artifact, street).stdout
    assert "not_recognised" in whole.stdout


def test_every_sign_is_printed(red_artifact: Path, street: Path, tmp_path: Path) -> None:
    scene().save(tmp_path / "empty.png")
    lines = predict("--artifact", red_artifact, "--detect", street, tmp_path / "empty.png").stdout.splitlines()
    assert [line.partition(" at ")[0] for line in lines] == [
        f"{street}: Stop",
        f"{street}: No entry",
        f"{tmp_path / 'empty.png'}: nothing found",
    ]
    answer = json.loads(predict("--artifact", red_artifact, "--detect", "--json", street).stdout)
    assert (answer["file"], answer["width"], len(answer["objects"])) == (str(street), 640, 2)


def test_signs_are_drawn_on_copies_of_the_photos(red_artifact: Path, street: Path, tmp_path: Path) -> None:
    before = street.read_bytes()
    result = predict("--artifact", red_artifact, "--draw", tmp_path / "new" / "out", street)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2
    [drawn] = (tmp_path / "new" / "out").iterdir()
    assert drawn.name == "street.png.png"
    assert street.read_bytes() == before
    with Image.open(drawn) as after, Image.open(street) as photo:
        changed = ImageChops.difference(after.convert("RGB"), photo.convert("RGB")).convert("L").point(bool)
        for box in (STOP_BOX, NO_ENTRY_BOX):
            edges = changed.crop(box)
            middle, last = SIDE // 2, SIDE - 1
            assert all(edges.getpixel(place) for place in ((0, middle), (last, middle), (middle, 0), (middle, last)))
            assert not edges.getpixel((middle, middle))


def test_picture_that_cannot_be_written_is_named_and_the_answer_is_printed(
    red_artifact: Path, street: Path, stop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "street.png.png").mkdir(parents=True)
    result = predict("--artifact", red_artifact, "--draw", out, street, stop)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"{out / 'street.png.png'}: Is a directory."
    assert len(result.stdout.splitlines()) == 3
    assert (out / "stop.png.png").is_file()


def test_impossible_combinations_are_one_message(
    red_artifact: Path, bare_artifact: Path, street: Path, tmp_path: Path
) -> None:
    assert "has no detector" in predict("--artifact", bare_artifact, "--detect", street).stderr
    assert "cannot be combined" in predict("--artifact", red_artifact, "--detect", "--no-locate", street).stderr
    same = [street, tmp_path / "other" / "street.png"]
    assert "different names" in predict("--artifact", red_artifact, "--draw", tmp_path, *same).stderr
