"""How long the stages of an answer take."""

import time
from typing import Final

STAGES: Final = ("decode", "infer", "encode")
HEADER: Final = "Server-Timing"


class Stages:
    """The stages of one answer, each of `STAGES`, with the seconds that they took, once for each picture."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self._began = 0.0

    def begin(self) -> None:
        """Begin a stage."""
        self._began = time.perf_counter()

    def end(self, name: str) -> None:
        """End a stage that has succeeded; the next one begins."""
        now = time.perf_counter()
        self.seconds.append((name, now - self._began))
        self._began = now

    def header(self) -> str:
        """Return the value of a `Server-Timing` header, in milliseconds, added up over the pictures."""
        totals: dict[str, float] = {}
        for name, seconds in self.seconds:
            totals[name] = totals.get(name, 0.0) + seconds
        return ", ".join([f"{name};dur={1000 * seconds:.3f}" for name, seconds in totals.items()])
