"""The network for inference: logits, similarity to the training examples and class maps in one pass."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from data.split import sample_evenly

PER_CLASS = 200  # largest number of examples averaged for a prototype


def serving_network(
    network: keras.Model, pixels: npt.NDArray[np.uint8], class_index: npt.NDArray[np.int64]
) -> keras.Model:
    """Add the outputs for outlier detection and explanations to a trained network.

    The similarity is the largest cosine between the picture's embedding and the class prototypes. A prototype is the
    mean direction of a class's training examples; all embeddings are centred on their overall mean first.

    Args:
        network: a network of `model.training.network`.
        pixels: undistorted training examples, shape (n, height, width, 3), uint8 in [0, 255].
        class_index: their classes, shape (n,).

    Returns:
        A model that maps pixels to a dictionary: `logits` (batch, classes), `similarity` (batch,) in [-1, 1] and, if
        the network has class maps, `class_maps` (batch, rows, columns, classes), whose spatial means are the logits.
    """
    embed = keras.Model(network.inputs, _embedding(network))
    rows = sample_evenly(np.arange(len(class_index)), class_index, PER_CLASS)
    embedding = embed.predict(pixels[rows], batch_size=256, verbose=0).astype(np.float32)
    mean = embedding.mean(axis=0)
    direction = _unit(embedding - mean)
    prototypes = _unit(np.stack([direction[class_index[rows] == c].mean(axis=0) for c in np.unique(class_index)]))
    return with_similarity(network, mean, prototypes)


def with_similarity(
    network: keras.Model, mean: npt.NDArray[np.float32], prototypes: npt.NDArray[np.float32]
) -> keras.Model:
    """Add the outputs of `serving_network` for known prototypes.

    Args:
        network: a network of `model.training.network`.
        mean: overall mean of the embeddings, shape (features,).
        prototypes: directions of length 1 of the centred embeddings, shape (n, features).
    """
    features = _embedding(network)
    centred = layers.Normalization(mean=mean, variance=np.ones_like(mean), name="centred")(features)
    cosine = layers.Dense(len(prototypes), use_bias=False, name="cosine")
    similarity = ops.max(cosine(layers.UnitNormalization(name="direction")(centred)), axis=1)
    cosine.set_weights([prototypes.T])
    outputs = {"logits": network.output, "similarity": similarity}
    if any(layer.name == "class_maps" for layer in network.layers):
        outputs["class_maps"] = network.get_layer("class_maps").output
    return keras.Model(network.inputs, outputs, name="serving_network")


def _embedding(network: keras.Model) -> Any:
    """Return the network's embedding as a Keras tensor (batch, features)."""
    features = network.get_layer("features").output
    if len(features.shape) == 4:
        return layers.GlobalAveragePooling2D(dtype="float32", name="embedding")(features)
    return features


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
