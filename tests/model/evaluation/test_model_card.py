"""The generated model card."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from model.artifact import Card, read_artifact
from model.evaluation.model_card import render_model_card
from tests.conftest import ROOT, SHIPPED


@pytest.fixture(scope="module")
def card() -> Card:
    return read_artifact(SHIPPED)[0]


def test_model_card_in_the_docs_is_up_to_date(card: Card) -> None:
    assert (ROOT / "docs" / "model_card.md").read_text() == render_model_card(card), "run `make model-card`"


def test_figures_of_the_reference_classifier_are_attributed_to_it(card: Card) -> None:
    metrics = {name: value for name, value in card.metrics.items() if name != "measured_on"}
    own = dataclasses.replace(card, metrics=metrics)
    copied = dataclasses.replace(card, metrics={**metrics, "measured_on": "2026-01-01-abcd"})
    assert "figures are from classifier" not in render_model_card(own)
    assert "figures are from classifier 2026-01-01-abcd" in render_model_card(copied)


def test_feedback_used_for_training_is_described(card: Card) -> None:
    data = {**card.data, "feedback": {"images": 1234, "images_of_no_sign": 56, "fingerprint": "ab"}}
    text = render_model_card(dataclasses.replace(card, data=data))
    assert "1,234 pictures from user feedback with a class, and 56 marked as none of the classes" in text
    assert "user feedback" not in render_model_card(card)


def test_classifier_without_errors_is_described(card: Card) -> None:
    per_class = [{**row, "errors": 0} for row in card.metrics["held_out"]["per_class"]]
    metrics = {**card.metrics, "held_out": {**card.metrics["held_out"], "per_class": per_class}}
    assert "No class has an error." in render_model_card(dataclasses.replace(card, metrics=metrics))


def test_limitations_of_a_task_appear_only_in_its_own_card(card: Card) -> None:
    assert "Germany" in render_model_card(card)
    assert card.detector is not None
    detector = {**card.detector, "data": {**card.detector["data"], "name": "x", "citation": "x"}}
    shapes = dataclasses.replace(
        card, task="shapes", title="Shapes", data={**card.data, "name": "x"}, detector=detector
    )
    other = render_model_card(shapes)
    assert not re.search(r"\bsigns?\b|Germany", re.sub(r"^\|.*$", "", other, flags=re.MULTILINE))


def test_missing_classifier_is_a_one_line_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "model.evaluation.model_card", str(tmp_path), str(tmp_path / "card.md")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}: there is no classifier")
    assert not (tmp_path / "card.md").exists()
