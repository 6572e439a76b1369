"""Recognise what pictures show from the command line, without a server: `python -m service.predict IMAGE…`."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data.errors import TaskError
from data.photo import Photo
from data.task import DEFAULT_TASK, load_task
from model.artifact import ARTIFACTS
from model.detector import MAX_DETECTIONS
from model.errors import ArtifactError
from model.recogniser import Recogniser
from service.answers import Options, as_sentence, open_picture
from service.drawing import Mark, draw
from service.inquiry import Body, Inquiry
from service.problems import Problem


def main(arguments: list[str]) -> int:
    """Print an answer for each picture; return 1 if one of them cannot be read, else 0."""
    options = _read_arguments(arguments)
    asked = Options(options.top_k, options.explain, locate=options.locate)
    try:
        recogniser = Recogniser.load(options.artifact or ARTIFACTS / load_task(options.task).name)
        Inquiry(recogniser, asked, every=options.detect)  # reports a missing detector once
    except (ArtifactError, Problem, TaskError) as error:
        print(f"error: {error.detail if isinstance(error, Problem) else error}", file=sys.stderr)
        return 1
    status = 0
    for path in options.images:
        inquiry = Inquiry(recogniser, asked, every=options.detect)
        try:
            picture = open_picture(path.read_bytes())
            body = inquiry.look(picture) or inquiry.search()
        except (OSError, Problem) as error:
            _report(path, error)
            status = 1
            continue
        if options.draw:
            drawn = options.draw / _drawn_name(path)
            try:
                _write_drawn(drawn, inquiry.photo, body)
            except OSError as error:
                _report(drawn, error)
                status = 1
        if options.json:
            print(json.dumps({"file": str(path), **body}, ensure_ascii=False))
        else:
            for line in _lines(body):
                print(f"{path}: {line}")
    return status


def _read_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m service.predict", description=__doc__)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image file")
    parser.add_argument("--top-k", type=int, default=5, help="number of alternatives (default: %(default)s)")
    parser.add_argument("--explain", action="store_true", help="add the heat map, with --json")
    parser.add_argument("--json", action="store_true", help="print one line of JSON per picture")
    parser.add_argument("--no-locate", dest="locate", action="store_false", help="classify only whole pictures")
    parser.add_argument("--detect", action="store_true", help="print everything in each picture")
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="OUT",
        help="write pictures with boxes and names to this folder; implies --detect",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--task", default=DEFAULT_TASK, help="what to recognise (default: %(default)s)")
    source.add_argument("--artifact", type=Path, help="folder of the classifier (default: model/artifacts/TASK)")
    options = parser.parse_args(arguments)
    options.detect = options.detect or options.draw is not None
    if options.explain and not options.json:
        parser.error("--explain requires --json")
    if options.top_k < 1:
        parser.error("--top-k must be at least 1")
    if options.detect and not options.locate:
        parser.error("--no-locate cannot be combined with --detect or --draw")
    names = [_drawn_name(path) for path in options.images]
    if options.draw and len({*names}) < len(names):
        parser.error("--draw needs pictures with different names")
    return options


def _report(path: Path, error: OSError | Problem) -> None:
    """Print why a picture could not be read or written."""
    reason = error.detail if isinstance(error, Problem) else as_sentence(error.strerror or str(error))
    print(f"{path}: {reason}", file=sys.stderr)


def _lines(body: Body) -> Iterable[str]:
    """Yield an answer in words: one line, or one for each object."""
    if "objects" not in body:
        yield f"{_name(body)}{_then(body)}"
        return
    for each in body["objects"]:
        yield _name(each)
    if not body["objects"]:
        yield "nothing found"
    if "capped" in body:
        yield f"the detector reached its limit of {MAX_DETECTIONS} possible signs, so some may be missing"


def _name(answer: Body) -> str:
    place = f" at {','.join(map(str, answer['box']))}" if "box" in answer else ""
    return f"{answer['class_name']}{place} ({_percent(answer['probability'])}, {answer['verdict']})"


def _then(answer: Body) -> str:
    others = [f"{each['class_name']} {_percent(each['probability'])}" for each in answer["alternatives"][1:]]
    return f", then {'; '.join(others)}" if others else ""


def _percent(probability: float) -> str:
    """Return a probability as a percentage; never 0% or 100%."""
    if probability > 0.999:
        return "> 99.9%"
    return f"{probability:.1%}" if probability >= 0.001 else "< 0.1%"


def _drawn_name(path: Path) -> str:
    return f"{path.name}.png"


def _write_drawn(path: Path, photo: Photo | None, body: Body) -> None:
    """Write a picture with a mark for each object; those that are not accepted are not named."""
    if photo is None:
        raise RuntimeError("a picture that is not located has no boxes")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(draw(photo, [Mark(each["box"], _text(each), each["verdict"]) for each in body["objects"]]))


def _text(found: dict[str, Any]) -> str:
    return "?" if found["verdict"] == "not_recognised" else f"{found['class_name']} {_percent(found['probability'])}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
