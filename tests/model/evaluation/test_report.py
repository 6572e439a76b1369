"""The evaluation report of the shipped classifier on drawings."""

import base64
import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from data.images import encode
from data.pictures import Pictures
from data.prepare import Prepared
from data.task import Task
from data.tasks.traffic_sign.outliers import draw_signs
from model.artifact import Card
from model.classifier import Classifier
from model.evaluation.evaluate import evaluate
from model.evaluation.plots import wilson_interval
from model.evaluation.report import render_report
from tests.conftest import SHIPPED

MISLABELLED = [3, 17, 30]
HOSTILE = "<script>alert('no')</script>"
ESCAPED = "&lt;script&gt;alert(&#39;no&#39;)&lt;/script&gt;"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(SHIPPED)


@pytest.fixture(scope="module")
def card(classifier: Classifier) -> Card:
    return classifier.card


@pytest.fixture(scope="module")
def right(classifier: Classifier) -> Prepared:
    """Drawn signs, labelled with the classifier's predictions."""
    pixels = draw_signs((48, 48), np.arange(43), seed=3)
    answers = classifier.run(pixels).predicted
    groups = np.array([f"drawn/{row // 2}" for row in range(43)])
    return Prepared(Pictures(pixels), np.zeros((43, 4), np.float32), answers, groups, "drawn", "0" * 64, grouped=True)


@pytest.fixture(scope="module")
def prepared(right: Prepared) -> Prepared:
    """The same signs with three wrong labels, so that there are mistakes."""
    class_index = right.class_index.copy()
    class_index[MISLABELLED] = (class_index[MISLABELLED] + 1) % 43
    return dataclasses.replace(right, class_index=class_index)


@pytest.fixture(scope="module")
def figures(classifier: Classifier, task: Task, prepared: Prepared) -> dict[str, Any]:
    return evaluate(classifier, task, prepared, {"lawns": np.full((5, 48, 48, 3), 90, np.uint8)})


def test_report_contains_the_figures(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, figures, prepared)
    low, high = figures["accuracy"]["accuracy_interval_95"]
    for text in (
        "3 of 43 pictures were misclassified",
        f"{100 * low:.2f}% to {100 * high:.2f}%",
        "by resampling 22 groups",
        f"{100 * figures['macro_f1']:.2f}%",
        card.version,
        "lawns",
        f"{figures['refusal']['lawns']['energy']['auroc']:.4f}",
        "gaussian noise",
        f"{100 * figures['accuracy_under_corruption']['rain'][4]:.1f}",
        "drawn/1",
    ):
        assert text in page


def test_report_shows_the_network_input_of_each_mistake(
    card: Card, figures: dict[str, Any], prepared: Prepared
) -> None:
    page = render_report(card, figures, prepared)
    for row in MISLABELLED:
        assert base64.b64encode(encode(prepared.pixels[row])).decode() in page


def test_report_has_no_external_resources(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, figures, prepared)
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    for target in re.findall(r'\b(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page):
        assert target.startswith("data:image/png;base64,") or target.removeprefix("#") in identifiers
    assert not re.search(r"https?:|<script|<link|@import|<!ENTITY", page)


def test_html_in_names_is_escaped(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    labels = tuple(dataclasses.replace(label, name=f"{label.index}{HOSTILE}") for label in card.labels)
    card = dataclasses.replace(card, labels=labels, title=HOSTILE, version=HOSTILE)
    mistakes = [{**mistake, "group": HOSTILE} for mistake in figures["mistakes"]]
    refusal = {HOSTILE: figures["refusal"]["lawns"]}
    page = render_report(
        card, {**figures, "mistakes": mistakes, "refusal": refusal, "measured": {"protocol": HOSTILE}}, prepared
    )
    assert "<script" not in page
    assert f"3{ESCAPED}" in page
    assert f"group {ESCAPED}" in page


def test_report_states_the_protocol(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, {**figures, "measured": {"protocol": "cropped to the region of interest"}}, prepared)
    assert "cropped to the region of interest" in page


def test_report_without_mistakes_and_outliers(classifier: Classifier, task: Task, right: Prepared) -> None:
    page = render_report(classifier.card, evaluate(classifier, task, right, {}), right)
    assert "All 43 pictures were classified correctly" in page
    assert "There are no confusions" in page
    assert "There are no mistakes<" in page
    assert "No outliers were evaluated" in page
    assert "nan" not in re.sub(r'"data:[^"]*"', "", page)


def test_unknown_groups_are_not_shown(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, {**figures, "accuracy": {**figures["accuracy"], "grouped": False}}, prepared)
    assert "groups unknown" in page
    assert "drawn/1" not in page


def test_task_without_drawings_has_no_symbols(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    assert 'href="#symbol-14"' in render_report(card, figures, prepared)
    page = render_report(dataclasses.replace(card, task="fruit"), figures, prepared)
    assert "#symbol-" not in page
    assert card.labels[14].name in page


def test_report_is_deterministic(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    assert render_report(card, figures, prepared) == render_report(card, figures, prepared)


def test_wilson_interval_has_width_even_without_errors() -> None:
    low, high = wilson_interval(np.array([1.0, 0.5]), np.array([10.0, 100.0]))
    assert low == pytest.approx([0.7225, 0.4038], abs=1e-4)  # from Wilson's formula with z = 1.96
    assert high == pytest.approx([1.0, 0.5962], abs=1e-4)
