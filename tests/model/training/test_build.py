"""Building an artifact from class folders, for a task without an extension."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from data.outliers import mirror
from data.prepare import prepare
from data.source import open_source
from data.task import Task
from model.artifact import NETWORK_FILE, read_artifact
from model.classifier import Classifier
from model.errors import TrainingError
from model.evaluation.evaluate import evaluate, select_held_out
from model.evaluation.report import render_report
from model.training.build import Recipe, build_artifact
from model.training.reporter import Reporter
from tests.conftest import drawing, encoded


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


def test_backbone_of_another_classifier_is_kept_and_outliers_are_held_out(
    shapes: Task, pictures: Path, tmp_path: Path
) -> None:
    """The second classifier starts from the backbone of the first one, and learns only its last layer."""
    source, store = open_source(pictures, shapes), tmp_path / "store"
    (store / "training" / shapes.name).mkdir(parents=True)
    reporter = Reporter(store / "training" / shapes.name)
    first = dataclasses.replace(shapes.preset("quick"), network="MobileNetV2:0.35", epochs=1)
    build_artifact(Recipe(shapes, "quick", first, ""), source, store, tmp_path / "first", reporter)
    second = dataclasses.replace(
        first, weights=str(tmp_path / "first"), frozen_epochs=1, frozen_learning_rate=1e-2, outliers=0.1, prototypes=2
    )
    noise = np.random.default_rng(0).integers(0, 256, (10, 40, 40, 3), np.uint8)
    (tmp_path / "noise").mkdir()
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / f"noise/{number}.png")
    recipe = Recipe(shapes, "quick", second, "", outliers=(tmp_path / "noise",))
    card = build_artifact(recipe, source, store, tmp_path / "second", reporter)
    assert card.data["outliers"] == ["noise"]
    assert card.metrics["refusal"]["noise"]["pictures"] == 2
    assert card.training["settings"]["weights"].startswith("first ")
    networks = [keras.models.load_model(tmp_path / name / NETWORK_FILE) for name in ("first", "second")]
    kernels, heads = (
        [network.get_layer(name).get_weights()[0] for network in networks] for name in ("Conv_1", "class_maps")
    )
    assert np.array_equal(*kernels)
    assert not np.array_equal(*heads)
    unable = dataclasses.replace(recipe, settings=dataclasses.replace(second, outliers=0.0))
    with pytest.raises(TrainingError, match="this preset trains without outliers"):
        build_artifact(unable, source, store, tmp_path / "third", reporter)
