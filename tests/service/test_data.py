"""The routes about the data set, in a real gunicorn."""

import base64
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import requests
import yaml

from data.images import decode
from data.source import open_source
from data.task import Task
from data.tasks.traffic_sign.drawing.render import write_drawn
from service.app import OPENAPI_FILE
from service.inventory import MAX_BINS
from service.settings import Settings
from service.trainer import training_command
from tests.conftest import drawing, encoded, start_service
from tests.service.test_predict import assert_problem

STOP = encoded(drawing())
RAW = {"Content-Type": "image/png"}
CONTRACT = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawings per class, in place of a data set that a user put there."""
    folder = tmp_path_factory.mktemp("store") / "photographs"
    write_drawn(folder, 3, seed=0)
    (folder / "ORIGIN").unlink()
    return folder


@pytest.fixture(scope="module")
def shown(photographs: Path) -> Iterator[str]:
    """The URL of a service with this data set in its store, and with API keys."""
    with start_service(store=photographs.parent, api_keys="secret") as url:
        yield url


def validate(answer: object, path: str) -> None:
    content = CONTRACT["paths"][path]["get"]["responses"]["200"]["content"]
    jsonschema.validate(answer, {**content["application/json"]["schema"], "components": CONTRACT["components"]})


def test_data_set_is_described_in_figures(shown: str, photographs: Path, task: Task) -> None:
    answer = requests.get(f"{shown}/data", timeout=30).json()
    validate(answer, "/data")
    source = open_source(photographs, task)
    assert (answer["name"], answer["citation"], answer["licence"]) == (
        task.data.name,
        task.data.citation,
        task.data.licence,
    )
    assert (answer["examples"], answer["tracks"]) == (129, 129)
    assert answer["classes"] == [{"class_index": index, "examples": 3, "tracks": 3} for index in range(43)]
    edges, counts = answer["sides"]["edges"], answer["sides"]["counts"]
    sides = [max(box[2] - box[0], box[3] - box[1]) for box in (example.box for example in source.examples)]
    assert len(counts) == len(edges) - 1 <= MAX_BINS
    assert counts == [sum(low <= side < high for side in sides) for low, high in pairwise(edges)]
    assert sum(counts) == 129
    assert answer["frames_per_track"] == {"edges": [1, 2], "counts": [129]}


def test_pictures_of_a_class_are_returned(shown: str, photographs: Path, task: Task) -> None:
    answer = requests.get(f"{shown}/data/14", timeout=30).json()
    validate(answer, "/data/{task}/{class_index}")
    source = open_source(photographs, task)
    expected = [example for example in source.examples if example.class_index == 14]
    assert answer["class_index"] == 14
    assert [(each["track"], tuple(each["size"])) for each in answer["pictures"]] == [
        (example.group, example.size) for example in expected
    ]
    for each, example in zip(answer["pictures"], expected, strict=True):
        pixels = decode(base64.b64decode(each["thumbnail"]), (64, 64))
        assert np.array_equal(pixels, decode(source.read(example), (64, 64)))
    assert len(requests.get(f"{shown}/data/14?count=2", timeout=30).json()["pictures"]) == 2


@pytest.mark.parametrize("count", ["0", "49", "-1", "many", "", "1.0", "²", "9" * 3000])
def test_invalid_count_is_rejected(shown: str, count: str) -> None:
    response = requests.get(f"{shown}/data/14?count={count}", timeout=30)
    assert_problem(response, 400, "bad_request", "count must be an integer from 1 to 48")


@pytest.mark.parametrize("class_index", ["43", "9" * 3000, "-1", "stop"])
def test_unknown_class_is_not_found(shown: str, class_index: str) -> None:
    assert_problem(requests.get(f"{shown}/data/{class_index}", timeout=30), 404, "not_found", "")


def test_missing_data_set_is_a_problem_that_lists_the_ways_to_get_one(service: str) -> None:
    for path in ("/data", "/data/14"):
        response = requests.get(service + path, timeout=30)
        assert_problem(response, 404, "no_data", "Ways to get one")
        assert "/" not in response.json()["detail"].partition("Ways")[0], "a path of the server"
        for way in ("--download", "--data PATH", "--data drawn"):
            assert way in response.json()["detail"]


def test_data_set_added_later_is_found(tmp_path: Path, photographs: Path) -> None:
    with start_service(store=tmp_path) as url:
        assert requests.get(f"{url}/data", timeout=30).status_code == 404
        shutil.copytree(photographs, tmp_path / "photographs")
        assert requests.get(f"{url}/data", timeout=30).json()["examples"] == 129


def test_data_set_can_be_configured(tmp_path: Path) -> None:
    write_drawn(tmp_path / "elsewhere", 1, seed=0)
    with start_service(store=tmp_path / "store", data=tmp_path / "elsewhere") as url:
        answer = requests.get(f"{url}/data", timeout=30).json()
        validate(answer, "/data")
        assert (answer["name"], answer["citation"], answer["examples"]) == ("drawn", None, 43)
        shutil.rmtree(tmp_path / "elsewhere" / "Train")
        assert_problem(
            requests.get(f"{url}/data/14", timeout=30), 404, "no_data", "00014_00000_00000.png: cannot be read"
        )
    with start_service(store=tmp_path / "store", data=tmp_path / "nowhere") as url:
        assert_problem(requests.get(f"{url}/data", timeout=30), 404, "no_data", "there is no such folder")


def test_first_start_trains_on_the_configured_data_set(tmp_path: Path) -> None:
    assert "--data" not in training_command(Settings(store=tmp_path), "traffic_sign")
    command = training_command(Settings(store=tmp_path, data=tmp_path / "elsewhere"), "traffic_sign")
    assert command[command.index("--data") + 1] == str(tmp_path / "elsewhere")


def test_slow_tables_do_not_block_other_requests(tmp_path: Path) -> None:
    """An archive that is a pipe cannot be opened for reading before somebody opens it for writing."""
    os.mkfifo(tmp_path / "slow.zip")
    with start_service(store=tmp_path) as url, ThreadPoolExecutor() as client:
        waiting = client.submit(requests.get, f"{url}/data", timeout=60)
        for _ in range(10):
            assert requests.get(f"{url}/healthz", timeout=60).status_code == 200
            assert requests.post(f"{url}/predict_traffic_sign", data=STOP, headers=RAW, timeout=60).status_code == 200
            assert requests.post(f"{url}/predict_traffic_sign", files={"image": STOP}, timeout=60).status_code == 200
        assert not waiting.done()
        os.close(os.open(tmp_path / "slow.zip", os.O_WRONLY))
        assert_problem(waiting.result(), 404, "no_data", "slow.zip: cannot be opened")
