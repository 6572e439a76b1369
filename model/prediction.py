"""A prediction and its JSON form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.label import Label
from model.artifact import Card
from model.calibrate import Verdict


@dataclass(frozen=True)
class Prediction:
    """A classifier's prediction for one picture.

    Attributes:
        labels: all classes of the task.
        probabilities: calibrated, shape (classes,), float32, in the order of `labels`; their sum is 1.
        verdict: how far the prediction can be trusted.
        class_map: class activation map of the most probable class, shape (rows, columns), float32, with the logit as
            its mean; None if it was not requested or the network has no class maps.
    """

    labels: tuple[Label, ...]
    probabilities: npt.NDArray[np.float32]
    verdict: Verdict
    class_map: npt.NDArray[np.float32] | None = None

    @property
    def class_index(self) -> int:
        """Index of the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def class_name(self) -> str:
        """Name of the most probable class."""
        return self.labels[self.class_index].name

    @property
    def probability(self) -> float:
        """Probability of the most probable class, in [0, 1]."""
        return float(self.probabilities[self.class_index])

    @property
    def is_accepted(self) -> bool:
        """Whether it is probably one of the known classes."""
        return self.verdict != "not_recognised"

    @property
    def heatmap(self) -> npt.NDArray[np.float32] | None:
        """Positive evidence for the most probable class: shape (rows, columns), float32 in [0, 1], maximum 1.

        Negative values of the class map become 0. None if there is no class map or it has no positive value.
        """
        if self.class_map is None or self.class_map.max() <= 0:
            return None
        return np.asarray(np.maximum(self.class_map, 0) / self.class_map.max())

    def top(self, k: int) -> list[tuple[Label, float]]:
        """Return the k most probable labels (at most all) with their probabilities, most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.labels[index], float(self.probabilities[index])) for index in order]

    def to_json(self, card: Card, top_k: int, explain: bool = False) -> dict[str, Any]:
        """Return the prediction as the HTTP API sends it, in JSON types.

        Args:
            card: the card of the classifier that made this prediction.
            top_k: number of alternatives to list, at least 1.
            explain: add the heat map, rounded to four decimal places, or None if there is none.
        """
        label = self.labels[self.class_index]
        answer: dict[str, Any] = {
            "class_index": label.index,
            "class_name": label.name,
            "description": label.description,
            **{fact.key: label.facts[fact.key] for fact in card.facts if fact.in_answer},
            "probability": self.probability,
            "verdict": self.verdict,
            "facts": label.facts,
            "alternatives": [
                {"class_index": other.index, "class_name": other.name, "probability": probability}
                for other, probability in self.top(top_k)
            ],
            "model": {"task": card.task, "version": card.version},
        }
        if explain:
            heatmap = self.heatmap
            answer["heatmap"] = None if heatmap is None else [[round(float(v), 4) for v in row] for row in heatmap]
        return answer
