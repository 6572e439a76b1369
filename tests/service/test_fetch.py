"""Fetching by URL from servers on loopback, with a stub resolver; nothing leaves this machine."""

import asyncio
import base64
import gzip
import ipaddress
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from data.images import MAX_BYTES
from service.app import create_app
from service.asgi import Service
from service.fetch import Address, Fetcher, is_public, resolve
from service.gate import MAX_FETCHES
from service.payloads import MAX_URL_BODY_BYTES
from service.problems import Problem
from service.settings import Settings
from tests.conftest import drawing, encoded, start_service

STOP = encoded(drawing())
STRANGER = "10.0.0.7"


class Pictures(BaseHTTPRequestHandler):
    """Answers by path, well and badly."""

    released = threading.Event()

    def do_GET(self) -> None:
        name = self.path.strip("/").partition("?")[0]
        if name == "sign.png":
            self.answer(200, STOP)
        elif name == "host":
            self.answer(200, self.headers["Host"].encode())
        elif name.startswith("hop"):
            self.answer(302, b"", location=f"/hop{int(name[3:]) - 1}" if name != "hop0" else "/sign.png")
        elif name == "inward":
            self.answer(302, b"", location=f"http://inside:{self.headers['Host'].rpartition(':')[2]}/sign.png")
        elif name == "nowhere":
            self.answer(302, b"", location="http://[")
        elif name == "file":
            self.answer(302, b"", location="file:///etc/passwd")
        elif name == "bomb":
            self.answer(200, gzip.compress(bytes(50_000_000)), encoding="gzip")
        elif name == "cut":
            self.answer(200, STOP[:-10], length=len(STOP))
        elif name == "endless":
            self.endless()
        elif name == "slow":
            self.send_response(200)
            self.end_headers()
            while not self.released.wait(0.05):
                self.wfile.write(b"a")
        else:
            self.answer(404, b"")

    def answer(
        self, status: int, body: bytes, length: int | None = None, location: str = "", encoding: str = "identity"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Content-Encoding", encoding)
        self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.released.is_set():
            self.wfile.write(bytes(1_000_000))

    def handle(self) -> None:
        with suppress(ConnectionError):  # when the fetcher has enough
            super().handle()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server on loopback."""
    Pictures.released.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        Pictures.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def tls_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a server that speaks TLS in the name `outside`, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=outside"]
    names = ["-addext", "subjectAltName=DNS:outside"]
    subprocess.run([*made, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], certificate
        server.shutdown()
        thread.join()


def stub(host: str, _port: int) -> list[str]:
    """Resolve names of a small internet."""
    addresses = {
        "outside": ["127.0.0.1"],
        "inside": [STRANGER],
        "both": ["127.0.0.1", STRANGER],
        "namesake": ["127.0.0.1"],
    }
    if host not in addresses:
        raise OSError("no such host")
    return addresses[host]


def on_loopback(address: Address) -> bool:
    """Stand in for the check of public addresses: of all addresses only loopback may be reached in these tests."""
    return address.is_loopback


FETCHER = Fetcher(resolve=stub, allowed=on_loopback, ports=None, timeout_s=30.0)
HASTY = replace(FETCHER, timeout_s=1.0)


def rejection(url: str, fetcher: Fetcher = FETCHER) -> Problem:
    with pytest.raises(Problem) as caught:
        fetcher.fetch(url)
    return caught.value


def test_picture_is_fetched_from_its_host_by_the_checked_address(port: int) -> None:
    assert FETCHER.fetch(f"http://outside:{port}/sign.png?a=b") == STOP
    assert FETCHER.fetch(f"http://outside:{port}/host") == f"outside:{port}".encode()


def test_https_needs_a_trusted_certificate_for_the_host(
    tls_port: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, certificate = tls_port
    assert "cannot be reached" in rejection(f"https://outside:{port}/sign.png").detail  # nobody vouches for it
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert FETCHER.fetch(f"https://outside:{port}/sign.png") == STOP
    assert FETCHER.fetch(f"https://outside:{port}/host") == f"outside:{port}".encode()
    assert "cannot be reached" in rejection(f"https://namesake:{port}/sign.png").detail


def test_at_most_three_redirects_are_followed(port: int) -> None:
    assert FETCHER.fetch(f"http://outside:{port}/hop2") == STOP
    assert "limit 3" in rejection(f"http://outside:{port}/hop3").detail


@pytest.mark.parametrize("path", ["inward", "file"])
def test_redirects_to_private_addresses_are_rejected(port: int, path: str) -> None:
    assert rejection(f"http://outside:{port}/{path}").kind == "url_refused"


def test_host_with_a_private_address_is_rejected(port: int) -> None:
    for host in ("inside", "both"):
        problem = rejection(f"http://{host}:{port}/sign.png")
        assert (problem.kind, problem.detail) == ("url_refused", f"{host} is not a public address.")


def test_dns_rebinding_does_not_work(port: int) -> None:
    """A host name that is public when checked and private afterwards is resolved only once."""
    answers = [["127.0.0.1"], [STRANGER]]
    fetcher = Fetcher(resolve=lambda *_: answers.pop(0), allowed=on_loopback, ports=None)
    assert fetcher.fetch(f"http://rebinding:{port}/sign.png") == STOP
    assert answers == [[STRANGER]]


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://outside/a", "file:///etc/passwd", "gopher://outside", "outside/sign.png", "//outside", "http://", ""),
        *("http://user@outside/", "http://:secret@outside/", "http://[::1", "http://outside:99999/", "http://a b/"),
        *("http://outside/\ud800", "http://outside/?\ud800", "http://\ud800/"),
        *("http://outside/\r\nHost: inside", f"http://outside/{'a' * 3000}", "javascript:alert(1)"),
    ],
)
def test_invalid_urls_are_rejected(url: str) -> None:
    assert rejection(url).kind == "url_refused"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "0", "0.0.0.0"),  # noqa: S104
        *("10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("192.0.0.192", "192.88.99.1", "168.63.129.16", "[fec0::1]", "[3fff::1]", "[2001::1]"),
        *("[fe80::1]", "[fd00::1]", "[ff02::1]", "[::7f00:1]"),
    ],
)
def test_every_spelling_of_a_private_address_is_rejected(host: str) -> None:
    """Uses the resolver of this machine, which knows decimal, octal and hexadecimal; addresses need no network."""
    problem = rejection(f"http://{host}/latest/meta-data/", Fetcher(resolve=resolve))
    assert problem.kind in {"url_refused", "url_failed"}
    assert problem.detail.endswith(("is not a public address.", f"The host {host.strip('[]')} was not found."))


def test_public_addresses_are_public_even_if_embedded() -> None:
    for text in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"):
        assert is_public(ipaddress.ip_address(text)), text


def test_only_the_ports_of_http_are_allowed(port: int) -> None:
    fetcher = Fetcher(resolve=stub, allowed=on_loopback)
    assert "use one of [80, 443]" in rejection(f"http://outside:{port}/sign.png", fetcher).detail


@pytest.mark.parametrize(
    ("path", "kind", "reason"),
    [
        ("missing", "url_failed", "status 404"),
        ("nowhere", "url_failed", "not a valid URL"),
        ("bomb", "url_failed", "content encoding"),
        ("cut", "url_failed", "before the image was complete"),
        ("endless", "too_large", f"{MAX_BYTES:,} bytes"),
        ("slow", "url_failed", "timed out (limit 1 s)"),
    ],
)
def test_invalid_answers_are_problems(port: int, path: str, kind: str, reason: str) -> None:
    problem = rejection(f"http://outside:{port}/{path}", HASTY if path == "slow" else FETCHER)
    assert problem.kind == kind
    assert reason in problem.detail


def test_proxies_in_the_environment_are_ignored(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")
    assert FETCHER.fetch(f"http://outside:{port}/sign.png") == STOP


def test_service_does_not_fetch_from_private_addresses(port: int) -> None:
    with start_service(allow_urls="true") as service:
        for url in (f"http://127.0.0.1:{port}/sign.png", "http://localhost/", "http://169.254.169.254/"):
            answer = requests.post(
                f"{service}/predict_traffic_sign",
                data=json.dumps({"url": url}),
                headers={"Content-Type": "application/json"},
                timeout=60,
            )
            assert answer.status_code == 400
            assert answer.json()["type"].endswith(":url_refused")


async def ask(service: Service, body: bytes, path: str = "/predict_traffic_sign") -> tuple[int, dict[str, Any]]:
    """Send JSON to the service in this process; return status and answer."""
    messages: list[dict[str, Any]] = []
    headers = [(b"host", b"a"), (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "headers": headers,
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await service(scope, receive, send)
    return messages[0]["status"], json.loads(messages[1]["body"])


@pytest.mark.parametrize("path", ["/predict", "/predict/traffic_sign", "/predict_traffic_sign"])
def test_picture_at_a_url_is_answered(path: str, port: int) -> None:
    """`/predict` as the clients of the course projects call it."""
    service = Service(create_app(Settings(tasks="traffic_sign", allow_urls=True)), FETCHER)
    body = json.dumps({"url": f"http://outside:{port}/sign.png"}).encode()
    with ThreadPoolExecutor(1) as thread:  # a browser of other tests may run its event loop in this one
        status, answer = thread.submit(lambda: asyncio.run(ask(service, body, path))).result()
    assert (status, answer["class_index"], answer["model"]["task"]) == (200, 14, "traffic_sign")


def test_hosts_that_never_answer_do_not_block_other_requests(port: int) -> None:
    """While all fetches are in progress, pictures that are sent are answered, and further URLs are rejected."""

    async def rush() -> None:
        service = Service(create_app(Settings(allow_urls=True)), FETCHER)
        slow = json.dumps({"url": f"http://outside:{port}/slow"}).encode()
        waiting = [asyncio.create_task(ask(service, slow)) for _ in range(MAX_FETCHES)]
        await asyncio.sleep(0)  # all of them have begun
        sent = json.dumps({"image": base64.b64encode(STOP).decode()}).encode()
        for _ in range(8):
            status, answer = await ask(service, sent)
            assert (status, answer["class_index"]) == (200, 14)
        status, answer = await ask(service, slow)
        assert (status, answer["type"].rpartition(":")[2]) == (429, "too_busy")
        assert not any(task.done() for task in waiting)
        Pictures.released.set()
        assert {status for status, _ in await asyncio.gather(*waiting)} <= {400, 422}  # nothing or no picture
        Pictures.released.clear()
        status, answer = await ask(service, json.dumps({"url": f"http://outside:{port}/sign.png"}).encode())
        assert (status, answer["class_index"]) == (200, 14)
        padded = json.dumps({"url": f"http://outside:{port}/sign.png", "more": " " * MAX_URL_BODY_BYTES}).encode()
        status, answer = await ask(service, padded)
        assert (status, answer["type"].rpartition(":")[2]) == (400, "bad_request")

    with ThreadPoolExecutor(1) as thread:  # a browser of other tests may run its event loop in this one
        thread.submit(lambda: asyncio.run(rush())).result()
