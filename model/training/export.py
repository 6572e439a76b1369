"""From a serving network (`model.training.inference_graph`) to the LiteRT model.

`python -m model.training.export NETWORK.keras MODEL.tflite` does the same for a saved network.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras

from model.errors import TrainingError

ROOT = Path(__file__).parents[2]


def to_litert(network: keras.Model) -> bytes:
    """Convert a network for inference, one picture at a time, with 8-bit weights.

    Weights are quantised per channel, activations at run time ("dynamic range"). The converter takes networks of
    the TensorFlow backend; under another one the conversion is done by a process with TensorFlow.

    Args:
        network: uint8 (batch, height, width, 3) → a dictionary of outputs.

    Returns:
        The bytes of a LiteRT file with the signature `serving_default`: pixels (1, height, width, 3), uint8 → the
        same outputs, float32.

    Raises:
        TrainingError: the process with TensorFlow failed.
    """
    if keras.backend.backend() == "tensorflow":
        return _convert(network)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "network.keras"), Path(folder, "model.tflite")
        network.save(source)
        command = [sys.executable, "-m", "model.training.export", str(source), str(target)]
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        result = subprocess.run(  # noqa: S603 — no shell, our own words only
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise TrainingError(f"the network could not be converted: {result.stderr}")
        return target.read_bytes()


def _convert(network: keras.Model) -> bytes:
    import tensorflow as tf  # only here: the rest of the training runs on any backend of Keras

    pixels = keras.Input(batch_shape=(1, *network.input_shape[1:]), dtype="uint8", name="pixels")
    single = keras.Model(pixels, network(pixels))
    with tempfile.TemporaryDirectory() as folder:
        single.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(_convert(keras.models.load_model(sys.argv[1])))
