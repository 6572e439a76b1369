"""The deployed overlay, the clients that load it during a disturbance, and the table of results."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import pytest

from tests.conftest import ROOT, wait_until
from tests.kubernetes import cluster, images, settings
from tests.kubernetes.clients import Load, Tally, running

SIGN = (ROOT / "ui/static/traffic_sign/samples/stop.png").read_bytes()
FEW = 60  # answers on each kind of connection before and after a disturbance

Under = Callable[..., AbstractContextManager["Run"]]


@dataclass
class Run:
    """A disturbance under load: the tallies, and what else is to be noted in the table."""

    tallies: Mapping[str, Tally]
    notes: list[str] = field(default_factory=list)

    def wait_for_answers(self, count: int = FEW) -> None:
        """Wait until so many more requests are answered on each kind of connection."""
        wanted = {kind: tally.answered + count for kind, tally in self.tallies.items()}
        wait_until(
            lambda: all(self.tallies[kind].answered >= least for kind, least in wanted.items()), cluster.PATIENCE_S, 0.2
        )


_ROWS = pytest.StashKey[list[tuple[str, str, Run]]]()


@pytest.fixture(scope="session")
def images_are_loaded() -> None:
    """Build the images and load them on to the nodes."""
    images.prepare(settings.OVERLAYS)


@pytest.fixture(scope="session", params=settings.OVERLAYS)
def overlay(request: pytest.FixtureRequest, images_are_loaded: None) -> Iterator[str]:  # noqa: ARG001
    """The name of the overlay that runs on the cluster, with two pods of each Deployment."""
    found = cluster.kubectl("get", "namespace", cluster.NAMESPACE, check=False)
    assert found.returncode, f"this cluster has a namespace {cluster.NAMESPACE}; the tests would delete what is in it"
    assert "NotFound" in found.stderr, found.stderr
    name = str(request.param)
    try:
        cluster.apply(name)
        yield name
    finally:
        cluster.kubectl("delete", "--kustomize", cluster.OVERLAYS / name, "--wait", "--timeout=300s", check=False)


@pytest.fixture
def steady(overlay: str) -> str:
    """The overlay in its original state, with autoscalers that keep two pods each."""
    cluster.apply(overlay)
    for name in (cluster.name_of(each) for each in cluster.items("hpa")):
        cluster.scale(name, 2)
    return overlay


@pytest.fixture(scope="session")
def host() -> str:
    """The address of a node that no test disturbs."""
    return cluster.address(cluster.nodes()[0])


@pytest.fixture(scope="session")
def service_url(host: str) -> str:
    return settings.SERVICE_URL.format(host=host)


@pytest.fixture(scope="session")
def page_url(host: str) -> str:
    return settings.PAGE_URL.format(host=host)


@pytest.fixture
def under(request: pytest.FixtureRequest, overlay: str, service_url: str) -> Under:
    """A function that loads the service during a block, and checks and records what became of the requests."""
    rows = request.config.stash.setdefault(_ROWS, [])

    @contextmanager
    def load(disturbance: str, *, lossless: bool, requests: Load | None = None) -> Iterator[Run]:
        """Load the service; nothing may be lost with one retry, and if `lossless`, nothing without any."""
        with running(service_url, requests or Load([SIGN])) as tallies:
            run = Run(tallies)
            run.wait_for_answers()
            rows.append((overlay, disturbance, run))
            yield run
            run.wait_for_answers()
        for kind, tally in tallies.items():
            assert tally.lost == 0, f"{kind} connections: {tally.reasons}"
            assert tally.failed == 0 or not lossless, f"{kind} connections: {tally.reasons}"

    return load


@pytest.fixture(scope="session")
def other_node() -> str:
    """The name of a node that may be disturbed: not the one whose address the clients use."""
    found = cluster.nodes()
    if len(found) < 2:
        pytest.skip("the cluster has one node")
    return cluster.name_of(found[-1])


def require(template: str) -> None:
    """Skip the test if the program of a command is not installed."""
    program = settings.command(template, node="", container="")[0]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    version = cluster.kubectl("version", check=False).stdout.splitlines()
    terminalreporter.section("disturbances")
    terminalreporter.line(f"{', '.join(version)}, {len(cluster.items('nodes'))} nodes, {os.cpu_count()} cores")
    terminalreporter.line(
        "| overlay | disturbance | connections | sent | answered | refused | lost without a retry | with one | notes |"
    )
    terminalreporter.line("|---|---|---|---|---|---|---|---|---|")
    for overlay, disturbance, run in rows:
        for kind, tally in run.tallies.items():
            counts = [f"{n:,}" for n in (tally.sent, tally.answered, tally.refused, tally.failed, tally.lost)]
            reasons = [f"{count} × {reason}" for reason, count in tally.reasons.items()]
            cells = [overlay, disturbance, kind, *counts, "; ".join([*run.notes, *reasons])]
            terminalreporter.line(f"| {' | '.join(cells)} |")
