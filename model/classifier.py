"""Inference, from encoded pictures to predictions; every program that classifies uses this module."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.images import Pixels, decode
from data.pictures import Pictures
from model.artifact import Card, read_artifact
from model.calibrate import energy_score
from model.engine import LiteRtNetwork, Network, Outputs
from model.errors import ArtifactError
from model.prediction import Prediction

PARALLEL = 64  # pictures; for fewer, starting threads is not worth it
SCORES = ("logits", "similarity")  # the outputs that verdicts need; class maps are larger
PART = 32  # pictures that a thread runs in a row


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
    """A network and the card that says what its outputs mean. Thread-safe.

    Args:
        card: of the artifact.
        network: maps pixels with the card's input size to `logits` (n, classes), `similarity` (n,) in [-1, 1] and
            perhaps `class_maps` (n, rows, columns, classes).

    Raises:
        ArtifactError: the network does not match the card; not known yet if an inference server runs it.
    """

    def __init__(self, card: Card, network: Network) -> None:
        self.card = card
        self.is_remote = network.is_remote
        self._network = network
        if not network.is_remote:
            self.verify()

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read and verify an artifact, whose network runs in this process.

        Raises:
            ArtifactError: the artifact is missing, damaged or in an unsupported format, or its model does not match
                its card.
        """
        card, model = read_artifact(folder)
        return cls(card, LiteRtNetwork(model))

    def predict(self, payloads: Sequence[bytes], *, explain: bool = False) -> list[Prediction]:
        """Decode and classify pictures.

        Args:
            payloads: content of the picture files.
            explain: include the class map in each prediction.

        Raises:
            ImageError: a picture cannot be decoded; no predictions are returned.
            EngineError: see `model.engine.Network`.
        """
        size = self.card.input_size
        return [self.classify(decode(payload, size), explain=explain) for payload in payloads]

    def run(self, pixels: Pixels | Pictures) -> Scores:
        """Run the network on decoded pictures, on all cores.

        Args:
            pixels: shape (n, height, width, 3), uint8 in [0, 255], with the card's input size.

        Raises:
            ValueError: the size is not the input size.
            EngineError: see `model.engine.Network`.
        """
        logits = np.empty((len(pixels), len(self.card.labels)), np.float32)
        similarity = np.empty(len(pixels), np.float32)

        def run_part(start: int) -> None:
            rows = slice(start, start + PART)
            outputs = self._run(pixels[rows], SCORES)
            logits[rows], similarity[rows] = outputs["logits"], outputs["similarity"]

        starts = range(0, len(pixels), PART)
        threads = (os.cpu_count() or 1) if len(pixels) >= PARALLEL else 1
        with ThreadPoolExecutor(threads) as pool:  # LiteRT releases the GIL
            list(map(run_part, starts) if threads == 1 else pool.map(run_part, starts))
        return Scores(logits, similarity)

    def classify(self, picture: Pixels, *, explain: bool = False) -> Prediction:
        """Classify one decoded picture; see `classify_all`.

        Args:
            picture: shape (height, width, 3), uint8 in [0, 255], with the card's input size.
            explain: include the class map in the prediction.
        """
        return self.classify_all(picture[None], explain=explain)[0]

    async def classify_async(self, picture: Pixels, *, explain: bool = False) -> Prediction:
        """Classify as `classify` does; the event loop goes on meanwhile if an inference server runs the network."""
        outputs = await self._network.run_async(self._checked(picture[None]), () if explain else SCORES)
        return self._interpret(outputs, 0, explain)

    def classify_all(self, pictures: Pixels, *, explain: bool = False) -> list[Prediction]:
        """Classify decoded pictures in one run of the network, in the calling thread.

        Args:
            pictures: shape (n, height, width, 3), uint8 in [0, 255], with the card's input size.
            explain: include the class map in each prediction.

        Raises:
            ValueError: the size is not the input size.
            EngineError: see `model.engine.Network`.
        """
        outputs = self._run(pictures, () if explain else SCORES)
        return [self._interpret(outputs, row, explain) for row in range(len(pictures))]

    def check(self) -> None:
        """Check that the network can be run now; see `model.engine.Network`."""
        self._network.check()

    def _interpret(self, outputs: Outputs, row: int, explain: bool) -> Prediction:
        logits, calibration = outputs["logits"][row], self.card.calibration
        probabilities = calibration.probabilities(logits)
        verdict = calibration.verdict(
            float(probabilities.max()), float(energy_score(logits)), float(outputs["similarity"][row])
        )
        maps = outputs.get("class_maps") if explain else None
        return Prediction(
            self.card.labels, probabilities, verdict, None if maps is None else maps[row, :, :, logits.argmax()]
        )

    def _run(self, pictures: Pixels, outputs: Sequence[str]) -> Outputs:
        return self._network.run(self._checked(pictures), outputs)

    def _checked(self, pictures: Pixels) -> Pixels:
        if pictures.shape[1:] != (*self.card.input_size, 3):  # LiteRT would accept it and return wrong results
            raise ValueError(f"a picture must have shape {(*self.card.input_size, 3)}, not {pictures.shape[1:]}")
        return pictures

    def verify(self) -> None:
        """Check that the network is one that the card describes.

        Raises:
            ArtifactError: it is not.
            EngineError: see `model.engine.Network`.
        """
        shape, expected = self._network.read_input_shape(), (*self.card.input_size, 3)
        if shape != expected:
            raise ArtifactError(f"the network takes {shape}, but the card expects {expected}")
        outputs = self._network.run(np.zeros((1, *expected), np.uint8), ())
        shapes = {name: outputs[name].shape[1:] for name in SCORES if name in outputs}
        wanted = {"logits": (len(self.card.labels),), "similarity": ()}
        if shapes != wanted:
            raise ArtifactError(f"the network answers with {shapes}, but the card expects {wanted}")
