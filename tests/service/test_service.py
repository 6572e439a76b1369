"""The other routes, the contract, the settings, and startup."""

import dataclasses
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urljoin

import jsonschema
import pytest
import requests
import yaml
from openapi_spec_validator import validate

from model.artifact import read_artifact, write_artifact
from model.progress import TrainingState, training_folder, training_lock, write_state
from service import settings as service_settings
from service.app import OPENAPI_FILE, create_app
from service.problems import KINDS
from service.settings import PREFIX, Settings, SettingsError, read_settings, usable_cores
from tests.conftest import ROOT, SHIPPED, Log, drawing, encoded, free_port, run_service, start_service, wait_until
from ui import settings as ui_settings
from ui.client import Client, NotAllowed
from ui.settings import Settings as PageSettings

STOP = encoded(drawing())
FILES = [("image", ("stop.png", STOP))]
CONTRACT = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))


def test_contract_is_valid_openapi_and_served(service: str) -> None:
    validate(CONTRACT)
    assert requests.get(f"{service}/openapi.json", timeout=60).json() == CONTRACT


def test_routes_and_contract_match() -> None:
    rules = create_app(read_settings({})).url_map.iter_rules()
    routes = {(rule.rule, method) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    described = {(path, method.upper()) for path, methods in CONTRACT["paths"].items() for method in methods}
    ours = {
        (re.sub(r"<(?:int:)?(\w+)>", r"{\1}", rule), method) for rule, method in routes if not rule.startswith("/docs")
    }
    assert ours == described


def test_every_status_of_a_problem_is_in_the_contract() -> None:
    routes = [route for methods in CONTRACT["paths"].values() for route in methods.values()]
    described = {int(status) for route in routes for status in route["responses"]}
    assert {kind.status for kind in KINDS.values()} - {404, 405, 414, 431, 500} <= described


def problems_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every example of a problem in the contract."""
    if isinstance(value, dict):
        if str(value.get("type")).startswith("urn:"):
            yield value
        for each in value.values():
            yield from problems_in(each)


def test_examples_of_problems_have_their_status_and_title() -> None:
    examples = list(problems_in(CONTRACT["components"]["responses"]))
    assert len(examples) > 10
    for example in examples:
        kind = KINDS[example["type"].rpartition(":")[2]]
        assert (example["status"], example["title"]) == (kind.status, kind.title)


def test_readyz_names_the_classifier_and_the_enabled_features(service: str) -> None:
    answer = requests.get(f"{service}/readyz", timeout=60).json()
    assert answer == {
        "status": "ready",
        "task": "traffic_sign",
        "version": read_artifact(SHIPPED)[0].version,
        "contract": CONTRACT["info"]["version"],
        "offers": ["detect", "feedback"],
        "tasks": {"traffic_sign": {"state": "ready", "version": read_artifact(SHIPPED)[0].version}},
    }
    with start_service(feedback="false", allow_urls="true") as other:
        assert requests.get(f"{other}/readyz", timeout=60).json()["offers"] == ["detect", "urls"]


def test_answer_has_the_request_id(service: str) -> None:
    ours = requests.get(f"{service}/healthz", headers={"X-Request-ID": "order-66"}, timeout=60)
    assert ours.headers["X-Request-ID"] == "order-66"
    for sent in ("", "a b", "x" * 200):
        made = requests.get(f"{service}/nowhere", headers={"X-Request-ID": sent}, timeout=60).headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{32}", made)


def test_batch_matches_the_contract(service: str) -> None:
    files = [*FILES, ("image", ("text.png", b"no picture"))]
    answer = requests.post(f"{service}/predict_traffic_sign/batch", files=files, timeout=60).json()
    content = CONTRACT["paths"]["/predict_traffic_sign/batch"]["post"]["responses"]["200"]["content"]
    jsonschema.validate(answer, {**content["application/json"]["schema"], "components": CONTRACT["components"]})


def test_predictions_need_a_key_if_keys_are_set() -> None:
    def status(route: str, key: str | None) -> int:
        headers = {} if key is None else {"X-API-Key": key}
        return requests.post(service + route, files=FILES, headers=headers, timeout=60).status_code

    with start_service(api_keys="first-key, second-key") as service:
        for route in ("/predict_traffic_sign", "/predict_traffic_sign/batch"):
            assert [status(route, key) for key in (None, "", "first-key, second-key", "Second-key")] == [401] * 4
            assert [status(route, key) for key in ("first-key", "second-key")] == [200] * 2
        assert requests.get(f"{service}/readyz", timeout=60).status_code == 200
        assert Client(service, 5.0, "first-key").predict("traffic_sign", STOP).class_index == 14
        with pytest.raises(NotAllowed, match="UI_API_KEY"):
            Client(service, 5.0).predict("traffic_sign", STOP)


def test_new_artifact_is_loaded_without_a_failed_request_and_a_damaged_one_is_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    card, inference = read_artifact(folder)
    network = (folder / "model.keras").read_bytes()

    def replace(version: str) -> None:
        write_artifact(
            folder, dataclasses.replace(card, version=version), inference, lambda path: path.write_bytes(network)
        )

    with start_service(artifact=folder, workers=2) as service:
        client, log = Client(service, 5.0), Log(service, capfd)
        wait_until(
            lambda: 'sign_workers_ready{task="traffic_sign"} 2.0' in requests.get(f"{service}/metrics", timeout=60).text
        )
        for version in ("second", "third"):
            replace(version)
            log.wait_for_both(f"classifier {version} is in use now")
            assert client.predict("traffic_sign", STOP).class_index == 14
        bad = Path(shutil.copytree(folder, tmp_path / "bad"))
        (bad / "model.tflite").write_bytes(b"damaged")
        folder.rename(tmp_path / "third")
        bad.rename(folder)
        log.wait_for_both("the new classifier cannot be used")
        assert client.predict("traffic_sign", STOP).class_index == 14
        assert requests.get(f"{service}/readyz", timeout=60).json()["version"] == "third"


def test_browsers_do_not_treat_answers_as_pages(service: str) -> None:
    for path in ("/healthz", "/nowhere"):
        headers = requests.get(service + path, timeout=60).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("method", "path", "payload"),
    [
        ("POST", "/predict_traffic_sign", encoded(drawing())),
        ("POST", "/predict_traffic_sign", b"no picture"),
        ("POST", "/predict_traffic_sign?explain=true&thumbnail=true&box=0,0,96,96", encoded(drawing())),
        ("GET", "/model", None),
        ("GET", "/model/labels", None),
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
    ],
)
def test_answers_match_the_contract(service: str, method: str, path: str, payload: bytes | None) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    response = requests.request(method, service + path, data=payload, headers=headers, timeout=60)
    described = CONTRACT["paths"][path.partition("?")[0]][method.lower()]["responses"][str(response.status_code)]
    while "$ref" in described:
        described = CONTRACT["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    schema = described["content"][response.headers["Content-Type"]]["schema"]
    jsonschema.validate(response.json(), {**schema, "components": CONTRACT["components"]})


def test_card_and_labels(service: str) -> None:
    card = requests.get(f"{service}/model", timeout=60).json()
    assert card["version"] == read_artifact(SHIPPED)[0].version
    labels = requests.get(f"{service}/model/labels", timeout=60).json()
    assert [label["index"] for label in labels] == list(range(43))
    assert labels[14]["name_de"] == "Halt. Vorfahrt gewähren"


def test_unknown_path_and_method_are_problems(service: str) -> None:
    missing = requests.get(f"{service}/nothing", timeout=60)
    assert (missing.status_code, missing.headers["Content-Type"]) == (404, "application/problem+json")
    wrong = requests.get(f"{service}/predict_traffic_sign", timeout=60)
    assert (wrong.status_code, wrong.headers["Content-Type"]) == (405, "application/problem+json")
    assert "POST" in wrong.headers["Allow"]


@pytest.mark.parametrize(("settings", "prefix"), [(Settings, PREFIX), (PageSettings, "UI_")])
def test_readme_lists_every_setting_with_its_default(settings: Any, prefix: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(rf"^\| `({prefix}\w+)` \| (.*?) \|", readme, re.MULTILINE))
    assert set(rows) == {prefix + name.upper() for name in settings.model_fields}
    for name, field in settings.model_fields.items():
        if field.default is not None and not field.is_required() and field.default_factory is None:
            assert str(field.default).rstrip("/") in rows[prefix + name.upper()], name


@pytest.mark.parametrize(
    ("container", "settings", "prefix", "fixed"),
    [
        ("service", Settings, PREFIX, {"host", "port", "artifact", "artifacts", "store", "data"}),
        ("ui", PageSettings, "UI_", set()),
    ],
)
def test_compose_passes_on_every_setting_that_the_image_does_not_fix(
    container: str, settings: Any, prefix: str, fixed: set[str]
) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
    named = {each.partition("=")[0] for each in compose["services"][container]["environment"]}
    assert named == {prefix + name.upper() for name in settings.model_fields if name not in fixed}


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"SERVICE_PROT": "1"}, "unknown settings: SERVICE_PROT; known: .*SERVICE_PORT"),
        ({"SERVICE_PORT": "many"}, "SERVICE_PORT: .*integer"),
        ({"SERVICE_WORKERS": "0"}, "SERVICE_WORKERS: .*greater"),
    ],
)
def test_invalid_settings_are_named(environment: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        read_settings(environment)


@pytest.mark.parametrize(
    ("module", "prefix", "setting"), [(service_settings, "SERVICE", "QUEUE"), (ui_settings, "UI", "TIMEOUT_S")]
)
def test_variables_of_a_kubernetes_service_are_named_with_the_cure(
    module: ModuleType, prefix: str, setting: str
) -> None:
    """Of a Service named `service`, of one named `service-web`, and of Docker's link to a container `service`.

    The same for the page, with `ui`.
    """
    for links in (
        {
            "_SERVICE_HOST": "10.96.3.7",
            "_SERVICE_PORT": "9696",
            "_SERVICE_PORT_HTTP": "9696",
            "_PORT": "tcp://10.96.3.7:9696",
            "_PORT_9696_TCP": "tcp://10.96.3.7:9696",
            "_PORT_9696_TCP_PROTO": "tcp",
            "_PORT_9696_TCP_PORT": "9696",
            "_PORT_9696_TCP_ADDR": "10.96.3.7",
        },
        {"_WEB_SERVICE_HOST": "10.96.3.7", "_WEB_PORT": "tcp://10.96.3.7:80"},
        {"_PORT": "tcp://172.17.0.2:9696", "_PORT_53_UDP_ADDR": "172.17.0.2"},
    ):
        environment = {f"{prefix}{name}": value for name, value in links.items()}
        reason = rf"is named `{prefix.lower()}`.*enableServiceLinks: false.*another name"
        with pytest.raises(module.SettingsError, match=reason) as error:
            module.read_settings({**environment, f"{prefix}_{setting}": "8"})
        named = set(str(error.value).partition(": ")[0].split(", "))
        assert named == set(environment)
        assert module.read_settings({f"{prefix}_{setting}": "8"})


def test_settings_come_only_from_the_given_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PORT", "4321")
    assert read_settings({}).port == 9696
    assert read_settings({"SERVICE_PORT": "4322"}).port == 4322


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", None), ("100000 100000", 1), ("20000 100000", 1), ("", None)]
)
def test_usable_cores_respect_the_quota_of_the_container(quota: str, cores: int | None, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    if quota:
        file.write_text(f"{quota}\n")
    assert usable_cores(file) == (cores or len(os.sched_getaffinity(0)))


def test_busy_port_is_one_message() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        result = run_service(port=busy.getsockname()[1])
    assert result.returncode != 0
    assert "cannot listen on 127.0.0.1" in result.stderr
    assert "SERVICE_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_address_of_another_machine_is_one_message() -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        result = run_service(host=host, port=free_port())
        assert result.returncode != 0
        assert "SERVICE_HOST" in result.stderr
        assert "Traceback" not in result.stderr


def test_host_may_be_in_brackets() -> None:
    """As in URLs, and as some container platforms give it."""
    assert read_settings({"SERVICE_HOST": "[::]"}).host == read_settings({"SERVICE_HOST": "::"}).host == "::"
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with start_service(host="[::]") as url:  # IPv4 too
        assert requests.get(f"{url}/healthz", timeout=60).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/model", "/openapi.json", "/docs/", "/nowhere", "/metrics"])
def test_head_has_the_length_of_get(service: str, path: str) -> None:
    whole = requests.get(service + path, headers={"Accept-Encoding": "identity"}, timeout=60)
    head = requests.head(service + path, timeout=60)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert int(head.headers["Content-Length"]) > 0
    if path != "/metrics":  # whose numbers grow
        assert head.headers["Content-Length"] == str(len(whole.content))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/model/labels", "/metrics"])
def test_slash_at_the_end_of_a_path_is_ignored(service: str, path: str) -> None:
    assert requests.get(f"{service}{path}/", allow_redirects=False, timeout=60).status_code == 200
    assert requests.get(f"{service}{path}//", timeout=60).status_code == 404


def test_documentation_works_below_the_path_of_a_proxy(service: str) -> None:
    """Every address in it is relative to the page, and the contract's to itself."""
    page = requests.get(f"{service}/docs/", timeout=60).text
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page) + re.findall(r'"url": "([^"]+)"', page)
    assert len(addresses) > 4
    for address in addresses:
        assert not address.startswith("/")
        assert requests.get(urljoin(f"{service}/docs/", address), timeout=60).status_code == 200
    assert urljoin("http://proxy/signs/openapi.json", CONTRACT["servers"][0]["url"]) == "http://proxy/signs/"
    redirect = requests.get(f"{service}/docs", allow_redirects=False, timeout=60)
    assert urljoin("http://proxy/signs/docs", redirect.headers["Location"]) == "http://proxy/signs/docs/"


