"""The routes."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
from flask import Blueprint, Flask, Response, current_app, jsonify, request
from flask_swagger_ui import get_swaggerui_blueprint

from data.images import Picture
from model.classifier import Classifier
from model.errors import ArtifactError
from model.progress import training_folder
from service import problems
from service.answers import Options, answer, decode, open_picture, read_box
from service.feedback import OFF, check_origin, keep_picture, read_class_index
from service.inventory import DEFAULT_COUNT, Inventory, read_count
from service.metrics import Metrics
from service.payloads import MAX_BATCH_PIXELS, MAX_BODY_BYTES, read_picture, read_pictures
from service.problems import Problem
from service.readiness import Readiness
from service.settings import Settings, usable_cores
from service.stages import HEADER, Stages

OPENAPI_FILE: Final = Path(__file__).with_name("openapi.yaml")
BATCH_PART: Final = 16  # pictures of a batch that one thread answers in turn: some milliseconds
DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'"
)

_log = logging.getLogger(__name__)
routes = Blueprint("routes", __name__)


def create_app(settings: Settings, metrics: Metrics | None = None) -> Flask:
    """Make the application, which `service.asgi` guards.

    The classifier is loaded now if there is one, else when it has been trained.

    Args:
        settings: of the service.
        metrics: what counts; by default this process counts for itself.
    """
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of the contract
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    contract = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))
    training = training_folder(settings.store_folder, settings.task)
    metrics = metrics or Metrics()
    readiness = Readiness(settings.artifact_folder, training, contract["info"]["version"], metrics)
    if readiness.has_artifact():
        try:
            readiness.load()
        except ArtifactError as error:
            # The master starts with a good one only: it was damaged since, and other workers may still serve.
            _log.error("the classifier cannot be used: %s", error)
    app.extensions["readiness"] = readiness
    app.extensions["metrics"] = metrics
    app.extensions["batch_threads"] = ThreadPoolExecutor(usable_cores(), "batch")
    app.extensions["openapi"] = contract
    app.extensions["settings"] = settings
    app.extensions["inventory"] = Inventory(settings.task, settings.data, settings.store_folder)
    problems.register(app)
    app.register_blueprint(routes)
    # Swagger UI as a package, with its files in it: nothing is fetched from elsewhere.
    options = {"app_name": contract["info"]["title"], "validatorUrl": None}
    pages = get_swaggerui_blueprint("/docs", "/openapi.json", options)
    pages.after_request(_allow_scripts)
    app.register_blueprint(pages)
    return app


@routes.post("/predict_traffic_sign")
def predict_traffic_sign() -> Response:
    """Classify the picture in the request."""
    classifier = _classifier()
    options = Options.of(request.args, classifier.card)
    stages, counts = Stages(), current_app.extensions["metrics"]
    return _timed(_answer(classifier, open_picture(read_picture()), options, stages, counts), stages)


@routes.post("/predict_traffic_sign/batch")
def predict_batch() -> Response:
    """Classify each picture of a form; one that fails does not harm the others."""
    classifier = _classifier()
    options = Options.of(request.args, classifier.card)
    if options.box is not None:
        raise Problem("bad_request", "box is not offered for a batch, whose pictures would need one each.")
    names: list[str] = []
    opened: list[Picture | Problem] = []
    pixels = 0
    for name, payload in read_pictures():
        names.append(name)
        try:
            picture = open_picture(payload)
            pixels += picture.height * picture.width
            if pixels > MAX_BATCH_PIXELS:
                raise Problem("too_large", f"The pictures of this batch have more than {MAX_BATCH_PIXELS:,} pixels.")
            opened.append(picture)
        except Problem as problem:
            opened.append(problem)
    counts: Metrics = current_app.extensions["metrics"]
    threads: ThreadPoolExecutor = current_app.extensions["batch_threads"]
    parts = [opened[start : start + BATCH_PART] for start in range(0, len(opened), BATCH_PART)]
    answers: list[dict[str, Any]] = []
    everything = Stages()
    for part, stages in threads.map(lambda part: _answer_part(classifier, part, options, counts), parts):
        answers += part
        everything.seconds += stages.seconds
    results = [{"filename": name, **answer} for name, answer in zip(names, answers, strict=True)]
    return _timed({"results": results}, everything)


@routes.post("/predict_traffic_sign/feedback")
def feedback() -> tuple[Response, int]:
    """Keep the picture in the request for a later training, as one of a class or of none."""
    settings: Settings = current_app.extensions["settings"]
    if not settings.feedback:
        raise Problem("not_implemented", OFF)
    check_origin(request.headers.get("Origin"), request.host, settings.origins)
    card = _classifier().card
    class_index, box = read_class_index(request.args, card), read_box(request.args)
    stored = keep_picture(read_picture(by_url=False), box, class_index, card, settings.store_folder)
    return jsonify({"class_index": class_index, "stored": stored}), 201


@routes.get("/model")
def model() -> Response:
    """Show the card of the classifier."""
    return jsonify(_classifier().card.to_json())


@routes.get("/model/labels")
def labels() -> Response:
    """Show the labels, in the order of their indices."""
    return jsonify(_classifier().card.to_json()["labels"])


@routes.get("/data")
def data() -> Response:
    """Show what is known of the data set; the problem `no_data` if there is none."""
    inventory: Inventory = current_app.extensions["inventory"]
    return jsonify(inventory.summary())


@routes.get("/data/<int:class_index>")
def data_pictures(class_index: int) -> Response:
    """Show some pictures of a class of the data set."""
    inventory: Inventory = current_app.extensions["inventory"]
    count = read_count(request.args.get("count", str(DEFAULT_COUNT)))
    return jsonify({"class_index": class_index, "pictures": inventory.pictures(class_index, count)})


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@routes.get("/readyz")
def readyz() -> dict[str, Any]:
    """Say that predictions are possible, and what else is offered; the problem `not_ready` otherwise."""
    card = _classifier().card
    settings: Settings = current_app.extensions["settings"]
    return {
        "status": "ready",
        "task": card.task,
        "version": card.version,
        "contract": current_app.extensions["openapi"]["info"]["version"],
        "offers": settings.offers,
    }


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


def _answer_part(
    classifier: Classifier, part: Sequence[Picture | Problem], options: Options, counts: Metrics
) -> tuple[list[dict[str, Any]], Stages]:
    """Answer some pictures of a batch, in a thread of its own."""
    answers: list[dict[str, Any]] = []
    everything = Stages()
    for picture in part:
        stages = Stages()
        try:
            if isinstance(picture, Problem):
                raise picture
            answers.append({"prediction": _answer(classifier, picture, options, stages, counts)})
        except Problem as problem:
            answers.append({"problem": problem.body()})
        everything.seconds += stages.seconds
    return answers, everything


def _answer(
    classifier: Classifier, picture: Picture, options: Options, stages: Stages, counts: Metrics
) -> dict[str, Any]:
    body, prediction = answer(classifier, decode(picture, classifier.card, options.box, stages), options, stages)
    counts.count_answer(prediction, stages)
    return body


def _timed(body: dict[str, Any], stages: Stages) -> Response:
    response = Response(orjson.dumps(body), content_type="application/json")
    response.headers[HEADER] = stages.header()
    return response


def _allow_scripts(response: Response) -> Response:
    """Let the pages of the documentation run their own scripts and ask this service, and nothing else."""
    response.headers["Content-Security-Policy"] = DOCS_POLICY
    return response


def _classifier() -> Classifier:
    readiness: Readiness = current_app.extensions["readiness"]
    return readiness.classifier()
