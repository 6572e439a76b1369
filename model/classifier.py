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
from model.artifact import INFERENCE_FILE, Card, read_artifact
from model.calibrate import energy_score
from model.errors import ArtifactError
from model.prediction import Prediction


@dataclass(frozen=True)
class Scores:
    """What the network says of n pictures: `logits` (n, classes), float32, and `similarity` (n,), float32.

    The similarity, in [-1, 1], is that of a picture to what the classifier was trained on.
    """

    logits: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Most probable classes, shape (n,)."""
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def energy(self) -> npt.NDArray[np.float32]:
        """Energy scores, shape (n,); low for outliers."""
        return energy_score(self.logits)


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

    def predict(self, payloads: Sequence[bytes], *, explain: bool = False) -> list[Prediction]:
        """Classify pictures, each the bytes of a whole file.

        Args:
            payloads: the files.
            explain: keep the class map of each answer.

        Raises:
            ImageError: one of them is not a picture that can be read; nothing is returned for the others.
        """
        size = self.card.input_size
        return [self.classify(decode(payload, size), explain=explain) for payload in payloads]

    def run(self, pixels: npt.NDArray[np.uint8]) -> Scores:
        """Run the network on decoded pictures.

        Args:
            pixels: shape (n, height, width, 3), uint8 in [0, 255], of the card's input size.

        Raises:
            ValueError: another size.
        """
        logits = np.empty((len(pixels), len(self.card.labels)), np.float32)
        similarity = np.empty(len(pixels), np.float32)
        for row, picture in enumerate(pixels):
            outputs = self._invoke(picture)
            logits[row], similarity[row] = outputs["logits"][0], outputs["similarity"][0]
        return Scores(logits, similarity)

    def classify(self, picture: npt.NDArray[np.uint8], *, explain: bool = False) -> Prediction:
        """Classify one decoded picture, shape (height, width, 3), uint8, of the card's input size.

        Raises:
            ValueError: another size.
        """
        outputs = self._invoke(picture)
        logits, calibration = outputs["logits"][0], self.card.calibration
        probabilities = calibration.probabilities(logits)
        verdict = calibration.verdict(
            float(probabilities.max()), float(energy_score(logits)), float(outputs["similarity"][0])
        )
        maps = outputs.get("class_maps") if explain else None
        return Prediction(
            self.card.labels, probabilities, verdict, None if maps is None else maps[0, :, :, logits.argmax()]
        )

    def _invoke(self, picture: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        if picture.shape != (*self.card.input_size, 3):  # LiteRT would take it, and answer wrongly
            raise ValueError(f"a picture of {self.card.input_size} is needed, not of {picture.shape}")
        outputs: dict[str, npt.NDArray[np.float32]] = self._runner()(pixels=picture[None])
        return outputs

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
            outputs = tuple(tuple(run.get_output_details()[name]["shape"]) for name in ("logits", "similarity"))
        except (ValueError, RuntimeError, KeyError) as error:
            raise ArtifactError(f"{INFERENCE_FILE} cannot be run: {error}") from error
        expected = (1, *self.card.input_size, 3), ((1, len(self.card.labels)), (1,))
        if (inputs, outputs) != expected:
            raise ArtifactError(f"{INFERENCE_FILE} maps {inputs} to {outputs}; the card says {expected}")
