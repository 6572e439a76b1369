"""Networks in `.h5` files of Keras 2."""

import os
from pathlib import Path

import h5py
import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import layers

from model.errors import TrainingError
from model.training.legacy_h5 import load_h5
from tests import keras2

PICTURES = np.random.default_rng(1).integers(0, 256, (4, keras2.SIDE, keras2.SIDE, 3)).astype(np.float32)


def by_hand(scaled: npt.NDArray[np.float32], named: keras2.Weights) -> npt.NDArray[np.float32]:
    """Return what the classifier in `tests.keras2` answers, computed by a network that is put together here."""
    statistics = [named[f"Conv/BatchNorm/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    network = keras.Sequential(
        [
            keras.Input(scaled.shape[1:]),
            layers.Conv2D(8, 3, 2, padding="same", use_bias=False),
            layers.BatchNormalization(epsilon=0.001),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.Activation("swish"),
            layers.SeparableConv2D(8, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    convolution, normalisation, depthwise, _, separable, _, dense = network.layers
    convolution.set_weights([named["Conv/expand/kernel"]])
    normalisation.set_weights(statistics)
    depthwise.set_weights([named["depthwise/depthwise_kernel"]])
    separable.set_weights([named[f"separable/{name}"] for name in ("depthwise_kernel", "pointwise_kernel", "bias")])
    dense.set_weights([named["head/kernel"], named["head/bias"]])
    return np.asarray(network.predict(scaled, verbose=0))


def test_a_classifier_of_keras_2_gives_the_same_answers(tmp_path: Path) -> None:
    """With a backbone in a network, whose Normalization must use the weights of the file."""
    path, named = tmp_path / "old.h5", keras2.weights()
    keras2.write_keras2(path, keras2.classifier(), named)
    network = load_h5(path)
    scaled = ((PICTURES / 255 - keras2.MEAN) / np.sqrt(keras2.VARIANCE)).astype(np.float32)
    answers = network.predict(PICTURES, verbose=0)
    assert answers.std() > 0.01
    assert np.allclose(answers, by_hand(scaled, named), atol=1e-5)
    assert (network.inputs[0].name, network.output_names) == ("backbone_input", ["head"])


def test_operations_of_preprocess_input_become_layers(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    named = {name: value for name, value in keras2.weights().items() if not name.startswith("normalization")}
    keras2.write_keras2(path, keras2.with_operations(), named)
    assert np.allclose(load_h5(path).predict(PICTURES, verbose=0), by_hand(PICTURES / 127.5 - 1, named), atol=1e-5)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path, named = tmp_path / "old.h5", keras2.weights()
    code = keras2.layer("Lambda", "halve", function=["4wEAAAAA", None, None], function_type="lambda")
    keras2.write_keras2(path, [*keras2.classifier(), code], named)
    with pytest.raises(TrainingError, match=r"old\.h5: .* layer 'halve' is Python code, which is not run"):
        load_h5(path)
    custom = keras2.layer("FixedDropout", "drop", rate=0.2)
    keras2.write_keras2(path, [*keras2.classifier(), custom], named)
    with pytest.raises(TrainingError, match=r"layer 'drop' is a 'FixedDropout', which Keras does not have"):
        load_h5(path)
    keras2.write_keras2(path, keras2.classifier(), {**named, "head/kernel": named["head/kernel"][:4]})
    with pytest.raises(TrainingError, match=r"has no head/kernel of shape \(8, 3\)"):
        load_h5(path)
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
    with pytest.raises(TrainingError, match="has weights only; save the whole network"):
        load_h5(path)
    path.write_bytes(b"no network")
    with pytest.raises(TrainingError, match=r"old\.h5: cannot be read"):
        load_h5(path)


def test_a_real_file_of_teachable_machine_gives_probabilities() -> None:
    if "TASK_DATA" not in os.environ:
        pytest.skip("TASK_DATA names no folder with mobilenet_v2_0.35_teachable_machine.h5")
    network = load_h5(Path(os.environ["TASK_DATA"], "mobilenet_v2_0.35_teachable_machine.h5"))
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3))
    probabilities = network.predict(pictures, verbose=0)
    assert probabilities.shape == (2, 4)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert probabilities.max() > 0.7  # with random weights all would be about 1/4
