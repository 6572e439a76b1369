"""Back-pressure: limits on the requests that wait in a worker, and on the bytes of their bodies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service.metrics import Metrics
from service.problems import Problem

# Of all bodies that one worker is receiving or answering. Reading a form takes up to twice as much again.
MAX_HELD_BYTES: Final = 256 * 1024**2
ALWAYS_HELD_BYTES: Final = 256 * 1024
MAX_FETCHES: Final = 16  # pictures that one worker fetches by URL at a time
RETRY_AFTER_S: Final = 1


class Gate:
    """Lets a limited number of requests wait and rejects the others at once, so that latency stays limited.

    Used by one thread only, that of the event loop. A request waits from the time when its picture has been received or
    fetched until its answer is ready to send, so clients and hosts that send or read slowly take no slot.

    Args:
        slots: number of requests that may wait.
        metrics: counts the waiting and the rejected requests.

    Attributes:
        waiting: number of requests that are waiting.
    """

    def __init__(self, slots: int, metrics: Metrics) -> None:
        self._slots, self._metrics = slots, metrics
        self.waiting = self._held = self._fetches = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Take a slot for the duration of the block.

        Raises:
            Problem: all slots are taken.
        """
        if self.waiting >= self._slots:
            raise self._rejection(f"{self.waiting} requests are waiting already")
        self.waiting += 1
        self._metrics.set_waiting(self.waiting)
        try:
            yield
        finally:
            self.waiting -= 1
            self._metrics.set_waiting(self.waiting)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Count a fetch for the duration of the block.

        Raises:
            Problem: `MAX_FETCHES` are in progress.
        """
        if self._fetches >= MAX_FETCHES:
            raise self._rejection(f"{self._fetches} pictures are being fetched already")
        self._fetches += 1
        try:
            yield
        finally:
            self._fetches -= 1

    def body(self) -> "Held":
        """Return a context that counts the bytes of a request as held in memory until its block ends."""
        return Held(self)

    def hold(self, count: int, total: int) -> None:
        """Count bytes as held in memory; `total` is the size so far of the body that they belong to.

        Small bodies are always accepted, so that large ones cannot keep them out.

        Raises:
            Problem: there are too many.
        """
        if total > ALWAYS_HELD_BYTES and self._held + count > MAX_HELD_BYTES:
            raise self._rejection("other requests use up its memory")
        self._held += count

    def release(self, count: int) -> None:
        """Stop counting bytes as held."""
        self._held -= count

    def _rejection(self, reason: str) -> Problem:
        self._metrics.count_rejected()
        return Problem("too_busy", f"Try again soon: {reason}.", headers={"Retry-After": str(RETRY_AFTER_S)})


class Held:
    """The bytes that one request holds in memory."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._count = gate, 0

    def add(self, count: int, total: int) -> None:
        """Hold more bytes, as `Gate.hold` does.

        Raises:
            Problem: there are too many.
        """
        self._gate.hold(count, total)
        self._count += count

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.release(self._count)
