"""The model card that people read."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from model.artifact import Card, read_artifact
from model.evaluation.model_card import describe
from tests.conftest import ROOT, SHIPPED


@pytest.fixture(scope="module")
def card() -> Card:
    return read_artifact(SHIPPED)[0]


def test_model_card_in_the_docs_is_that_of_the_shipped_classifier(card: Card) -> None:
    assert (ROOT / "docs" / "model_card.md").read_text() == describe(card), "make model-card"


def test_figures_that_another_classifier_was_measured_with_are_said_to_be_so(card: Card) -> None:
    metrics = {name: value for name, value in card.metrics.items() if name != "measured_on"}
    own = dataclasses.replace(card, metrics=metrics)
    taken_over = dataclasses.replace(card, metrics={**metrics, "measured_on": "2026-01-01-abcd"})
    assert "those of classifier" not in describe(own)
    assert "those of classifier 2026-01-01-abcd" in describe(taken_over)


def test_feedback_that_was_learnt_is_told(card: Card) -> None:
    data = {**card.data, "feedback": {"images": 1234, "images_of_no_sign": 56, "fingerprint": "ab"}}
    assert "1,234 pictures that people sent and named, and 56 of" in describe(dataclasses.replace(card, data=data))
    assert "that people sent" not in describe(card)


def test_classifier_without_errors_is_described(card: Card) -> None:
    per_class = [{**row, "errors": 0} for row in card.metrics["held_out"]["per_class"]]
    metrics = {**card.metrics, "held_out": {**card.metrics["held_out"], "per_class": per_class}}
    assert "No class has an error." in describe(dataclasses.replace(card, metrics=metrics))


def test_missing_classifier_is_one_message(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "model.evaluation.model_card", str(tmp_path), str(tmp_path / "card.md")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path}: there is no classifier")
    assert not (tmp_path / "card.md").exists()
