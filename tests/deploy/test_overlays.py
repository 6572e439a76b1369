"""Every overlay renders, and what it renders is safe to run and fits together."""

import re
from itertools import chain
from typing import Any

import kubernetes_validate
import pytest

from service.settings import Settings
from tests.conftest import ROOT
from tests.deploy.overlays import NAMES, OVERLAYS, VERSIONS, Manifest, of_kind, quantity, render
from ui.settings import Settings as PageSettings

GUNICORN = (ROOT / "service" / "gunicorn.conf.py").read_text(encoding="utf-8")
SETTINGS = {f"SERVICE_{name.upper()}" for name in Settings.model_fields}
PAGE_SETTINGS = {f"UI_{name.upper()}" for name in PageSettings.model_fields}


@pytest.fixture(params=NAMES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(OVERLAYS / request.param)


def pods(manifests: list[Manifest]) -> dict[str, Any]:
    """Return the pod template of each Deployment."""
    return {name: each["spec"]["template"] for name, each in of_kind("Deployment", manifests).items()}


def containers(manifests: list[Manifest]) -> list[dict[str, Any]]:
    return [container for pod in pods(manifests).values() for container in pod["spec"]["containers"]]


def selects(labels: dict[str, str], pod: dict[str, Any]) -> bool:
    return bool(labels) and labels.items() <= pod["metadata"]["labels"].items()


def selected(labels: dict[str, str], manifests: list[Manifest]) -> list[str]:
    """Return the Deployments whose pods have these labels."""
    return [name for name, pod in pods(manifests).items() if selects(labels, pod)]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_rendered_follows_the_schemas(manifests: list[Manifest], version: str) -> None:
    for each in manifests:
        assert kubernetes_validate.validate(each, version, strict=True) == version


def test_everything_is_in_one_namespace(manifests: list[Manifest]) -> None:
    [namespace] = of_kind("Namespace", manifests)
    assert {each["metadata"].get("namespace") for each in manifests if each["kind"] != "Namespace"} == {namespace}


def test_only_overlays_with_tensorflow_serving_ask_it() -> None:
    for name in NAMES:
        manifests = render(OVERLAYS / name)
        [settings] = [
            each["data"] for key, each in of_kind("ConfigMap", manifests).items() if "traffic-sign-service" in key
        ]
        wanted = name.endswith("tf-serving")
        assert ("traffic-sign-tf-serving" in pods(manifests)) == wanted
        assert ("SERVICE_TF_SERVING" in settings) == wanted
        if wanted:
            host, _, port = settings["SERVICE_TF_SERVING"].partition(":")
            server = of_kind("Service", manifests)[host]["spec"]
            assert server["clusterIP"] == "None"  # so that the name has the address of each pod
            assert [each["port"] for each in server["ports"]] == [int(port)]


def test_every_pod_is_unprivileged(manifests: list[Manifest]) -> None:
    for pod in pods(manifests).values():
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(manifests):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_no_pod_gets_a_token_or_variables_of_services(manifests: list[Manifest]) -> None:
    accounts = of_kind("ServiceAccount", manifests)
    for pod in pods(manifests).values():
        assert pod["spec"]["enableServiceLinks"] is False
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert accounts[pod["spec"]["serviceAccountName"]]["automountServiceAccountToken"] is False
    assert not [name for name in of_kind("Service", manifests) if name.split("-")[0] in {"service", "ui"}]


def test_every_container_has_requests_limits_and_three_probes(manifests: list[Manifest]) -> None:
    for container in containers(manifests):
        resources = container["resources"]
        for resource in ("cpu", "memory"):
            assert 0 < quantity(resources["requests"][resource]) <= quantity(resources["limits"][resource])
        ports = {each["name"] for each in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            [target] = [container[probe][kind] for kind in ("httpGet", "tcpSocket") if kind in container[probe]]
            assert target["port"] in ports
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert ":" in container["image"].rpartition("/")[2]


def test_readiness_and_liveness_of_the_service_are_different_questions(manifests: list[Manifest]) -> None:
    """A service that is not ready must not be restarted."""
    [container] = pods(manifests)["traffic-sign-service"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"


def test_a_pod_that_ends_has_time_to_answer(manifests: list[Manifest]) -> None:
    [graceful_timeout] = re.findall(r"^graceful_timeout = (\d+)", GUNICORN, re.MULTILINE)
    for deployment in of_kind("Deployment", manifests).values():
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        pod = deployment["spec"]["template"]["spec"]
        pauses = [container["lifecycle"]["preStop"]["sleep"]["seconds"] for container in pod["containers"]]
        assert min(pauses) >= 5
        assert pod["terminationGracePeriodSeconds"] > max(pauses) + int(graceful_timeout)


def test_pods_spread_over_nodes(manifests: list[Manifest]) -> None:
    for pod in pods(manifests).values():
        [constraint] = pod["spec"]["topologySpreadConstraints"]
        assert constraint["topologyKey"] == "kubernetes.io/hostname"
        assert selects(constraint["labelSelector"]["matchLabels"], pod)
        assert "app.kubernetes.io/name" in constraint["matchLabelKeys"]


def test_variables_are_settings_that_fit_the_limits(manifests: list[Manifest]) -> None:
    maps = of_kind("ConfigMap", manifests)
    for name, known in (("traffic-sign-service", SETTINGS), ("traffic-sign-ui", PAGE_SETTINGS)):
        [container] = pods(manifests)[name]["spec"]["containers"]
        [source] = container["envFrom"]
        values = maps[source["configMapRef"]["name"]]["data"]
        assert {*values, *(each["name"] for each in container["env"])} <= known
        if name == "traffic-sign-service":
            threads = int(values["SERVICE_WORKERS"]) * int(values["SERVICE_INFERENCE_THREADS"])
            assert threads <= quantity(container["resources"]["limits"]["cpu"])
        else:
            [port] = of_kind("Service", manifests)["traffic-sign-service"]["spec"]["ports"]
            assert values["UI_SERVICE_URL"] == f"http://traffic-sign-service:{port['port']}"


def test_every_service_has_pods_that_listen(manifests: list[Manifest]) -> None:
    for service in of_kind("Service", manifests).values():
        [name] = selected(service["spec"]["selector"], manifests)
        [container] = pods(manifests)[name]["spec"]["containers"]
        listening = {port["name"]: port["containerPort"] for port in container["ports"]}
        for port in service["spec"]["ports"]:
            assert listening[port["targetPort"]] == port["port"]  # the network policies of EKS need them to be equal


def test_autoscalers_and_budgets_are_those_of_deployments(manifests: list[Manifest]) -> None:
    deployments = of_kind("Deployment", manifests)
    scaled = set()
    for autoscaler in of_kind("HorizontalPodAutoscaler", manifests).values():
        target = autoscaler["spec"]["scaleTargetRef"]
        assert target["kind"] == "Deployment"
        scaled.add(target["name"])
    assert scaled == deployments.keys() - {"traffic-sign-ui"}
    # A number of replicas in the manifest would undo what the autoscaler did, at every deployment.
    assert {name for name, each in deployments.items() if "replicas" in each["spec"]} == {"traffic-sign-ui"}
    budgets = of_kind("PodDisruptionBudget", manifests).values()
    guarded = [selected(each["spec"]["selector"]["matchLabels"], manifests) for each in budgets]
    assert sorted(chain(*guarded)) == sorted(deployments)
    assert {each["spec"]["maxUnavailable"] for each in budgets} == {1}  # of a single pod too, or its node never drains


def test_network_policies_allow_only_the_known_ways(manifests: list[Manifest]) -> None:
    deployments = of_kind("Deployment", manifests)
    entries: dict[str, set[tuple[str, int]]] = {name: set() for name in deployments}
    exits: dict[str, set[tuple[str, int]]] = {name: set() for name in deployments}
    closed: dict[str, set[str]] = {name: set() for name in deployments}
    for policy in of_kind("NetworkPolicy", manifests).values():
        spec = policy["spec"]
        [name] = selected(spec["podSelector"]["matchLabels"], manifests)
        closed[name] |= set(spec["policyTypes"])
        for found, rules, peers in ((entries, "ingress", "from"), (exits, "egress", "to")):
            for rule in spec.get(rules, []):
                others = ["*"]
                if peers in rule:
                    labels = [peer["podSelector"]["matchLabels"] for peer in rule[peers]]
                    others = list(chain(*(selected(each, manifests) for each in labels)))
                    assert len(others) == len(labels)
                found[name] |= {(other, port["port"]) for other in others for port in rule["ports"]}
    assert all(types == {"Ingress", "Egress"} for types in closed.values())
    assert entries["traffic-sign-service"] == {("*", 9696)}
    assert entries["traffic-sign-ui"] == {("*", 8501)}
    assert exits["traffic-sign-ui"] == {("traffic-sign-service", 9696), ("*", 53)}
    if "traffic-sign-tf-serving" in deployments:
        assert entries["traffic-sign-tf-serving"] == {("traffic-sign-service", 8500)}
        assert exits["traffic-sign-tf-serving"] == set()
        assert exits["traffic-sign-service"] == {("traffic-sign-tf-serving", 8500), ("*", 53)}
    else:
        assert exits["traffic-sign-service"] == set()


def test_eks_is_published_only_with_a_key() -> None:
    for name in NAMES:
        manifests = render(OVERLAYS / name)
        published = {each["spec"].get("type") for each in of_kind("Service", manifests).values()} >= {"LoadBalancer"}
        assert published == name.startswith("eks")
        [container] = pods(manifests)["traffic-sign-service"]["spec"]["containers"]
        [key] = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if each["name"] == "SERVICE_API_KEYS"]
        assert key["optional"] == (not published)
