"""The worst mistakes of detection as pictures: a self-contained HTML page."""

import base64
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined

from data.images import encode
from data.photo import Photo
from data.scenes import SceneSource
from model.artifact import Card
from model.detector import MAX_PIXELS
from model.evaluation.detection import SceneMatches, match
from model.recogniser import with_margin

TEMPLATE = Path(__file__).with_suffix(".html")
SHOWN = 24  # of each kind of mistake
RATE = "0.2"  # false alarms per scene: the mistakes are those above the threshold that gives it
SIDE = 120  # pixels, of a picture of a mistake
MARGIN = 0.25  # around a mistake, as a fraction of the picture's sides


def render_mistakes(
    card: Card,
    source: SceneSource,
    rows: npt.NDArray[np.int64],
    scenes: Sequence[SceneMatches],
    figures: Mapping[str, Any],
) -> str:
    """Return the page: the figures, the signs that were missed, false alarms, wrong names, and recall by class.

    Args:
        card: describes the detector.
        source: the scenes.
        rows: indices of the evaluated scenes, shape (n,).
        scenes: what was found in each of them.
        figures: the result of `model.evaluation.detection.describe` for them.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    threshold = figures["at_false_alarms_per_scene"][RATE]["threshold"]
    sure = [_above(found, threshold) for found in scenes]
    names = {label.index: label.name for label in card.labels}
    mistakes = list(_mistakes(sure, names))
    kinds = {
        "Missed signs": [each for each in mistakes if each["kind"] == "missed"],
        "False alarms": [each for each in mistakes if each["kind"] == "false"],
        "Wrong names": [each for each in mistakes if each["kind"] == "named"],
    }
    photos: dict[int, Photo] = {}

    def picture(mistake: Mapping[str, Any]) -> str:
        number = mistake["scene"]
        if number not in photos:
            photos[number] = source.decode_photo(rows[number], MAX_PIXELS)
        pixels = photos[number].resize((SIDE, SIDE), with_margin(tuple(mistake["box"]), MARGIN))
        return "data:image/png;base64," + base64.b64encode(encode(pixels)).decode("ascii")

    shown = {
        title: [
            {**each, "picture": picture(each), "file": source.scenes[rows[each["scene"]]].path}
            for each in sorted(found, key=lambda each: -each["score"])[:SHOWN]
        ]
        for title, found in kinds.items()
    }
    counts = {title: len(found) for title, found in kinds.items()}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    classes = [
        (names[int(index)], signs, hits, figures["ap50_by_class"][index])
        for index, (hits, signs) in figures["at_false_alarms_per_scene"][RATE]["recall_by_class"].items()
    ]
    return template.render(card=card, figures=figures, shown=shown, counts=counts, rate=RATE, classes=classes)


def _above(found: SceneMatches, threshold: float) -> SceneMatches:
    """Return a scene with only the detections whose score is above a threshold."""
    sure = found.scores > threshold
    return dataclasses.replace(
        found, boxes=found.boxes[sure], scores=found.scores[sure], class_index=found.class_index[sure]
    )


def _mistakes(scenes: Sequence[SceneMatches], names: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """Yield every mistake; missed signs have their size as their score, so that the largest come first."""
    for number, found in enumerate(scenes):
        alone, named = match(found, by_class=False), match(found, by_class=True)
        for row, box in enumerate(found.boxes):
            name = names[int(found.class_index[row])]
            score = float(found.scores[row])
            if alone[row] < 0:
                yield {
                    "kind": "false",
                    "scene": number,
                    "box": box.tolist(),
                    "score": score,
                    "text": f"{name}, {score:.2f}",
                }
            elif named[row] < 0:
                true = names[int(found.true_class_index[alone[row]])]
                text = f"{name}, {score:.2f}; labelled {true}"
                yield {"kind": "named", "scene": number, "box": box.tolist(), "score": score, "text": text}
        for sign in set(range(len(found.true_boxes))) - set(alone.tolist()):
            box = found.true_boxes[sign]
            width, height = (round(float(extent)) for extent in box[2:] - box[:2])
            text = f"{names[int(found.true_class_index[sign])]}, {width} × {height} px"
            yield {"kind": "missed", "scene": number, "box": box.tolist(), "score": width * height, "text": text}
