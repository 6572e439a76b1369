"""Learning from a larger network's answers besides the labels (Hinton et al. 2015)."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import keras
from keras import ops

from data.task import Task
from model.artifact import NETWORK_FILE, read_artifact
from model.errors import TrainingError

SOFTNESS = 2.0  # the temperature at which teacher and student are compared


def load_teacher(folder: str, task: Task, origin: str, held_out: Collection[str]) -> keras.Model:
    """Load the network of an artifact for learning from it.

    Args:
        folder: the artifact.
        task: the student's.
        origin: of the data that the student learns from; held_out: the groups of it that it is measured on.

    Raises:
        ArtifactError: there is no good artifact.
        TrainingError: the teacher is not for this task, or has seen examples that the student is measured on.
    """
    card, _ = read_artifact(Path(folder))
    if card.data["name"] == origin and set(held_out) - set(card.data["groups_held_out"]):
        raise TrainingError(
            f"{folder}: this teacher has seen examples that are held out here; it must hold them out too"
        )
    teacher = keras.models.load_model(Path(folder, NETWORK_FILE))
    shapes = teacher.input_shape[1:], teacher.output_shape[1:]
    expected = (*task.input_size, 3), (len(task.labels),)
    if shapes != expected:
        raise TrainingError(
            f"{folder}: maps {shapes[0]} to {shapes[1]}; this task needs {expected[0]} to {expected[1]}"
        )
    for layer in teacher.layers:
        if isinstance(layer, keras.layers.Dropout | keras.layers.SpatialDropout2D):
            layer.rate = 0.0  # a model inside another takes over `training` from it, whatever it is called with
    teacher.trainable = False
    teacher.name = "teacher"
    return teacher


def distilled(loss: Callable[[Any, Any], Any], share: float) -> Callable[[Any, Any], Any]:
    """Return a loss over the student's and the teacher's logits side by side, (batch, 2 · classes).

    Args:
        loss: of the student's logits against the labels, shape (batch,): Keras weighs the sum for each example.
        share: of the teacher in the whole, in [0, 1].
    """

    def both(truth: Any, logits: Any) -> Any:
        student, teacher = ops.split(ops.cast(logits, "float32"), 2, axis=1)
        soft = keras.losses.categorical_crossentropy(
            ops.softmax(teacher / SOFTNESS), student / SOFTNESS, from_logits=True
        )
        return (1 - share) * loss(truth, student) + share * SOFTNESS**2 * soft

    return both


def student_accuracy() -> keras.metrics.Metric:
    """Return the accuracy of the student, the first half of the logits."""

    def right(truth: Any, logits: Any) -> Any:
        return keras.metrics.categorical_accuracy(truth, ops.split(logits, 2, axis=1)[0])

    return keras.metrics.MeanMetricWrapper(right, name="accuracy")
