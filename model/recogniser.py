"""Say what is in a photo: classify the whole picture, or find the objects in it and classify each of them."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from data.images import Box, Picture, Pixels
from data.photo import Photo
from model.artifact import Card, Models, read_models
from model.classifier import Classifier
from model.detector import MAX_PIXELS, Detection, Detector
from model.engine import Engine, LiteRt, detector_name
from model.errors import ArtifactError
from model.prediction import Prediction

REMOTE_STEP: Final = 16  # objects that are classified at once to find one that is accepted
SEARCHED_SIDE: Final = 16  # decoded pixels; a narrower strip holds no sign, but the detector would pad it to much more


@dataclass(frozen=True)
class RecognisedObject:
    """An object in a photo, or the whole photo taken as one.

    Attributes:
        box: left, top, right, bottom of the object in whole pixels of the upright photo at full resolution, without
            the margin that the classifier saw.
        score: how much it looks like an object, in [0, 1]; 1 for the whole photo.
        prediction: what the classifier says; never accepted if the score is below the card's `min_score`, or below its
            `min_unsure_score` and the classifier is unsure.
        pixels: what the classifier saw, with the card's input size.
    """

    box: Box
    score: float
    prediction: Prediction
    pixels: Pixels


class Recogniser:
    """A classifier and, where the artifact has one, a detector. Thread-safe.

    Args:
        classifier: classifies the whole photo, and each object in it.
        detector: finds the objects; None if the photo can only be classified as a whole.

    Raises:
        ArtifactError: there is a detector that the classifier's card does not describe.
    """

    def __init__(self, classifier: Classifier, detector: Detector | None) -> None:
        self.classifier, self.detector = classifier, detector
        part = classifier.card.detector
        if detector is not None and part is None:
            raise ArtifactError("the card does not describe the detector")
        self._margin: float = part["margin"] if part else 0.0
        self._min_score: float = part["min_score"] if part else 0.0
        self._min_unsure_score: float = part["min_unsure_score"] if part else 0.0

    @classmethod
    def load(cls, folder: Path, engine: Engine | None = None) -> "Recogniser":
        """Read and verify an artifact.

        Args:
            folder: of the artifact.
            engine: runs its networks; by default LiteRT, in this process.

        Raises:
            ArtifactError: the artifact is missing, damaged or in an unsupported format, or a model does not match its
                card; the latter is not known yet if an inference server runs the models.
        """
        return cls.of(read_models(folder), engine)

    @classmethod
    def of(cls, models: Models, engine: Engine | None = None) -> "Recogniser":
        """Load the models of an artifact.

        Raises:
            ArtifactError: a model does not match its card; see `load`.
        """
        card, engine = models.card, engine or LiteRt()
        classifier = Classifier(card, engine.open(card.task, card.version, models.classifier))
        if models.detector is None:
            return cls(classifier, None)
        name, version = detector_name(card.task), card.detector["version"] if card.detector else ""
        return cls(classifier, Detector(engine.open(name, version, models.detector)))

    @property
    def card(self) -> Card:
        """The card of the artifact."""
        return self.classifier.card

    @property
    def is_remote(self) -> bool:
        """Whether an inference server runs the networks."""
        return self.classifier.is_remote

    def verify(self) -> None:
        """Check that the networks are those that the card describes.

        Raises:
            ArtifactError: they are not.
            EngineError: see `model.engine.Network`.
        """
        self.classifier.verify()
        if self.detector is not None:
            self.detector.verify()

    def check(self) -> None:
        """Check that the networks can be run now.

        Raises:
            EngineError: see `model.engine.Network`.
        """
        self.classifier.check()
        if self.detector is not None:
            self.detector.check()

    def must_search(self, whole: Prediction) -> bool:
        """Return whether to look for objects in a photo: if it is not accepted as a whole, and there is a detector.

        Args:
            whole: the prediction for the whole photo.
        """
        return self.detector is not None and not whole.is_accepted

    def recognise(self, photo: Photo, *, explain: bool = False) -> tuple[list[RecognisedObject], bool]:
        """Say what is in a photo, in one step; the service does the same in several.

        Args:
            photo: made by `decode_photo`.
            explain: include the class map in each prediction.

        Returns:
            The whole photo as the only object and False, or the result of `find_all` if it must be searched.
        """
        pixels = photo.resize(self.card.input_size)
        whole = whole_photo(photo, self.classifier.classify(pixels, explain=explain), pixels)
        return self.find_all(photo, explain=explain) if self.must_search(whole.prediction) else ([whole], False)

    def find_best(self, photo: Photo, *, explain: bool = False) -> RecognisedObject | None:
        """Return the most prominent object that is accepted, or None.

        Args:
            photo: made by `decode_photo`.
            explain: include the class map in the prediction.

        Raises:
            ArtifactError: there is no detector.
        """
        proposals, _ = self._propose(photo, self._min_score)
        # Mostly the first one is accepted; an inference server is asked for several at once all the same.
        step = REMOTE_STEP if self.is_remote else 1
        for start in range(0, len(proposals), step):
            for each in self._identify(photo, proposals[start : start + step], explain):
                if each.prediction.is_accepted:
                    return each
        return None

    def find_all(
        self, photo: Photo, *, explain: bool = False, min_score: float | None = None
    ) -> tuple[list[RecognisedObject], bool]:
        """Find every object in a photo.

        Args:
            photo: made by `decode_photo`.
            explain: include the class map in each prediction.
            min_score: smallest score of an object; by default that of the card. Lower ones are for evaluations.

        Returns:
            The objects, most prominent first: the accepted ones, then those with at least the card's
            `min_unsure_score` that are not accepted. And whether there may be more, because the detector had more
            candidates than it looks at closely.

        Raises:
            ArtifactError: there is no detector.
        """
        proposals, capped = self._propose(photo, self._min_score if min_score is None else min_score)
        found = self._identify(photo, proposals, explain)
        if min_score is None:  # of what is not accepted, show only what people would take for a sign
            found = [each for each in found if each.prediction.is_accepted or each.score >= self._min_unsure_score]
        found.sort(key=lambda each: not each.prediction.is_accepted)
        return found, capped

    def _propose(self, photo: Photo, min_score: float) -> tuple[list[Detection], bool]:
        """Return what may be an object, most prominent first, and whether there may be more."""
        if self.detector is None:
            raise ArtifactError(f"the artifact of {self.card.task} has no detector")
        if min(photo.pixels.shape[:2]) < SEARCHED_SIDE:
            return [], False
        detections, capped = self.detector.detect(photo, min_score)
        return sorted(detections, key=prominence, reverse=True), capped

    def _identify(self, photo: Photo, detections: Sequence[Detection], explain: bool) -> list[RecognisedObject]:
        """Classify some objects in one run of the network."""
        if not detections:
            return []
        boxes = [with_margin(each.box, self._margin) for each in detections]
        pixels = np.stack([photo.resize(self.card.input_size, box) for box in boxes])
        predictions = self.classifier.classify_all(pixels, explain=explain)
        return [self._judge(photo, *each) for each in zip(detections, predictions, pixels, strict=True)]

    def _judge(self, photo: Photo, detection: Detection, prediction: Prediction, pixels: Pixels) -> RecognisedObject:
        # What the classifier is unsure of must at least look very much like an object.
        least = self._min_unsure_score if prediction.verdict == "unsure" else self._min_score
        if detection.score < least:
            prediction = dataclasses.replace(prediction, verdict="not_recognised")
        return RecognisedObject(_in_whole_pixels(detection.box, photo), detection.score, prediction, pixels)


def decode_photo(picture: Picture, box: Box | None = None) -> Photo:
    """Decode a picture, or the part of it in a box, as finely as the detector looks at it; possible only once.

    Raises:
        ImageError: the picture is damaged or truncated.
        BoxError: see `data.images.decode`.
    """
    return picture.decode_photo(MAX_PIXELS, box)


def whole_photo(photo: Photo, prediction: Prediction, pixels: Pixels) -> RecognisedObject:
    """Return a prediction for the whole photo as that for an object that fills it."""
    return RecognisedObject((0, 0, photo.width, photo.height), 1.0, prediction, pixels)


def prominence(detection: Detection) -> float:
    """Return how prominent an object is, which decides the order: its score times the mean side of its box."""
    left, top, right, bottom = detection.box
    return detection.score * math.sqrt((right - left) * (bottom - top))


def with_margin(box: tuple[float, float, float, float], margin: float) -> tuple[float, float, float, float]:
    """Enlarge a box so that it has a margin on each side, as a fraction of the sides of the result, in [0, 0.5)."""
    left, top, right, bottom = box
    across, down = ((high - low) * margin / (1 - 2 * margin) for low, high in ((left, right), (top, bottom)))
    return left - across, top - down, right + across, bottom + down


def _in_whole_pixels(box: tuple[float, float, float, float], photo: Photo) -> Box:
    """Return a box that is not empty and lies inside the photo."""
    left, top = min(round(box[0]), photo.width - 1), min(round(box[1]), photo.height - 1)
    return left, top, max(round(box[2]), left + 1), max(round(box[3]), top + 1)
