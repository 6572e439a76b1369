"""Which cluster the tests run on, and how: environment variables, with defaults for `make kind-up`."""

import os
import shlex
from typing import Final

OVERLAYS: Final = os.environ.get("OVERLAYS", "kind kind-tf-serving").split()
BUILD: Final = os.environ.get("BUILD", "yes") == "yes"  # else the images are there already
# Commands, with {names} that are filled in. `docker` runs them on the nodes of kind, which are containers.
LOAD_IMAGE: Final = os.environ.get("LOAD_IMAGE", "kind load docker-image --name traffic-signs {image}")
KILL_CONTAINER: Final = os.environ.get(
    "KILL_CONTAINER", "docker exec {node} ctr --namespace k8s.io tasks kill --signal SIGKILL {container}"
)
STOP_NODE: Final = os.environ.get("STOP_NODE", "docker pause {node}")
START_NODE: Final = os.environ.get("START_NODE", "docker unpause {node}")
# By default the NodePorts on the internal address of a node.
SERVICE_URL: Final = os.environ.get("SERVICE_URL", "http://{host}:30096")
PAGE_URL: Final = os.environ.get("PAGE_URL", "http://{host}:30085")


def command(template: str, **names: str) -> list[str]:
    """Return a command with the names filled in."""
    return [word.format(**names) for word in shlex.split(template)]
