"""The API server of a real cluster accepts what the overlays render to."""

import pytest

from tests.deploy.overlays import NAMES
from tests.kubernetes.cluster import NAMESPACE, OVERLAYS, kubectl

# A dry run creates no namespace, so one overlay must be there.
pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("overlay")]


@pytest.mark.parametrize("name", NAMES)
def test_the_api_server_accepts_every_overlay(name: str) -> None:
    printed = kubectl("apply", "--dry-run=server", "--kustomize", OVERLAYS / name).stdout
    assert f"namespace/{NAMESPACE}" in printed
