"""Builds the images that the overlays name, and loads them on to the nodes."""

import os
import subprocess

from tests.conftest import ROOT
from tests.kubernetes.settings import BUILD, LOAD_IMAGE, command

SERVICE = "traffic-sign-service:dev"
NEXT_SERVICE = "traffic-sign-service:next"
PAGE = "traffic-sign-ui:dev"
TF_SERVING = "traffic-sign-tf-serving:dev"
FULL_SERVICE = "traffic-sign-service:full"


def prepare(overlays: list[str]) -> None:
    """Build the images, unless they are there already, and load them."""
    wanted = [SERVICE, NEXT_SERVICE, PAGE]
    if BUILD:
        _build(SERVICE, "--file", "Dockerfile.service", "--target", "slim", ".")
        _build(NEXT_SERVICE, "-", stdin=f"FROM {SERVICE}\nLABEL version=next\n")
        _build(PAGE, "--file", "Dockerfile.ui", ".")
    if any("tf-serving" in overlay for overlay in overlays):
        wanted.append(TF_SERVING)
        if BUILD:
            _build(FULL_SERVICE, "--file", "Dockerfile.service", ".")
            _build(TF_SERVING, "--file", "tests/kubernetes/tf_serving.Dockerfile", "tests")
    for image in wanted:
        _run(command(LOAD_IMAGE, image=image))


def _build(image: str, *arguments: str, stdin: str | None = None) -> None:
    _run(["docker", "build", "--tag", image, *arguments], stdin)


def _run(words: list[str], stdin: str | None = None) -> None:
    # The classic builder works even where BuildKit is not installed.
    variables = {"DOCKER_BUILDKIT": "0", **os.environ}
    result = subprocess.run(words, cwd=ROOT, env=variables, input=stdin, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(words)}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
