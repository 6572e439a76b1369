"""The routes of the Flask application."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
from flask import Blueprint, Flask, Response, jsonify, redirect, request
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.wrappers import Response as BaseResponse

from data.images import Picture
from model.artifact import Card
from model.errors import ArtifactError
from model.recogniser import Recogniser
from service import problems
from service.access import BATCH, DETECT, PREDICT
from service.answers import Options, open_picture
from service.catalogue import Catalogue, Served
from service.components import Components, components, store
from service.feedback import OFF, check_origin, keep_picture, read_class_index, read_part
from service.inference import InferenceQueue
from service.inquiry import Inquiry
from service.inventory import DEFAULT_COUNT, read_count
from service.metrics import Metrics
from service.payloads import MAX_BATCH_PIXELS, MAX_BODY_BYTES, read_picture, read_pictures
from service.problems import Problem
from service.settings import Settings, usable_cores
from service.stages import HEADER, Stages

OPENAPI_FILE: Final = Path(__file__).with_name("openapi.yaml")
BATCH_PART: Final = 16  # pictures of a batch that one thread classifies in a row; takes some milliseconds
DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'"
)

_log = logging.getLogger(__name__)
routes = Blueprint("routes", __name__)


def create_app(settings: Settings, metrics: Metrics | None = None) -> Flask:
    """Create the Flask application, which `service.asgi` wraps.

    Classifiers that exist are loaded now, others once they have been trained.

    Args:
        settings: of the service.
        metrics: where to count; by default in this process only.
    """
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of the contract
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    contract = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))
    metrics = metrics or Metrics(settings.artifacts)
    catalogue = Catalogue.of(settings, contract["info"]["version"], metrics)
    for served in catalogue.values():
        _load(served)
    batch_threads = ThreadPoolExecutor(usable_cores(), "batch")
    inference = InferenceQueue(settings.inference_pool)
    store(app, Components(settings, contract, metrics, catalogue, batch_threads, inference))
    problems.register(app)
    app.register_blueprint(routes)
    # Swagger UI from a package that contains its files: nothing is fetched from elsewhere.
    options = {"app_name": contract["info"]["title"], "validatorUrl": None}
    # Relative addresses also work where a proxy serves the service below a path.
    pages = get_swaggerui_blueprint(".", "../openapi.json", options)
    pages.after_request(_allow_scripts)
    app.register_blueprint(pages, url_prefix="/docs")
    return app


def _load(served: Served) -> None:
    if not served.readiness.has_artifact():
        return
    try:
        served.readiness.load()
    except ArtifactError as error:
        # The master checked it at startup, so it was damaged since; other workers may still have the good one.
        _log.error("the classifier cannot be used: %s", error)


@routes.post(PREDICT)
def predict_traffic_sign() -> Response:
    """Classify the picture in the request, or the most prominent sign in it."""
    return _answer_picture(_default_task())


@routes.post(DETECT)
def detect_traffic_sign() -> Response:
    """Find every sign in the picture in the request."""
    return _answer_picture(_default_task(), every=True)


@routes.post("/detect/<task>")
def detect(task: str) -> Response:
    """Find every object of a task in the picture in the request."""
    try:
        served = components().catalogue[task]
    except KeyError as error:
        raise Problem("not_found", f"This service has no task {task!r}.") from error
    return _answer_picture(served, every=True)


@routes.post(BATCH)
def predict_batch() -> Response:
    """Classify every picture of a form; a picture that fails does not affect the others."""
    served = _default_task()
    recogniser = served.readiness.recogniser()
    options = Options.of(request.args, recogniser.card)
    if options.box is not None:
        raise Problem("bad_request", "`box` is not supported for batches.")
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
    parts = [opened[start : start + BATCH_PART] for start in range(0, len(opened), BATCH_PART)]
    answers: list[dict[str, Any]] = []
    everything = Stages()
    inference = components().inference  # the threads of a batch have no request, so they cannot ask for it
    for part, stages in components().batch_threads.map(
        lambda part: _answer_part(served, recogniser, part, options, inference), parts
    ):
        answers += part
        everything.seconds += stages.seconds
    results = [{"filename": name, **answer} for name, answer in zip(names, answers, strict=True)]
    return _timed({"results": results}, everything)


@routes.post("/predict_traffic_sign/feedback")
def feedback() -> tuple[Response, int]:
    """Keep the picture in the request for later training, as an example of a class or of none."""
    settings = components().settings
    if not settings.feedback:
        raise Problem("not_implemented", OFF)
    check_origin(request.headers.get("Origin"), request.host, settings.origins)
    card = _card()
    class_index = read_class_index(request.args, card)
    box, margin = read_part(request.args, card)
    stored = keep_picture(read_picture(by_url=False), box, margin, class_index, card, settings.store_folder)
    return jsonify({"class_index": class_index, "stored": stored}), 201


@routes.get("/model")
def model() -> Response:
    """Return the card of the classifier."""
    return jsonify(_card().to_json())


@routes.get("/model/labels")
def labels() -> Response:
    """Return the labels in the order of their indices."""
    return jsonify(_card().to_json()["labels"])


@routes.get("/data")
def data() -> Response:
    """Return figures of the data set; the problem `no_data` if there is none."""
    return jsonify(_default_task().inventory.summary())


@routes.get("/data/<int:class_index>")
def data_pictures(class_index: int) -> Response:
    """Return some pictures of a class of the data set."""
    count = read_count(request.args.get("count", str(DEFAULT_COUNT)))
    return jsonify({"class_index": class_index, "pictures": _default_task().inventory.pictures(class_index, count)})


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """Report that the process answers."""
    return {"status": "alive"}


@routes.get("/readyz")
def readyz() -> dict[str, Any]:
    """Report that predictions are possible, and the enabled features; the problem `not_ready` otherwise."""
    card, parts = _card(), components()
    return {
        "status": "ready",
        "task": card.task,
        "version": card.version,
        "contract": parts.contract["info"]["version"],
        "offers": sorted([*parts.settings.offers, *_offers_of(_default_task())]),
    }


@routes.get("/metrics")
def metrics() -> Response:
    """Return the metrics in Prometheus' text format."""
    parts = components()
    states = {task: served.readiness.state() for task, served in parts.catalogue.items()}
    return Response(parts.metrics.render(states), content_type="text/plain; version=0.0.4; charset=utf-8")


