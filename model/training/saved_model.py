"""Write networks as TensorFlow Serving takes them: SavedModels in numbered folders, with requests to warm them up."""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model.engine import SIGNATURE
from model.tf_serving import api_pb2 as api

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"  # where TensorFlow Serving looks for it
CONFIG_FILE = "models.config"
BASE = "/models"  # folder of the models in TensorFlow Serving's image


def write_saved_model(network: keras.Model, folder: Path, warmup: npt.NDArray[Any]) -> None:
    """Write a SavedModel whose signature `serving_default` has the network's names for its input and outputs.

    Args:
        network: maps one tensor (batch, …) to a dictionary of outputs.
        folder: the version folder, such as OUT/1.
        warmup: inputs, shape (n, …); TensorFlow Serving runs each once, as a batch of one, before it takes requests.
    """
    import tensorflow as tf  # here, because training itself runs on any Keras backend

    [entry], name = network.inputs, input_name(network)
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint(
        SIGNATURE,
        lambda batch: network(batch, training=False),
        input_signature=[tf.TensorSpec(entry.shape, entry.dtype, name=name)],
    )
    archive.write_out(str(folder), verbose=False)
    path = folder / WARMUP_FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:  # noqa: TID251 — writes records, decodes no pictures
        for row in warmup:
            tensor = api.TensorProto.FromString(tf.make_tensor_proto(row[None]).SerializeToString())
            request = api.PredictRequest(model_spec={"signature_name": SIGNATURE}, inputs={name: tensor})
            file.write(api.PredictionLog(predict_log={"request": request}).SerializeToString())


def input_name(network: keras.Model) -> str:
    """Return the name of a network's only input in a signature; TensorFlow allows letters, digits and _ only."""
    [entry] = network.inputs
    return re.sub(r"\W", "_", entry.name)


def next_version(folder: Path) -> Path:
    """Return the folder of the next version in a folder of versions; TensorFlow Serving loads the highest one."""
    taken = [int(each.name) for each in folder.iterdir() if each.name.isdecimal()] if folder.exists() else []
    return folder / str(max(taken, default=0) + 1)


def write_config(models: Path) -> Path:
    """Write the file that makes TensorFlow Serving load every version of every network in a folder.

    A version that is not the newest is needed while services with its card are being replaced.

    Args:
        models: has a folder for each network, which has one for each version.

    Returns:
        The file: a ModelServerConfig in text format, in the same folder.
    """
    names = sorted(each.name for each in models.iterdir() if each.is_dir() and next_version(each).name != "1")
    configs = "".join(
        f'  config {{\n    name: "{name}"\n    base_path: "{BASE}/{name}"\n    model_platform: "tensorflow"\n'
        "    model_version_policy { all {} }\n  }\n"
        for name in names
    )
    path = models / CONFIG_FILE
    path.write_text(f"model_config_list {{\n{configs}}}\n", encoding="utf-8")
    return path


def run_saved_model(folder: Path, inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
    """Run the signature `serving_default` of a SavedModel on a batch."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))
    signature = model.signatures[SIGNATURE]
    [name] = signature.structured_input_signature[1]
    return {key: value.numpy() for key, value in signature(**{name: tf.constant(inputs)}).items()}
