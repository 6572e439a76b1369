"""Back-pressure: how many requests may wait in a worker, and how many bytes of them it holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service.metrics import Metrics
from service.problems import Problem

# Of bodies that are being received or answered in one worker. Forms take up to twice as much again while they are read.
MAX_HELD_BYTES: Final = 256 * 1024**2
SMALL_BYTES: Final = 256 * 1024
MAX_FETCHES: Final = 16  # pictures that one worker fetches by their addresses at a time
RETRY_AFTER_S: Final = 1


class Gate:
    """Lets a bounded number of requests wait, and refuses the others at once: those that wait keep their latency.

    It is used by one thread, that of the event loop. A request waits from when its picture has come, or been fetched,
    until its answer is ready to be sent, so clients and hosts that send or read slowly take no place.

    Args:
        places: how many requests may wait.
        metrics: is told how many do, and how many were refused.

    Attributes:
        waiting: how many wait.
    """

    def __init__(self, places: int, metrics: Metrics) -> None:
        self._places, self._metrics = places, metrics
        self.waiting = self._held = self._fetches = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place until the block ends.

        Raises:
            Problem: there is none.
        """
        if self.waiting >= self._places:
            raise self._refusal(f"{self.waiting} requests wait already")
        self.waiting += 1
        self._metrics.set_waiting(self.waiting)
        try:
            yield
        finally:
            self.waiting -= 1
            self._metrics.set_waiting(self.waiting)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Fetch a picture until the block ends.

        Raises:
            Problem: `MAX_FETCHES` are being fetched.
        """
        if self._fetches >= MAX_FETCHES:
            raise self._refusal(f"{self._fetches} pictures are being fetched already")
        self._fetches += 1
        try:
            yield
        finally:
            self._fetches -= 1

    def hold(self, count: int, total: int) -> None:
        """Count bytes of a body as held in memory; `total` is how many of it there are with them.

        Small bodies are always taken, so that large ones cannot keep them out.

        Raises:
            Problem: there are too many.
        """
        if total > SMALL_BYTES and self._held + count > MAX_HELD_BYTES:
            raise self._refusal("other requests fill its memory")
        self._held += count

    def release(self, count: int) -> None:
        """Count bytes as not held any more."""
        self._held -= count

    def _refusal(self, reason: str) -> Problem:
        self._metrics.count_rejected()
        return Problem("too_busy", f"Try again soon: {reason}.", headers={"Retry-After": str(RETRY_AFTER_S)})
