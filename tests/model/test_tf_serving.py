"""Messages to and from TensorFlow Serving, and its answers compared with LiteRT's."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.images import Picture
from model.artifact import read_artifact
from model.classifier import Classifier
from model.detector import Detector
from model.engine import LiteRtNetwork, detector_name
from model.errors import ArtifactError, EngineError
from model.recogniser import decode_photo
from model.tf_serving import api_pb2 as api
from model.tf_serving.client import TensorFlowServing, decode, encode, version_number
from tests.conftest import ROOT, SHIPPED, drawing, run_tf_serving

STREET = ROOT / "ui/static/traffic_sign/samples/town.jpg"
FLOAT = """
import sys
from pathlib import Path
import tensorflow as tf
converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1])
Path(sys.argv[2]).write_bytes(converter.convert())
"""


@pytest.fixture(scope="module")
def engine(models: Path) -> Iterator[TensorFlowServing]:
    """An engine with a server."""
    with run_tf_serving(models) as port:
        yield TensorFlowServing(f"localhost:{port}", timeout_s=60)


def in_float(folder: Path, tmp_path: Path) -> bytes:
    """Return the LiteRT file of an exported network, without 8-bit weights."""
    [version] = folder.iterdir()
    script = [sys.executable, "-c", FLOAT, str(version), str(tmp_path / "float.tflite")]
    subprocess.run(script, cwd=ROOT, capture_output=True, check=True)
    return (tmp_path / "float.tflite").read_bytes()


def test_probabilities_are_those_of_litert_in_float(engine: TensorFlowServing, models: Path, tmp_path: Path) -> None:
    card, _ = read_artifact(SHIPPED)
    remote = Classifier(card, engine.open(card.task, card.version, b""))
    local = Classifier(card, LiteRtNetwork(in_float(models / card.task, tmp_path)))
    pictures = np.stack([np.asarray(drawing(index, 48, seed)) for index in range(43) for seed in range(12)])
    pictures = np.concatenate([pictures, pictures[:, ::-1]])  # upside down, most of them are no signs
    answers = [classifier.classify_all(pictures, explain=True) for classifier in (remote, local)]
    assert len({each.verdict for each in answers[1]}) == 3
    for mine, theirs in zip(*answers, strict=True):
        assert mine.verdict == theirs.verdict
        assert np.abs(mine.probabilities - theirs.probabilities).max() < 1e-4


def test_places_of_the_detector_are_those_of_litert_in_float(
    engine: TensorFlowServing, models: Path, tmp_path: Path
) -> None:
    card, _ = read_artifact(SHIPPED)
    assert card.detector
    name = detector_name(card.task)
    remote = engine.open(name, card.detector["version"], b"")
    local = LiteRtNetwork(in_float(models / name, tmp_path))
    photo = decode_photo(Picture(STREET.read_bytes()))
    part = photo.pixels[:640, :640]
    views = np.stack([part[top : top + 96, left : left + 96] for top, left in ((0, 0), (200, 300), (500, 500))])
    for pixels in (part[None], views):  # a first look, and close looks
        mine, theirs = (network.run(pixels, ("places",))["places"] for network in (remote, local))
        certainty = [1 / (1 + np.exp(-places[..., 0])) for places in (mine, theirs)]
        assert np.abs(certainty[0] - certainty[1]).max() < 1e-4
    found = [Detector(network).detect(photo, 0.5)[0] for network in (remote, local)]
    assert len(found[1]) > 3
    for one, other in zip(*found, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.box == pytest.approx(other.box, abs=0.1)  # pixels


def test_network_of_another_kind_is_refused(engine: TensorFlowServing) -> None:
    card, _ = read_artifact(SHIPPED)
    assert card.detector
    with pytest.raises(ArtifactError, match="the network takes"):
        Classifier(card, engine.open("traffic_sign_detector", card.detector["version"], b"")).verify()


@pytest.mark.parametrize(
    ("name", "version"), [("traffic_sign", "2026-01-02-0000000a"), ("pizza", "2026-01-02-00000000")]
)
def test_network_that_the_server_does_not_have_is_an_error(engine: TensorFlowServing, name: str, version: str) -> None:
    with pytest.raises(EngineError, match=f"does not have version {version_number(version)} of the network {name}"):
        engine.open(name, version, b"").check()


def test_pixels_of_another_shape_are_refused_by_the_server(engine: TensorFlowServing) -> None:
    card, _ = read_artifact(SHIPPED)
    with pytest.raises(EngineError, match="INVALID_ARGUMENT"):
        engine.open(card.task, card.version, b"").run(np.zeros((1, 32, 32, 3), np.uint8), ())


def test_call_that_fails_once_is_repeated_whatever_its_size(models: Path) -> None:
    card, _ = read_artifact(SHIPPED)
    assert card.detector
    with run_tf_serving(models, failures=1) as port:
        network = TensorFlowServing(f"localhost:{port}", 60).open(
            "traffic_sign_detector", card.detector["version"], b""
        )
        assert network.run(np.zeros((1, 640, 640, 3), np.uint8), ())["places"].shape == (1, 80, 80, 5)


def test_messages_are_those_of_tensorflow() -> None:
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow.python.framework import tensor_util

    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    theirs = tensor_pb2.TensorProto.FromString(encode(pixels).SerializeToString())
    assert np.array_equal(tensor_util.MakeNdarray(theirs), pixels)
    values = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    for array in (values, np.full((2, 3), 0.5, np.float32)):  # of equal values, it sends only one
        message = tensor_util.make_tensor_proto(array, shape=array.shape)
        assert np.array_equal(decode(api.TensorProto.FromString(message.SerializeToString()), 2), array)
    assert (api.DT_FLOAT, api.DT_UINT8) == (types_pb2.DT_FLOAT, types_pb2.DT_UINT8)


def test_values_are_read_from_either_field_and_the_last_one_stands_for_the_missing() -> None:
    shape = {"dim": [{"size": 2}, {"size": 2}]}
    for given, wanted in ([1, 2, 3, 4], [1, 2, 3, 4]), ([1, 2], [1, 2, 2, 2]), ([5], [5, 5, 5, 5]):
        tensor = api.TensorProto(dtype=api.DT_FLOAT, tensor_shape=shape, float_val=given)
        assert decode(tensor, 2).ravel().tolist() == wanted
    content = np.arange(4, dtype="<f4").tobytes()
    tensor = api.TensorProto(dtype=api.DT_FLOAT, tensor_shape=shape, tensor_content=content)
    assert decode(tensor, 2).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": api.DT_UINT8, "tensor_shape": {"dim": [{"size": 2}]}, "tensor_content": b"ab"},
        {"dtype": api.DT_FLOAT, "tensor_shape": {"dim": [{"size": 3}]}, "float_val": [1, 2, 3]},
        {"dtype": api.DT_FLOAT, "tensor_shape": {"dim": [{"size": 2}]}, "float_val": [1, 2, 3]},
        {"dtype": api.DT_FLOAT, "tensor_shape": {"dim": [{"size": 2}]}, "tensor_content": b"abcd"},
        {"dtype": api.DT_FLOAT, "tensor_shape": {"dim": [{"size": 2}]}, "tensor_content": b"abcde"},
        {"dtype": api.DT_FLOAT, "tensor_shape": {"dim": [{"size": 2}, {"size": 10**12}]}, "float_val": [1]},
        {"dtype": api.DT_FLOAT, "tensor_shape": {"dim": [{"size": 2}, {"size": -1}]}},
        {"dtype": api.DT_FLOAT, "tensor_shape": {"dim": [{"size": 2}]}},
        {},
    ],
)
def test_other_answers_are_errors(tensor: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="answered with"):
        decode(api.TensorProto(**tensor), 2)


def test_versions_become_numbers_in_the_order_of_their_dates() -> None:
    assert version_number("2026-11-21-20c56d9e") == 202611210549809566
    assert version_number("2026-11-22-00000000") > version_number("2026-11-21-ffffffff")
    assert version_number("9999-12-31-ffffffff") < 2**63
    for other in ("1", "2026-11-21", "2026-11-21-20C56D9E", "2026-11-21-20c56d9e0"):
        with pytest.raises(ArtifactError, match="is not a date"):
            version_number(other)


@pytest.mark.skipif(find_spec("grpc_tools") is None, reason="the package grpcio-tools is not installed")
def test_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    source = "model/tf_serving/api.proto"
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I.",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
        source,
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    for name in ("api_pb2.py", "api_pb2.pyi"):
        assert (tmp_path / "model/tf_serving" / name).read_text() == (ROOT / "model/tf_serving" / name).read_text()
