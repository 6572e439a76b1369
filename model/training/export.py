"""Convert a serving network (`model.training.inference_graph`) to LiteRT.

`python -m model.training.export NETWORK.keras MODEL.tflite` converts a saved network.
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
    """Convert a network to LiteRT with 8-bit weights and a batch size of 1.

    Weights are quantised per channel ahead of time, activations at run time (dynamic-range quantisation). The converter
    requires the TensorFlow backend of Keras; with another backend it runs in a subprocess.

    Args:
        network: maps pixels (batch, height, width, 3), uint8, to a dictionary of outputs.

    Returns:
        The content of a LiteRT file. Its signature `serving_default` maps `pixels`, shape (1, height, width, 3),
        uint8, to the same outputs as float32.

    Raises:
        TrainingError: the subprocess failed.
    """
    if keras.backend.backend() == "tensorflow":
        return _convert(network)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "network.keras"), Path(folder, "model.tflite")
        network.save(source)
        command = [sys.executable, "-m", "model.training.export", str(source), str(target)]
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        result = subprocess.run(  # noqa: S603 — no shell; fixed arguments
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise TrainingError(f"conversion to LiteRT failed: {result.stderr}")
        return target.read_bytes()


def _convert(network: keras.Model) -> bytes:
    import tensorflow as tf  # imported here because training itself runs on any Keras backend

    pixels = keras.Input(batch_shape=(1, *network.input_shape[1:]), dtype="uint8", name="pixels")
    answer = network(pixels)
    single = keras.Model(pixels, answer if isinstance(answer, dict) else {network.output_names[0]: answer})
    with tempfile.TemporaryDirectory() as folder:
        single.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(_convert(keras.models.load_model(sys.argv[1])))
