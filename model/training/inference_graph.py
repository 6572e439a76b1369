"""The network for inference: logits, similarity to the training examples and class maps in one pass."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops
from sklearn.cluster import KMeans

from data.images import Indices
from data.pictures import Pictures
from data.split import sample_evenly

PER_CLASS = 200  # largest number of examples of a class that its prototypes are made from
Vectors = npt.NDArray[np.float32]


def serving_network(network: keras.Model, pixels: Pictures, class_index: Indices, prototypes: int = 1) -> keras.Model:
    """Add the outputs for outlier detection and explanations to a trained network.

    The similarity is the largest cosine between the picture's embedding and the prototypes. If a class has one
    prototype, it is the mean direction of the class's training examples, otherwise they are the centres of clusters of
    these directions. All embeddings are centred on their overall mean first.

    Args:
        network: a network of `model.training.network`.
        pixels: n undistorted training examples.
        class_index: their classes, shape (n,).
        prototypes: largest number of prototypes of a class, at least 1.

    Returns:
        A model that maps pixels to a dictionary: `logits` (batch, classes), `similarity` (batch,) in [-1, 1] and, if
        the network has class maps, `class_maps` (batch, rows, columns, classes), whose spatial means are the logits.
    """
    embed = keras.Model(network.inputs, _embedding(network))
    rows = sample_evenly(np.arange(len(class_index)), class_index, PER_CLASS)
    chunks = pixels.select(rows).chunks()
    embedding = np.concatenate([embed.predict_on_batch(chunk) for chunk in chunks]).astype(np.float32)
    mean = embedding.mean(axis=0)
    direction = _unit(embedding - mean)
    centers = _unit(
        np.concatenate(
            [_centers(direction[class_index[rows] == index], prototypes) for index in np.unique(class_index)]
        )
    )
    return with_similarity(network, mean, centers)


def with_similarity(network: keras.Model, mean: Vectors, prototypes: Vectors) -> keras.Model:
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


def _centers(directions: Vectors, count: int) -> Vectors:
    """Return the centres of up to `count` clusters of unit vectors, shape (clusters, channels)."""
    if count == 1:
        return np.asarray(directions.mean(axis=0, keepdims=True))
    count = min(count, len(np.unique(directions, axis=0)))
    centers: Vectors = KMeans(count, n_init=1, random_state=0).fit(directions).cluster_centers_
    return centers


def _embedding(network: keras.Model) -> Any:
    """Return the network's embedding as a Keras tensor (batch, features)."""
    features = network.get_layer("features").output
    if len(features.shape) == 4:
        return layers.GlobalAveragePooling2D(dtype="float32", name="embedding")(features)
    return features


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
