"""The routes."""

from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, Flask, Response, current_app, jsonify, request

from data.errors import ImageError
from data.images import MAX_BYTES, decode
from model.classifier import Classifier
from model.progress import training_folder
from service import access, headers, problems
from service.answers import as_sentence, encode
from service.fetch import Fetcher
from service.metrics import Metrics
from service.payloads import MAX_BATCH_PIXELS, MAX_BODY_BYTES, count_pixels, read_picture, read_pictures
from service.problems import Problem
from service.readiness import Readiness
from service.settings import Settings

OPENAPI_FILE = Path(__file__).with_name("openapi.yaml")
DEFAULT_TOP_K = 5

routes = Blueprint("routes", __name__)


def create_app(settings: Settings, metrics: Metrics | None = None) -> Flask:
    """Make the application. The classifier is loaded now if there is one, else when it has been trained.

    Args:
        settings: of the service.
        metrics: what counts; by default this process counts for itself.

    Raises:
        ArtifactError: there is a classifier, but it cannot be used.
    """
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of the contract
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    readiness = Readiness(settings.artifact_folder, training_folder(settings.store_folder, settings.task))
    if readiness.has_artifact():
        readiness.load()
    app.extensions["readiness"] = readiness
    app.extensions["metrics"] = metrics or Metrics()
    app.after_request(_count)
    app.extensions["fetcher"] = Fetcher() if settings.allow_urls else None
    app.extensions["openapi"] = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))
    headers.register(app)
    access.register(app, settings.keys)
    problems.register(app)
    app.register_blueprint(routes)
    return app


@routes.post("/predict_traffic_sign")
def predict_traffic_sign() -> dict[str, Any]:
    """Classify the picture in the request."""
    classifier = _classifier()
    top_k = _top_k(len(classifier.card.labels))
    explain = _explain()
    return _answer(classifier, read_picture(), top_k, explain=explain)


@routes.post("/predict_traffic_sign/batch")
def predict_batch() -> dict[str, Any]:
    """Classify each picture of a form; one that fails does not harm the others."""
    classifier = _classifier()
    top_k = _top_k(len(classifier.card.labels))
    explain = _explain()

    results: list[dict[str, Any]] = []
    pixels = 0
    for name, payload in read_pictures():
        try:
            pixels += count_pixels(payload)
            if pixels > MAX_BATCH_PIXELS:
                raise Problem("too_large", f"The pictures of this batch have more than {MAX_BATCH_PIXELS:,} pixels.")
            results.append({"filename": name, "prediction": _answer(classifier, payload, top_k, explain=explain)})
        except Problem as problem:
            results.append({"filename": name, "problem": problem.body()})
    return {"results": results}


@routes.get("/model")
def model() -> Response:
    """Show the card of the classifier."""
    return jsonify(_classifier().card.to_json())


@routes.get("/model/labels")
def labels() -> Response:
    """Show the labels, in the order of their indices."""
    return jsonify(_classifier().card.to_json()["labels"])


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@routes.get("/readyz")
def readyz() -> dict[str, str]:
    """Say that predictions are possible; the problem `not_ready` otherwise."""
    return {"status": "ready", "version": _classifier().card.version}


@routes.get("/metrics")
def metrics() -> Response:
    """Show what was counted, in the text format of Prometheus."""
    counts: Metrics = current_app.extensions["metrics"]
    readiness: Readiness = current_app.extensions["readiness"]
    card = readiness.card()
    counts.model = {"task": card.task, "version": card.version} if card else {}
    counts.progress = readiness.progress()
    return Response(counts.render(), content_type="text/plain; version=0.0.4; charset=utf-8")


@routes.get("/openapi.json")
def openapi() -> Response:
    """Show the contract."""
    return jsonify(current_app.extensions["openapi"])


def _answer(classifier: Classifier, payload: bytes, top_k: int, *, explain: bool) -> dict[str, Any]:
    if not payload:
        raise Problem("nothing_sent", "The image is empty (0 bytes).")
    if len(payload) > MAX_BYTES:
        raise Problem("too_large", problems.TOO_LARGE)
    counts: Metrics = current_app.extensions["metrics"]
    try:
        with counts.stage("decode"):
            pixels = decode(payload, classifier.card.input_size)
    except ImageError as error:
        raise Problem("unreadable_image", as_sentence(str(error))) from error
    with counts.stage("infer"):
        prediction = classifier.classify(pixels, explain=explain)
    with counts.stage("encode"):
        answer = encode(prediction, classifier.card, top_k, explain=explain)
    counts.count_prediction(prediction.class_index, prediction.verdict, prediction.probability)
    return answer


def _count(response: Response) -> Response:
    counts: Metrics = current_app.extensions["metrics"]
    counts.count_request(request.path, response.status_code)
    return response


def _classifier() -> Classifier:
    readiness: Readiness = current_app.extensions["readiness"]
    return readiness.classifier()


def _top_k(class_count: int) -> int:
    text = request.args.get("top_k", str(DEFAULT_TOP_K))
    if not (len(text) <= 9 and text.isascii() and text.isdigit() and 1 <= int(text) <= class_count):
        raise Problem("bad_request", f"top_k must be a whole number from 1 to {class_count}, not {text!r}.")
    return int(text)


def _explain() -> bool:
    explain = request.args.get("explain", "false")
    if explain not in ("true", "false"):
        raise Problem("bad_request", f"explain must be true or false, not {explain!r}.")
    return explain == "true"