@routes.get("/docs", strict_slashes=True)
def docs() -> BaseResponse:
    """Lead to the documentation pages, which have relative addresses."""
    return redirect("docs/", 308)


@routes.get("/openapi.json")
def openapi() -> Response:
    """Return the contract."""
    return jsonify(components().contract)


def _default_task() -> Served:
    """Return the task of the routes that do not name one."""
    return components().catalogue.default


def _card() -> Card:
    return _default_task().readiness.recogniser().card


def _offers_of(served: Served) -> list[str]:
    """Return the features that depend on the artifact."""
    return [] if served.readiness.recogniser().detector is None else ["detect"]


def _answer_picture(served: Served, *, every: bool = False) -> Response:
    """Answer the picture in the request."""
    recogniser = served.readiness.recogniser()
    inquiry = Inquiry(recogniser, Options.of(request.args, recogniser.card), every=every)
    payload = read_picture()
    body = _answer(served, inquiry, lambda: open_picture(payload), components().inference)
    return _timed(body, inquiry.stages)


def _answer_part(
    served: Served,
    recogniser: Recogniser,
    part: Sequence[Picture | Problem],
    options: Options,
    inference: InferenceQueue,
) -> tuple[list[dict[str, Any]], Stages]:
    """Answer some pictures of a batch; runs in a thread of its own."""
    answers: list[dict[str, Any]] = []
    everything = Stages()
    for picture in part:
        inquiry = Inquiry(recogniser, options)
        try:
            answers.append({"prediction": _answer(served, inquiry, partial(_opened, picture), inference)})
        except Problem as problem:
            answers.append({"problem": problem.body()})
        everything.seconds += inquiry.stages.seconds
    return answers, everything


def _opened(picture: Picture | Problem) -> Picture:
    if isinstance(picture, Problem):
        raise picture
    return picture


def _answer(
    served: Served, inquiry: Inquiry, open_it: Callable[[], Picture], inference: InferenceQueue
) -> dict[str, Any]:
    """Answer a picture, which is not kept while it is searched: all of its pixels may be in it."""
    body = inquiry.look(open_it()) or inference.search_here(inquiry.search)
    served.metrics.count_answer(inquiry.predictions, inquiry.stages)
    return body


def _timed(body: dict[str, Any], stages: Stages) -> Response:
    response = Response(orjson.dumps(body), content_type="application/json")
    response.headers[HEADER] = stages.header()
    return response


def _allow_scripts(response: Response) -> Response:
    """Allow the documentation pages to run their own scripts and to call this service, and nothing else."""
    response.headers["Content-Security-Policy"] = DOCS_POLICY
    return response
