"""What a recogniser finds in labelled scenes."""

import numpy as np
import numpy.typing as npt

from data.scenes import SceneSource
from model import recogniser as serving
from model.detector import MAX_PIXELS
from model.evaluation.detection import Found

MIN_SCORE = 0.1  # of an object; lower than in the service, so that the precision is known at nearly full recall
REJECTED = 0.1  # factor of the score of what the classifier does not accept


def find_in_scenes(recogniser: serving.Recogniser, source: SceneSource, rows: npt.NDArray[np.int64]) -> list[Found]:
    """Return what a recogniser finds in some scenes, and what is there.

    The score of an object is that of the detector times the probability of its class.

    Raises:
        SourceError: a scene cannot be read or decoded.
    """
    return [_compare(recogniser, source, row) for row in rows]


def _compare(recogniser: serving.Recogniser, source: SceneSource, row: int) -> Found:
    scene = source.scenes[row]
    objects, _ = recogniser.find_all(source.decode_photo(row, MAX_PIXELS), min_score=MIN_SCORE)
    return Found(
        boxes=np.array([each.box for each in objects], float).reshape(-1, 4),
        scores=np.array([_score(each) for each in objects], float),
        class_index=np.array([each.prediction.class_index for each in objects], np.int64),
        true_boxes=np.array(scene.boxes, float).reshape(-1, 4),
        true_class_index=np.array(scene.class_index, np.int64),
    )


def _score(found: serving.Found) -> float:
    accepted = 1.0 if found.prediction.is_accepted else REJECTED
    return found.score * found.prediction.probability * accepted
