"""`python -m model.evaluation`, with the shipped classifier on drawings."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.pictures import Pictures
from data.prepare import Prepared
from data.task import Task
from data.tasks.traffic_sign.drawing.render import write_drawn
from model.classifier import Classifier
from model.errors import EvaluationError
from model.evaluation.corruptions import CORRUPTIONS
from model.evaluation.evaluate import select_held_out
from tests.conftest import ROOT, SHIPPED, drawing, encoded


def evaluate(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "model.evaluation", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_evaluates_accuracy_rejection_and_robustness(tmp_path: Path) -> None:
    write_drawn(tmp_path / "drawn", 1, seed=9)
    with zipfile.ZipFile(tmp_path / "lawns.zip", "w") as archive:
        archive.writestr("lawn.png", encoded(drawing().point(lambda _: 90)))
    result = evaluate(
        *(SHIPPED, "--data", tmp_path / "drawn", "--store", tmp_path, "--output", tmp_path / "figures.json"),
        *("--not-signs", tmp_path / "lawns.zip", "--report", tmp_path / "report.html"),
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["accuracy"]["examples"] == 43
    assert f"{figures['accuracy']['accuracy']:.3%}" in result.stdout
    assert {
        "mirrored",
        "turned",
        "other limits",
        "unseen numbers",
        "unseen other signs",
        "empty scenes",
        "lawns",
    } == set(figures["refusal"])
    assert set(CORRUPTIONS) < set(figures["accuracy_under_corruption"])
    assert "lawns" in (tmp_path / "report.html").read_text()


def test_class_folders_are_evaluated_and_the_figures_added_to_the_card(tmp_path: Path) -> None:
    for class_index in (14, 17):
        (tmp_path / "mine" / f"{class_index}").mkdir(parents=True)
        drawing(class_index).save(tmp_path / "mine" / f"{class_index}" / "photo.png")
    artifact = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    result = evaluate(artifact, "--data", tmp_path / "mine", "--store", tmp_path, "--card", "mine")
    assert result.returncode == 0, result.stderr
    assert "2 pictures (groups unknown)" in result.stdout
    before, after = Classifier.load(SHIPPED).card, Classifier.load(artifact).card
    assert after.metrics["evaluations"]["mine"]["accuracy"]["examples"] == 2
    assert {name: after.metrics[name] for name in before.metrics} == before.metrics


def test_roi_option_crops_pictures_to_their_boxes(tmp_path: Path) -> None:
    """The classifier recognises few signs that are small in the picture, and most of them after cropping."""
    write_drawn(tmp_path / "drawn", 1, seed=9)
    table = tmp_path / "drawn" / "Train.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    for row in rows[1:]:
        with Image.open(tmp_path / "drawn" / row[-1]) as sign:
            wide = Image.new("RGB", (4 * sign.width, 4 * sign.height), (90, 110, 90))
            wide.paste(sign, (sign.width, 0))
            left, top, right, bottom = map(int, row[2:6])
            row[:6] = map(str, (*wide.size, left + sign.width, top, right + sign.width, bottom))
        wide.save(tmp_path / "drawn" / row[-1])
    table.write_text("".join(",".join(row) + "\n" for row in rows))
    accuracy = {}
    for options in ((), ("--roi",)):
        output = tmp_path / f"{options}.json"
        result = evaluate(SHIPPED, "--data", tmp_path / "drawn", "--store", tmp_path, "--output", output, *options)
        assert result.returncode == 0, result.stderr
        accuracy[options] = json.loads(output.read_text())["accuracy"]["accuracy"]
    assert accuracy[()] < 0.5 < 0.8 < accuracy["--roi",]


def test_training_examples_are_never_evaluated(task: Task) -> None:
    """Groups are matched by name, so a part of the training data set is recognised, and other data is not excluded."""
    card = Classifier.load(SHIPPED).card
    card = dataclasses.replace(card, data={**card.data, "groups_held_out": ["00014/00001", "00017/00002"]})
    groups = np.array(["00014/00000", "00014/00001", "00017/00002", "00018/00000"])
    prepared = Prepared(
        *(Pictures(np.zeros((4, 8, 8, 3), np.uint8)), np.zeros((4, 4), np.float32), np.arange(4), groups),
        origin=task.data.name,
        fingerprint="of another part",
        grouped=True,
    )
    assert select_held_out(card, prepared).groups.tolist() == ["00014/00001", "00017/00002"]
    assert len(select_held_out(card, dataclasses.replace(prepared, grouped=False))) == 4
    assert len(select_held_out(card, dataclasses.replace(prepared, origin="other pictures"))) == 4
    with pytest.raises(EvaluationError, match="was trained on all"):
        select_held_out(dataclasses.replace(card, data={**card.data, "groups_held_out": []}), prepared)


def test_folders_of_outliers_that_are_empty_or_damaged_are_named(tmp_path: Path) -> None:
    write_drawn(tmp_path / "drawn", 1, seed=9)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "photo.jpg").write_bytes(b"no picture")
    for name, reason in (("empty", "empty: there are no pictures"), ("broken", "broken/photo.jpg: ")):
        result = evaluate(SHIPPED, "--data", tmp_path / "drawn", "--store", tmp_path, "--not-signs", tmp_path / name)
        assert result.returncode == 1
        assert reason in result.stderr.splitlines()[-1]


def test_outliers_can_be_evaluated_without_labelled_data(tmp_path: Path) -> None:
    for name, picture in (("noise", Image.effect_noise((64, 64), 80)), ("stop", drawing(14))):
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "a.png")
    output = tmp_path / "figures.json"
    result = evaluate(SHIPPED, "--not-signs", tmp_path / "noise", tmp_path / "stop", "--output", output)
    assert result.returncode == 0, result.stderr
    figures = json.loads(output.read_text())
    assert figures["noise"] == {"pictures": 1, "not_recognised": 1.0}
    assert figures["stop"] == {"pictures": 1, "not_recognised": 0.0}
    assert re.search(r"noise +1 pictures, 100.00% not recognised", result.stdout)
    assert "--data is required" in evaluate(SHIPPED).stderr


def test_missing_artifact_is_a_one_line_error(tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--data", tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {tmp_path}: there is no classifier")
