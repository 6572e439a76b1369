"""The service with TensorFlow Serving behind it, played by `tests.tf_serving`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from model.artifact import CARD_FILE
from tests.conftest import ROOT, SHIPPED, drawing, encoded, free_port, run_service, running, start_service, wait_until
from tests.service.test_predict import assert_problem

STREET = (ROOT / "ui/static/traffic_sign/samples/town.jpg").read_bytes()
CROPS = [encoded(drawing(index)) for index in (14, 17, 1)]
NOISE = (ROOT / "ui/static/traffic_sign/samples/country.jpg").read_bytes()[:400]

Serve = Callable[..., AbstractContextManager[int]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks of the shipped artifact for TensorFlow Serving."""
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "model.training.export", str(SHIPPED), "--to", "saved_model", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def serve(models: Path) -> Serve:
    """Return a function that runs the server on a port, by default any free one, and yields the port."""

    @contextmanager
    def serve(port: int = 0, slow_s: float = 0.0) -> Iterator[int]:
        command = [sys.executable, "-m", "tests.tf_serving", str(models), str(port), str(slow_s)]
        with running(command, {"TF_CPP_MIN_LOG_LEVEL": "3"}, stdout=subprocess.PIPE) as process:
            assert process.stdout
            yield int(process.stdout.readline())

    return serve


@pytest.fixture(scope="module")
def remote(serve: Serve) -> Iterator[str]:
    """The URL of a service that asks TensorFlow Serving."""
    with serve() as port, start_service(tf_serving=f"localhost:{port}") as url:
        yield url


@pytest.fixture(scope="module")
def local() -> Iterator[str]:
    """The URL of a service that runs LiteRT."""
    with start_service() as url:
        yield url


def post(url: str, path: str, payload: bytes) -> requests.Response:
    return requests.post(url + path, data=payload, timeout=120)


def facts(prediction: dict[str, Any]) -> tuple[Any, ...]:
    return prediction["class_index"], prediction["verdict"], prediction["model"]["version"]


@pytest.mark.parametrize("crop", CROPS)
def test_tight_crop_is_answered_as_by_litert(remote: str, local: str, crop: bytes) -> None:
    answers = [post(url, "/predict/traffic_sign?explain=true", crop).json() for url in (remote, local)]
    assert facts(answers[0]) == facts(answers[1])
    # LiteRT has 8-bit weights.
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], abs=0.02)
    assert len(answers[0]["heatmap"]) == len(answers[1]["heatmap"])


def test_signs_of_a_photo_are_found_as_by_litert(remote: str, local: str) -> None:
    mine, theirs = (post(url, "/detect/traffic_sign", STREET).json()["objects"] for url in (remote, local))
    assert len(mine) > 3
    assert [facts(each) for each in mine] == [facts(each) for each in theirs]
    for one, other in zip(mine, theirs, strict=True):
        assert one["box"] == pytest.approx(other["box"], abs=3)


def test_batch_is_answered_picture_by_picture(remote: str) -> None:
    pictures = [*CROPS * 8, NOISE, STREET]
    files = [("image", (f"{place}.png", payload)) for place, payload in enumerate(pictures)]
    results = requests.post(f"{remote}/predict/traffic_sign/batch", files=files, timeout=120).json()["results"]
    assert [result["filename"] for result in results] == [f"{place}.png" for place in range(len(pictures))]
    assert [result["prediction"]["class_index"] for result in results[:24]] == [14, 17, 1] * 8
    assert results[24]["problem"]["type"].endswith("unreadable_image")
    assert results[25]["prediction"]["box"]


def test_server_that_goes_away_is_a_problem_until_it_is_back(serve: Serve) -> None:
    port = free_port()
    with start_service(503, tf_serving=f"localhost:{port}") as url:

        def status(path: str = "/predict/traffic_sign") -> int:
            answer = post(url, path, CROPS[0]) if "predict" in path else requests.get(url + path, timeout=60)
            return answer.status_code

        assert_problem(post(url, "/predict/traffic_sign", CROPS[0]), 502, "engine_failed", "cannot be reached")
        for _ in range(2):  # it comes for the first time, and comes back
            with serve(port):
                wait_until(lambda: status() == 200)
                assert status("/readyz") == 200
            for path in ("/predict/traffic_sign", "/detect/traffic_sign"):
                assert_problem(post(url, path, CROPS[0]), 502, "engine_failed", "cannot be reached")
            ready = requests.get(f"{url}/readyz", timeout=60)
            assert_problem(ready, 503, "not_ready", "TensorFlow Serving cannot be reached")
            assert requests.get(f"{url}/healthz", timeout=60).status_code == 200  # restarting it would not help


def test_slow_server_is_a_timeout(serve: Serve) -> None:
    with serve(slow_s=1.0) as port, start_service(503, tf_serving=f"localhost:{port}", tf_serving_timeout_s=0.2) as url:
        assert_problem(
            post(url, "/predict/traffic_sign", CROPS[0]), 504, "engine_timeout", "did not answer within 0.2 s"
        )


def test_server_with_other_weights_is_not_asked(serve: Serve, tmp_path: Path) -> None:
    artifact = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    card = json.loads((artifact / CARD_FILE).read_text())
    card["version"] = "2026-01-02-0000000a"
    (artifact / CARD_FILE).write_text(json.dumps(card))
    with serve() as port, start_service(503, tf_serving=f"localhost:{port}", artifact=artifact) as url:
        reason = "does not have version 202601020000000010 of the network traffic_sign"
        assert reason in requests.get(f"{url}/readyz", timeout=60).json()["detail"]
        assert_problem(post(url, "/predict/traffic_sign", CROPS[0]), 502, "engine_failed", reason)


@pytest.mark.parametrize("address", ["localhost", "http://localhost:8500", "localhost:port", "a b:1"])
def test_address_without_host_and_port_is_refused(address: str) -> None:
    result = run_service(tf_serving=address)
    assert result.returncode != 0
    assert "SERVICE_TF_SERVING" in result.stderr
