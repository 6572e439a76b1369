"""What a detector finds in labelled scenes, alone or with the classifier."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.scenes import Scene, SceneSource
from model.detector import MAX_PIXELS, Detector
from model.evaluation.detection import SceneMatches
from model.recogniser import RecognisedObject, Recogniser

LEAST_SCORE = 0.02  # of a detection; low, so that the precision is known at nearly full recall
MIN_SCORE = 0.1  # of an object that is classified, which takes longer
REJECTED = 0.1  # factor of the score of what is not accepted


def detect_in_scenes(detector: Detector, source: SceneSource, rows: npt.NDArray[np.int64]) -> list[SceneMatches]:
    """Return what a detector finds in some scenes, and what is there; all of class 0.

    Raises:
        SourceError: a scene cannot be read or decoded.
    """
    every = []
    for row in rows:
        detections, _ = detector.detect(source.decode_photo(row, MAX_PIXELS), LEAST_SCORE)
        found = [(each.box, each.score, 0) for each in detections]
        every.append(_compare(found, source.scenes[row], [0] * len(source.scenes[row].boxes)))
    return every


def find_in_scenes(recogniser: Recogniser, source: SceneSource, rows: npt.NDArray[np.int64]) -> list[SceneMatches]:
    """Return what a recogniser finds in some scenes, and what is there.

    The score of an object is that of the detector times the probability of its class, and `REJECTED` times that if it
    is not accepted, be it by the classifier or because of the card's thresholds.

    Raises:
        SourceError: a scene cannot be read or decoded.
    """
    every = []
    for row in rows:
        objects, _ = recogniser.find_all(source.decode_photo(row, MAX_PIXELS), min_score=MIN_SCORE)
        found = [(each.box, _score(each), each.prediction.class_index) for each in objects]
        every.append(_compare(found, source.scenes[row], source.scenes[row].class_index))
    return every


def _compare(
    found: Sequence[tuple[tuple[float, ...], float, int]], scene: Scene, class_index: Sequence[int]
) -> SceneMatches:
    """Put side by side what was found in a scene, as boxes, scores and classes, and what is there."""
    return SceneMatches(
        boxes=np.array([box for box, _, _ in found], float).reshape(-1, 4),
        scores=np.array([score for _, score, _ in found], float),
        class_index=np.array([index for _, _, index in found], np.int64),
        true_boxes=np.array(scene.boxes, float).reshape(-1, 4),
        true_class_index=np.array(class_index, np.int64),
    )


def _score(found: RecognisedObject) -> float:
    accepted = 1.0 if found.prediction.is_accepted else REJECTED
    return found.score * found.prediction.probability * accepted
