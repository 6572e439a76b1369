"""Collect false alarms: `python -m model.training.false_alarms ARTIFACT --scenes PATH OUT`.

Writes what the detector takes for a sign in the scenes that it was trained on, where there is none, as PNG files: the
pixels that the classifier sees. The next classifier learns to reject such pictures by `init.py --retrain --outliers
OUT`. Scenes that the detector holds out are left out, so that figures measured on them stay honest.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.images import encode
from data.scenes import SceneSource, open_scenes
from data.task import load_task
from model.artifact import Card
from model.command import run
from model.detector import MAX_PIXELS, intersection_over_union
from model.errors import TrainingError
from model.recogniser import Recogniser

MIN_SCORE = 0.3  # of the detector; the classifier sees nothing below `min_score` of the card, which is higher


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model.training.false_alarms", description=__doc__)
    parser.add_argument("artifact", type=Path, help="folder of the classifier and its detector")
    parser.add_argument("--scenes", type=Path, required=True, help="folder or archive of scenes")
    parser.add_argument("out", type=Path, help="new folder for the pictures")
    options = parser.parse_args(arguments)

    def work() -> int:
        recogniser = Recogniser.load(options.artifact)
        source = open_scenes(options.scenes, load_task(recogniser.card.task))
        options.out.mkdir(parents=True)
        count = write_false_alarms(recogniser, source, options.out)
        print(f"wrote {count:,} false alarms to {options.out}")
        return 0

    return run(work, resumes=False)


def write_false_alarms(recogniser: Recogniser, source: SceneSource, folder: Path) -> int:
    """Write the false alarms in the scenes that the detector was trained on; return their number.

    Args:
        recogniser: finds them; it must have a detector.
        source: the scenes.
        folder: an existing folder. Files are named after scene and rank.

    Raises:
        SourceError: a scene cannot be read or decoded.
        TrainingError: there is no detector, or it was not trained on these scenes.
    """
    count = 0
    for row in _trained_on(recogniser.card, source):
        scene = source.scenes[row]
        objects, _ = recogniser.find_all(source.decode_photo(row, MAX_PIXELS), min_score=MIN_SCORE)
        signs = np.array(scene.boxes, float).reshape(-1, 4)
        # Whatever touches a sign may be a part of it.
        false = [each for each in objects if not intersection_over_union(np.array([each.box], float), signs).any()]
        for rank, found in enumerate(false):
            (folder / f"{Path(scene.path).stem}-{rank:02}.png").write_bytes(encode(found.pixels))
        count += len(false)
    return count


def _trained_on(card: Card, source: SceneSource) -> npt.NDArray[np.int64]:
    part = card.detector
    if part is None or part["data"]["fingerprint"] != source.fingerprint:
        raise TrainingError(f"classifier {card.version} has no detector that was trained on these scenes")
    settings, every = part["training"]["settings"], np.arange(len(source.scenes))
    return np.setdiff1d(every, source.select_fold(settings["fold"], settings["folds"])) if settings["folds"] else every


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
