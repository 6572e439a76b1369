"""From a trained Keras network to the LiteRT model that serves."""

import tempfile

import keras


def to_litert(network: keras.Model) -> bytes:
    """Convert a network for inference, one picture at a time, with 8-bit weights.

    Weights are quantised per channel, activations at run time ("dynamic range").

    Args:
        network: uint8 (batch, height, width, 3) → logits (batch, classes).

    Returns:
        The bytes of a LiteRT file with the signature `serving_default`: pixels (1, height, width, 3), uint8 →
        logits (1, classes), float32.
    """
    import tensorflow as tf  # only here: the rest of the training runs on any backend of Keras

    pixels = keras.Input(batch_shape=(1, *network.input_shape[1:]), dtype="uint8", name="pixels")
    single = keras.Model(pixels, {"logits": network(pixels)})
    with tempfile.TemporaryDirectory() as folder:
        single.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())
