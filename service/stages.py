"""Durations of the stages of an answer."""

import time
from typing import Final

STAGES: Final = ("decode", "infer", "locate", "encode")
HEADER: Final = "Server-Timing"


class Stages:
    """The stages of one answer with their durations in seconds; each stage occurs once per picture."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self._began = 0.0

    def begin(self) -> None:
        """Start the first stage."""
        self._began = time.perf_counter()

    def end(self, name: str) -> None:
        """End a stage that succeeded and start the next one."""
        self.add(name, time.perf_counter() - self._began)

    def add(self, name: str, seconds: float) -> None:
        """Add a stage that took this long and ends now; the next one starts."""
        self.seconds.append((name, seconds))
        self._began = time.perf_counter()

    def header(self) -> str:
        """Return the value of a `Server-Timing` header, in milliseconds, summed over the pictures."""
        totals: dict[str, float] = {}
        for name, seconds in self.seconds:
            totals[name] = totals.get(name, 0.0) + seconds
        return ", ".join([f"{name};dur={1000 * seconds:.3f}" for name, seconds in totals.items()])
