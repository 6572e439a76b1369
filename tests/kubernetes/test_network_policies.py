"""Pods reach only what they may reach."""

import pytest

from tests.kubernetes import cluster, images
from tests.kubernetes.cluster import PAGE, SERVICE, TF_SERVING, kubectl, run_python

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("steady")]

# Prints whether a TCP connection is possible; packets that a policy drops get no answer.
CONNECT = """
import socket
try:
    socket.create_connection(({host!r}, {port}), 5).close()
except OSError as error:
    print("closed:", error)
else:
    print("open")
"""


def connects(pod: str, host: str, port: int) -> bool:
    """Say whether a pod can connect."""
    return run_python(pod, CONNECT.format(host=host, port=port)).startswith("open")


def test_a_foreign_pod_cannot_reach_tensorflow_serving(steady: str) -> None:
    """It reaches the service, so it has a network; the service reaches TensorFlow Serving."""
    if "tf-serving" not in steady:
        pytest.skip("this overlay has no TensorFlow Serving")
    server = cluster.pods(TF_SERVING)[0]["status"]["podIP"]
    service = cluster.pods(SERVICE)[0]["status"]["podIP"]
    assert connects(f"deployment/{SERVICE}", TF_SERVING, 8500)
    assert connects(f"deployment/{SERVICE}", server, 8500)
    foreign = "traffic-signs-foreign"
    kubectl(
        *("run", foreign, "--namespace", "default", "--image", images.PAGE, "--image-pull-policy", "IfNotPresent"),
        *("--restart", "Never", "--command", "--", "sleep", "600"),
    )
    try:
        kubectl("wait", "--namespace", "default", "--for", "condition=Ready", f"pod/{foreign}", "--timeout=120s")

        def reaches(host: str, port: int) -> bool:
            program = CONNECT.format(host=host, port=port)
            command = ("exec", "--namespace", "default", "--stdin", foreign, "--", "python", "-")
            return kubectl(*command, stdin=program).stdout.startswith("open")

        assert reaches(service, 9696)
        assert not reaches(server, 8500)
    finally:
        kubectl("delete", "pod", "--namespace", "default", foreign, "--now", "--wait=false")


def test_the_service_cannot_open_other_connections() -> None:
    page = cluster.pods(PAGE)[0]["status"]["podIP"]
    assert not connects(f"deployment/{SERVICE}", page, 8501)
    assert connects(f"deployment/{PAGE}", SERVICE, 9696)
