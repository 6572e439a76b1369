"""Knowledge distillation: learn from a teacher network in addition to the labels (Hinton et al. 2015)."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import keras
from keras import ops

from data.task import Task
from model.artifact import NETWORK_FILE, read_artifact
from model.errors import TrainingError

TEMPERATURE = 2.0  # divisor of both teacher and student logits


def load_teacher(folder: str, task: Task, origin: str, held_out: Collection[str]) -> keras.Model:
    """Load the network of an artifact as a frozen teacher.

    Args:
        folder: folder of the artifact.
        task: the student's task.
        origin: name of the student's data set.
        held_out: groups of that data set that the student is evaluated on.

    Raises:
        ArtifactError: the artifact is missing or damaged.
        TrainingError: the teacher's input or output does not fit the task, or it was trained on held-out groups.
    """
    card, _ = read_artifact(Path(folder))
    if card.data["name"] == origin and set(held_out) - set(card.data["groups_held_out"]):
        raise TrainingError(
            f"{folder}: this teacher was trained on groups that are held out here; use one that held them out too"
        )
    teacher = keras.models.load_model(Path(folder, NETWORK_FILE))
    shapes = teacher.input_shape[1:], teacher.output_shape[1:]
    expected = (*task.input_size, 3), (len(task.labels),)
    if shapes != expected:
        raise TrainingError(
            f"{folder}: maps {shapes[0]} to {shapes[1]}, but this task needs {expected[0]} to {expected[1]}"
        )
    for layer in teacher.layers:
        if isinstance(layer, keras.layers.Dropout | keras.layers.SpatialDropout2D):
            layer.rate = 0.0  # a nested model inherits `training=True` and would apply dropout
    teacher.trainable = False
    teacher.name = "teacher"
    return teacher


def distillation_loss(loss: Callable[[Any, Any], Any], share: float) -> Callable[[Any, Any], Any]:
    """Return a loss that combines the labels and the teacher.

    Args:
        loss: compares the student's logits with the labels and returns one value per example, shape (batch,), so that
            sample weights apply to the combined loss.
        share: weight of the teacher, in [0, 1].

    Returns:
        A loss function of the one-hot labels and of the concatenated logits of student and teacher, shape
        (batch, 2 · classes).
    """

    def combined(truth: Any, logits: Any) -> Any:
        student, teacher = ops.split(ops.cast(logits, "float32"), 2, axis=1)
        soft = keras.losses.categorical_crossentropy(
            ops.softmax(teacher / TEMPERATURE), student / TEMPERATURE, from_logits=True
        )
        return (1 - share) * loss(truth, student) + share * TEMPERATURE**2 * soft

    return combined


def student_accuracy() -> keras.metrics.Metric:
    """Return a metric for the accuracy of the student, whose logits are the first half."""

    def correct(truth: Any, logits: Any) -> Any:
        return keras.metrics.categorical_accuracy(truth, ops.split(logits, 2, axis=1)[0])

    return keras.metrics.MeanMetricWrapper(correct, name="accuracy")
