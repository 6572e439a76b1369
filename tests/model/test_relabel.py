"""`python -m model.relabel` updates labels without retraining; cards of older formats are converted."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.task import Task
from model.artifact import CARD_FILE, FORMAT_VERSION, read_artifact
from model.classifier import Classifier
from model.engine import LiteRtNetwork
from model.errors import ArtifactError
from tests.conftest import ROOT, SHIPPED, drawing, encoded

SINCE_FORMAT_3 = ("description_de", "ends", "ends_de")


def as_format_3(card: dict[str, Any]) -> None:
    """Convert a card to format 3, in which facts were fields of the labels."""
    card["format_version"] = 3
    del card["facts"], card["detector"]
    card["files"] = {name: digest for name, digest in card["files"].items() if not name.startswith("detector")}
    card["labels"] = [{**label, **label.pop("facts")} for label in card["labels"]]
    for label in card["labels"]:
        del label["category_de"]


@pytest.fixture(params=[2, 3])
def artifact(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An artifact in an older format with a wrong label description."""
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))

    def age(card: dict[str, Any]) -> None:
        as_format_3(card)
        card["labels"][14]["description"] = "Drive on."
        if request.param == 2:
            card["format_version"] = 2
            for label in card["labels"]:
                for name in SINCE_FORMAT_3:
                    del label[name]

    change_card(folder, age)
    return folder


def change_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    change(card)
    (folder / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")


def relabel(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "model.relabel", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_cards_of_format_3_are_still_read(tmp_path: Path, task: Task) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    change_card(folder, as_format_3)
    (old, inference), (new, _) = read_artifact(folder), read_artifact(SHIPPED)
    assert old.format_version == FORMAT_VERSION
    assert old.facts == task.facts
    assert old.labels[14].facts == {k: v for k, v in new.labels[14].facts.items() if k != "category_de"}
    payload = encoded(drawing())
    answers = [
        Classifier(card, LiteRtNetwork(inference)).predict([payload])[0].to_json(card, top_k=5, explain=True)
        for card in (old, new)
    ]
    facts = [answer.pop("facts") for answer in answers]
    assert facts[0] == {key: value for key, value in facts[1].items() if key != "category_de"}
    assert answers[0] == answers[1]


def test_cards_of_format_3_are_read_even_if_their_task_is_unknown(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    change_card(folder, as_format_3)
    change_card(folder, lambda card: card.update(task="dinosaurs"))
    card, _ = read_artifact(folder)
    assert [fact.key for fact in card.facts] == ["sign_number", "category", "ends"]
    assert card.labels[14].facts["sign_number"] == "206"


@pytest.mark.parametrize("artifact", [2], indirect=True)
def test_error_about_an_old_format_names_the_command_that_converts_it(artifact: Path) -> None:
    with pytest.raises(ArtifactError, match=f"python -m model.relabel {artifact}"):
        read_artifact(artifact)


def test_relabelling_changes_only_the_labels(artifact: Path, task: Task) -> None:
    before = contents(artifact)
    result = relabel(artifact)
    assert result.returncode == 0, result.stderr
    shipped, inference = read_artifact(SHIPPED)
    files = {name: digest for name, digest in shipped.files.items() if not name.startswith("detector")}
    assert read_artifact(artifact) == (dataclasses.replace(shipped, detector=None, files=files), inference)
    assert shipped.labels == task.labels
    after = contents(artifact)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == [CARD_FILE]


def test_relabelling_again_changes_nothing(artifact: Path) -> None:
    assert relabel(artifact).returncode == 0
    before = contents(artifact)
    assert relabel(artifact).returncode == 0
    assert contents(artifact) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda card: card["labels"].pop(), "42 classes, but the task has 43"),
        (lambda card: card["labels"][14].update(name="Halt"), "'Halt' is now 'Stop'"),
        (lambda card: card["labels"].reverse(), "'End of no passing by vehicles over 3.5 metric tons' is now 'Speed"),
        (lambda card: card["labels"][14].pop("name"), "incomplete card: KeyError: 'name'"),
        (lambda card: card.pop("metrics"), "incomplete card: KeyError: 'metrics'"),
        (lambda card: card.update(task="dinosaurs"), "there is no task 'dinosaurs'"),
        (lambda card: card.update(format_version=1), "unknown format 1"),
        (lambda card: card["files"].update({"model.tflite": "0" * 64}), "model.tflite is damaged"),
    ],
)
def test_artifact_that_cannot_be_relabelled_is_unchanged(
    artifact: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    change_card(artifact, change)
    before = contents(artifact)
    result = relabel(artifact)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert contents(artifact) == before


def test_command_without_arguments_prints_its_usage() -> None:
    result = relabel()
    assert result.returncode == 2
    assert result.stderr == "usage: python -m model.relabel ARTIFACT\n"
