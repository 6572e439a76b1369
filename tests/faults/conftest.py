"""How large the faults are, and the table of what came of them."""

import os

import pytest

from tests.faults.client import Tally

_ROWS = pytest.StashKey[list[tuple[str, Tally, str]]]()


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the faults come in the numbers of `make test-faults`, or in those of every test run."""
    return os.environ.get("FAULTS") == "full"


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> list[tuple[str, Tally, str]]:
    """Where a test writes down what it did, what became of the requests, and what else it saw."""
    return request.config.stash.setdefault(_ROWS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.line("| fault | requests | 200 | 4xx | 5xx | retried once | lost | besides |")
    terminalreporter.line("|---|---|---|---|---|---|---|---|")
    for name, tally, besides in rows:
        kinds = [sum(n for status, n in tally.statuses.items() if status // 100 == kind) for kind in (2, 4, 5)]
        counts = [f"{count:,}" for count in (tally.sent, *kinds, tally.retried, tally.lost)]
        terminalreporter.line(f"| {' | '.join([name, *counts, besides])} |")