def test_damaged_artifact_is_one_message(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    (folder / "model.tflite").write_bytes(b"damaged")
    result = run_service(artifact=folder, port=free_port())
    assert result.returncode != 0
    assert "model.tflite is damaged" in result.stderr
    assert "Traceback" not in result.stderr


def test_unknown_setting_is_one_message() -> None:
    result = run_service(colour="red")
    assert result.returncode != 0
    assert result.stderr.strip().startswith("error: unknown settings: SERVICE_COLOUR")


def test_service_without_classifier_reports_progress_and_serves_when_it_appears(tmp_path: Path) -> None:
    artifact, training = tmp_path / "artifact", training_folder(tmp_path, "traffic_sign")
    with start_service(status=503, artifact=artifact, store=tmp_path, train="false") as url:
        rejected = requests.post(
            f"{url}/predict_traffic_sign", data=b"x", headers={"Content-Type": "image/png"}, timeout=60
        )
        assert rejected.status_code == 503
        assert "none is being trained" in rejected.json()["detail"]
        assert (rejected.json()["task"], rejected.json()["state"]) == ("traffic_sign", "failed")
        with training_lock(training):
            write_state(training, TrainingState("train", epoch=3, epochs=30, remaining_s=60.0))
            busy = requests.get(f"{url}/readyz", timeout=60)
        assert busy.json()["progress"] == {"stage": "train", "epoch": 3, "epochs": 30, "remaining_s": 60.0}
        assert busy.json()["contract"] == CONTRACT["info"]["version"]
        assert busy.json()["tasks"]["traffic_sign"]["progress"] == busy.json()["progress"]
        assert busy.headers["Retry-After"] == "5"
        assert "epoch 4 of 30" in busy.json()["detail"]
        (training / "progress.json").write_text("{")
        assert "none is being trained" in requests.get(f"{url}/readyz", timeout=60).json()["detail"]
        write_state(training, TrainingState("train", epoch=30, epochs=30))
        assert "interrupted" in requests.get(f"{url}/readyz", timeout=60).json()["detail"]
        shutil.copytree(SHIPPED, tmp_path / "copy")
        (tmp_path / "copy").rename(artifact)
        assert requests.get(f"{url}/readyz", timeout=60).json()["status"] == "ready"
        answer = requests.post(f"{url}/predict_traffic_sign", files={"image": encoded(drawing())}, timeout=60)
        assert answer.json()["class_index"] == 14


def test_first_start_without_data_reports_what_is_missing(tmp_path: Path) -> None:
    with start_service(status=503, artifact=tmp_path / "artifact", store=tmp_path) as url:
        wait_until(lambda: "failed" in requests.get(f"{url}/readyz", timeout=60).json()["detail"])
        assert str(tmp_path) not in requests.get(f"{url}/readyz", timeout=60).text
        detail = requests.get(f"{url}/readyz", timeout=60).json()["detail"]
    assert "init.py --download" in detail


def test_first_start_trains_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The store has a small data set; the service trains on it and reports its progress."""
    from data.tasks.traffic_sign.drawing.render import write_drawn

    write_drawn(tmp_path / "photographs", 4, seed=0)
    (tmp_path / "photographs" / "ORIGIN").unlink()  # as if a user had put it there
    stages: set[str | None] = set()

    def training_began() -> bool:
        progress = requests.get(f"{url}/readyz", timeout=60).json().get("progress", {})
        stages.add(progress.get("stage"))
        return "train" in stages and "epochs" in progress

    with start_service(status=503, artifact=tmp_path / "artifact", store=tmp_path) as url:
        wait_until(training_began)
        assert requests.get(f"{url}/healthz", timeout=60).status_code == 200
