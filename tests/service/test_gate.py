"""What happens to every request before it is answered, in a real gunicorn."""

import contextlib
import json
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, drawing, encoded, run_service, start_service, wait_until

STOP = encoded(drawing())
LARGE = encoded(drawing().resize((1200, 900)))
PAGE = "https://page.example"
QUERIES = (
    "", "?box=10,10,80,90", "?box=10,10,80,900", "?box=1", "?thumbnail=true", "?thumbnail=1",
    "?top_k=3&explain=true", "?top_k=3&top_k=4", "?top_k=", "?top_k=0", "?explain=yes", "?colour=red", "?%FF=%FF",
)  # fmt: skip
RAW = {"Content-Type": "image/png"}


def test_contract_holds_for_generated_requests(service: str) -> None:
    """Schemathesis generates valid and invalid requests from the contract."""
    program = str(Path(sys.executable).with_name("schemathesis"))
    options = ["--max-examples", "40", "--generation-deterministic", "--no-color"]
    result = subprocess.run(
        [program, "--config-file", "tests/service/schemathesis.toml", "run", f"{service}/openapi.json", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]


def both_ways(service: str, query: str, payload: bytes) -> tuple[requests.Response, requests.Response]:
    """Send a picture raw, which the event loop answers, and in a form, which Flask answers."""
    url = f"{service}/predict_traffic_sign{query}"
    raw = requests.post(url, data=payload, headers=RAW, timeout=30)
    return raw, requests.post(url, files={"image": ("a", payload)}, timeout=30)


@pytest.mark.parametrize("payload", [STOP, LARGE, b"", b"no picture", STOP[:300]])
@pytest.mark.parametrize("query", QUERIES)
def test_raw_pictures_are_answered_as_flask_does(service: str, query: str, payload: bytes) -> None:
    raw, form = both_ways(service, query, payload)
    assert (raw.status_code, raw.json()) == (form.status_code, form.json())
    differing = {"date", "x-request-id", "server-timing", "content-length"}
    ours, theirs = ({k.lower(): v for k, v in each.headers.items()} for each in (raw, form))
    assert {k: v for k, v in ours.items() if k not in differing} == {
        k: v for k, v in theirs.items() if k not in differing
    }
    assert ("Server-Timing" in raw.headers) == ("Server-Timing" in form.headers) == raw.ok


def test_answers_have_stage_timings_and_no_server_header(service: str) -> None:
    for response in both_ways(service, "", STOP):
        stages = dict(stage.split(";dur=") for stage in response.headers["Server-Timing"].split(", "))
        assert list(stages) == ["decode", "infer", "encode"]
        assert all(0 < float(duration) < 10_000 for duration in stages.values())
        assert "Server" not in response.headers


def test_rate_limit_per_client() -> None:
    with start_service(rate_limit="5/hour") as service:
        url = f"{service}/predict_traffic_sign"
        statuses = [requests.post(url, data=STOP, headers=RAW, timeout=60).status_code for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        rejected = requests.post(url, files={"image": STOP}, timeout=60)
        assert rejected.status_code == 429
        assert 1 <= int(rejected.headers["Retry-After"]) <= 3600
        assert "5 per 1 hour" in rejected.json()["detail"]
        assert requests.get(f"{service}/readyz", timeout=60).status_code == 200
        samples = requests.get(f"{service}/metrics", timeout=60).text
        assert 'sign_requests_total{route="/predict_traffic_sign",status="429",task="traffic_sign"} 3.0' in samples


def test_rate_limit_per_key() -> None:
    def status(key: str) -> int:
        headers = {**RAW, "X-API-Key": key}
        return requests.post(f"{service}/predict_traffic_sign", data=STOP, headers=headers, timeout=60).status_code

    with start_service(rate_limit="2/hour", api_keys="one,two") as service:
        assert [status(key) for key in ("one", "one", "one", "two", "three")] == [200, 200, 429, 200, 401]


def test_other_origins_can_only_read_answers_if_allowed(service: str) -> None:
    def post(url: str, origin: str) -> requests.Response:
        headers = {**RAW, "Origin": origin}
        return requests.post(f"{url}/predict_traffic_sign", data=STOP, headers=headers, timeout=60)

    assert "Access-Control-Allow-Origin" not in post(service, PAGE).headers
    with start_service(cors_origins=f"{PAGE}, https://second.example") as open_service:
        allowed = post(open_service, PAGE).headers
        assert allowed["Access-Control-Allow-Origin"] == PAGE
        assert "X-Request-ID" in allowed["Access-Control-Expose-Headers"]
        assert allowed["Vary"] == "Origin"
        assert "Access-Control-Allow-Origin" not in post(open_service, "https://other.example").headers
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        preflight = requests.options(f"{open_service}/predict_traffic_sign", headers=asked, timeout=60)
        assert preflight.status_code == 204
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "X-API-Key" in preflight.headers["Access-Control-Allow-Headers"]


def test_log_is_json_with_the_request_id(capfd: pytest.CaptureFixture[str]) -> None:
    with start_service(log_requests="true") as service:
        headers = {**RAW, "X-Request-ID": "order-66"}
        requests.post(f"{service}/predict_traffic_sign", data=STOP, headers=headers, timeout=60)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line.get("request_id") == "order-66"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict_traffic_sign", 200)
    assert line["duration_ms"] > 0
    assert any("Listening at" in line["message"] for line in lines)


def test_library_warnings_about_photos_are_log_lines(capfd: pytest.CaptureFixture[str]) -> None:
    cut_exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02"
    photo = encoded(drawing(), "JPEG", exif=cut_exif)
    with start_service() as service:
        answer = requests.post(
            f"{service}/predict_traffic_sign", data=photo, headers={"Content-Type": "image/jpeg"}, timeout=60
        )
        assert answer.status_code == 200
    lines = [line for line in capfd.readouterr().err.splitlines() if "EXIF" in line]
    [warning] = map(json.loads, lines)
    assert (warning["level"], warning["logger"]) == ("warning", "py.warnings")
    assert warning["message"].startswith("UserWarning: Corrupt EXIF data.")
    assert "\n" not in warning["message"]


def test_documentation_loads_nothing_from_other_hosts(service: str) -> None:
    page = requests.get(f"{service}/docs/", timeout=60)
    assert page.status_code == 200
    assert "swagger-ui-bundle.js" in page.text
    assert "https://" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert requests.get(f"{service}/docs/swagger-ui-bundle.js", timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"rate_limit": "many"}, "SERVICE_RATE_LIMIT"),
        ({"rate_limit": "1/second;9/hour"}, "SERVICE_RATE_LIMIT"),
        ({"rate_limit": "0/minute"}, "SERVICE_RATE_LIMIT"),
        ({"api_keys": ""}, "SERVICE_API_KEYS"),
        ({"tasks": "traffic_sign, nope"}, "SERVICE_TASKS: there is no task 'nope'; known: "),
        ({"tasks": " , "}, "SERVICE_TASKS: contains no task"),
        ({"cors_origins": "*"}, "SERVICE_CORS_ORIGINS"),
        ({"api_keys": "schlüssel"}, "SERVICE_API_KEYS"),
        ({"log_format": "xml"}, "SERVICE_LOG_FORMAT"),
        ({"rate_limit": "1/minute", "rate_limit_storage": "paper://"}, "SERVICE_RATE_LIMIT_STORAGE"),
    ],
)
def test_invalid_setting_is_one_message(settings: dict[str, str], reason: str) -> None:
    result = run_service(**settings)
    assert result.returncode != 0
    assert f"error: {reason}" in result.stderr
    assert "Traceback" not in result.stderr


