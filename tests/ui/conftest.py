"""Small servers in the place of the service, for what a real one does not do on demand."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import streamlit as st

import tests.conftest
from model.progress import STATE_FILE, TrainingState, training_folder, training_lock, write_state
from tests.conftest import SHIPPED

POLL_S = 0.01  # how often a server looks whether it is to end


@dataclass(frozen=True)
class Reply:
    """What a server answers: bytes as they are, and everything else as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Callable[[http.server.BaseHTTPRequestHandler, bytes], Reply]


def path_of(request: http.server.BaseHTTPRequestHandler) -> str:
    """Return which route is asked for."""
    return urlsplit(request.path).path


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """Run a server on loopback that answers all requests by a function, and give its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            content = reply.content()
            with suppress(ConnectionError):  # who asked may be gone by now
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 — the name that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(
        target=running.serve_forever, args=(0.01,), daemon=True
    )  # looks so often for its end, in s
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def start_service(**settings: Any) -> AbstractContextManager[str]:
    """Run a real service that does not wait at its end for those who might ask once more."""
    return tests.conftest.start_service(GUNICORN_CMD_ARGS="--keep-alive 0", **settings)


@contextmanager
def silent_server() -> Iterator[str]:
    """Listen on a port and never answer."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def ready(**members: object) -> dict[str, Any]:
    """Return what a service that is ready says of itself."""
    return {"status": "ready", "task": "traffic_sign", "version": "v", "contract": "1.1", "offers": [], **members}


def problem(kind: str, detail: str = "Because.", **members: object) -> dict[str, Any]:
    """Return a problem of the contract."""
    return {"type": f"urn:traffic-sign:problem:{kind}", "title": "", "detail": detail, **members}


def shipped_card() -> dict[str, Any]:
    """Return the card of the shipped classifier as it lies in its file."""
    card: dict[str, Any] = json.loads((SHIPPED / "card.json").read_text(encoding="utf-8"))
    return card


def passing_on(service: str, change: Callable[[str, Any], Any]) -> Answer:
    """Return the answers of a real service, those in JSON changed by a function of route and answer."""

    def answer(request: http.server.BaseHTTPRequestHandler, body: bytes) -> Reply:
        headers = {"Content-Type": request.headers.get("Content-Type")}
        real = requests.request(request.command, service + request.path, data=body, headers=headers, timeout=10)
        is_json = "json" in real.headers["Content-Type"]
        return Reply(change(path_of(request), real.json()) if is_json else real.content, real.status_code)

    return answer


@pytest.fixture(scope="session")
def other_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address and the store of a service that keeps no pictures and fetches some."""
    store = tmp_path_factory.mktemp("store")
    with start_service(store=store, allow_urls="true", feedback="false") as url:
        yield url, store


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a service without a classifier that trains none itself, and the folder of a training."""
    store = tmp_path_factory.mktemp("untrained")
    with start_service(status=503, artifact=store / "artifact", store=store, train="false") as url:
        yield url, training_folder(store, "traffic_sign")


@contextmanager
def training(folder: Path, progress: TrainingState) -> Iterator[None]:
    """Let it seem that a training has come so far, until the block ends."""
    with training_lock(folder):
        write_state(folder, progress)
        try:
            yield
        finally:
            (folder / STATE_FILE).unlink()


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Let each test begin as a page that was just started."""
    yield
    st.cache_resource.clear()
    st.cache_data.clear()
