"""Every way in which a request can fail, in one table, sent as RFC 9457 `application/problem+json`."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from data.images import MAX_BYTES
from model.errors import EngineError, EngineTimeoutError
from service.headers import REQUEST_ID

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its HTTP status and a title that is the same for every occurrence."""

    status: int
    title: str


KINDS = {
    "bad_request": Kind(400, "Invalid request"),
    "nothing_sent": Kind(400, "No image was sent"),
    "answer_too_large": Kind(400, "The answer is too large"),
    "unauthorised": Kind(401, "An API key is required"),
    "foreign_page": Kind(403, "This origin is not allowed"),
    "not_found": Kind(404, "Not found"),
    "no_data": Kind(404, "No data set"),
    "method_not_allowed": Kind(405, "Method not allowed"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_type": Kind(415, "Unsupported content type"),
    "url_refused": Kind(400, "This URL is not allowed"),
    "url_failed": Kind(422, "Fetching the URL failed"),
    "unreadable_image": Kind(422, "The image cannot be read"),
    "timeout": Kind(408, "The request timed out"),
    "too_busy": Kind(429, "The service is too busy"),
    "too_many": Kind(429, "Too many requests from one client"),
    "address_too_long": Kind(414, "The URL is too long"),
    "headers_too_large": Kind(431, "The headers are too large"),
    "internal": Kind(500, "Internal error"),
    "not_implemented": Kind(501, "This is disabled"),
    "engine_failed": Kind(502, "The inference server failed"),
    "not_ready": Kind(503, "No classifier is ready yet"),
    "not_counted": Kind(503, "Rate limiting is unavailable"),
    "too_many_connections": Kind(503, "Too many connections are open"),
    "engine_timeout": Kind(504, "The inference server did not answer in time"),
    "storage_full": Kind(507, "The picture cannot be stored"),
}
MEDIA_TYPE = "application/problem+json"
BUG = "An unexpected error occurred; see the log of the service."
TOO_LARGE = f"An image may have at most {MAX_BYTES:,} bytes, and a form may contain only the image."
_DETAILS = {
    "not_found": "This path does not exist; see /docs/.",
    "method_not_allowed": "Use one of the methods in the header Allow; see /docs/.",
    "too_large": TOO_LARGE,
}
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_type"}


@dataclass
class Problem(Exception):
    """A request that fails; may be raised anywhere below a route.

    `kind` is a key of `KINDS`, `detail` a sentence about this occurrence, `members` are further members of the body.
    """

    kind: str
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the members of RFC 9457 in JSON types."""
        kind = KINDS[self.kind]
        return {
            "type": f"urn:traffic-sign:problem:{self.kind}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            **self.members,
        }

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind].status

    def encoded(self) -> bytes:
        """Return the encoded body, of type `MEDIA_TYPE`."""
        return json.dumps(self.body()).encode()

    def response(self) -> Response:
        """Return the Flask response."""
        return Response(self.encoded(), self.status, self.headers, content_type=MEDIA_TYPE)


@contextmanager
def engine_problems(task: str) -> Iterator[None]:
    """Raise errors of the inference server as problems about a task.

    Raises:
        Problem: `engine_failed` or `engine_timeout`.
    """
    try:
        yield
    except EngineError as error:
        kind = "engine_timeout" if isinstance(error, EngineTimeoutError) else "engine_failed"
        raise Problem(kind, f"{error}.", {"task": task}, {"Retry-After": "1"}) from error


def without_paths(text: str, *folders: Path) -> str:
    """Return a message for clients: paths below these folders become relative, and a folder is only its name."""
    for folder in sorted(folders, key=lambda folder: -len(str(folder))):  # a folder before those that contain it
        if not folder.name:  # the root, or an empty path, which every path begins with
            continue
        for spelling in {str(folder), str(folder.resolve())}:
            whole = rf"(?<![\w./-]){re.escape(spelling)}(?:/|(?![\w-]))"  # and not a part of another name
            text = re.sub(whole, lambda found: "" if found[0].endswith("/") else folder.name, text)  # noqa: B023
    return text


def register(app: Flask) -> None:
    """Let an app answer every failure with a problem, including Flask's own errors and bugs."""

    @app.errorhandler(Problem)
    def answer_problem(problem: Problem) -> Response:
        return problem.response()

    @app.errorhandler(HTTPException)
    def answer_http(error: HTTPException) -> Response:
        kind = _BY_STATUS.get(error.code or 500, "bad_request")
        problem = Problem(kind, _DETAILS.get(kind, error.description or error.name))
        if error.code == 405 and getattr(error, "valid_methods", None):
            problem.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
        return problem.response()

    @app.errorhandler(Exception)
    def answer_bug(error: Exception) -> Response:
        _log.error("unexpected error", exc_info=error, extra={"request_id": request.headers.get(REQUEST_ID)})
        return Problem("internal", BUG).response()
