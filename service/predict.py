"""Classify pictures from the command line, without a server: `python -m service.predict IMAGE…`."""

import argparse
import json
import sys
from pathlib import Path

from data.errors import ImageError
from data.task import DEFAULT_TASK
from model.artifact import ARTIFACTS
from model.classifier import Classifier
from model.errors import ArtifactError
from service.answers import as_sentence


def main(arguments: list[str]) -> int:
    """Print an answer for each picture; return 1 if one of them cannot be read, else 0."""
    parser = argparse.ArgumentParser(prog="python -m service.predict", description=__doc__)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image file")
    parser.add_argument("--top-k", type=int, default=5, help="number of alternatives (default: %(default)s)")
    parser.add_argument("--explain", action="store_true", help="add the heat map, with --json")
    parser.add_argument("--json", action="store_true", help="print one line of JSON per picture")
    parser.add_argument("--artifact", type=Path, default=ARTIFACTS / DEFAULT_TASK, help="folder of the classifier")
    options = parser.parse_args(arguments)
    if options.explain and not options.json:
        parser.error("--explain requires --json")
    if options.top_k < 1:
        parser.error("--top-k must be at least 1")
    try:
        classifier = Classifier.load(options.artifact)
    except ArtifactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    status = 0
    for path in options.images:
        try:
            [prediction] = classifier.predict([path.read_bytes()], explain=options.explain)
        except (OSError, ImageError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            print(f"{path}: {as_sentence(reason or str(error))}", file=sys.stderr)
            status = 1
            continue
        answer = prediction.to_json(classifier.card, options.top_k, options.explain)
        if options.json:
            print(json.dumps({"file": str(path), **answer}, ensure_ascii=False))
        else:
            others = [f"{each['class_name']} {_percent(each['probability'])}" for each in answer["alternatives"][1:]]
            then = f", then {'; '.join(others)}" if others else ""
            print(f"{path}: {answer['class_name']} ({_percent(answer['probability'])}, {answer['verdict']}){then}")
    return status


def _percent(probability: float) -> str:
    """Return a probability as a percentage; never 0% or 100%."""
    if probability > 0.999:
        return "> 99.9%"
    return f"{probability:.1%}" if probability >= 0.001 else "< 0.1%"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
