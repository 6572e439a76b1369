"""Small servers that stand in for the service, answers of its contract, and services in unusual states."""

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
from streamlit.testing.v1 import AppTest

import tests.conftest
from model.progress import STATE_FILE, TrainingState, training_folder, training_lock, write_state
from tests.conftest import ROOT, SHIPPED
from ui.contract import Fact, Label

POLL_S = 0.01  # how often a server checks whether it should stop
PATIENCE_S = 60.0  # how long clients wait for answers that are sure to come: the machine may be slow


@dataclass(frozen=True)
class Reply:
    """A server's answer; a body that is not bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Callable[[http.server.BaseHTTPRequestHandler, bytes], Reply]


def path_of(request: http.server.BaseHTTPRequestHandler) -> str:
    """Return the path of a request."""
    return urlsplit(request.path).path


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """Run a server on loopback that answers every request with a function; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
            content = reply.content()
            with suppress(ConnectionError):  # the client may have closed the connection
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 — the name that the base class requires

        def log_message(self, *_: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def start_service(**settings: Any) -> AbstractContextManager[str]:
    """Run a real service that closes idle connections at once when it stops."""
    return tests.conftest.start_service(GUNICORN_CMD_ARGS="--keep-alive 0", **settings)


@contextmanager
def silent_server() -> Iterator[str]:
    """Listen on a port and never answer."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def ready(contract: object = "2.3", **members: object) -> dict[str, Any]:
    """Return the answer to /tasks of a service with one task, which is ready."""
    task = {"name": "traffic_sign", "title": "German traffic signs", "classes": 43, "state": "ready", "version": "v"}
    return {"contract": contract, "tasks": [{**task, "offers": [], **members}]}


def problem(kind: str, detail: str = "Because.", **members: object) -> dict[str, Any]:
    """Return a problem as in the contract."""
    return {"type": f"urn:traffic-sign:problem:{kind}", "title": "", "detail": detail, **members}


def shipped_card() -> dict[str, Any]:
    """Return the card of the shipped classifier."""
    card: dict[str, Any] = json.loads((SHIPPED / "card.json").read_text(encoding="utf-8"))
    return card


def shipped_labels() -> tuple[Label, ...]:
    """Return the labels of the shipped classifier."""
    return tuple(Label.model_validate_json(json.dumps(label)) for label in shipped_card()["labels"])


def shipped_facts() -> tuple[Fact, ...]:
    """Return the facts that the shipped classifier declares."""
    return tuple(Fact.model_validate(fact) for fact in shipped_card()["facts"])


def prediction(class_index: int = 14, verdict: str = "confident", **members: object) -> dict[str, Any]:
    """Return a prediction as in the contract."""
    label = shipped_card()["labels"][class_index]
    named = {"class_index": class_index, "class_name": label["name"], "probability": 0.9999}
    return {
        **named, "description": label["description"], "sign_number": label["facts"]["sign_number"], "verdict": verdict,
        "alternatives": [named], "model": {"task": "traffic_sign", "version": "v"}, **members,
    }  # fmt: skip


def found(box: tuple[int, int, int, int], class_index: int = 14, verdict: str = "confident") -> dict[str, Any]:
    """Return a sign in a photo as in the contract."""
    return {"box": list(box), "score": 0.9, **prediction(class_index, verdict)}


def scene(*objects: dict[str, Any], **members: object) -> dict[str, Any]:
    """Return what is in a photo of 600 by 300 pixels, as in the contract."""
    model = {"task": "traffic_sign", "version": "v"}
    return {"width": 600, "height": 300, "objects": list(objects), "truncated": False, "model": model, **members}


def answers() -> dict[str, Any]:
    """Return a complete answer for each route of the contract that the page uses."""
    return {
        "/tasks": ready(),
        "/model/traffic_sign": shipped_card(),
        "/model/traffic_sign/labels": shipped_card()["labels"],
        "/predict/traffic_sign": prediction(
            heatmap=[[0.0, 1.0], [0.5, 0.25]], thumbnail="iVBORw0KGgo=", truncated=True
        ),
        "/detect/traffic_sign": scene(
            found((20, 50, 220, 250)), found((380, 50, 580, 250), 13), capped=True, preview="/9g="
        ),
        "/predict/traffic_sign/batch": {"results": [{"prediction": prediction()}, {"problem": problem("too_large")}]},
        "/predict/traffic_sign/feedback": {"class_index": 14, "stored": "00014/0.png"},
        "/data/traffic_sign": {
            "name": "Signs", "citation": None, "licence": "free", "examples": 9, "tracks": 3,
            "classes": [{"class_index": 0, "examples": 9, "tracks": 3}],
            "sides": {"edges": [8, 16, 24], "counts": [4, 5]}, "frames_per_track": {"edges": [3, 4], "counts": [3]},
        },
        "/data/traffic_sign/14": {
            "class_index": 14, "pictures": [{"track": "14/0", "size": [88, 85], "thumbnail": "iVBORw0KGgo="}]
        },
    }  # fmt: skip


def passing_on(service: str, change: Callable[[str, Any], Any]) -> Answer:
    """Return a proxy to a real service; a function of path and answer changes the answers in JSON."""

    def answer(request: http.server.BaseHTTPRequestHandler, body: bytes) -> Reply:
        headers = {"Content-Type": request.headers.get("Content-Type")}
        real = requests.request(request.command, service + request.path, data=body, headers=headers, timeout=PATIENCE_S)
        is_json = "json" in real.headers["Content-Type"]
        return Reply(change(path_of(request), real.json()) if is_json else real.content, real.status_code)

    return answer


def begin(app: AppTest, url: str, monkeypatch: pytest.MonkeyPatch, session: dict[str, Any]) -> AppTest:
    """Run a page for the first time, with a service at this address and values in its session."""
    monkeypatch.setenv("UI_SERVICE_URL", url)
    for name, value in session.items():
        app.session_state[name] = value
    return app.run()


def open_page(url: str, monkeypatch: pytest.MonkeyPatch, **session: Any) -> AppTest:
    """Run the app with its default page and a service at this address."""
    return begin(AppTest.from_file(str(ROOT / "ui" / "app.py"), default_timeout=PATIENCE_S), url, monkeypatch, session)


def script_of(name: str) -> str:
    """Return a script that draws one page without the app around it."""
    return (
        f"from ui import connection, tasks\nfrom ui.views import {name}\n"
        f"{name}.draw_page(tasks.choose_task(connection.service().tasks))"
    )


def open_view(name: str, url: str, monkeypatch: pytest.MonkeyPatch, **session: Any) -> AppTest:
    """Run one page without the app around it."""
    return begin(AppTest.from_string(script_of(name), default_timeout=PATIENCE_S), url, monkeypatch, session)


def give(app: AppTest, name: str, content: bytes) -> None:
    """Upload a picture."""
    app.file_uploader[0].set_value([(name, content, "image/png")]).run()


def said(app: AppTest) -> str:
    """Return all texts that the page shows."""
    assert not app.exception
    kinds = ("title", "header", "subheader", "markdown", "caption", "error", "info", "warning", "success", "code")
    return "\n".join(str(getattr(element, "value", "")) for kind in kinds for element in app.get(kind))


@pytest.fixture(scope="session")
def other_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address and the store of a service without feedback that fetches URLs."""
    store = tmp_path_factory.mktemp("store")
    with start_service(store=store, allow_urls="true", feedback="false") as url:
        yield url, store


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a service that has no classifier and trains none, and the folder of its training."""
    store = tmp_path_factory.mktemp("untrained")
    with start_service(status=503, artifact=store / "artifact", store=store, train="false") as url:
        yield url, training_folder(store, "traffic_sign")


@contextmanager
def training(folder: Path, state: TrainingState) -> Iterator[None]:
    """Simulate a running training in this state until the block ends."""
    with training_lock(folder):
        write_state(folder, state)
        try:
            yield
        finally:
            (folder / STATE_FILE).unlink()


@pytest.fixture(autouse=True)
def _clear_caches() -> Iterator[None]:
    """Clear what the page has cached, so that tests do not affect each other."""
    yield
    st.cache_resource.clear()
    st.cache_data.clear()
