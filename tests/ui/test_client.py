"""The page's client against the real service, and against what is not the service."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from model.artifact import read_artifact
from model.progress import Progress, training_folder, training_lock, write_progress
from tests.conftest import SHIPPED, drawing, encoded, free_port, start_service
from ui.client import Busy, Client, NotReady, Refused, Unreachable


def test_prediction_arrives_as_a_value(service: str) -> None:
    prediction = Client(service, timeout_s=5).predict(encoded(drawing()))
    assert (prediction.class_index, prediction.class_name, prediction.sign_number) == (14, "Stop", "206")
    assert len(prediction.alternatives) == 5
    assert prediction.alternatives[0].probability == prediction.probability


def test_card_is_that_of_the_artifact(service: str) -> None:
    assert Client(service, timeout_s=5).card().version == read_artifact(SHIPPED)[0].version


def test_who_is_told_to_come_back_soon_does_so_and_is_answered() -> None:
    with start_service(rate_limit="2/second") as url:
        client = Client(url, timeout_s=10)
        assert {client.predict(encoded(drawing())).class_index for _ in range(5)} == {14}
        answered = requests.get(f"{url}/metrics", timeout=5).text
    assert 'route="/predict_traffic_sign",status="429"' in answered


def test_who_has_asked_too_often_hears_it_soon() -> None:
    with start_service(rate_limit="1/hour") as url:
        client = Client(url, timeout_s=10)
        client.predict(encoded(drawing()))
        with pytest.raises(Busy, match="At most 1 per 1 hour"):
            client.predict(encoded(drawing()))


def test_refusal_carries_the_reason(service: str) -> None:
    with pytest.raises(Refused, match="not a picture in a known format"):
        Client(service, timeout_s=5).predict(b"hello")


def test_training_carries_its_progress(tmp_path: Path) -> None:
    training = training_folder(tmp_path, "traffic_sign")
    with (
        start_service(status=503, artifact=tmp_path / "artifact", store=tmp_path, train="false") as url,
        training_lock(training),
    ):
        write_progress(training, Progress("train", epoch=3, epochs=30))
        with pytest.raises(NotReady) as caught:
            Client(url, timeout_s=5).predict(encoded(drawing()))
    assert caught.value.progress == {"stage": "train", "epoch": 3, "epochs": 30}


def test_nothing_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="Nothing answers at http://127"):
        Client(f"http://127.0.0.1:{free_port()}", timeout_s=5).card()


def test_silent_server_is_unreachable() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            Client(url, timeout_s=0.2).card()


@contextmanager
def another_server(status: int, body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (200, b"[]"), (200, b"{}"), (502, b'{"error": "gateway"}'), (503, b"[]")]
)
def test_another_server_is_not_taken_for_the_service(status: int, body: bytes) -> None:
    with another_server(status, body) as url, pytest.raises(Unreachable, match="not the prediction service"):
        Client(url, timeout_s=5).card()
