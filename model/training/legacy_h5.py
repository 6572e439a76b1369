"""Rebuild networks from `.h5` files of Keras 2, which Keras 3 alone refuses or reads wrongly."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
from keras import layers, ops

from model.errors import TrainingError
from model.training.backbones import load_weights

ONLY_FOR_TRAINING = ("_initializer", "_regularizer", "_constraint")  # ends of names of settings
PRIMITIVE = ("name", "trainable", "dtype", "batch_input_shape")  # settings of every layer, not needed here


def load_h5(path: Path) -> keras.Model:
    """Load an image classifier from an HDF5 file of Keras 2 or 3, for inference.

    A `Sequential` or functional network of Keras 2 is rebuilt in float32 as one functional network: networks inside it
    are unfolded, random distortions are left out, and operations such as those of `preprocess_input` become layers.
    Its input, its output and its other layers keep their names, with `_` for `/`. Python code in a file is never run.

    Raises:
        TrainingError: the file cannot be read, has only weights, or has layers that are not supported.
    """
    try:
        with h5py.File(path) as file:
            written_by, text = str(file.attrs.get("keras_version", "")), file.attrs.get("model_config")
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error
    if text is None:
        raise TrainingError(f"{path}: has weights only; save the whole network, with `model.save`")
    try:
        if not written_by.startswith(("1.", "2.")):
            return _finished(keras.models.load_model(path, compile=False))
        network = _rebuild(json.loads(text))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[-300:]  # Keras repeats the whole architecture first
        raise TrainingError(f"{path}: cannot be rebuilt with Keras {keras.__version__}: {reason}") from error
    load_weights(network, path)
    return network


def _finished(network: keras.Model) -> keras.Model:
    """Let normalisation use the weights that were loaded; Keras forgets that in networks inside a network."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            _finished(layer)
        elif isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return network


def _rebuild(graph: dict[str, Any]) -> keras.Model:
    first = graph["config"]["layers"][0]
    while "layers" in first["config"] and "batch_input_shape" not in first["config"]:
        first = first["config"]["layers"][0]
    [_, *shape] = first["config"]["batch_input_shape"]
    name = graph["config"]["layers"][0]["config"]["name"]
    pixels = keras.Input(shape, dtype=first["config"].get("dtype") or "float32", name=name.replace("/", "_"))
    return keras.Model(pixels, _apply_graph(graph, pixels), name=graph["config"]["name"])


def _apply_graph(graph: dict[str, Any], x: Any) -> Any:
    """Apply a `Sequential` or functional network to a tensor."""
    table = graph["config"]
    if graph["class_name"] == "Sequential":
        for layer in table["layers"]:
            if layer["class_name"] != "InputLayer":
                x = _apply(layer, [x], {})
        return x
    [[entry, *_]], [[answer, *_]] = table["input_layers"], table["output_layers"]
    tensors = {entry: x}
    for layer in table["layers"]:
        if layer["name"] == entry:
            continue
        [node] = layer["inbound_nodes"]
        sources = [node] if isinstance(node[0], str) else node  # operations have one source, not in a list
        arguments = {name: value for source in sources for name, value in (source[3:] or [{}])[0].items()}
        arguments = {name: _resolve(value, tensors) for name, value in arguments.items()}
        tensors[layer["name"]] = _apply(layer, [tensors[source[0]] for source in sources], arguments)
    return tensors[answer]


def _resolve(value: Any, tensors: dict[str, Any]) -> Any:
    """Return the tensor that an argument of an operation refers to, or else the argument."""
    is_reference = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
    return tensors[value[0]] if is_reference else value


def _apply(layer: dict[str, Any], inputs: Sequence[Any], arguments: dict[str, Any]) -> Any:
    kind, table = layer["class_name"], layer["config"]
    if "layers" in table:
        return _apply_graph(layer, *inputs)
    if kind.startswith("Random"):  # distortions, without effect after training
        return inputs[0]
    name = table["name"].replace("/", "_")
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        return _apply_operation(table["function"], name, inputs[0], arguments)
    if kind == "Lambda":
        raise ValueError(f"layer {name!r} is Python code, which is not run: replace it with a layer of Keras")
    if not hasattr(layers, kind):
        raise ValueError(f"layer {name!r} is a {kind!r}, which Keras does not have")
    settings = {
        key: value
        for key, value in table.items()
        if key not in PRIMITIVE and not key.endswith(ONLY_FOR_TRAINING) and (key != "groups" or kind == "Conv2D")
    }
    if kind == "BatchNormalization" and isinstance(table["axis"], list):
        [settings["axis"]] = table["axis"]
    return getattr(layers, kind)(**settings, name=name)(inputs[0] if len(inputs) == 1 else list(inputs))


def _apply_operation(function: str, name: str, x: Any, arguments: dict[str, Any]) -> Any:
    """Apply an operation that Keras 2 recorded in a functional network, such as `x / 127.5`."""
    y = arguments.get("y")
    number = y if isinstance(y, int | float) else None
    match function.rpartition(".")[2]:
        case "add" if number is not None:
            return layers.Rescaling(1.0, offset=number, name=name)(x)
        case "subtract" | "sub" if number is not None:
            return layers.Rescaling(1.0, offset=-number, name=name)(x)
        case "multiply" | "mul" if number is not None:
            return layers.Rescaling(number, name=name)(x)
        case "truediv" | "divide" if number is not None:
            return layers.Rescaling(1 / number, name=name)(x)
        case "add" if y is not None:
            return layers.Add(name=name)([x, y])
        case "multiply" | "mul" if y is not None:
            return layers.Multiply(name=name)([x, y])
        case "bias_add":
            mean = [-bias for bias in arguments["bias"]]
            return layers.Normalization(mean=mean, variance=[1.0] * len(mean), name=name)(x)
        case "getitem" if arguments["slice_spec"][1:] == [{"start": None, "stop": None, "step": -1}]:
            return ops.flip(x, axis=-1)  # RGB to BGR
        case "cast":
            return x
    raise ValueError(f"layer {name!r} is the operation {function!r}, which is not supported")
