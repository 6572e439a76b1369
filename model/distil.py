"""Learning from a larger network's answers besides the labels (Hinton et al. 2015)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import ops

from data.task import Task
from model.errors import TrainingError

SOFTNESS = 2.0  # the temperature at which teacher and student are compared


def load_teacher(path: str, task: Task) -> keras.Model:
    """Load a trained network for learning from it.

    Raises:
        TrainingError: the file cannot be read, or the network is not for this task.
    """
    try:
        teacher = keras.models.load_model(Path(path))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: is no network that can be read: {error}") from error
    shapes = teacher.input_shape[1:], teacher.output_shape[1:]
    expected = (*task.input_size, 3), (len(task.labels),)
    if shapes != expected:
        raise TrainingError(f"{path}: maps {shapes[0]} to {shapes[1]}; this task needs {expected[0]} to {expected[1]}")
    teacher.trainable = False
    teacher.name = "teacher"
    return teacher


def distilled(loss: Callable[[Any, Any], Any], share: float) -> Callable[[Any, Any], Any]:
    """Return a loss over the student's and the teacher's logits side by side, (batch, 2 · classes).

    Args:
        loss: of the student's logits against the labels.
        share: of the teacher in the whole, in [0, 1].
    """

    def both(truth: Any, logits: Any) -> Any:
        student, teacher = ops.split(ops.cast(logits, "float32"), 2, axis=1)
        soft = keras.losses.categorical_crossentropy(
            ops.softmax(teacher / SOFTNESS), student / SOFTNESS, from_logits=True
        )
        return (1 - share) * loss(truth, student) + share * SOFTNESS**2 * soft

    return both


def student_accuracy(truth: Any, logits: Any) -> Any:
    """Say of each example whether the student, the first half of the logits, is right; shape (batch,)."""
    return keras.metrics.categorical_accuracy(truth, ops.split(logits, 2, axis=1)[0])


student_accuracy.__name__ = "accuracy"  # what the history calls it
