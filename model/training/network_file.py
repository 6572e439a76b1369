"""Read an image classifier from a `.keras` file, an `.h5` file or an artifact, with what a user should know of it."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from model.artifact import DETECTOR_NETWORK_FILE, NETWORK_FILE, read_artifact, read_models
from model.engine import detector_name
from model.errors import TrainingError
from model.training.inference_graph import with_similarity
from model.training.legacy_h5 import load_h5
from model.training.prototypes import read_prototypes

FULL_RANGE = 16  # a mean above it, or a scale below 1 / 16, is meant for pixels from 0 to 255, not from 0 to 1


@dataclass(frozen=True)
class NetworkFile:
    """A network that was read from a file.

    Attributes:
        network: maps one tensor (batch, height, width, channels) to a dictionary of outputs.
        full_range: whether it takes pixels from 0 to 255; otherwise the range is unknown.
        classes: a description of the classes.
        inference: content of the LiteRT file if it comes from an artifact.
        name, version: of a network from an artifact; see `model.engine.Engine`. Empty if it comes from a file.
    """

    network: keras.Model
    full_range: bool
    classes: str
    inference: bytes | None = None
    name: str = ""
    version: str = ""

    @property
    def size(self) -> str:
        """The input size, for people: height × width × channels in pixels; "any" where there is no fixed size."""
        return _sides(self.network.inputs[0])


def read_network(path: Path) -> NetworkFile:
    """Read an image classifier.

    Args:
        path: a `.keras` file, an `.h5` file or the folder of an artifact.

    Raises:
        ArtifactError: the artifact is missing or damaged.
        TrainingError: the file cannot be read, or its network does not take pictures.
    """
    if path.is_dir():
        card, inference = read_artifact(path)
        network = with_similarity(_load_keras(path / NETWORK_FILE), *read_prototypes(inference))
        classes = f"{len(card.labels)}: {_join(label.name for label in card.labels)}"
        return NetworkFile(network, True, classes, inference, card.task, card.version)
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        raise TrainingError(f"{path}: must be a .keras or .h5 file, or the folder of an artifact")
    network = _with_named_outputs(_load_keras(path) if path.suffix == ".keras" else load_h5(path))
    if len(network.inputs) != 1 or len(network.inputs[0].shape) != 4:
        shapes = ", ".join(str(each.shape) for each in network.inputs)
        raise TrainingError(f"{path}: takes {shapes}, not pictures (batch, height, width, channels)")
    return NetworkFile(network, _takes_full_range(network), _describe_outputs(network))


def read_detector(path: Path) -> NetworkFile | None:
    """Read the detector of an artifact; None if it has none.

    Args:
        path: folder of the artifact.

    Raises:
        ArtifactError: the artifact is missing or damaged.
        TrainingError: the network cannot be read.
    """
    models = read_models(path)
    if models.detector is None or models.card.detector is None:
        return None
    network = _with_named_outputs(_load_keras(path / DETECTOR_NETWORK_FILE))
    classes = "none: it finds objects"
    name, version = detector_name(models.card.task), models.card.detector["version"]
    return NetworkFile(network, True, classes, models.detector, name, version)


def _load_keras(path: Path) -> keras.Model:
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path}: cannot be read with Keras {keras.__version__}: {error}") from error


def _with_named_outputs(network: keras.Model) -> keras.Model:
    if isinstance(network, keras.Sequential):
        outputs = {network.layers[-1].name: network.outputs[0]}
    elif isinstance(network.output, dict):
        return network
    else:
        outputs = dict(zip(network.output_names, network.outputs, strict=True))
    return keras.Model(network.inputs, outputs, name=network.name)


def _layers(network: keras.Model) -> Iterator[Any]:
    """Yield all layers in order, those of networks inside the network too."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _takes_full_range(network: keras.Model) -> bool:
    """Return whether pixels are integers, or scaled by the network before its first weights."""
    if network.inputs[0].dtype == "uint8":
        return True
    for layer in _layers(network):
        if isinstance(layer, layers.Rescaling) and np.max(np.abs(layer.scale)) < 1 / FULL_RANGE:
            return True
        if isinstance(layer, layers.Normalization):
            return bool(np.max(np.asarray(keras.ops.convert_to_numpy(layer.mean))) > FULL_RANGE)
        if layer.weights:
            return False
    return False


def _describe_outputs(network: keras.Model) -> str:
    described = []
    for name, tensor in network.output.items():
        if len(tensor.shape) != 2:
            described.append(f"output {name}, {_sides(tensor)} numbers for a picture")
        elif tensor.shape[-1] == 1:
            described.append(f"2, output {name}: one {_kind(tensor)} of the second class")
        else:
            described.append(f"{tensor.shape[-1]}, output {name}: their {_kind(tensor, plural=True)}")
    return "; ".join(described) + "; the file does not name them"


def _kind(tensor: Any, *, plural: bool = False) -> str:
    layer = tensor._keras_history.operation
    while isinstance(layer, keras.Model):
        layer = layer.layers[-1]
    activation = "softmax" if isinstance(layer, layers.Softmax) else getattr(layer, "activation", None)
    if getattr(activation, "__name__", activation) in ("softmax", "sigmoid"):
        return "probabilities" if plural else "probability"
    return "logits" if plural else "logit"


def _sides(tensor: Any) -> str:
    return " × ".join("any" if side is None else str(side) for side in tensor.shape[1:])


def _join(names: Iterator[str], limit: int = 12) -> str:
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
