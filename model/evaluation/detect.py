"""Evaluate how signs are found in photos: `python -m model.evaluation.detect ARTIFACT --scenes PATH`.

Prints average precision, recall by size and false alarms on the scenes that the detector was not trained on.
`--not-signs` adds everyday photos, in which nothing should be accepted; `--data` adds single signs in frames of several
shapes. `--output FILE` writes all figures as JSON, `--report FILE` the worst mistakes as an HTML page, and `--card
NAME` adds the figures to the detector's part of the artifact's card.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import ImageError, SourceError
from data.files import read_pictures
from data.images import Picture, Pixels, decode, encode
from data.photo import Photo
from data.scenes import SceneSource, open_scenes
from data.source import Source, open_labelled
from data.task import load_task
from model.artifact import Card, add_detector_metrics
from model.command import run
from model.detector import MAX_PIXELS
from model.errors import EvaluationError
from model.evaluation import detection
from model.evaluation.frames import RATIOS, SHARES, frame
from model.evaluation.scenes import find_in_scenes
from model.recogniser import Recogniser, decode_photo

FRAMED = 101  # crops that are framed; every one is put into each shape and size


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.detect", description=__doc__)
    parser.add_argument("artifact", type=Path, help="folder of the classifier and its detector")
    parser.add_argument("--scenes", type=Path, help="folder or archive of scenes")
    parser.add_argument("--not-signs", type=Path, nargs="+", default=[], help="folders or archives of everyday photos")
    parser.add_argument("--data", type=Path, help="labelled pictures of single signs, to be framed")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--report", type=Path, help="write the worst mistakes to this HTML file")
    parser.add_argument(
        "--card", metavar="NAME", help="add the figures to the detector's part of the card under this name"
    )
    options = parser.parse_args(arguments)
    if not (options.scenes or options.not_signs or options.data):
        parser.error("at least one of --scenes, --not-signs and --data is required")
    if options.report and not options.scenes:
        parser.error("--report requires --scenes")
    if len({location.stem for location in options.not_signs}) < len(options.not_signs):
        parser.error("--not-signs needs folders or archives with different names, under which the figures are kept")
    return run(lambda: _evaluate(options), resumes=False)


def _evaluate(options: argparse.Namespace) -> int:
    recogniser = Recogniser.load(options.artifact)
    if recogniser.detector is None:
        raise EvaluationError(f"{options.artifact} has no detector")
    task = load_task(recogniser.card.task)
    figures: dict[str, Any] = {}
    source = open_scenes(options.scenes, task) if options.scenes else None
    if source:
        rows = select_scenes(recogniser.card, source)
        found = find_in_scenes(recogniser, source, rows)
        figures["scenes"] = detection.describe(found, len(task.labels))
        if options.report:
            from model.evaluation.detection_report import render_mistakes

            page = render_mistakes(recogniser.card, source, rows, found, figures["scenes"])
            options.report.write_text(page, encoding="utf-8")
    for location in options.not_signs:
        figures.setdefault("everyday", {})[location.stem] = count_accepted(recogniser, location)
    if options.data:
        figures["framed"] = evaluate_frames(recogniser, open_labelled(options.data, task), source)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.card:
        add_detector_metrics(options.artifact, options.card, figures)
    _print(figures)
    return 0


def select_scenes(card: Card, source: SceneSource) -> npt.NDArray[np.int64]:
    """Return the indices of the scenes that the detector was not trained on: all, if it knows none of them.

    Args:
        card: describes the detector.
        source: the scenes.

    Raises:
        EvaluationError: the detector was trained on all of these scenes.
    """
    part = card.detector
    if part is None:
        raise EvaluationError(f"classifier {card.version} has no detector")
    if part["data"]["fingerprint"] != source.fingerprint:
        return np.arange(len(source.scenes))
    settings = part["training"]["settings"]
    if not settings["folds"]:
        raise EvaluationError(f"detector {part['version']} was trained on all of these scenes; use others")
    return source.select_fold(settings["fold"], settings["folds"])


def count_accepted(recogniser: Recogniser, location: Path) -> dict[str, Any]:
    """Return in how many of some photos without signs something is accepted, and the time that a photo takes."""
    photos, accepted, seconds, pixels = 0, 0, 0.0, 0
    for name, payload in read_pictures(location):
        photo = _open(payload, name)
        began = time.thread_time()
        objects, _ = recogniser.recognise(photo)
        seconds += time.thread_time() - began
        photos += 1
        pixels += photo.pixels.shape[0] * photo.pixels.shape[1]
        accepted += any(each.prediction.is_accepted for each in objects)
    return {
        "photos": photos,
        "with_a_sign": accepted,
        "milliseconds_per_photo": round(1000 * seconds / photos, 2),
        "megapixels_per_photo": round(pixels / photos / 1e6, 3),
    }


def evaluate_frames(recogniser: Recogniser, source: Source, scenes: SceneSource | None) -> dict[str, Any]:
    """Return how many recognised crops are still recognised in frames of several shapes and sizes.

    Args:
        recogniser: to be evaluated.
        source: labelled pictures of single signs; `FRAMED` of them, evenly spread, that are recognised alone are used.
        scenes: those without signs fill the frames; if there are none, one colour does.
    """
    rng = np.random.default_rng(0)
    surroundings = _surroundings(scenes, recogniser.card) if scenes else []
    crops: list[tuple[Pixels, int]] = []
    for example in source.examples[:: max(1, len(source.examples) // (2 * FRAMED))]:
        pixels = decode(source.read(example), example.size)
        prediction = recogniser.classifier.classify(decode(encode(pixels), recogniser.card.input_size))
        if prediction.is_accepted and prediction.class_index == example.class_index and len(crops) < FRAMED:
            crops.append((pixels, example.class_index))
    table = []
    for ratio in RATIOS:
        for share in SHARES:
            right = wrong = 0
            for number, (pixels, class_index) in enumerate(crops):
                plain = np.full((64, 64, 3), rng.integers(0, 256, 3), np.uint8)
                fill = surroundings[number % len(surroundings)] if surroundings else plain
                photo = _open(encode(frame(pixels, ratio, share, fill, rng)), "frame")
                objects, _ = recogniser.recognise(photo)
                named = [each.prediction.class_index for each in objects if each.prediction.is_accepted]
                right += class_index in named
                wrong += any(each != class_index for each in named)
            table.append({"ratio": list(ratio), "share": share, "crops": len(crops), "right": right, "wrong": wrong})
    return {"surroundings": "scenes" if surroundings else "one colour", "table": table}


def _surroundings(source: SceneSource, card: Card) -> list[Pixels]:
    """Return the scenes without labelled signs that the detector was not trained on."""
    rows = [row for row in select_scenes(card, source) if not source.scenes[row].boxes]
    return [source.decode_photo(row, MAX_PIXELS).pixels for row in rows]


def _open(payload: bytes, name: str) -> Photo:
    try:
        return decode_photo(Picture(payload))
    except ImageError as error:
        raise SourceError(f"{name}: {error}") from error


def _print(figures: dict[str, Any]) -> None:
    if scenes := figures.get("scenes"):
        _print_scenes(scenes)
    for name, row in figures.get("everyday", {}).items():
        print(f"{name}: a sign is accepted in {row['with_a_sign']} of {row['photos']:,} photos")
    if framed := figures.get("framed"):
        print(f"crops in frames, surrounded by {framed['surroundings']}: right, wrong, of")
        for row in framed["table"]:
            shape = "{}:{}".format(*row["ratio"])
            print(f"{shape:>6} at {row['share']:.0%}: {row['right']}, {row['wrong']}, {row['crops']}")


def _print_scenes(figures: dict[str, Any]) -> None:
    print(f"scenes  {figures['scenes']} with {figures['signs']} signs of {figures['classes']} classes")
    if not figures["signs"]:
        return
    print(f"mAP50   {figures['map50']:.3f} over the classes")
    print(f"AP50    {figures['ap50_of_a_sign']:.3f} of a sign, {figures['ap50_of_a_named_sign']:.3f} of a named one")
    print("false alarms a scene   recall   from 20 px   wrongly named   recall by size in px")
    for rate, row in figures["at_false_alarms_per_scene"].items():
        sizes = ", ".join(f"{size} {hit}/{count}" for size, (hit, count) in row["recall_by_size"].items())
        large = "–" if row["recall_from_20_px"] is None else f"{row['recall_from_20_px']:.1%}"
        shares = f"{row['recall']:>9.1%}{large:>13}"
        print(f"{rate:>20}{shares}{row['wrongly_named']:>16}   {sizes}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
