"""Several tasks in one real gunicorn: traffic signs, and a made-up task from a temporary folder."""

import base64
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml

from model.artifact import read_artifact, write_artifact
from model.progress import TrainingState, is_waiting, training_folder, training_lock, waiting_to_train, write_state
from service.app import OPENAPI_FILE
from service.settings import Settings, SettingsError, read_settings
from service.trainer import training_commands
from tests.conftest import (
    ROOT,
    SHIPPED,
    drawing,
    encoded,
    free_port,
    run_service,
    start_service,
    wait_until,
    write_pictures,
)
from tests.service.test_predict import assert_problem

STOP = encoded(drawing())
RAW = {"Content-Type": "image/png"}
CONTRACT = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))
SIGNS_VERSION = read_artifact(SHIPPED)[0].version
UNTRAINED = "4-8"  # version of the artifact for shapes


@pytest.fixture(scope="module")
def more_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of further tasks with the task `shapes`, whose preset for the first start takes seconds."""
    folder = tmp_path_factory.mktemp("more")
    (folder / "shapes").mkdir()
    text = (ROOT / "tests" / "shapes.toml").read_text(encoding="utf-8")
    text = text.replace("[training.quick]", "[training]")
    text = text.replace("\n[[labels]]", "\n[training.quick]\n[training.cpu]\n\n[[labels]]", 1)
    (folder / "shapes" / "task.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def artifacts(more_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped artifact and an untrained one for shapes. Do not change it."""
    folder = tmp_path_factory.mktemp("artifacts")
    shutil.copytree(SHIPPED, folder / "traffic_sign")
    command = [sys.executable, "-m", "tests.faults.untrained", str(folder / "shapes"), "4", "8", "--task", "shapes"]
    environment = {**os.environ, "TASKS": str(more_tasks)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a data set of shapes, but none of signs."""
    folder = tmp_path_factory.mktemp("store")
    write_pictures(folder / "shapes")
    return folder


@pytest.fixture(scope="module")
def both(more_tasks: Path, artifacts: Path, store: Path) -> Iterator[str]:
    """The URL of a service with both tasks, shapes first."""
    with start_service(
        TASKS=more_tasks, tasks="shapes,traffic_sign", artifacts=artifacts, store=store, allow_urls="true"
    ) as url:
        yield url


def post(url: str, path: str, payload: bytes = STOP) -> requests.Response:
    return requests.post(url + path, data=payload, headers=RAW, timeout=60)


def get(url: str, path: str) -> requests.Response:
    return requests.get(url + path, timeout=60)


def check(response: requests.Response, path: str, method: str = "get") -> Any:
    """Check an answer against the contract and return it."""
    described = CONTRACT["paths"][path][method]["responses"][str(response.status_code)]
    if "$ref" in described:
        described = CONTRACT["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    schema = described["content"][response.headers["Content-Type"]]["schema"]
    answer = response.json()
    jsonschema.validate(answer, {**schema, "components": CONTRACT["components"]})
    return answer


def state_of(url: str, task: str) -> dict[str, Any]:
    """Return what `/tasks` says about a task."""
    [found] = [each for each in check(get(url, "/tasks"), "/tasks")["tasks"] if each["name"] == task]
    return dict(found)


def test_tasks_are_listed_with_state_and_features(both: str) -> None:
    shapes, signs = check(get(both, "/tasks"), "/tasks")["tasks"]
    assert (shapes["name"], shapes["title"], shapes["classes"]) == ("shapes", "Shapes", 2)
    assert (shapes["state"], shapes["version"]) == ("ready", UNTRAINED)
    assert shapes["offers"] == ["data", "feedback", "urls"]
    assert (signs["name"], signs["classes"], signs["version"]) == ("traffic_sign", 43, SIGNS_VERSION)
    assert signs["offers"] == ["detect", "feedback", "urls"]
    ready = check(get(both, "/readyz"), "/readyz")
    assert (ready["task"], ready["version"], ready["offers"]) == ("shapes", UNTRAINED, ["feedback", "urls"])
    assert ready["tasks"]["traffic_sign"] == {"state": "ready", "version": SIGNS_VERSION}


def test_each_task_answers_with_its_own_classes(both: str) -> None:
    shape = check(post(both, "/predict/shapes"), "/predict/{task}", "post")
    assert shape["class_name"] in ("round", "triangular")
    assert shape["model"] == {"task": "shapes", "version": UNTRAINED}
    sign = check(post(both, "/predict/traffic_sign"), "/predict/{task}", "post")
    assert (sign["class_name"], sign["sign_number"], sign["model"]["task"]) == ("Stop", "206", "traffic_sign")
    assert sign["facts"] == get(both, "/model/labels").json()[14]["facts"]
    assert check(post(both, "/predict_traffic_sign"), "/predict_traffic_sign", "post") == sign
    assert check(post(both, "/predict"), "/predict", "post") == shape
    assert_problem(post(both, "/predict/shapes?top_k=3"), 400, "bad_request", "from 1 to 2")
    assert len(post(both, "/predict/traffic_sign?top_k=3").json()["alternatives"]) == 3


def test_pictures_may_be_sent_in_a_form_or_in_json(both: str) -> None:
    for path in ("/predict", "/predict/shapes", "/predict/traffic_sign"):
        raw = post(both, path).json()
        assert requests.post(both + path, files={"image": STOP}, timeout=60).json() == raw
        letters = base64.b64encode(STOP).decode()
        assert requests.post(both + path, json={"image": letters}, timeout=60).json() == raw
        # Fetching works, as the refusal of this address shows.
        refused = requests.post(both + path, json={"url": "http://127.0.0.1/stop.png"}, timeout=60)
        assert_problem(refused, 400, "url_refused", "not a public address")


def test_batches_are_answered_by_their_task(both: str) -> None:
    files = [("image", ("a.png", STOP)), ("image", ("b.png", b"no picture"))]
    for task, name in (("shapes", None), ("traffic_sign", "Stop")):
        response = requests.post(f"{both}/predict/{task}/batch", files=files, timeout=60)
        first, second = check(response, "/predict/{task}/batch", "post")["results"]
        assert first["prediction"]["model"]["task"] == task
        assert name in (None, first["prediction"]["class_name"])
        assert second["problem"]["status"] == 422
    large = requests.post(f"{both}/predict/shapes/batch", files=[("image", ("a", bytes(30_000_000)))], timeout=60)
    assert large.json()["results"][0]["problem"]["status"] == 413  # the picture, not the body


def test_detection_needs_a_detector(both: str) -> None:
    assert_problem(post(both, "/detect/shapes"), 501, "not_implemented", "no detector")
    found = check(post(both, "/detect/traffic_sign"), "/detect/{task}", "post")
    assert found == check(post(both, "/detect_traffic_sign"), "/detect_traffic_sign", "post")
    assert found["objects"][0]["class_name"] == "Stop"


def test_feedback_is_stored_by_task(both: str, store: Path) -> None:
    answer = check(post(both, "/predict/shapes/feedback?class_index=1"), "/predict/{task}/feedback", "post")
    assert (store / "feedback" / "shapes" / answer["stored"]).read_bytes() == STOP
    assert not (store / "feedback" / "traffic_sign").exists()
    assert_problem(post(both, "/predict/shapes/feedback?class_index=2"), 400, "bad_request", "from 0 to 1")


def test_photo_is_not_kept_where_there_is_no_detector_to_train(both: str, store: Path) -> None:
    path = "/predict/shapes/feedback?class_index=1&box=0,0,48,48"
    answer = check(post(both, path), "/predict/{task}/feedback", "post")
    assert (store / "feedback" / "shapes" / answer["stored"]).exists()
    assert not (store / "feedback" / "shapes" / "photos").exists()


def test_cards_and_data_sets_are_those_of_the_task(both: str) -> None:
    assert check(get(both, "/model/shapes"), "/model/{task}")["title"] == "Shapes"
    labels = check(get(both, "/model/shapes/labels"), "/model/{task}/labels")
    assert [label["name"] for label in labels] == ["round", "triangular"]
    assert get(both, "/model/traffic_sign").json() == get(both, "/model").json()
    assert get(both, "/model/traffic_sign/labels").json() == get(both, "/model/labels").json()
    assert check(get(both, "/data/shapes"), "/data/{task}")["examples"] == 16
    pictures = check(get(both, "/data/shapes/1?count=3"), "/data/{task}/{class_index}")
    assert (pictures["class_index"], len(pictures["pictures"])) == (1, 3)
    for path in ("/data", "/data/traffic_sign", "/data/14", "/data/traffic_sign/14"):
        assert_problem(get(both, path), 404, "no_data", "No data set for")


@pytest.mark.parametrize("task", ["pizza", "batch", "Shapes", "2"])
def test_task_that_is_not_served_gets_404_with_those_that_are(both: str, task: str) -> None:
    answers = [post(both, f"/predict/{task}{route}") for route in ("", "/batch", "/feedback")]
    answers += [post(both, f"/detect/{task}"), get(both, f"/model/{task}"), get(both, f"/model/{task}/labels")]
    answers += [get(both, f"/data/{task}/0"), *([] if task.isdecimal() else [get(both, f"/data/{task}")])]
    for answer in answers:
        assert_problem(answer, 404, "not_found", f"no task {task!r}; it has shapes, traffic_sign")


def test_answers_are_counted_by_task(both: str) -> None:
    def count(series: str) -> float:
        lines = [line for line in get(both, "/metrics").text.splitlines() if line.startswith(f"{series} ")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    requests_of = 'sign_requests_total{{route="{}",status="200",task="{}"}}'
    counted = [
        requests_of.format("/predict", "shapes"),
        requests_of.format("/predict/{task}", "shapes"),
        requests_of.format("/predict/{task}", "traffic_sign"),
        requests_of.format("/predict_traffic_sign", "traffic_sign"),
        'sign_classes_total{class_index="14",task="traffic_sign"}',
    ]
    before = [count(series) for series in counted]
    for path in ("/predict", "/predict/shapes", "/predict/traffic_sign", "/predict_traffic_sign"):
        post(both, path)
    assert [count(series) for series in counted] == [
        value + more for value, more in zip(before, (1, 1, 1, 1, 2), strict=True)
    ]
    assert count('sign_workers_ready{task="shapes"}') == 1


def test_keys_are_needed_for_every_task(more_tasks: Path, artifacts: Path, store: Path) -> None:
    with start_service(
        TASKS=more_tasks, tasks="traffic_sign,shapes", artifacts=artifacts, store=store, api_keys="secret"
    ) as url:
        for path in ("/predict", "/predict/shapes", "/predict/shapes/batch", "/predict/nope", "/detect/shapes"):
            assert_problem(post(url, path), 401, "unauthorised", "X-API-Key")
        assert [each["name"] for each in get(url, "/tasks").json()["tasks"]] == ["traffic_sign", "shapes"]


def test_one_task_answers_while_the_other_has_no_classifier(more_tasks: Path, artifacts: Path, tmp_path: Path) -> None:
    folder, training = tmp_path / "artifacts", training_folder(tmp_path, "shapes")
    shutil.copytree(artifacts / "traffic_sign", folder / "traffic_sign")
    progress = {"stage": "train", "epoch": 3, "epochs": 30}
    with start_service(
        TASKS=more_tasks, tasks="shapes,traffic_sign", artifacts=folder, store=tmp_path, train="false"
    ) as url:

        def shapes_get(state: str, words: str) -> dict[str, Any]:
            """Check that every route says why shapes are not ready while signs are answered; return the problem."""
            listed, ready = state_of(url, "shapes"), check(get(url, "/readyz"), "/readyz")
            assert (listed["state"], listed["version"]) == (state, None)
            assert (ready["task"], ready["tasks"]["shapes"]["state"]) == ("traffic_sign", state)
            response = post(url, "/predict/shapes")
            assert_problem(response, 503, "not_ready", words)
            assert listed["detail"] == response.json()["detail"]
            assert response.headers["Retry-After"] == "5"
            for other in (post(url, "/predict"), get(url, "/model/shapes"), post(url, "/predict/shapes/batch")):
                assert_problem(other, 503, "not_ready", words)
            assert post(url, "/predict/traffic_sign").json()["class_name"] == "Stop"
            return dict(check(response, "/predict/{task}", "post"))

        assert shapes_get("failed", "none is being trained")["task"] == "shapes"
        with training_lock(training):
            write_state(training, TrainingState("train", epoch=3, epochs=30))
            assert shapes_get("training", "epoch 4 of 30")["progress"] == progress
            assert state_of(url, "shapes")["progress"] == progress
        with waiting_to_train(training):
            assert "progress" not in shapes_get("training", "waiting to be trained")
        write_state(training, TrainingState("failed", message=f"{tmp_path}/shapes: no examples"))
        assert str(tmp_path) not in shapes_get("failed", "The training failed: shapes: no examples")["detail"]
        shutil.copytree(artifacts / "shapes", tmp_path / "copy")
        (tmp_path / "copy").rename(folder / "shapes")
        assert post(url, "/predict").json()["model"] == {"task": "shapes", "version": UNTRAINED}
        assert state_of(url, "shapes")["state"] == "ready"


def test_new_artifact_of_one_task_leaves_the_other(more_tasks: Path, artifacts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(artifacts, tmp_path / "artifacts"))
    card, inference = read_artifact(folder / "shapes")
    network = (folder / "shapes" / "model.keras").read_bytes()

    def version_of(task: str) -> str:
        return str(get(url, f"/model/{task}").json()["version"])

    with start_service(
        TASKS=more_tasks, tasks="traffic_sign,shapes", artifacts=folder, store=tmp_path, train="false"
    ) as url:
        assert version_of("shapes") == UNTRAINED
        newer = dataclasses.replace(card, version="newer")
        write_artifact(folder / "shapes", newer, inference, lambda path: path.write_bytes(network))
        wait_until(lambda: version_of("shapes") == "newer")
        assert version_of("traffic_sign") == SIGNS_VERSION
        assert post(url, "/predict/shapes").json()["model"]["version"] == "newer"
        shutil.rmtree(folder / "traffic_sign")  # what is loaded stays in use
        assert post(url, "/predict/traffic_sign").json()["class_name"] == "Stop"
        assert check(get(url, "/readyz"), "/readyz")["tasks"]["traffic_sign"]["state"] == "ready"


def test_damaged_artifact_of_one_task_leaves_the_other(
    more_tasks: Path, artifacts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(artifacts, tmp_path / "artifacts"))
    (folder / "shapes" / "model.tflite").write_bytes(b"damaged")
    with start_service(TASKS=more_tasks, tasks="traffic_sign,shapes", artifacts=folder, store=tmp_path) as url:
        found = state_of(url, "shapes")
        assert (found["state"], found["detail"]) == (
            "failed",
            "model.tflite is damaged: its SHA-256 differs from the one in card.json",
        )
        assert_problem(post(url, "/predict/shapes"), 503, "not_ready", "is damaged")
        assert post(url, "/predict").json()["class_name"] == "Stop"
    assert "shapes: the classifier cannot be used" in capfd.readouterr().err
    shutil.rmtree(folder / "traffic_sign")
    shutil.copytree(folder / "shapes", folder / "traffic_sign")  # neither can be used
    result = run_service(port=free_port(), TASKS=more_tasks, tasks="traffic_sign,shapes", artifacts=folder)
    assert result.returncode != 0
    assert "error: " in result.stderr
    assert "model.tflite is damaged" in result.stderr
    assert "Traceback" not in result.stderr


def test_artifact_of_another_task_is_one_message(artifacts: Path) -> None:
    result = run_service(port=free_port(), tasks="traffic_sign", artifact=artifacts / "shapes")
    assert result.returncode != 0
    assert "this classifier is for the task 'shapes', not 'traffic_sign'" in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_classifiers_are_trained_one_after_the_other(
    more_tasks: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS", str(more_tasks))
    settings = Settings(tasks="traffic_sign,shapes", artifacts=tmp_path / "artifacts", store=tmp_path, data=store)
    signs, shapes = (training_folder(tmp_path, task) for task in ("traffic_sign", "shapes"))
    commands = training_commands(settings, ["traffic_sign", "shapes"])
    first = next(commands)
    assert first[first.index("--task") + 1] == "traffic_sign"
    assert first[first.index("--data") + 1] == str(store)
    assert (is_waiting(signs), is_waiting(shapes)) == (True, True)
    second = next(commands)
    assert second[second.index("--artifact") + 1] == str(tmp_path / "artifacts" / "shapes")
    assert "--data" not in second
    assert (is_waiting(signs), is_waiting(shapes)) == (False, True)
    assert next(commands, None) is None
    assert not is_waiting(shapes)


def test_a_training_that_fails_does_not_keep_the_next_one_from_running(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'x').close(); sys.exit(sys.argv[1][-1] == '1')"
    files = [tmp_path / "1", tmp_path / "2"]
    program = "import json, sys; from service.trainer import supervise; sys.exit(supervise(json.loads(sys.argv[1])))"
    commands = json.dumps([[sys.executable, "-c", code, str(file)] for file in files])
    result = subprocess.run([sys.executable, "-c", program, commands], cwd=ROOT, check=False)
    assert result.returncode == 1
    assert all(file.exists() for file in files)


def test_made_up_task_is_trained_at_the_first_start_and_answers(
    more_tasks: Path, artifacts: Path, tmp_path: Path
) -> None:
    """Signs answer meanwhile; the task is known from its folder alone."""
    write_pictures(tmp_path / "shapes")
    shutil.copytree(artifacts / "traffic_sign", tmp_path / "artifacts" / "traffic_sign")
    states: list[str] = []

    def is_ready() -> bool:
        assert post(url, "/predict/traffic_sign").status_code == 200
        found = state_of(url, "shapes")
        states.append(found["state"])
        assert "The training failed" not in found.get("detail", ""), found
        return states[-1] == "ready"

    with start_service(
        TASKS=more_tasks, tasks="traffic_sign,shapes", artifacts=tmp_path / "artifacts", store=tmp_path
    ) as url:
        wait_until(is_ready)
        answer = post(url, "/predict/shapes", encoded(drawing(17, 40))).json()
    assert answer["model"]["task"] == "shapes"
    assert "training" in states


def test_default_is_every_task_with_an_artifact(
    more_tasks: Path, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(**variables: object) -> dict[str, Path]:
        settings = read_settings({f"SERVICE_{name.upper()}": str(value) for name, value in variables.items()})
        return {name: each.artifact for name, each in settings.served.items()}

    monkeypatch.setenv("TASKS", str(more_tasks))
    signs, shapes = artifacts / "traffic_sign", artifacts / "shapes"
    assert served(artifacts=artifacts) == {"traffic_sign": signs, "shapes": shapes}
    assert list(served(artifacts=artifacts)) == ["traffic_sign", "shapes"]
    assert served(artifacts=tmp_path) == {"traffic_sign": tmp_path / "traffic_sign"}
    assert served(artifacts=artifacts, artifact=tmp_path)["traffic_sign"] == tmp_path
    assert list(served(tasks="shapes, traffic_sign,shapes")) == ["shapes", "traffic_sign"]
    assert served(tasks="shapes,traffic_sign", artifact=tmp_path)["shapes"] == tmp_path
    (tmp_path / "named" / "labels").mkdir(parents=True)
    text = (more_tasks / "shapes" / "task.toml").read_text(encoding="utf-8")
    (tmp_path / "named" / "labels" / "task.toml").write_text(text.replace('"shapes"', '"labels"'), encoding="utf-8")
    monkeypatch.setenv("TASKS", str(tmp_path / "named"))
    with pytest.raises(SettingsError, match="'labels' is part of URLs"):
        served(tasks="labels")
    monkeypatch.delenv("TASKS")
    with pytest.raises(SettingsError, match="SERVICE_TASKS: there is no task 'shapes'; known: "):
        served(tasks="shapes")
