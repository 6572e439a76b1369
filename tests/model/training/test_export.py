"""Conversion of networks and artifacts to SavedModel, LiteRT and Keras."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.core.framework import tensor_pb2

from model.artifact import CARD_FILE, INFERENCE_FILE, NETWORK_FILE, read_artifact
from model.classifier import Classifier, Scores
from model.engine import SIGNATURE
from model.errors import ArtifactError, TrainingError
from model.tf_serving import api_pb2 as api
from model.tf_serving.client import version_number
from model.training.export import compare, main
from model.training.legacy_h5 import load_h5
from model.training.network_file import read_network
from model.training.prototypes import read_prototypes
from model.training.saved_model import next_version, run_saved_model
from tests import keras2
from tests.conftest import ROOT, SHIPPED, drawing


def run_export(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, because of TensorFlow's warnings."""
    command = [sys.executable, "-m", "model.training.export", *map(str, arguments)]
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version folder of the shipped classifier for TensorFlow Serving."""
    folder = tmp_path_factory.mktemp("served")
    result = run_export(SHIPPED, "--to", "saved_model", folder)
    assert result.returncode == 0, result.stderr
    assert "input: pixels, 48 × 48 × 3 pixels, from 0 to 255" in result.stdout
    assert "classes: 43: Speed limit (20km/h)" in result.stdout
    return folder / "traffic_sign" / str(version_number(read_artifact(SHIPPED)[0].version))


def read_warmup(version: Path) -> list[Any]:
    """Return the warm-up requests as messages."""
    records = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
    return [api.PredictionLog.FromString(record.numpy()) for record in records]


def test_tensorflow_serving_gets_the_verdicts_of_the_artifact(served: Path) -> None:
    classifier = Classifier.load(SHIPPED)
    pictures = np.stack([np.asarray(drawing(index, 48, index)) for index in range(16)])
    expected, answers = classifier.run(pictures), run_saved_model(served, pictures)
    scores = Scores(answers["logits"], answers["similarity"])
    assert np.abs(scores.logits - expected.logits).max() < 0.05 * np.abs(expected.logits).max()
    assert np.abs(scores.similarity - expected.similarity).max() < 0.01
    assert np.allclose(answers["class_maps"].mean(axis=(1, 2)), scores.logits, atol=1e-3)
    verdicts = [
        [
            classifier.card.calibration.verdict(float(row.max()), float(energy), float(similarity))
            for row, energy, similarity in zip(
                classifier.card.calibration.probabilities(each.logits), each.energy, each.similarity, strict=True
            )
        ]
        for each in (expected, scores)
    ]
    assert len(set(verdicts[0])) > 1
    assert verdicts[0] == verdicts[1]
    assert np.array_equal(expected.predicted, scores.predicted)


def test_warmup_requests_are_predictions_that_the_signature_takes(served: Path) -> None:
    signature = tf.saved_model.load(str(served)).signatures[SIGNATURE]
    requests = [log.predict_log.request for log in read_warmup(served)]
    assert requests
    for request in requests:
        assert request.model_spec.signature_name == SIGNATURE
        [(name, tensor)] = request.inputs.items()
        pixels = tf.make_ndarray(tensor_pb2.TensorProto.FromString(tensor.SerializeToString()))
        assert (name, pixels.shape, pixels.dtype) == ("pixels", (1, 48, 48, 3), np.uint8)
        assert signature(pixels=tf.constant(pixels))["logits"].shape == (1, 43)


def test_a_new_version_has_the_next_number(tmp_path: Path) -> None:
    assert next_version(tmp_path / "new").name == "1"
    for name in ("2", "10", "notes"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path).name == "11"


def test_an_artifact_whose_files_disagree_is_not_exported(tmp_path: Path) -> None:
    """One of them belongs to another training."""
    artifact, out = tmp_path / "artifact", tmp_path / "out"
    shutil.copytree(SHIPPED, artifact)
    script = (
        "import sys, keras\n"
        "network = keras.models.load_model(sys.argv[1])\n"
        "layer = network.get_layer('class_maps')\n"
        "layer.set_weights([weight[..., ::-1] for weight in layer.get_weights()])\n"
        "network.save(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", script, artifact / NETWORK_FILE], check=True, capture_output=True)
    card = json.loads((artifact / CARD_FILE).read_text(encoding="utf-8"))
    card["files"][NETWORK_FILE] = hashlib.sha256((artifact / NETWORK_FILE).read_bytes()).hexdigest()
    (artifact / CARD_FILE).write_text(json.dumps(card), encoding="utf-8")
    result = run_export(artifact, "--to", "saved_model", out)
    assert result.returncode == 1
    assert "error: the answers differ: " in result.stderr
    assert "logits by" in result.stderr
    assert "nothing was written" in result.stderr
    assert not list(out.glob("*"))


def test_a_classifier_of_keras_2_becomes_a_litert_file(tmp_path: Path) -> None:
    source, out = tmp_path / "old.h5", tmp_path / "new.tflite"
    [entry, *rest] = keras2.classifier()
    entry["config"]["name"] = "mobilenetv2_1.00_32_input"  # TensorFlow allows no dot in a signature
    keras2.write_keras2(source, [entry, *rest], keras2.weights())
    result = run_export(source, "--to", "litert", out)
    assert result.returncode == 0, result.stderr
    assert (
        "input: mobilenetv2_1_00_32_input, 32 × 32 × 3 pixels, from 0 to 255: the network scales them itself"
        in result.stdout
    )
    assert "classes: 3, output head: their probabilities; the file does not name them" in result.stdout
    runner = Interpreter(str(out)).get_signature_runner(SIGNATURE)
    pictures = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    answers = np.concatenate([runner(mobilenetv2_1_00_32_input=picture[None])["head"] for picture in pictures])
    assert np.allclose(answers, load_h5(source).predict(pictures, verbose=0), atol=0.02)


def test_the_detector_becomes_a_saved_model_for_any_size(served: Path) -> None:
    [version] = (served.parents[1] / "traffic_sign_detector").iterdir()
    photos = np.zeros((2, 64, 96, 3), np.uint8)
    assert run_saved_model(version, photos)["places"].shape == (2, 8, 12, 5)


def test_the_configuration_lists_every_network_with_all_versions(served: Path) -> None:
    [name, other] = re.findall(r'name: "(.+)"', text := (served.parents[1] / "models.config").read_text())
    assert (name, other) == ("traffic_sign", "traffic_sign_detector")
    assert text.count("model_version_policy { all {} }") == 2
    assert 'base_path: "/models/traffic_sign"' in text
    again = run_export(SHIPPED, "--to", "saved_model", served.parents[1])
    *left_alone, wrote = again.stdout.splitlines()
    assert [line.endswith(" exists already and was left alone") for line in left_alone] == [True, True]
    assert wrote == f"wrote {served.parents[1] / 'models.config'}"


def test_a_file_gets_the_next_version(tmp_path: Path) -> None:
    (tmp_path / "detector" / "3").mkdir(parents=True)
    result = run_export(SHIPPED / "detector.keras", "--to", "saved_model", tmp_path / "detector")
    assert result.stdout.endswith(f"wrote {tmp_path / 'detector' / '4'}\n"), result.stderr


def test_another_backend_of_keras_converts_in_a_process_with_tensorflow(tmp_path: Path) -> None:
    if find_spec("jax") is None:
        pytest.skip("the package jax is not installed")
    script = (
        "import keras, sys\n"
        "from pathlib import Path\n"
        "from model.training.export import to_litert\n"
        "pixels = keras.Input((8, 8, 3), dtype='uint8', name='pixels')\n"
        "x = keras.layers.GlobalAveragePooling2D(name='mean')(keras.layers.Rescaling(1 / 255)(pixels))\n"
        "Path(sys.argv[1]).write_bytes(to_litert(keras.Model(pixels, {'mean': x})))\n"
    )
    out = tmp_path / "model.tflite"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", script, str(out)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    runner = Interpreter(str(out)).get_signature_runner(SIGNATURE)
    assert np.allclose(runner(pixels=np.full((1, 8, 8, 3), 51, np.uint8))["mean"], 0.2)


def network_file(folder: Path, *layers: keras.layers.Layer) -> Path:
    """Write a network of Keras 3 with a name for its answer."""
    path = folder / "network.keras"
    keras.Sequential([keras.Input((8, 8, 3), name="photo"), *layers]).save(path)
    return path


def test_range_and_classes_are_told_apart(tmp_path: Path) -> None:
    flat, dense = keras.layers.Flatten, keras.layers.Dense
    plain = read_network(network_file(tmp_path, flat(), dense(3, name="answer")))
    assert not plain.full_range
    assert plain.classes.startswith("3, output answer: their logits")
    nested = keras.Sequential([keras.layers.Rescaling(1 / 127.5, offset=-1), flat()])
    scaled = read_network(network_file(tmp_path, nested, dense(1, activation="sigmoid", name="answer")))
    assert scaled.full_range
    assert scaled.classes.startswith("2, output answer: one probability of the second class")
    doubled = keras.layers.Rescaling(2.0, offset=-1)  # from [0, 1] to [−1, 1]
    assert not read_network(network_file(tmp_path, doubled, flat(), dense(3))).full_range


def test_what_cannot_be_exported_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(source: Path, target: str, out: str) -> str:
        assert main([str(source), "--to", target, str(tmp_path / out)]) == 1
        return capsys.readouterr().err

    (tmp_path / "notes.txt").write_text("no network", encoding="utf-8")
    (tmp_path / "broken.keras").write_text("no network", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    assert "must be a .keras or .h5 file, or the folder of an artifact" in error(tmp_path / "notes.txt", "litert", "x")
    assert "broken.keras: cannot be read" in error(tmp_path / "broken.keras", "litert", "x")
    assert "there is no classifier" in error(tmp_path / "empty", "litert", "x")
    assert "must end in .keras" in error(SHIPPED, "keras", "network.h5")


def test_a_litert_file_without_similarity_has_no_prototypes() -> None:
    with pytest.raises(ArtifactError, match="no similarity to prototypes"):
        read_prototypes((SHIPPED / "detector.tflite").read_bytes())
    mean, prototypes = read_prototypes((SHIPPED / INFERENCE_FILE).read_bytes())
    assert (mean.shape, prototypes.shape) == ((128,), (43, 128))
    assert np.allclose(np.linalg.norm(prototypes, axis=1), 1, atol=0.01)


@pytest.mark.parametrize("wrong", [1.02, np.nan])
def test_answers_that_differ_by_more_than_rounding_are_an_error(wrong: float) -> None:
    before: dict[str, npt.NDArray[np.float32]] = {"logits": np.array([[1.0, -2.0]], np.float32)}
    said: list[str] = []
    compare(before, {"logits": before["logits"] + np.float32(1e-5)}, 1e-4, said.append)
    assert said == ["  logits: largest difference 1e-05, of values up to 2"]
    with pytest.raises(TrainingError, match="the answers differ: logits by"):
        compare(before, {"logits": before["logits"] * np.float32(wrong)}, 1e-4, said.append)
    with pytest.raises(TrainingError, match="the outputs must be"):
        compare(before, {}, 1e-4, said.append)
