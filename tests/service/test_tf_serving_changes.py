"""The service while TensorFlow Serving changes: other certificates, addresses and versions of a network."""

import json
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from model.artifact import CARD_FILE
from model.tf_serving.client import version_number
from tests.conftest import (
    SHIPPED,
    free_port,
    run_tf_serving,
    start_service,
    start_tf_serving,
    wait_until,
)
from tests.service.test_predict import assert_problem
from tests.service.test_tf_serving import CROPS, post

NEWER = "2026-12-01-0000000b"
PATH = "/predict/traffic_sign"


def version_in(answer: requests.Response) -> str:
    """Return the version of the classifier in an answer, or an empty string if it is a problem."""
    version: str = answer.json()["model"]["version"] if answer.ok else ""
    return version


def set_version(artifact: Path, version: str) -> str:
    """Replace the card by one with another version; return the one before."""
    card = json.loads((artifact / CARD_FILE).read_text(encoding="utf-8"))
    (artifact / "next.json").write_text(json.dumps({**card, "version": version}), encoding="utf-8")
    (artifact / "next.json").replace(artifact / CARD_FILE)
    before: str = card["version"]
    return before


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A copy of the shipped artifact."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))


@pytest.fixture
def newer_models(models: Path, tmp_path: Path) -> Path:
    """The same networks, but the classifier only with the version `NEWER`."""
    folder = Path(shutil.copytree(models, tmp_path / "newer"))
    [old] = (folder / "traffic_sign").iterdir()
    old.rename(old.with_name(str(version_number(NEWER))))
    return folder


def test_replaced_artifact_is_used_as_soon_as_the_server_has_its_version(
    models: Path, newer_models: Path, artifact: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    with start_service(503, tf_serving=f"localhost:{port}", artifact=artifact) as url:
        with run_tf_serving(models, port):
            wait_until(lambda: post(url, PATH, CROPS[0]).status_code == 200)
            older = set_version(artifact, NEWER)
            written: list[str] = []

            def is_refused() -> bool:  # every answer of the meantime is one of the old version
                assert version_in(post(url, PATH, CROPS[0])) == older
                written.append(capfd.readouterr().err)
                return "the new classifier cannot be used yet, the old one stays in use" in "".join(written)

            wait_until(is_refused)
        with run_tf_serving(newer_models, port):
            wait_until(lambda: post(url, PATH, CROPS[0]).status_code == 200)
            assert version_in(post(url, PATH, CROPS[0])) == NEWER


def test_server_with_other_weights_is_a_problem_until_it_has_those_of_the_card(
    models: Path, newer_models: Path, artifact: Path
) -> None:
    port = free_port()
    set_version(artifact, NEWER)
    with start_service(503, tf_serving=f"localhost:{port}", artifact=artifact) as url:
        with run_tf_serving(models, port):
            reason = f"does not have version {version_number(NEWER)} of the network traffic_sign"
            wait_until(lambda: reason in requests.get(f"{url}/readyz", timeout=60).json()["detail"])
            assert_problem(post(url, PATH, CROPS[0]), 502, "engine_failed", reason)
        with run_tf_serving(newer_models, port):
            wait_until(lambda: post(url, PATH, CROPS[0]).status_code == 200)
            assert version_in(post(url, PATH, CROPS[0])) == NEWER
            wait_until(lambda: requests.get(f"{url}/readyz", timeout=60).status_code == 200)


def has_ipv6() -> bool:
    """Say whether there is a second address that `localhost` resolves to."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="the loopback interface has no IPv6, so localhost has one address")
def test_all_addresses_of_a_name_are_asked_and_nothing_is_lost_if_one_dies(models: Path, tmp_path: Path) -> None:
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with (
        start_tf_serving(models, host="127.0.0.1", log=logs[0]) as (port, first),
        run_tf_serving(models, port, host="::1", log=logs[1]),
        start_service(tf_serving=f"localhost:{port}") as url,
        ThreadPoolExecutor(4) as clients,
    ):

        def ask(number: int) -> int:
            if number == 40:
                assert all(len(log.read_text().splitlines()) > 5 for log in logs)
                first.kill()  # while the other clients wait for answers
            return post(url, PATH, CROPS[0]).status_code

        assert list(clients.map(ask, range(120))) == [200] * 120


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with `ca.pem`, `other.pem`, and `server.pem` with `server.key`, which the first has signed."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")

    def make(name: str, *options: str) -> None:
        new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*new, *files, *options], cwd=tmp_path, check=True, capture_output=True)

    make("ca")
    make("other")
    make("server", "-addext", "subjectAltName=IP:127.0.0.1", "-CA", "ca.pem", "-CAkey", "ca.key")
    return tmp_path


def test_server_is_asked_over_tls_if_the_authority_is_trusted(models: Path, certificates: Path) -> None:
    server: dict[str, Any] = {"certificate": certificates / "server.pem", "key": certificates / "server.key"}
    with run_tf_serving(models, **server) as port:
        address = f"127.0.0.1:{port}"
        with start_service(tf_serving=address, tf_serving_ca=certificates / "ca.pem") as url:
            assert post(url, PATH, CROPS[0]).json()["class_index"] == 14
        with start_service(503, tf_serving=address, tf_serving_ca=certificates / "other.pem") as url:
            reason = "a certificate for another host, or from an authority that is not trusted"
            assert_problem(post(url, PATH, CROPS[0]), 502, "engine_failed", reason)
            wait_until(lambda: reason in requests.get(f"{url}/readyz", timeout=60).json()["detail"])
        with start_service(503, tf_serving=address) as url:  # a server with TLS, asked without it
            assert_problem(post(url, PATH, CROPS[0]), 502, "engine_failed", "cannot be reached")
