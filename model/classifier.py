"""Inference with LiteRT, from encoded pictures to predictions; every program that classifies uses this module."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from data.images import decode
from data.pictures import Pictures
from model.artifact import INFERENCE_FILE, Card, read_artifact
from model.calibrate import energy_score
from model.errors import ArtifactError
from model.prediction import Prediction

PARALLEL = 64  # pictures; for fewer, starting threads is not worth it


@dataclass(frozen=True)
class Scores:
    """Network outputs for n pictures.

    Attributes:
        logits: shape (n, classes), float32.
        similarity: similarity of each picture to the training examples, shape (n,), float32 in [-1, 1].
    """

    logits: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Index of the most probable class of each picture, shape (n,)."""
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def energy(self) -> npt.NDArray[np.float32]:
        """Energy scores, shape (n,), float32; low for outliers."""
        return energy_score(self.logits)


class Classifier:
    """A loaded artifact. Thread-safe: each thread gets its own interpreter."""

    def __init__(self, card: Card, model: bytes) -> None:
        self.card = card
        self._model = model
        self._local = threading.local()
        self._check()

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read and verify an artifact.

        Raises:
            ArtifactError: the artifact is missing, damaged or in an unsupported format, or its model does not match
                its card.
        """
        return cls(*read_artifact(folder))

    def predict(self, payloads: Sequence[bytes], *, explain: bool = False) -> list[Prediction]:
        """Decode and classify pictures.

        Args:
            payloads: content of the picture files.
            explain: include the class map in each prediction.

        Raises:
            ImageError: a picture cannot be decoded; no predictions are returned.
        """
        size = self.card.input_size
        return [self.classify(decode(payload, size), explain=explain) for payload in payloads]

    def run(self, pixels: npt.NDArray[np.uint8] | Pictures) -> Scores:
        """Run the network on decoded pictures, on all cores.

        Args:
            pixels: shape (n, height, width, 3), uint8 in [0, 255], with the card's input size.

        Raises:
            ValueError: the size is not the input size.
        """
        logits = np.empty((len(pixels), len(self.card.labels)), np.float32)
        similarity = np.empty(len(pixels), np.float32)

        def run_some(rows: npt.NDArray[np.int64]) -> None:
            for row in rows:
                outputs = self._invoke(pixels[row])
                logits[row], similarity[row] = outputs["logits"][0], outputs["similarity"][0]

        threads = (os.cpu_count() or 1) if len(pixels) >= PARALLEL else 1
        parts = np.array_split(np.arange(len(pixels)), threads)
        if threads == 1:
            run_some(parts[0])
        else:
            with ThreadPoolExecutor(threads) as pool:  # LiteRT releases the GIL
                list(pool.map(run_some, parts))
        return Scores(logits, similarity)

    def classify(self, picture: npt.NDArray[np.uint8], *, explain: bool = False) -> Prediction:
        """Classify one decoded picture.

        Args:
            picture: shape (height, width, 3), uint8 in [0, 255], with the card's input size.
            explain: include the class map in the prediction.

        Raises:
            ValueError: the size is not the input size.
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
        if picture.shape != (*self.card.input_size, 3):  # LiteRT would accept it and return wrong results
            raise ValueError(f"the picture must have shape {(*self.card.input_size, 3)}, not {picture.shape}")
        outputs: dict[str, npt.NDArray[np.float32]] = self._runner()(pixels=picture[None])
        return outputs

    def _runner(self) -> Any:
        """Return the current thread's interpreter; LiteRT interpreters are not thread-safe."""
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
            raise ArtifactError(f"{INFERENCE_FILE} cannot run: {error}") from error
        expected = (1, *self.card.input_size, 3), ((1, len(self.card.labels)), (1,))
        if (inputs, outputs) != expected:
            raise ArtifactError(f"{INFERENCE_FILE} maps {inputs} to {outputs}, but the card expects {expected}")
