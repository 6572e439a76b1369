"""The events of AWS Lambda as HTTP requests, and HTTP answers as results of the function.

API Gateway and function URLs pass HTTP requests as JSON, in payload format 1.0 or 2.0. A program that invokes the
function directly passes `{"image": …}` or `{"url": …}`, with options of the contract beside it.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from service.answers import Options
from service.asgi import Reply
from service.paths import FIRST
from service.payloads import JSON
from service.problems import Problem

MAX_RESULT_BYTES: Final = 6 * 1024**2  # of an answer, by the quotas of AWS Lambda for synchronous invocations
MAX_GROWTH: Final = 6  # of a byte that is escaped in JSON: \u0000
DIRECT: Final = '{"image": "<base64>"} or {"url": "<URL>"}'
DAMAGED: Final = (
    "API Gateway passed this body on as text, which damages pictures: add */* to the binary media types of the API, or "
    f"send JSON: {DIRECT}."
)
_OPTIONS: Final = frozenset(each.name for each in fields(Options))
_SOURCES: Final = frozenset({"image", "url"})
_MEMBERS: Final = _SOURCES | _OPTIONS | {"task", "detect"}
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "expect"})

Result = dict[str, Any]


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request with its whole body; the path and the query are still percent-encoded."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def scope(self, defaults: Mapping[str, str]) -> dict[str, Any]:
        """Return the scope of ASGI, with headers that describe the body as it is, and defaults for others."""
        sent = {name.lower(): value for name, value in self.headers.items()}
        kept = {name: value for name, value in sent.items() if name not in _FRAMING}
        headers = {**defaults, **kept, "content-length": str(len(self.body))}
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "scheme": "https",
            "path": unquote(self.path),
            "raw_path": _encode(self.path),
            "query_string": _encode(self.query),
            "headers": [(_encode(name), _encode(value)) for name, value in headers.items()],
        }


class _Context(BaseModel):
    stage: str = "$default"


class _HttpEvent(BaseModel):
    """What both payload formats have."""

    model_config = ConfigDict(alias_generator=to_camel)

    headers: dict[str, str] | None = None
    body: str | None = None
    is_base64_encoded: bool = False
    request_context: _Context

    def request(self, method: str, path: str, query: str) -> HttpRequest:
        """Return the request, whose path may begin with the stage of the API.

        Raises:
            Problem: the body is damaged.
        """
        stage = f"/{self.request_context.stage}"
        if path == stage or path.startswith(f"{stage}/"):
            path = path[len(stage) :] or "/"
        return HttpRequest(method, path, query, self.headers or {}, self._payload())

    def _payload(self) -> bytes:
        body = self.body or ""
        if not self.is_base64_encoded:
            if "\N{REPLACEMENT CHARACTER}" in body:
                raise Problem("bad_request", DAMAGED)
            return _encode(body)
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Problem("bad_request", f"The body of this event is not base64: {error}.") from error


class _Format1(_HttpEvent):
    """An event of API Gateway in payload format 1.0, whose query is already decoded."""

    http_method: str
    path: str
    query_string_parameters: dict[str, str] | None = None
    multi_value_query_string_parameters: dict[str, list[str]] | None = None

    def read(self) -> HttpRequest:
        """Return the request."""
        query = self.multi_value_query_string_parameters or self.query_string_parameters or {}
        return self.request(self.http_method, self.path, urlencode(query, doseq=True))


class _Http(BaseModel):
    method: str


class _Context2(_Context):
    http: _Http


class _Format2(_HttpEvent):
    """An event of API Gateway or of a function URL in payload format 2.0."""

    raw_path: str
    raw_query_string: str = ""
    request_context: _Context2

    def read(self) -> HttpRequest:
        """Return the request."""
        return self.request(self.request_context.http.method, self.raw_path, self.raw_query_string)


def is_http(event: object) -> bool:
    """Say whether an event is an HTTP request, so that its result must have a status and headers."""
    return isinstance(event, dict) and "requestContext" in event


def read_event(event: object) -> HttpRequest:
    """Return the HTTP request that an event is or stands for.

    Args:
        event: JSON types.

    Raises:
        Problem: the event is not one that the function answers, or its body is damaged.
    """
    if not is_http(event):
        return _read_direct(event)
    kind = _Format1 if isinstance(event, dict) and "httpMethod" in event else _Format2
    try:
        return kind.model_validate(event).read()
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Problem("bad_request", f"This is not an event of API Gateway or of a function URL: {faults}.") from error


def _read_direct(event: object) -> HttpRequest:
    """Return the request that a direct invocation stands for.

    Raises:
        Problem: it is not one.
    """
    if not isinstance(event, dict) or len(event.keys() & _SOURCES) != 1:
        raise Problem("bad_request", f"Invoke the function with {DIRECT}.")
    if unknown := event.keys() - _MEMBERS:
        raise Problem("bad_request", f"Unknown members: {_named(unknown)}; known: {_named(_MEMBERS)}.")
    task, detect = event.get("task"), event.get("detect", False)
    if not (task is None or (isinstance(task, str) and task)):
        raise Problem("bad_request", "`task` must be the name of a task.")
    if not isinstance(detect, bool) or (detect and task is None):
        raise Problem("bad_request", "`detect` must be true or false, and true needs a `task`.")
    # Encoded twice: a slash in a name must not lead to another route.
    path = FIRST if task is None else f"/{'detect' if detect else 'predict'}/{quote(quote(task, safe=''))}"
    query = urlencode({name: _text(event[name]) for name in sorted(event.keys() & _OPTIONS)})
    body = json.dumps({name: event[name] for name in event.keys() & _SOURCES}).encode()
    return HttpRequest("POST", path, query, {"content-type": JSON}, body)


def result_of(reply: Reply, *, http: bool) -> Result:
    """Return an answer as the result of the function: for HTTP with status and headers, else only the JSON."""
    result = _http_result(reply) if http else json.loads(reply.body)
    if len(reply.body) * MAX_GROWTH > MAX_RESULT_BYTES and len(json.dumps(result)) > MAX_RESULT_BYTES:
        limit = f"The answer has more than the {MAX_RESULT_BYTES:,} bytes that AWS Lambda can return."
        advice = "Send fewer pictures, or leave out `explain`, `thumbnail` and `preview`."
        return result_of(Reply.of(Problem("answer_too_large", f"{limit} {advice}")), http=http)
    return result


def _http_result(reply: Reply) -> Result:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reply.fields}
    headers.pop("content-length", None)  # API Gateway counts for itself
    try:
        text, is_binary = reply.body.decode(), False
    except UnicodeDecodeError:  # a picture of the documentation pages
        text, is_binary = base64.b64encode(reply.body).decode("ascii"), True
    return {"statusCode": reply.status, "headers": headers, "body": text, "isBase64Encoded": is_binary}


def _encode(text: str) -> bytes:
    return text.encode(errors="replace")  # JSON may have surrogates, which have no bytes


def _named(names: frozenset[str] | set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _text(value: object) -> str:
    """Return the value of an option as it stands in a query."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
