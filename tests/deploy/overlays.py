"""What the overlays of deploy/kubernetes render to."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
OVERLAYS = DEPLOY / "kubernetes" / "overlays"
IGNORED = {"eks-pushed", "mine"}  # by git: written by push.sh, and by whoever follows docs/kubernetes.md
NAMES = sorted({path.name for path in OVERLAYS.iterdir()} - IGNORED)
VERSIONS = ("1.34", "1.35")  # of Kubernetes: on which it was tested, and of the cluster on EKS

Manifest = dict[str, Any]


@cache
def render(folder: Path) -> list[Manifest]:
    """Return the objects that an overlay renders to; skip the test without kubectl."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


def of_kind(kind: str, manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the objects of a kind by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def quantity(text: str) -> float:
    """Return an amount of CPU in cores, or of memory in bytes."""
    suffixes = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    for suffix, factor in suffixes.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)