def raw(service: str, *pieces: bytes) -> bytes:
    """Send raw bytes and return the head of the answer."""
    parts = urllib.parse.urlsplit(service)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                break
            received += chunk
    return received


SPELLINGS = (
    "//predict_traffic_sign",
    "///predict_traffic_sign/batch",
    "/%2Fpredict_traffic_sign",
    "/predict_traffic_sign/",
)


@pytest.mark.parametrize("path", SPELLINGS)
def test_other_spellings_of_a_path_do_not_bypass_the_key(path: str) -> None:
    with start_service(api_keys="secret", rate_limit="1000/hour") as service:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(STOP)}\r\n\r\n"
        assert raw(service, head.encode() + STOP).startswith((b"HTTP/1.1 401", b"HTTP/1.1 404"))


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz?a=\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET http://[a/healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000), 413),
        (
            b"POST /nowhere HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99000000\r\n\r\n",
            413,
        ),
    ],
)
def test_invalid_http_is_a_problem_too(service: str, request_bytes: bytes, status: int) -> None:
    head, _, body = raw(service, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    assert b"x-request-id" in head
    assert b'"title"' in body


@pytest.mark.parametrize("request_line", [b"GET http://a/healthz HTTP/1.1\r\nHost: a", b"GET /healthz HTTP/1.0"])
def test_http_1_0_and_proxy_requests_are_answered(service: str, request_line: bytes) -> None:
    assert b" 200 OK" in raw(service, request_line + b"\r\n\r\n")[:15]


def test_chunked_body_is_accepted(service: str) -> None:
    pieces = (STOP[start : start + 1000] for start in range(0, len(STOP), 1000))
    url = f"{service}/predict_traffic_sign"
    assert requests.post(url, data=pieces, headers=RAW, timeout=60).json()["class_index"] == 14


def test_head_response_has_no_body_and_websockets_are_rejected(service: str) -> None:
    answer = requests.head(f"{service}/nowhere", timeout=60)
    assert (answer.status_code, answer.content) == (404, b"")
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    version = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert raw(service, upgrade + version).startswith(b"HTTP/1.1 403")


def test_clients_that_do_not_read_do_not_block_others() -> None:
    """Some clients request large answers of each kind and read nothing."""
    body, kind = requests.models.RequestEncodingMixin._encode_files([("image", ("a", STOP))] * 200, {})  # type: ignore[attr-defined]
    post = f"POST /predict_traffic_sign/batch?top_k=43&explain=true HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n"
    batch = f"{post}Content-Length: {len(body)}\r\n\r\n".encode() + body
    page = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n" * 12
    with start_service(queue=3) as service, contextlib.ExitStack() as stack:
        parts = urllib.parse.urlsplit(service)
        for message in (batch, batch, batch, page, page):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect((parts.hostname, parts.port))
            connection.sendall(message)
        answered = 'sign_requests_total{route="/predict_traffic_sign/batch",status="200",task="traffic_sign"} 3.0'
        wait_until(lambda: answered in requests.get(f"{service}/metrics", timeout=60).text)
        assert requests.get(f"{service}/healthz", timeout=60).status_code == 200
        assert requests.post(f"{service}/predict_traffic_sign", data=STOP, headers=RAW, timeout=60).status_code == 200


def test_unfinished_large_bodies_do_not_block_small_ones(service: str) -> None:
    head = (
        b"POST /predict_traffic_sign HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 27000000\r\n\r\n"
    )
    parts = urllib.parse.urlsplit(service)
    with contextlib.ExitStack() as stack:
        for _ in range(11):  # 286 MB, more than is held
            connection = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0)))
            connection.settimeout(5)
            with contextlib.suppress(OSError):  # rejected ones are closed
                connection.sendall(head + bytes(26_000_000))
        assert requests.post(f"{service}/predict_traffic_sign", data=STOP, headers=RAW, timeout=60).status_code == 200
