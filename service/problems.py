"""Every way a request can fail, in one table, answered as RFC 9457 `application/problem+json`."""

import json
import logging
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from data.images import MAX_BYTES
from service.headers import REQUEST_ID

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A kind of problem: its HTTP status and a title that is the same each time it occurs."""

    status: int
    title: str


KINDS = {
    "bad_request": Kind(400, "The request is not understood"),
    "nothing_sent": Kind(400, "No image was sent"),
    "unauthorised": Kind(401, "A key is needed"),
    "foreign_page": Kind(403, "Pages of other origins may not do this"),
    "not_found": Kind(404, "There is nothing at this address"),
    "no_data": Kind(404, "There is no data set"),
    "method_not_allowed": Kind(405, "This address does not take this method"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_type": Kind(415, "This type of content is not accepted"),
    "url_refused": Kind(400, "This address is not fetched"),
    "url_failed": Kind(422, "Nothing could be fetched from this address"),
    "unreadable_image": Kind(422, "The image cannot be read"),
    "timeout": Kind(408, "The request did not come to its end in time"),
    "too_busy": Kind(429, "The service is too busy"),
    "too_many": Kind(429, "Too many requests from one client"),
    "address_too_long": Kind(414, "The address is too long"),
    "headers_too_large": Kind(431, "The headers are too large"),
    "internal": Kind(500, "Something went wrong in the service"),
    "not_implemented": Kind(501, "This is not offered"),
    "not_ready": Kind(503, "No classifier is ready yet"),
    "not_counted": Kind(503, "Requests cannot be counted now"),
    "too_many_connections": Kind(503, "Too many connections are open"),
    "storage_full": Kind(507, "The picture cannot be kept"),
}
MEDIA_TYPE = "application/problem+json"
BUG = "The service met an unexpected error; its log says more."
TOO_LARGE = f"An image may have at most {MAX_BYTES:,} bytes, and a form holds nothing else."
_DETAILS = {
    "not_found": "There is nothing at this address; /docs/ shows what there is.",
    "method_not_allowed": "This address takes other methods, which the header Allow names; /docs/ shows what there is.",
    "too_large": TOO_LARGE,
}
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_type"}


@dataclass
class Problem(Exception):
    """A request that fails; raised anywhere below a route.

    `kind` is a key of `KINDS`, `detail` a sentence about this occurrence, `members` what the body holds besides.
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
        """Return the body as it is sent, of type `MEDIA_TYPE`."""
        return json.dumps(self.body()).encode()

    def response(self) -> Response:
        """Return the answer of the application."""
        return Response(self.encoded(), self.status, self.headers, content_type=MEDIA_TYPE)


def register(app: Flask) -> None:
    """Make an app answer every failure with a problem, Flask's own ones and bugs included."""

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
