"""Write `.h5` files as Keras 2 did: another description of the layers, weights in groups by name."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

SIDE = 32  # pixels
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of the layer Normalization, as in EfficientNet
VARIANCE = np.array([0.229, 0.224, 0.225], np.float32)
ZEROS = {"class_name": "Zeros", "config": {}}
Weights = dict[str, npt.NDArray[np.float32]]


def weights() -> Weights:
    """Return random weights by `<layer>/<weight>`, with the names of Keras 2."""
    random = np.random.default_rng(0)

    def kernel(*shape: int) -> npt.NDArray[np.float32]:
        return random.normal(0, 0.4, shape).astype(np.float32)

    named: Weights = {
        "normalization/mean": MEAN,
        "normalization/variance": VARIANCE,
        "normalization/count": np.zeros((), np.float32),
        "Conv/expand/kernel": kernel(3, 3, 3, 8),
        "depthwise/depthwise_kernel": kernel(3, 3, 8, 1),
        "separable/depthwise_kernel": kernel(3, 3, 8, 1),
        "separable/pointwise_kernel": kernel(1, 1, 8, 8),
        "separable/bias": kernel(8),
        "head/kernel": kernel(8, 3),
        "head/bias": kernel(3),
    }
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        named[f"Conv/BatchNorm/{name}"] = random.uniform(0.5, 1.5, 8).astype(np.float32)
    return named


def write_keras2(path: Path, layers: list[dict[str, Any]], named: Weights) -> None:
    """Write a Sequential network; the weights of layers inside a network are in the group of that network."""
    config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}
    inside = {each["config"]["name"]: layer["config"]["name"] for layer in layers for each in _nested(layer)}
    with h5py.File(path, "w") as file:
        file.attrs.update({"keras_version": "2.9.0", "backend": "tensorflow", "model_config": json.dumps(config)})
        for name, value in named.items():
            layer = name.rpartition("/")[0]
            file[f"model_weights/{inside.get(layer, layer)}/{name}:0"] = value
            file[f"optimizer_weights/Adam/m/{name}:0"] = value * 0


def classifier() -> list[dict[str, Any]]:
    """Return the layers of an image classifier: distortions, a functional backbone, pooling and a dense head."""
    convolution = {"padding": "same", "use_bias": False, "kernel_initializer": ZEROS, "kernel_regularizer": None}
    depthwise = {"padding": "same", "use_bias": False, "kernel_size": [3, 3], "groups": 1}
    backbone = [
        entry("input_1"),
        layer("Rescaling", "rescaling", scale=1 / 255, offset=0.0),
        layer("Normalization", "normalization", axis=[3], mean=None, variance=None),
        layer("Conv2D", "Conv/expand", filters=8, kernel_size=[3, 3], strides=[2, 2], groups=1, **convolution),
        layer("BatchNormalization", "Conv/BatchNorm", axis=[3], epsilon=0.001, beta_initializer=ZEROS),
        layer("DepthwiseConv2D", "depthwise", depthwise_initializer=ZEROS, **depthwise),
        layer("Activation", "swish", activation="swish"),
        layer("SeparableConv2D", "separable", filters=8, kernel_size=[3, 3], groups=1, kernel_initializer=ZEROS),
    ]
    return [
        entry("backbone_input"),
        layer("RandomFlip", "random_flip", mode="horizontal", rng_type="stateful"),
        functional("backbone", backbone),
        layer("GlobalAveragePooling2D", "pool", data_format="channels_last"),
        layer("Dropout", "dropout", rate=0.2, noise_shape=None, seed=None),
        layer("Dense", "head", units=3, activation="softmax", kernel_initializer=ZEROS, bias_constraint=None),
    ]


def with_operations() -> list[dict[str, Any]]:
    """Return a classifier that scales pixels itself, by recorded operations: (x / 127.5 − 1)."""
    operations = [
        entry("input_1"),
        layer("TFOpLambda", "tf.math.truediv", function="math.truediv"),
        layer("TFOpLambda", "tf.math.subtract", function="math.subtract"),
    ]
    network = functional("scaling", operations)
    for number, operand in ((1, 127.5), (2, 1.0)):
        [[source]] = network["config"]["layers"][number]["inbound_nodes"]
        network["config"]["layers"][number]["inbound_nodes"] = [[*source[:3], {"y": operand, "name": None}]]
    [_, _, backbone, *head] = classifier()
    del backbone["config"]["layers"][1:3]  # its own scaling
    backbone["config"]["layers"][1]["inbound_nodes"] = [[["input_1", 0, 0, {}]]]
    return [entry("scaling_input"), network, backbone, *head]


def entry(name: str) -> dict[str, Any]:
    return {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, SIDE, SIDE, 3], "dtype": "float32", "sparse": False, "name": name},
    }


def layer(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True, "dtype": "float32", **settings}}


def functional(name: str, chain: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a functional network in which each layer follows the one before."""
    names = [each["config"]["name"] for each in chain]
    sources: list[list[Any]] = [[], *([[[before, 0, 0, {}]]] for before in names[:-1])]
    nodes = [
        {**each, "name": each["config"]["name"], "inbound_nodes": source}
        for each, source in zip(chain, sources, strict=True)
    ]
    ends = {"input_layers": [[names[0], 0, 0]], "output_layers": [[names[-1], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": name, "layers": nodes, **ends}}


def _nested(layer: dict[str, Any]) -> list[dict[str, Any]]:
    nested: list[dict[str, Any]] = layer["config"].get("layers", [])
    return nested
