"""Changes that operators and autoscalers make lose no request."""

import pytest

from tests.conftest import ROOT, wait_until
from tests.kubernetes import cluster, images
from tests.kubernetes.clients import Load
from tests.kubernetes.cluster import SERVICE, TF_SERVING, kubectl
from tests.kubernetes.conftest import Under

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("steady")]

PHOTO = (ROOT / "ui/static/traffic_sign/samples/town.jpg").read_bytes()
HEAVY = Load([PHOTO], path="/detect/traffic_sign", clients=4, pause_s=0.0)


def images_of(name: str) -> set[str]:
    """Return the images that the pods of a Deployment run."""
    return {pod["spec"]["containers"][0]["image"] for pod in cluster.pods(name)}


def test_a_rolling_update_loses_nothing(under: Under) -> None:
    container = cluster.item("deployment", SERVICE)["spec"]["template"]["spec"]["containers"][0]["name"]
    with under("rolling update to a new version, and back", lossless=True) as run:
        for image in (images.NEXT_SERVICE, images.SERVICE):
            kubectl("set", "image", "deployment", SERVICE, f"{container}={image}")
            cluster.settle()
            assert images_of(SERVICE) == {image}
            run.wait_for_answers()


def test_scaling_loses_nothing(under: Under) -> None:
    cluster.scale(SERVICE, 1)
    with under("scaling 1 → 4 → 1", lossless=True) as run:
        for count in (4, 1):
            cluster.scale(SERVICE, count)
            assert len(cluster.pods(SERVICE)) == count
            run.wait_for_answers()


def test_a_drained_node_loses_nothing(under: Under, other_node: str) -> None:
    with under("a node cordoned and drained", lossless=True) as run:
        try:
            kubectl("drain", other_node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
            cluster.settle()
            assert all(pod["spec"]["nodeName"] != other_node for pod in cluster.pods(SERVICE))
            run.wait_for_answers()
        finally:
            kubectl("uncordon", other_node)


def test_a_deleted_pod_loses_nothing(under: Under) -> None:
    with under("a pod deleted", lossless=True):
        kubectl("delete", "pod", cluster.name_of(cluster.pods(SERVICE)[0]))
        cluster.settle()


def test_restarting_tensorflow_serving_loses_nothing(steady: str, under: Under) -> None:
    if "tf-serving" not in steady:
        pytest.skip("this overlay has no TensorFlow Serving")
    with under("TensorFlow Serving: rolling restart", lossless=True):
        kubectl("rollout", "restart", "deployment", TF_SERVING)
        cluster.settle()


def test_the_autoscaler_adds_pods_under_load_and_removes_them_after(steady: str, under: Under) -> None:
    if kubectl("top", "pods", check=False).returncode:
        pytest.skip("the cluster has no metrics server")
    cluster.apply(steady)
    hpa = cluster.item("hpa", SERVICE)["spec"]
    assert hpa["minReplicas"] == 2

    def replicas() -> int:
        return int(cluster.item("deployment", SERVICE)["spec"]["replicas"])

    with under("the autoscaler adds pods", lossless=True, requests=HEAVY) as run:
        wait_until(lambda: replicas() > 2, cluster.PATIENCE_S, 2.0)
        cluster.settle()
        run.notes.append(f"{replicas()} pods; photos to detect signs in, without pause")
    with under("the autoscaler removes them", lossless=True):
        wait_until(lambda: replicas() == 2, cluster.PATIENCE_S, 2.0)
        cluster.settle()
