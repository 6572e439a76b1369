"""Networks, distillation and data augmentation, without long training runs."""

import dataclasses
import io
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from data.pictures import Pictures
from data.task import Task
from data.training_settings import Distortions, Training
from model.errors import TrainingError
from model.training.augment import Augment
from model.training.distil import distillation_loss
from model.training.inference_graph import serving_network
from model.training.network import build_network, multiply_adds
from tests.conftest import drawing, encoded

BOXES = np.tile(np.array([[0.1, 0.1, 0.9, 0.9]], np.float32), (64, 1))


@pytest.fixture(scope="module")
def pictures() -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(drawing(size=48, seed=seed)) for seed in range(64)])


def settings(task: Task, **changes: object) -> Training:
    return dataclasses.replace(task.training["quick"], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["residual", "plain", "MobileNetV2:0.35", "EfficientNetV2B0", "EfficientNetLite0"])
def test_network_maps_pixels_to_one_logit_per_class(pictures: npt.NDArray[np.uint8], task: Task, network: str) -> None:
    logits = build_network((48, 48), 43, settings(task, network=network)).predict(pictures[:3], verbose=0)
    assert logits.shape == (3, 43)
    assert logits.dtype == np.float32


def test_default_network_has_the_documented_size(task: Task) -> None:
    network = build_network((48, 48), 43, task.training["cpu"])
    assert 1_200_000 < network.count_params() < 1_300_000
    assert 100e6 < multiply_adds(network) < 103e6


def test_unknown_network_is_named(task: Task) -> None:
    with pytest.raises(TrainingError, match="unknown network 'Resnet51'"):
        build_network((48, 48), 43, settings(task, network="Resnet51"))


def test_weights_are_loaded_from_a_file_by_layer_name(task: Task, tmp_path: Path) -> None:
    """Weight files of other Keras versions nest the layers in other groups."""
    first = build_network((48, 48), 43, settings(task, network="MobileNetV2:0.35"))
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for layer in first.layers:
            name = "Conv1_bn" if layer.name == "bn_Conv1" else layer.name
            prefix = "depthwise_" if isinstance(layer, keras.layers.DepthwiseConv2D) else ""
            for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
                file[f"model_weights/sequential_1/{name}/{prefix}{weight.name}:0"] = value
    second = build_network(
        (48, 48), 43, settings(task, network="MobileNetV2:0.35", weights=str(tmp_path / "weights.h5"))
    )
    kernels = [network.get_layer("expanded_conv_project").get_weights()[0] for network in (first, second)]
    assert np.array_equal(*kernels)
    with pytest.raises(TrainingError, match=r"weights\.h5: has no .* of shape"):
        build_network((48, 48), 43, settings(task, network="MobileNetV2", weights=str(tmp_path / "weights.h5")))


def test_serving_network_has_the_same_logits_and_high_similarity_for_training_examples(
    pictures: npt.NDArray[np.uint8], task: Task
) -> None:
    network = build_network((48, 48), 2, settings(task))
    classes = (np.arange(64) % 2).astype(np.int64)
    answers = serving_network(network, Pictures(pictures), classes).predict(pictures, verbose=0)
    assert np.allclose(answers["logits"], network.predict(pictures, verbose=0), atol=1e-5)
    assert np.allclose(answers["class_maps"].mean(axis=(1, 2)), answers["logits"], atol=1e-5)
    assert answers["similarity"].shape == (64,)
    alone = serving_network(network, Pictures(pictures), np.arange(64)).predict(pictures, verbose=0)
    assert np.allclose(alone["similarity"], 1, atol=1e-3)  # every picture is the prototype of its own class
    assert answers["similarity"].mean() < 0.9


def test_distillation_loss_has_one_value_per_example_and_combines_labels_and_teacher() -> None:
    """Three examples of class 0: the student is right, wrong and undecided; the teacher is always right."""
    truth = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], np.float32)
    student = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 0.0]], np.float32)
    teacher = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0]], np.float32)
    logits = np.concatenate([student, teacher], axis=1)
    label = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=None)

    by_label = keras.ops.convert_to_numpy(distillation_loss(label, 0.0)(truth, logits))
    assert by_label == pytest.approx([np.log(1 + np.exp(-4)), np.log(1 + np.exp(4)), np.log(2)], rel=1e-4)
    by_teacher = keras.ops.convert_to_numpy(distillation_loss(label, 1.0)(truth, logits))
    soft = 1 / (1 + np.exp(-2))  # the teacher's probability of class 0 at temperature 2
    same = -(soft * np.log(soft) + (1 - soft) * np.log(1 - soft))
    assert by_teacher == pytest.approx([4 * same, 4 * (same + 2 * (2 * soft - 1)), 4 * np.log(2)], rel=1e-4)


def test_simulated_jpeg_resembles_real_jpeg(pictures: npt.NDArray[np.uint8]) -> None:
    nothing: dict[str, Any] = {
        field.name: (1.0, 1.0) if isinstance(field.default, tuple) else 0.0 for field in fields(Distortions)
    }
    ranges = Distortions(**{**nothing, "margin": (0.0, 0.0), "jpeg": (30.0, 30.0), "jpeg_probability": 1.1})
    whole = np.tile(np.array([[0.0, 0.0, 1.0, 1.0]], np.float32), (64, 1))
    ours = keras.ops.convert_to_numpy(Augment(ranges)(pictures, whole, training=True)).astype(float)
    files = [encoded(Image.fromarray(picture), "JPEG", quality=30, subsampling=0) for picture in pictures]
    theirs = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files]).astype(float)
    assert np.abs(ours - theirs).mean() < 0.5 * np.abs(theirs - pictures).mean()


def test_augmentation_changes_pictures_only_during_training(pictures: npt.NDArray[np.uint8]) -> None:
    augment = Augment(Distortions(), seed=1)
    distorted = keras.ops.convert_to_numpy(augment(pictures, BOXES, training=True))
    assert distorted.dtype == np.uint8
    assert distorted.shape == pictures.shape
    assert np.abs(distorted.astype(int) - pictures).mean() > 10
    assert np.array_equal(keras.ops.convert_to_numpy(augment(pictures, BOXES, training=False)), pictures)


def test_augmentation_with_zero_strength_changes_only_framing_and_light() -> None:
    """A square in the centre stays there: it is neither rotated nor shifted."""
    augment = Augment(Distortions(), seed=1)
    augment.build()
    augment.strength.assign(0.0)
    blank = np.zeros((64, 48, 48, 3), np.uint8)
    blank[:, 20:28, 20:28] = 255
    distorted = keras.ops.convert_to_numpy(augment(blank, BOXES, training=True)).astype(float).mean(axis=3)
    rows = distorted.sum(axis=2) @ np.arange(48) / distorted.sum(axis=(1, 2))
    columns = distorted.sum(axis=1) @ np.arange(48) / distorted.sum(axis=(1, 2))
    assert np.abs(rows - 23.5).max() < 0.6
    assert np.abs(columns - 23.5).max() < 0.6


def test_pictures_are_never_mirrored() -> None:
    """A picture that is bright on the left remains so: "turn left" must not become "turn right"."""
    left = np.zeros((64, 48, 48, 3), np.uint8)
    left[:, :, :24] = 200
    augment = Augment(Distortions(), seed=2)
    distorted = keras.ops.convert_to_numpy(augment(left, BOXES, training=True)).astype(float)
    assert (distorted[:, :, :12].mean(axis=(1, 2, 3)) > distorted[:, :, 36:].mean(axis=(1, 2, 3))).all()
