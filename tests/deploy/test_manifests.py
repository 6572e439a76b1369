"""The files in deploy/ are valid, and the paths to them exist. Nothing here needs kubectl."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.conftest import ROOT
from tests.deploy.overlays import DEPLOY, IGNORED, NAMES, VERSIONS

FOLDERS = (DEPLOY / "kubernetes", DEPLOY / "eks")
FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.yaml") if not IGNORED & {*path.parts})
OTHER_TOOLS = {"kustomize.config.k8s.io", "kind.x-k8s.io", "eksctl.io"}  # of which there are no Kubernetes schemas
READ_BY_PEOPLE = [ROOT / name for name in ("Makefile", "README.md", "CONTRIBUTING.md", "SECURITY.md")]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def group(document: dict[str, Any]) -> str:
    return str(document["apiVersion"]).partition("/")[0]


MANIFESTS = [path for path in FILES if group(documents(path)[0]) not in OTHER_TOOLS]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_manifest_follows_the_schema_of_kubernetes(path: Path, version: str) -> None:
    for document in documents(path):
        assert kubernetes_validate.validate(document, version, strict=True) == version


def test_the_schemas_find_misspelled_fields() -> None:
    [deployment] = [each for each in documents(MANIFESTS[-1]) if each["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    container["livenesProbe"] = container.pop("livenessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def test_every_kustomization_names_files_that_exist() -> None:
    for path in FILES:
        for document in documents(path):
            for named in [*document.get("resources", []), *document.get("components", [])]:
                target = path.parent / named
                assert target.is_file() or (target / "kustomization.yaml").is_file(), f"{path}: {named}"


def test_kind_maps_the_ports_of_its_overlay_to_those_of_the_readme() -> None:
    [cluster] = documents(DEPLOY / "kubernetes" / "kind.yaml")
    mappings = [each for node in cluster["nodes"] for each in node.get("extraPortMappings", [])]
    assert {each["hostPort"] for each in mappings} == {9696, 8501}
    assert {each["listenAddress"] for each in mappings} == {"127.0.0.1"}
    overlay = (DEPLOY / "kubernetes" / "overlays" / "kind" / "kustomization.yaml").read_text(encoding="utf-8")
    ports = {int(port) for port in re.findall(r"nodePort, value: (\d+)", overlay)}
    assert ports == {each["containerPort"] for each in mappings}


def test_eks_has_a_group_of_spot_nodes_and_one_that_is_not_reclaimed() -> None:
    [cluster] = documents(DEPLOY / "eks" / "cluster.yaml")
    groups = cluster["managedNodeGroups"]
    assert {bool(each.get("spot")) for each in groups} == {True, False}
    assert all(each["minSize"] >= 1 for each in groups)
    assert cluster["iam"]["withOIDC"]
    assert cluster["cloudWatch"]["clusterLogging"]["enableTypes"]
    assert cluster["metadata"]["version"] in VERSIONS
    addons = {each["name"]: each.get("configurationValues", "") for each in cluster["addons"]}
    assert yaml.safe_load(addons["vpc-cni"]) == {"enableNetworkPolicy": "true"}
    assert "metrics-server" in addons


def test_tensorflow_serving_has_the_version_of_tensorflow_that_exports() -> None:
    """A newer TensorFlow may write operations that an older server does not know."""
    [image] = re.findall(r"^FROM (\S+)$", (DEPLOY / "tf-serving" / "Dockerfile").read_text(encoding="utf-8"), re.M)
    [locked] = re.findall(r"^tensorflow-cpu==([\d.]+)", (ROOT / "requirements" / "train.txt").read_text("utf-8"), re.M)
    assert image.startswith(f"tensorflow/serving:{locked.rpartition('.')[0]}.")


@pytest.mark.parametrize("path", [*READ_BY_PEOPLE, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name)
def test_named_files_of_deploy_exist(path: Path) -> None:
    named = set(re.findall(r"\bdeploy/[\w./-]*\w", path.read_text(encoding="utf-8")))
    missing = sorted(each for each in named if not (ROOT / each).exists() and not IGNORED & {*Path(each).parts})
    assert missing == []


def test_the_documents_name_only_overlays_that_exist() -> None:
    named = set()
    for path in [*READ_BY_PEOPLE, *(ROOT / "docs").glob("*.md"), DEPLOY / "eks" / "push.sh"]:
        named |= set(re.findall(r"OVERLAY=([a-z-]+)", path.read_text(encoding="utf-8")))
    assert {"kind", "standalone", "eks-pushed"} <= named <= {*NAMES, *IGNORED}


def test_an_unknown_overlay_is_refused_with_the_list() -> None:
    result = subprocess.run(
        ["make", "deploy", "OVERLAY=nowhere"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert all(name in result.stdout for name in NAMES)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="ShellCheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    scripts = sorted(DEPLOY.rglob("*.sh"))
    assert scripts
    result = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
