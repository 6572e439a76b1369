"""Write a network as TensorFlow Serving takes it: a SavedModel in a numbered folder, with requests to warm it up.

The requests are PredictionLog messages of tensorflow-serving-api. That package requires `tensorflow`, which would
replace the `tensorflow-cpu` used here, and of its messages a warm-up needs only nested fields of variable length. So
they are encoded here, with the field numbers of its prediction_log.proto, predict.proto and model.proto.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

SIGNATURE = "serving_default"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"  # where TensorFlow Serving looks for it
LENGTH_DELIMITED = 2  # the wire type of texts and messages


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
            tensor = tf.make_tensor_proto(row[None]).SerializeToString()
            file.write(encode_prediction_log({name: tensor}))


def input_name(network: keras.Model) -> str:
    """Return the name of a network's only input in a signature; TensorFlow allows letters, digits and _ only."""
    [entry] = network.inputs
    return re.sub(r"\W", "_", entry.name)


def encode_prediction_log(inputs: Mapping[str, bytes]) -> bytes:
    """Encode a request for a prediction as a PredictionLog.

    Args:
        inputs: name and serialised TensorProto of each input.
    """
    model = _field(3, SIGNATURE.encode())  # ModelSpec.signature_name
    request = _field(1, model)  # PredictRequest.model_spec
    for name, tensor in inputs.items():
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))  # PredictRequest.inputs: key and value
    return _field(6, _field(1, request))  # PredictionLog.predict_log, PredictLog.request


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of variable length: its number (below 16) and wire type, the length as a varint, the content."""
    length, digits = len(content), []
    while length >= 128:
        digits.append(length % 128 + 128)
        length //= 128
    return bytes([number * 8 + LENGTH_DELIMITED, *digits, length]) + content


def next_version(folder: Path) -> Path:
    """Return the folder of the next version in a folder of versions; TensorFlow Serving loads the highest one."""
    taken = [int(each.name) for each in folder.iterdir() if each.name.isdecimal()] if folder.exists() else []
    return folder / str(max(taken, default=0) + 1)


def run_saved_model(folder: Path, inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
    """Run the signature `serving_default` of a SavedModel on a batch."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))
    signature = model.signatures[SIGNATURE]
    [name] = signature.structured_input_signature[1]
    return {key: value.numpy() for key, value in signature(**{name: tf.constant(inputs)}).items()}
