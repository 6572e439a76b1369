"""Building an artifact from class folders, for a task without an extension."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from data.outliers import mirror
from data.prepare import prepare
from data.source import open_source
from data.task import Task
from model.artifact import read_artifact
from model.classifier import Classifier
from model.evaluation.evaluate import evaluate, select_held_out
from model.evaluation.report import render_report
from model.training.build import Recipe, build_artifact
from model.training.reporter import Reporter
from tests.conftest import drawing, encoded

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorFlow's


def test_class_folders_become_an_artifact_without_traffic_sign_facts(
    shapes: Task, pictures: Path, tmp_path: Path
) -> None:
    source, folder, store = open_source(pictures, shapes), tmp_path / "artifact", tmp_path / "store"
    (store / "training" / shapes.name).mkdir(parents=True)
    recipe = Recipe(shapes, "quick", shapes.preset("quick"), "python init.py --task shapes --data PATH")
    card = build_artifact(recipe, source, store, folder, Reporter(store / "training" / shapes.name))
    assert card.facts == ()
    assert (card.data["images_trained_on"], card.data["images_held_out"]) == (12, 4)
    assert read_artifact(folder)[0].version == card.version

    classifier = Classifier.load(folder)
    [prediction] = classifier.predict([encoded(drawing(17, 40, 0))], explain=True)
    answer = prediction.to_json(card, top_k=2, explain=True)
    assert {"class_index", "class_name", "probability", "verdict", "heatmap"} <= answer.keys()
    assert "sign_number" not in answer
    assert answer["model"]["task"] == "shapes"

    everything = prepare(source, shapes, store / "cache")
    examples = select_held_out(card, everything)
    assert len(examples) == 4
    others = dataclasses.replace(everything, fingerprint="another", grouped=False)
    assert len(select_held_out(card, others)) == 16
    figures = evaluate(classifier, shapes, examples, {"mirrored": mirror(examples.pixels[:])})
    page = render_report(card, figures, examples)
    assert "triangular" in page
    assert np.isfinite(figures["accuracy"]["accuracy"])
