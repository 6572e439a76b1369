"""The service with TensorFlow Serving behind it, played by `tests.tf_serving`."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import (
    ROOT,
    drawing,
    encoded,
    free_port,
    run_service,
    run_tf_serving,
    start_service,
    wait_until,
)
from tests.service.test_predict import assert_problem

STREET = (ROOT / "ui/static/traffic_sign/samples/town.jpg").read_bytes()
CROPS = [encoded(drawing(index)) for index in (14, 17, 1)]
NOISE = (ROOT / "ui/static/traffic_sign/samples/country.jpg").read_bytes()[:400]


@pytest.fixture(scope="module")
def remote(models: Path) -> Iterator[str]:
    """The URL of a service that asks TensorFlow Serving."""
    with (
        run_tf_serving(models) as port,
        start_service(tf_serving=f"localhost:{port}", tf_serving_timeout_s=60) as url,  # the machine may be busy
    ):
        yield url


@pytest.fixture(scope="module")
def local() -> Iterator[str]:
    """The URL of a service that runs LiteRT."""
    with start_service() as url:
        yield url


def post(url: str, path: str, payload: bytes) -> requests.Response:
    return requests.post(url + path, data=payload, timeout=120)


def metric(url: str, name: str, labels: str = "") -> float:
    """Return the value of a metric of the task `traffic_sign`, 0 if it is not there."""
    text = requests.get(f"{url}/metrics", timeout=60).text
    found = re.search(rf'^{name}{{{labels}task="traffic_sign"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def calls(url: str, outcome: str) -> float:
    """Return the number of calls to TensorFlow Serving with this outcome."""
    return metric(url, "sign_engine_seconds_count", f'outcome="{outcome}",')


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


def test_server_that_goes_away_is_a_problem_until_it_is_back(models: Path) -> None:
    port = free_port()
    with start_service(503, tf_serving=f"localhost:{port}") as url:

        def status(path: str = "/predict/traffic_sign") -> int:
            answer = post(url, path, CROPS[0]) if "predict" in path else requests.get(url + path, timeout=60)
            return answer.status_code

        assert_problem(post(url, "/predict/traffic_sign", CROPS[0]), 502, "engine_failed", "cannot be reached")
        for _ in range(2):  # it comes for the first time, and comes back
            with run_tf_serving(models, port):
                wait_until(lambda: status() == 200)
                wait_until(lambda: status("/readyz") == 200)
                wait_until(lambda: metric(url, "sign_workers_ready") == 1)
            for path in ("/predict/traffic_sign", "/detect/traffic_sign"):
                assert_problem(post(url, path, CROPS[0]), 502, "engine_failed", "cannot be reached")
            wait_until(lambda: status("/readyz") == 503)
            wait_until(lambda: metric(url, "sign_workers_ready") == 0)
            ready = requests.get(f"{url}/readyz", timeout=60)
            assert_problem(ready, 503, "not_ready", "TensorFlow Serving cannot be reached")
            assert requests.get(f"{url}/healthz", timeout=60).status_code == 200  # restarting it would not help
        assert calls(url, "answered") > 0
        assert calls(url, "failed") > 0


def test_slow_server_is_a_timeout(models: Path) -> None:
    with run_tf_serving(models, slow_s=1.0) as port:
        settings = {"tf_serving": f"localhost:{port}", "tf_serving_timeout_s": 0.2}
        with start_service(503, **settings) as url:
            answer = post(url, "/predict/traffic_sign", CROPS[0])
            assert_problem(answer, 504, "engine_timeout", "did not answer within 0.2 s")
            assert calls(url, "timeout") > 0


def test_time_limit_is_for_all_calls_about_a_picture(models: Path) -> None:
    with (
        run_tf_serving(models, slow_s=1.0) as port,
        start_service(tf_serving=f"localhost:{port}", tf_serving_timeout_s=3.5) as url,
    ):
        assert post(url, "/predict/traffic_sign", CROPS[0]).status_code == 200  # one call
        answer = post(url, "/detect/traffic_sign", STREET)  # five calls, each of them in time
        assert_problem(answer, 504, "engine_timeout", "did not answer within 3.5 s")


def test_server_that_never_answers_does_not_stop_the_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system accepts connections, nobody reads from them
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with start_service(503, tf_serving=address, tf_serving_timeout_s=0.5) as url:
            assert post(url, "/predict/traffic_sign", CROPS[0]).status_code in (502, 504)  # as gRPC sees it
            [task] = requests.get(f"{url}/tasks", timeout=60).json()["tasks"]
            assert task["state"] == "failed"
            assert requests.get(f"{url}/healthz", timeout=60).status_code == 200
            assert len(requests.get(f"{url}/model/traffic_sign/labels", timeout=60).json()) == 43


@pytest.mark.parametrize(
    "address", ["localhost:70000", "localhost", "http://localhost:8500", "localhost:port", "a b:1"]
)
def test_address_without_host_and_port_is_refused(address: str) -> None:
    result = run_service(tf_serving=address)
    assert result.returncode != 0
    assert "SERVICE_TF_SERVING" in result.stderr
