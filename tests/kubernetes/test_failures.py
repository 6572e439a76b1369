"""What breaks at once loses nothing if clients retry once."""

import io
import subprocess

import pytest
import requests
from PIL import Image

from tests.conftest import wait_until
from tests.kubernetes import cluster, settings
from tests.kubernetes.clients import Load
from tests.kubernetes.cluster import SERVICE, TF_SERVING, kubectl
from tests.kubernetes.conftest import SIGN, Under, require

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("steady")]

KILL_WORKER = """
import os, pathlib, signal
[worker] = pathlib.Path("/proc/1/task/1/children").read_text().split()
os.kill(int(worker), signal.SIGKILL)
"""
RAW = {"Content-Type": "application/octet-stream"}
SMALL_MIB = 256  # a memory limit that the large photo exceeds


def large_photo() -> bytes:
    """Return a photo with as many pixels as are allowed, which takes 256 MB decoded."""
    buffer = io.BytesIO()
    Image.new("RGBA", (16_000, 4_000), (128, 128, 128, 128)).save(buffer, "PNG")
    return buffer.getvalue()


def restarts(name: str) -> int:
    """Return how often containers of a Deployment's pods were restarted."""
    return sum(each["restartCount"] for pod in cluster.pods(name) for each in pod["status"]["containerStatuses"])


def kill_container(name: str) -> None:
    """Send SIGKILL to the first process in a container of a Deployment, and wait until it runs again."""
    before = restarts(name)
    pod = cluster.pods(name)[0]
    identity = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    words = settings.command(settings.KILL_CONTAINER, node=pod["spec"]["nodeName"], container=identity)
    subprocess.run(words, check=True)
    wait_until(lambda: restarts(name) > before, cluster.PATIENCE_S, 0.5)
    cluster.settle()


def test_a_killed_worker(under: Under) -> None:
    with under("a worker of the service killed (SIGKILL)", lossless=False):
        cluster.run_python(cluster.name_of(cluster.pods(SERVICE)[0]), KILL_WORKER)


def test_a_killed_server(under: Under) -> None:
    require(settings.KILL_CONTAINER)
    with under("a container of the service killed (SIGKILL)", lossless=False):
        kill_container(SERVICE)


def test_a_killed_tensorflow_serving(steady: str, under: Under) -> None:
    if "tf-serving" not in steady:
        pytest.skip("this overlay has no TensorFlow Serving")
    require(settings.KILL_CONTAINER)
    with under("TensorFlow Serving: a container killed (SIGKILL)", lossless=False):
        kill_container(TF_SERVING)


def test_a_pod_at_its_memory_limit(under: Under, service_url: str) -> None:
    """The limit is lowered, and a photo that needs more is sent twice; it gets no answer, other requests do."""
    amount = f"memory={SMALL_MIB}Mi"
    kubectl("set", "resources", "deployment", SERVICE, f"--requests={amount}", f"--limits={amount}")
    cluster.settle()
    photo = large_photo()
    with under(f"a pod reaches its memory limit ({SMALL_MIB} MiB)", lossless=False) as run:
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                requests.post(f"{service_url}/detect/traffic_sign", data=photo, headers=RAW, timeout=60)
            run.wait_for_answers()
        cluster.settle()


def test_a_node_that_goes_away_at_once(under: Under, other_node: str) -> None:
    require(settings.STOP_NODE)

    def is_gone() -> bool:
        return other_node not in {cluster.name_of(each) for each in cluster.nodes()}

    load = Load([SIGN], timeout_s=60)  # longer than a cluster takes to notice
    with under("a node goes away at once", lossless=False, requests=load) as run:
        subprocess.run(settings.command(settings.STOP_NODE, node=other_node), check=True)
        try:
            wait_until(is_gone, cluster.PATIENCE_S, 1.0)
            run.wait_for_answers()
        finally:
            subprocess.run(settings.command(settings.START_NODE, node=other_node), check=True)
        wait_until(lambda: not is_gone(), cluster.PATIENCE_S, 1.0)
        cluster.settle()
