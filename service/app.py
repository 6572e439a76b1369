"""The routes: decode the request, predict, encode the answer."""

import base64
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import BadRequest

from data.errors import ImageError
from data.images import MAX_BYTES, MEDIA_TYPES
from model.artifact import Card
from model.classifier import Classifier, Prediction
from model.progress import training_folder
from service import problems
from service.problems import Problem
from service.readiness import Readiness
from service.settings import Settings

RAW_TYPES = frozenset({*MEDIA_TYPES, "image/jpg", "application/octet-stream"})
OPENAPI_FILE = Path(__file__).with_name("openapi.yaml")
DEFAULT_TOP_K = 5
# A picture in base64 takes a third more than its bytes; the rest is room for the JSON or multipart around it.
MAX_BODY_BYTES = MAX_BYTES * 4 // 3 + 64 * 1024

routes = Blueprint("routes", __name__)


def create_app(settings: Settings) -> Flask:
    """Make the application. The classifier is loaded now if there is one, else when it has been trained.

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
    app.extensions["openapi"] = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))
    problems.register(app)
    app.register_blueprint(routes)
    return app


@routes.post("/predict_traffic_sign")
def predict_traffic_sign() -> dict[str, Any]:
    """Classify the picture in the request."""
    classifier = _classifier()
    top_k = _top_k(len(classifier.card.labels))
    explain = _explain()
    try:
        [prediction] = classifier.predict([_payload()], explain=explain)
    except ImageError as error:
        raise Problem("unreadable_image", _sentence(str(error))) from error
    answer = encode(prediction, classifier.card, top_k)
    return {**answer, "heatmap": _encode_heatmap(prediction)} if explain else answer


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


@routes.get("/openapi.json")
def openapi() -> Response:
    """Show the contract."""
    return jsonify(current_app.extensions["openapi"])


def encode(prediction: Prediction, card: Card, top_k: int) -> dict[str, Any]:
    """Return the answer of the contract for one prediction."""
    label = card.labels[prediction.class_index]
    return {
        "class_index": label.index,
        "class_name": label.name,
        "description": label.description,
        "sign_number": label.sign_number,
        "probability": prediction.probability,
        "verdict": prediction.verdict,
        "alternatives": [
            {"class_index": other.index, "class_name": other.name, "probability": probability}
            for other, probability in prediction.top(top_k)
        ],
        "model": {"task": card.task, "version": card.version},
    }


def _classifier() -> Classifier:
    readiness: Readiness = current_app.extensions["readiness"]
    return readiness.classifier()


def _top_k(class_count: int) -> int:
    text = request.args.get("top_k", str(DEFAULT_TOP_K))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= class_count):
        raise Problem("bad_request", f"top_k must be a whole number from 1 to {class_count}, not {text!r}.")
    return int(text)


def _encode_heatmap(prediction: Prediction) -> list[list[float]] | None:
    heatmap = prediction.heatmap
    return None if heatmap is None else [[round(float(value), 4) for value in row] for row in heatmap]


def _explain() -> bool:
    explain = request.args.get("explain", "false")
    if explain not in ("true", "false"):
        raise Problem("bad_request", f"explain must be true or false, not {explain!r}.")
    return explain == "true"


def _payload() -> bytes:
    """Return the bytes of the picture, in whichever of the three ways it was sent."""
    payload: bytes
    if request.mimetype == "multipart/form-data":
        file = request.files.get("image")
        if file is None:
            raise Problem("nothing_sent", "The form has no file in the field `image`.")
        payload = file.read()
    elif request.mimetype == "application/json":
        payload = _from_json()
    elif request.mimetype in RAW_TYPES:
        payload = request.get_data(cache=False)
    elif not request.mimetype and not request.content_length:
        raise Problem("nothing_sent", "The request has no body.")
    else:
        accepted = ", ".join(sorted(RAW_TYPES | {"multipart/form-data", "application/json"}))
        sent = request.mimetype or "no content type"
        raise Problem("unsupported_type", f"Send one of {accepted}; this request has {sent}.")
    if not payload:
        raise Problem("nothing_sent", "The image is empty (0 bytes).")
    if len(payload) > MAX_BYTES:
        raise Problem("too_large", problems.TOO_LARGE)
    return payload


def _from_json() -> bytes:
    try:
        body = request.get_json()
    except RecursionError as error:
        raise Problem("bad_request", "The JSON is nested too deeply.") from error
    except BadRequest as error:
        raise Problem("bad_request", "The body is not JSON.") from error
    if not isinstance(body, dict) or len(body.keys() & {"image", "url"}) != 1:
        raise Problem("bad_request", 'The JSON must be {"image": "<base64>"}.')
    if "url" in body:
        raise Problem("not_implemented", "Fetching images by URL is not offered by this version; send the image.")
    if not isinstance(body["image"], str):
        raise Problem("bad_request", "`image` must be a string in base64.")
    try:
        return base64.b64decode(body["image"], validate=True)
    except ValueError as error:
        raise Problem("bad_request", f"`image` is not base64: {error}.") from error


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
