"""How many faults are injected, artifacts for them, and the table of results."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.client import Tally

FAST, SLOW = (8, 16), (128, 256, 256)  # widths of networks that take about 0.3 ms and 30 ms without AVX-512

_ROWS = pytest.StashKey[list[tuple[str, Tally, str]]]()


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether to inject as many faults as `make test-faults`, or as few as in every test run."""
    return os.environ.get("FAULTS") == "full"


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> list[tuple[str, Tally, str]]:
    """Rows of the table: the fault, what became of the requests, and notes."""
    return request.config.stash.setdefault(_ROWS, [])


@pytest.fixture(scope="session")
def fast_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that is fast enough to run on the event loop."""
    return write_untrained(tmp_path_factory.mktemp("fast") / "artifact", *FAST)


@pytest.fixture(scope="session")
def slow_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that takes tens of milliseconds."""
    return write_untrained(tmp_path_factory.mktemp("slow") / "artifact", *SLOW)


def write_untrained(folder: Path, *widths: int) -> Path:
    """Write an artifact with an untrained network of these widths."""
    command = [sys.executable, "-m", "tests.faults.untrained", str(folder), *map(str, widths)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.line("| fault | requests | 200 | 4xx | 5xx | retried once | lost | notes |")
    terminalreporter.line("|---|---|---|---|---|---|---|---|")
    for name, tally, besides in rows:
        kinds = [sum(n for status, n in tally.statuses.items() if status // 100 == kind) for kind in (2, 4, 5)]
        counts = [f"{count:,}" for count in (tally.sent, *kinds, tally.retried, tally.lost)]
        terminalreporter.line(f"| {' | '.join([name, *counts, besides])} |")
