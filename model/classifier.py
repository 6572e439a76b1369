"""From the bytes of pictures to predictions: the only inference path. TensorFlow is not imported."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from data.images import decode
from data.task import Label
from model.artifact import INFERENCE_FILE, Card, read_artifact
from model.calibrate import Verdict, softmax
from model.errors import ArtifactError


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture.

    `probabilities` has shape (classes,), float32, in the order of `labels`, and sums to 1.
    """

    labels: tuple[Label, ...]
    probabilities: npt.NDArray[np.float32]
    verdict: Verdict

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

    def top(self, k: int) -> list[tuple[Label, float]]:
        """Return the k most probable labels with their probabilities, most probable first; all if k is larger."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.labels[index], float(self.probabilities[index])) for index in order]


class Classifier:
    """A loaded artifact. Safe to use from several threads: each gets an interpreter of its own."""

    def __init__(self, card: Card, model: bytes) -> None:
        self.card = card
        self._model = model
        self._local = threading.local()
        self._check()

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read and verify an artifact, and make it ready.

        Raises:
            ArtifactError: missing, damaged, of another format, or a model that does not fit its card.
        """
        return cls(*read_artifact(folder))

    def predict(self, payloads: Sequence[bytes]) -> list[Prediction]:
        """Classify pictures, each the bytes of a whole file.

        Raises:
            ImageError: one of them is not a picture that can be read; nothing is returned for the others.
        """
        size = self.card.input_size
        pixels = np.stack([decode(payload, size) for payload in payloads]) if payloads else np.empty((0, *size, 3))
        return [self._prediction(row) for row in softmax(self.logits(pixels.astype(np.uint8)))]

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run the network on decoded pictures.

        Args:
            pixels: shape (n, height, width, 3), uint8 in [0, 255], of the card's input size.

        Returns:
            shape (n, classes), float32.
        """
        run = self._runner()
        result = np.empty((len(pixels), len(self.card.labels)), np.float32)
        for row, picture in enumerate(pixels):
            result[row] = run(pixels=picture[None])["logits"][0]
        return result

    def _prediction(self, probabilities: npt.NDArray[np.float32]) -> Prediction:
        verdict = self.card.thresholds.verdict(float(probabilities.max()))
        return Prediction(self.card.labels, probabilities, verdict)

    def _runner(self) -> Any:
        """Return this thread's interpreter: LiteRT allows one thread to use one, and one at a time."""
        if not hasattr(self._local, "runner"):
            interpreter = Interpreter(model_content=self._model, num_threads=1)
            self._local.runner = interpreter.get_signature_runner("serving_default")
        return self._local.runner

    def _check(self) -> None:
        try:
            run = self._runner()
            inputs = tuple(run.get_input_details()["pixels"]["shape"])
            outputs = tuple(run.get_output_details()["logits"]["shape"])
        except (ValueError, RuntimeError, KeyError) as error:
            raise ArtifactError(f"{INFERENCE_FILE} cannot be run: {error}") from error
        expected = (1, *self.card.input_size, 3), (1, len(self.card.labels))
        if (inputs, outputs) != expected:
            raise ArtifactError(f"{INFERENCE_FILE} maps {inputs} to {outputs}; the card says {expected}")
