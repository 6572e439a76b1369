"""The page about an evaluation, with figures of the shipped classifier on drawings."""

import base64
import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from data.images import encode
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
    """Drawn signs, labelled as the classifier names them."""
    pixels = draw_signs((48, 48), np.arange(43), seed=3)
    answers = classifier.run(pixels).predicted
    groups = np.array([f"drawn/{row // 2}" for row in range(43)])
    return Prepared(pixels, np.zeros((43, 4), np.float32), answers, groups, "drawn", "0" * 64, grouped=True)


@pytest.fixture(scope="module")
def prepared(right: Prepared) -> Prepared:
    """The same with three wrong labels, so that there are mistakes."""
    class_index = right.class_index.copy()
    class_index[MISLABELLED] = (class_index[MISLABELLED] + 1) % 43
    return dataclasses.replace(right, class_index=class_index)


@pytest.fixture(scope="module")
def figures(classifier: Classifier, task: Task, prepared: Prepared) -> dict[str, Any]:
    return evaluate(classifier, task, prepared, {"lawns": np.full((5, 48, 48, 3), 90, np.uint8)})


def test_page_has_the_figures(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, figures, prepared).replace("\N{NO-BREAK SPACE}", " ")
    low, high = figures["accuracy"]["accuracy_interval_95"]
    for text in (
        "3 of 43 pictures were named wrongly",
        f"{100 * low:.2f} % to {100 * high:.2f} %",
        "by resampling 22 groups",
        f"{100 * figures['macro_f1']:.2f} %",
        card.version,
        "lawns",
        f"{figures['refusal']['lawns']['energy']['auroc']:.4f}",
        "gaussian noise",
        f"{100 * figures['accuracy_under_corruption']['rain'][4]:.1f}",
        "drawn/1",
    ):
        assert text in page


def test_page_shows_each_mistake_as_the_network_saw_it(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, figures, prepared)
    for row in MISLABELLED:
        assert base64.b64encode(encode(prepared.pixels[row])).decode() in page


def test_page_refers_to_nothing_outside_itself(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, figures, prepared)
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    for target in re.findall(r'\b(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page):
        assert target.startswith("data:image/png;base64,") or target.removeprefix("#") in identifiers
    assert not re.search(r"https?:|<script|<link|@import|<!ENTITY", page)


def test_hostile_names_are_shown_as_text(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
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


def test_what_was_measured_is_shown(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, {**figures, "measured": {"protocol": "cropped to the region of interest"}}, prepared)
    assert "cropped to the region of interest" in page


def test_page_without_mistakes_and_outliers(classifier: Classifier, task: Task, right: Prepared) -> None:
    page = render_report(classifier.card, evaluate(classifier, task, right, {}), right)
    assert "All 43 pictures were named rightly" in page
    assert "No class was taken for another" in page
    assert "There are no mistakes to show" in page
    assert "No pictures of anything else were shown" in page
    assert "nan" not in re.sub(r'"data:[^"]*"', "", page)


def test_groups_are_not_shown_where_they_are_not_known(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    page = render_report(card, {**figures, "accuracy": {**figures["accuracy"], "grouped": False}}, prepared)
    assert "whose groups are not known" in page
    assert "drawn/1" not in page


def test_task_without_drawings_has_no_signs(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    assert 'href="#sign-14"' in render_report(card, figures, prepared)
    page = render_report(dataclasses.replace(card, task="fruit"), figures, prepared)
    assert "#sign-" not in page
    assert card.labels[14].name in page


def test_same_figures_give_the_same_page(card: Card, figures: dict[str, Any], prepared: Prepared) -> None:
    assert render_report(card, figures, prepared) == render_report(card, figures, prepared)


def test_wilson_interval_is_wide_where_no_error_was_seen() -> None:
    low, high = wilson_interval(np.array([1.0, 0.5]), np.array([10.0, 100.0]))
    assert low == pytest.approx([0.7225, 0.4038], abs=1e-4)  # Wilson's formula, by hand
    assert high == pytest.approx([1.0, 0.5962], abs=1e-4)
