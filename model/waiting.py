"""How long a picture has waited for an inference server, whose time limit is for all calls about a picture together."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Waited:
    """How long a picture has waited for an inference server, in seconds. To be used by one thread at a time."""

    seconds: float = 0.0


_current: ContextVar[Waited | None] = ContextVar("waited", default=None)


@contextmanager
def adding_to(waited: Waited) -> Iterator[None]:
    """Let the calls in the block, in this thread or coroutine, add to what a picture has waited before."""
    token = _current.set(waited)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Waited:
    """Return what calls add to now; outside of `adding_to`, each call is by itself."""
    return _current.get() or Waited()
