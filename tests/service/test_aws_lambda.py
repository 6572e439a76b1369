"""The function in the real runtime client of AWS Lambda, invoked by a local Runtime API."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from service.asgi import Reply
from service.lambda_events import MAX_RESULT_BYTES, result_of
from tests.conftest import ROOT, drawing, encoded, scene
from tests.runtime_api import Function, FunctionError, start_function

STOP = encoded(drawing())
STREET = encoded(scene((14, 40, 60), (17, 380, 250)))
TEXT = b"no picture"
PNG = "image/png"
JSON = "application/json"
CFN_LINT = Path(sys.executable).with_name("cfn-lint")
PREDICT = "/predict/traffic_sign"
DETECT = "/detect/traffic_sign"
FORM = requests.Request("POST", "http://a", files={"image": ("stop.png", STOP, PNG)}).prepare()
TASK = {"SERVICE_TASKS": "traffic_sign"}
URLS = {"SERVICE_ALLOW_URLS": "true"}

Event = dict[str, Any]


def as_base64(payload: bytes) -> str:
    return base64.b64encode(payload).decode("ascii")


IMAGE = json.dumps({"image": as_base64(STOP)}).encode()


def format_1(method: str, path: str, body: bytes | str = b"", kind: str = "", query: str = "", **headers: str) -> Event:
    """Return an event of API Gateway in payload format 1.0; a body of bytes is base64-encoded."""
    parameters = [each.split("=") for each in query.split("&") if each]
    return {
        "httpMethod": method,
        "path": path,
        "headers": {"Host": "signs.example", "Content-Type": kind, "Content-Length": "1", **headers},
        "queryStringParameters": dict(parameters) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in parameters} or None,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "192.0.2.1"}},
        **_body(body),
    }


def format_2(method: str, path: str, body: bytes | str = b"", kind: str = "", query: str = "", **headers: str) -> Event:
    """Return an event of a function URL, or of API Gateway in payload format 2.0."""
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "signs.example", "content-type": kind, "content-length": "1", **headers},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "192.0.2.1"}, "stage": "$default"},
        **_body(body),
    }


def _body(body: bytes | str) -> Event:
    if isinstance(body, str):
        return {"body": body, "isBase64Encoded": False}
    return {"body": as_base64(body), "isBase64Encoded": True} if body else {"isBase64Encoded": False}


FORMATS = pytest.mark.parametrize("event", [format_1, format_2])


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """A function with the shipped classifier and an empty store."""
    store = {"SERVICE_STORE": str(tmp_path_factory.mktemp("store"))}
    with start_function({**TASK, **URLS, **store}) as running:
        yield running


@pytest.fixture(scope="module")
def locked_function() -> Iterator[Function]:
    """A function that needs a key and fetches URLs from this machine."""
    with start_function({**TASK, **URLS, "SERVICE_API_KEYS": "secret"}, "tests.loopback_function.handler") as running:
        yield running


@pytest.fixture
def picture_url(tmp_path: Path) -> Iterator[str]:
    """The URL of a picture on a server on loopback."""
    (tmp_path / "stop.png").write_bytes(STOP)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/stop.png"
        server.shutdown()
        thread.join()


def ask_service(service: str, path: str, picture: bytes, **query: str) -> Any:
    """Return the answer of the service that gunicorn runs."""
    return requests.post(f"{service}{path}", picture, params=query, headers={"Content-Type": PNG}, timeout=60).json()


def problem_of(answer: Event) -> tuple[int, str]:
    """Return status and kind of a problem."""
    return answer["status"], answer["type"].rpartition(":")[2]


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {}),
        ({"task": "traffic_sign"}, {}),
        ({"top_k": 2, "explain": True, "thumbnail": "true"}, {"top_k": "2", "explain": "true", "thumbnail": "true"}),
        ({"box": [8, 8, 88, 88], "locate": False}, {"box": "8,8,88,88", "locate": "false"}),
    ],
)
def test_direct_invocation_returns_the_answer_of_the_service(
    function: Function, service: str, options: Event, query: dict[str, str]
) -> None:
    answer = function.invoke({"image": as_base64(STOP), **options})
    assert answer["class_name"] == "Stop"
    assert answer == ask_service(service, PREDICT, STOP, **query)


def test_direct_invocation_finds_every_sign(function: Function, service: str) -> None:
    answer = function.invoke({"image": as_base64(STREET), "task": "traffic_sign", "detect": True, "top_k": 1})
    assert {each["class_index"] for each in answer["objects"]} >= {14, 17}
    assert answer == ask_service(service, DETECT, STREET, top_k="1")


@pytest.mark.parametrize(
    ("event", "problem", "reason"),
    [
        ({}, (400, "bad_request"), '{"image": "<base64>"} or {"url": "<URL>"}'),
        (["image"], (400, "bad_request"), '{"image": "<base64>"} or {"url": "<URL>"}'),
        ({"Records": []}, (400, "bad_request"), '{"image": "<base64>"} or {"url": "<URL>"}'),
        ({"image": "", "url": ""}, (400, "bad_request"), '{"image": "<base64>"} or {"url": "<URL>"}'),
        ({"image": 7}, (400, "bad_request"), "`image` must be a string"),
        ({"image": "?"}, (400, "bad_request"), "not base64"),
        ({"image": ""}, (400, "nothing_sent"), "0 bytes"),
        ({"image": as_base64(TEXT)}, (422, "unreadable_image"), ""),
        ({"image": "", "topk": 1}, (400, "bad_request"), "Unknown members: `topk`; known: `box`, `detect`,"),
        ({"image": as_base64(STOP), "top_k": 0}, (400, "bad_request"), "top_k must be an integer from 1 to 43"),
        ({"image": "", "detect": True}, (400, "bad_request"), "needs a `task`"),
        ({"image": "", "task": ""}, (400, "bad_request"), "`task` must be the name of a task"),
        ({"image": "", "task": "birds"}, (404, "not_found"), "no task 'birds'; it has traffic_sign"),
        ({"image": "", "task": "traffic_sign/batch"}, (404, "not_found"), "it has traffic_sign"),
        ({"url": "http://127.0.0.1/stop.png"}, (400, "url_refused"), "127.0.0.1 is not a public address"),
    ],
)
def test_direct_invocation_returns_problems(
    function: Function, event: object, problem: tuple[int, str], reason: str
) -> None:
    answer = function.invoke(event)
    assert problem_of(answer) == problem
    assert reason in answer["detail"]


def test_picture_at_a_url_is_answered(locked_function: Function, picture_url: str) -> None:
    assert locked_function.invoke({"url": picture_url})["class_name"] == "Stop"
    body = json.dumps({"url": picture_url})
    answer = locked_function.invoke(format_2("POST", PREDICT, body, JSON, **{"x-api-key": "secret"}))
    assert (answer["statusCode"], json.loads(answer["body"])["class_name"]) == (200, "Stop")


@FORMATS
def test_requests_need_the_key_and_direct_invocations_do_not(locked_function: Function, event: Any) -> None:
    answer = locked_function.invoke(event("POST", PREDICT, STOP, PNG))
    assert (answer["statusCode"], answer["headers"]["www-authenticate"]) == (401, 'ApiKey header="X-API-Key"')
    answer = locked_function.invoke(event("POST", PREDICT, STOP, PNG, **{"X-API-Key": "secret"}))
    assert answer["statusCode"] == 200
    assert locked_function.invoke({"image": as_base64(STOP)})["class_name"] == "Stop"


@FORMATS
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (STOP, PNG),
        (STOP, ""),
        (IMAGE, JSON),
        (IMAGE.decode(), JSON),
        (FORM.body, FORM.headers["Content-Type"]),
    ],
    ids=["picture", "picture of no type", "base64 JSON", "JSON", "form"],
)
def test_request_gets_the_answer_of_the_service(
    function: Function, service: str, event: Any, body: bytes | str, kind: str
) -> None:
    answer = function.invoke(event("POST", PREDICT, body, kind, query="top_k=3&explain=true"))
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, JSON)
    assert not answer["isBase64Encoded"]
    assert json.loads(answer["body"]) == ask_service(service, PREDICT, STOP, top_k="3", explain="true")


@FORMATS
@pytest.mark.parametrize("path", ["/tasks", "/model/traffic_sign", "/model/traffic_sign/labels", "/healthz"])
def test_other_routes_are_answered(function: Function, service: str, event: Any, path: str) -> None:
    answer = function.invoke(event("GET", path))
    assert answer["statusCode"] == 200
    found, expected = json.loads(answer["body"]), requests.get(f"{service}{path}", timeout=60).json()
    if path == "/tasks":  # a function keeps no feedback, and the service of the tests fetches no URLs
        assert found["tasks"][0].pop("offers") == ["detect", "urls"]
        assert expected["tasks"][0].pop("offers") == ["detect", "feedback"]
    assert found == expected


@FORMATS
def test_signs_of_a_photo_are_found(function: Function, service: str, event: Any) -> None:
    answer = function.invoke(event("POST", DETECT, STREET, PNG))
    assert json.loads(answer["body"]) == ask_service(service, DETECT, STREET)


@FORMATS
@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "problem"),
    [
        ("POST", PREDICT, "{", JSON, (400, "bad_request")),
        ("POST", PREDICT, "", "", (400, "nothing_sent")),
        ("POST", PREDICT, TEXT, PNG, (422, "unreadable_image")),
        ("POST", PREDICT, "\ufffdPNG\r\n", PNG, (400, "bad_request")),
        ("POST", PREDICT, "some text", "text/plain", (415, "unsupported_type")),
        ("POST", "/predict/birds", STOP, PNG, (404, "not_found")),
        ("POST", f"{PREDICT}/feedback", STOP, PNG, (501, "not_implemented")),
        ("GET", PREDICT, "", "", (405, "method_not_allowed")),
        ("GET", "/data/traffic_sign", "", "", (404, "no_data")),
    ],
)
def test_request_that_fails_gets_a_problem(
    function: Function, event: Any, method: str, path: str, body: bytes | str, kind: str, problem: tuple[int, str]
) -> None:
    answer = function.invoke(event(method, path, body, kind))
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (problem[0], "application/problem+json")
    assert problem_of(json.loads(answer["body"])) == problem


def test_picture_that_arrives_as_text_is_a_problem_of_the_api(function: Function) -> None:
    answer = function.invoke(format_1("POST", PREDICT, "\ufffdPNG\r\n", PNG))
    assert "add */* to the binary media types of the API" in json.loads(answer["body"])["detail"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"body": "?", "isBase64Encoded": True}, "not base64"),
        ({"rawPath": None}, "rawPath: Input should be a valid string"),
        ({"requestContext": {}}, "requestContext.http: Field required"),
    ],
)
def test_damaged_event_is_named(function: Function, change: Event, reason: str) -> None:
    answer = function.invoke({**format_2("POST", PREDICT), **change})
    assert answer["statusCode"] == 400
    assert reason in json.loads(answer["body"])["detail"]


def test_path_may_begin_with_the_stage_of_the_api(function: Function) -> None:
    event = format_2("GET", "/v1/tasks")
    event["requestContext"]["stage"] = "v1"
    assert function.invoke(event)["statusCode"] == 200
    assert function.invoke(format_2("GET", "/v1/tasks"))["statusCode"] == 404


def test_answer_has_the_id_of_the_request_or_of_the_invocation(function: Function) -> None:
    assert function.invoke(format_2("GET", "/tasks"))["headers"]["x-request-id"] == "invocation-1"
    named = format_1("GET", "/tasks", **{"X-Request-ID": "mine"})
    assert function.invoke(named)["headers"]["x-request-id"] == "mine"


def test_picture_of_the_documentation_is_base64(function: Function, service: str) -> None:
    path = "/docs/favicon-32x32.png"
    answer = function.invoke(format_2("GET", path))
    assert answer["isBase64Encoded"]
    assert base64.b64decode(answer["body"]) == requests.get(f"{service}{path}", timeout=60).content


@pytest.mark.parametrize("http", [True, False])
def test_answer_that_lambda_cannot_return_is_a_problem(http: bool) -> None:
    quote_bytes = 4 if http else 2  # of a quote in JSON, which in HTTP is a string in JSON
    for count, fits in (((MAX_RESULT_BYTES - 1000) // quote_bytes, True), (MAX_RESULT_BYTES // quote_bytes, False)):
        body = json.dumps(['"' * count]).encode()
        result = result_of(Reply(200, [(b"content-type", JSON.encode())], body), http=http)
        assert len(json.dumps(result)) <= MAX_RESULT_BYTES
        answer = json.loads(result["body"]) if http else result
        if fits:
            assert answer == json.loads(body)
        else:
            assert problem_of(answer) == (400, "answer_too_large")
            assert "6,291,456 bytes" in answer["detail"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"SERVICE_FEEDBACK": "true"}, "SERVICE_FEEDBACK: a function on AWS Lambda has no disk"),
        ({"SERVICE_RATE_LIMIT": "9/minute"}, "SERVICE_RATE_LIMIT: each instance of a function would count for itself"),
        ({"SERVICE_ARTIFACTS": "nowhere"}, "There is no classifier"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(FunctionError, match=reason), start_function({**TASK, **settings}):
        pass


@pytest.mark.skipif(not CFN_LINT.exists(), reason="cfn-lint is not installed")
def test_template_is_valid() -> None:
    command = [str(CFN_LINT), "--non-zero-exit-code", "informational", "deploy/lambda/template.yaml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
