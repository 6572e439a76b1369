"""What the tests ask of the cluster that KUBECONFIG names, by kubectl."""

import json
import subprocess
from typing import Any, Final

from tests.conftest import ROOT, wait_until

NAMESPACE: Final = "traffic-signs"
SERVICE: Final = "traffic-sign-service"
PAGE: Final = "traffic-sign-ui"
TF_SERVING: Final = "traffic-sign-tf-serving"
NAME_LABEL: Final = "app.kubernetes.io/name"
OVERLAYS: Final = ROOT / "deploy" / "kubernetes" / "overlays"
PATIENCE_S: Final = 300.0  # guards against hanging only

Item = dict[str, Any]


def kubectl(*arguments: object, stdin: str | None = None, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run kubectl in the namespace of the project."""
    command = ["kubectl", "--namespace", NAMESPACE, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
    assert result.returncode == 0 or not check, f"{' '.join(command)}: {result.stderr or result.stdout}"
    return result


def items(kind: str, *arguments: object) -> list[Item]:
    """Return the objects of a kind."""
    found: list[Item] = json.loads(kubectl("get", kind, "--output", "json", *arguments).stdout)["items"]
    return found


def item(kind: str, name: str) -> Item:
    """Return an object."""
    found: Item = json.loads(kubectl("get", kind, name, "--output", "json").stdout)
    return found


def pods(name: str) -> list[Item]:
    """Return all pods of a Deployment, including those that end."""
    return items("pods", "--selector", f"{NAME_LABEL}={name}")


def is_ready(pod: Item) -> bool:
    """Say whether a pod gets traffic."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def name_of(each: Item) -> str:
    """Return the name of an object."""
    return str(each["metadata"]["name"])


def deployments() -> list[str]:
    """Return the names of all Deployments."""
    return [name_of(each) for each in items("deployments")]


def apply(overlay: str) -> None:
    """Apply an overlay and wait until it runs."""
    kubectl("apply", "--kustomize", OVERLAYS / overlay)
    settle()


def set_replicas(name: str, least: int, most: int) -> None:
    """Let the autoscaler of a Deployment keep so many pods."""
    spec = {"spec": {"minReplicas": least, "maxReplicas": most}}
    kubectl("patch", "hpa", name, "--type", "merge", "--patch", json.dumps(spec))


def scale(name: str, count: int) -> None:
    """Scale a Deployment that has an autoscaler, and wait until it has so many pods that are ready."""
    set_replicas(name, count, count)
    wait_until(lambda: item("deployment", name)["spec"].get("replicas", 1) == count, PATIENCE_S, 0.5)
    settle()


def settle() -> None:
    """Wait until every Deployment has the pods it wants, all of them ready, and no pod is about to end."""
    for name in deployments():
        kubectl("rollout", "status", "deployment", name, "--timeout", f"{PATIENCE_S:.0f}s")
    wait_until(lambda: all(is_ready(pod) for pod in items("pods", "--selector", NAME_LABEL)), PATIENCE_S, 0.5)


def run_python(pod: str, program: str, *variables: str) -> str:
    """Run a Python program in a pod (or "deployment/NAME") and return what it prints."""
    words = ["env", *variables] if variables else []
    return kubectl("exec", "--stdin", pod, "--", *words, "python", "-", stdin=program).stdout


def nodes() -> list[Item]:
    """Return the nodes on which pods may run."""
    return [each for each in items("nodes") if not each["spec"].get("taints") and is_ready(each)]


def address(node: Item) -> str:
    """Return the internal IP address of a node."""
    return next(str(each["address"]) for each in node["status"]["addresses"] if each["type"] == "InternalIP")
