"""The routes of the Flask application."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
from flask import Blueprint, Flask, Response, jsonify, redirect, request
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.wrappers import Response as BaseResponse

from data.images import Picture
from data.task import DEFAULT_TASK
from model.artifact import Card
from model.errors import ArtifactError
from service import problems
from service.answers import Options, open_picture
from service.batch import PART, answer_part
from service.catalogue import Catalogue, Served
from service.components import Components, components, store
from service.engine import create_engine
from service.feedback import OFF, check_origin, keep_picture, read_class_index, read_part
from service.inference import InferenceQueue
from service.inquiry import Inquiry
from service.inventory import DEFAULT_COUNT, DEFAULT_SIDE, MAX_COUNT, MAX_SIDE, MIN_SIDE, read_integer
from service.metrics import Metrics
from service.paths import FIRST, OLD_BATCH, OLD_DETECT, OLD_FEEDBACK, OLD_PREDICT
from service.payloads import MAX_BATCH_PIXELS, MAX_BODY_BYTES, read_picture, read_pictures
from service.problems import Problem
from service.settings import Settings, usable_cores
from service.stages import HEADER, Stages

OPENAPI_FILE: Final = Path(__file__).with_name("openapi.yaml")
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
    # The parser in C saves a tenth of the start.
    contract = yaml.load(OPENAPI_FILE.read_text(encoding="utf-8"), yaml.CSafeLoader)
    metrics = metrics or Metrics(settings.served)
    catalogue = Catalogue.of(settings, contract["info"]["version"], metrics, create_engine(settings, metrics))
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
        _log.error("%s: the classifier cannot be used: %s", served.task.name, error)


@routes.post(FIRST)
def predict_first() -> Response:
    """Do what `predict` does, for the first task."""
    return _answer_picture(components().catalogue.first)


@routes.post(OLD_PREDICT)
@routes.post("/predict/<task>")
def predict(task: str = DEFAULT_TASK) -> Response:
    """Classify the picture in the request, or the most prominent object in it."""
    return _answer_picture(_find(task))


@routes.post(OLD_DETECT)
@routes.post("/detect/<task>")
def detect(task: str = DEFAULT_TASK) -> Response:
    """Find every object in the picture in the request."""
    return _answer_picture(_find(task), every=True)


@routes.post(OLD_BATCH)
@routes.post("/predict/<task>/batch")
def predict_batch(task: str = DEFAULT_TASK) -> Response:
    """Classify every picture of a form; a picture that fails does not affect the others."""
    served = _find(task)
    recogniser = served.readiness.recogniser()
    options = Options.of(request.args, recogniser.card)
    if options.box is not None:
        raise Problem("bad_request", "`box` is not supported for batches.")
    Inquiry(recogniser, options)  # reports options that do not apply, before any picture is read
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
    parts = [opened[start : start + PART] for start in range(0, len(opened), PART)]
    answers: list[dict[str, Any]] = []
    everything = Stages()
    inference = components().inference  # the threads of a batch have no request, so they cannot ask for it
    for part, stages in components().batch_threads.map(
        lambda part: answer_part(served, recogniser, part, options, inference), parts
    ):
        answers += part
        everything.seconds += stages.seconds
    results = [{"filename": name, **answer} for name, answer in zip(names, answers, strict=True)]
    return _timed({"results": results}, everything)


@routes.post(OLD_FEEDBACK)
@routes.post("/predict/<task>/feedback")
def feedback(task: str = DEFAULT_TASK) -> tuple[Response, int]:
    """Keep the picture in the request for later training, as an example of a class or of none."""
    served, settings = _find(task), components().settings
    if not settings.feedback:
        raise Problem("not_implemented", OFF)
    check_origin(request.headers.get("Origin"), request.host, settings.origins)
    card = served.readiness.recogniser().card
    class_index = read_class_index(request.args, card)
    part = read_part(request.args)
    stored = keep_picture(read_picture(by_url=False), part, class_index, card, settings.store_folder)
    return jsonify({"class_index": class_index, "stored": stored}), 201


@routes.get("/tasks")
def tasks() -> Response:
    """Return the tasks that are served, the first one first."""
    parts = components()
    described = [_describe(served) for served in parts.catalogue.values()]
    return jsonify({"contract": parts.contract["info"]["version"], "tasks": described})


@routes.get("/model")
@routes.get("/model/<task>")
def model(task: str = DEFAULT_TASK) -> Response:
    """Return the card of the classifier."""
    return jsonify(_card(task).to_json())


@routes.get("/model/labels")
@routes.get("/model/<task>/labels")
def labels(task: str = DEFAULT_TASK) -> Response:
    """Return the labels in the order of their indices."""
    return jsonify(_card(task).to_json()["labels"])


@routes.get("/data")
@routes.get("/data/<task>")
def data(task: str = DEFAULT_TASK) -> Response:
    """Return figures of the data set; the problem `no_data` if there is none.

    A number is not a task, but a class of the default task: the route from before there were several tasks.
    """
    if task.isdecimal() and task.isascii():
        return data_pictures(DEFAULT_TASK, int(task))
    return jsonify(_find(task).inventory.summary())


@routes.get("/data/<task>/<int:class_index>")
def data_pictures(task: str, class_index: int) -> Response:
    """Return some pictures of a class of the data set."""
    count = read_integer(request.args, "count", DEFAULT_COUNT, 1, MAX_COUNT)
    side = read_integer(request.args, "side", DEFAULT_SIDE, MIN_SIDE, MAX_SIDE)
    return jsonify({"class_index": class_index, "pictures": _find(task).inventory.pictures(class_index, count, side)})


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """Report that the process answers."""
    return {"status": "alive"}


@routes.get("/readyz")
def readyz() -> dict[str, Any]:
    """Report that a task can be predicted, and the state of each; the problem `not_ready` if none can.

    The other members are those of the first task that is ready, and of the first one if none is.
    """
    parts = components()
    catalogue = parts.catalogue
    problems = {name: served.readiness.problem() for name, served in catalogue.items()}
    states = {name: _state(catalogue[name], problem) for name, problem in problems.items()}
    unready = [problem for problem in problems.values() if problem]
    if len(unready) == len(problems):
        raise replace(unready[0], members={**unready[0].members, "tasks": states})
    ready = next(served for name, served in catalogue.items() if not problems[name])
    card = ready.readiness.recogniser().card
    return {
        "status": "ready",
        "task": card.task,
        "version": card.version,
        "contract": parts.contract["info"]["version"],
        "offers": sorted([*parts.settings.offers, *_detects(ready)]),
        "tasks": states,
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


def _find(task: str) -> Served:
    return components().catalogue.find(task)


def _card(task: str) -> Card:
    return _find(task).readiness.recogniser().card


def _state(served: Served, problem: Problem | None) -> dict[str, Any]:
    """Return the state of a task in JSON types, given why it has no classifier, or None if it has one."""
    if problem is None:
        return {"state": "ready", "version": served.readiness.recogniser().card.version}
    members = problem.members
    progress = {"progress": members["progress"]} if "progress" in members else {}
    return {"state": members["state"], "version": None, "detail": problem.detail, **progress}


def _describe(served: Served) -> dict[str, Any]:
    """Return a task, its state and its features in JSON types."""
    task, problem = served.task, served.readiness.problem()
    has_data = ["data"] if served.inventory.is_there() else []
    detects = [] if problem else _detects(served)
    return {
        "name": task.name,
        "title": task.title,
        "title_de": task.title_de,
        "classes": len(task.labels if problem else served.readiness.recogniser().card.labels),
        **_state(served, problem),
        "offers": sorted([*components().settings.offers, *detects, *has_data]),
    }


def _detects(served: Served) -> list[str]:
    """Return the feature that a task with a detector has."""
    return [] if served.readiness.recogniser().detector is None else ["detect"]


def _answer_picture(served: Served, *, every: bool = False) -> Response:
    """Answer the picture in the request."""
    recogniser = served.readiness.recogniser()
    inquiry = Inquiry(recogniser, Options.of(request.args, recogniser.card), every=every)
    payload = read_picture()
    body = _answer(served, inquiry, lambda: open_picture(payload), components().inference)
    return _timed(body, inquiry.stages)


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
