"""Clients that load the service through its NodePort, and count what becomes of each request with and without a retry.

Half of them keep their connections, half open a new one for each request; each half has a tally.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.faults.client import ANSWER_S, Line, message

RETRY_S: Final = 2.0  # pause before the retry: a container that died stays in the Service for about a second
KINDS: Final = ("kept", "new")


@dataclass
class Tally:
    """What became of the requests on one kind of connections.

    `answered` counts answers 200, also to a retry; `refused` answers 429 and 503 with Retry-After; `failed` requests
    whose first attempt got neither; `lost` those whose retry got neither. `reasons` says what came at first attempts.
    """

    answered: int = 0
    refused: int = 0
    failed: int = 0
    lost: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """Number of requests, each counted once."""
        return self.answered + self.refused + self.lost


@dataclass(frozen=True)
class Load:
    """A kind of request, and how many clients send it.

    Attributes:
        payloads: pictures, which take turns.
        path: of the request.
        clients: number of clients of each kind.
        pause_s: pause of a client between two requests, in seconds.
        timeout_s: time limit for connecting, and for an answer, in seconds.
    """

    payloads: Sequence[bytes]
    path: str = "/predict_traffic_sign"
    clients: int = 8
    pause_s: float = 0.4
    timeout_s: float = ANSWER_S


@contextmanager
def running(url: str, load: Load) -> Iterator[dict[str, Tally]]:
    """Send requests from a thread for the duration of the block; yield a tally for each kind of connection.

    At the end of the block, every client waits for its last answer, so that stopping loses nothing.
    """
    tallies, stop = {kind: Tally() for kind in KINDS}, threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_send(url, load, tallies, stop)))
    thread.start()
    try:
        yield tallies
    finally:
        stop.set()
        thread.join(5 * load.timeout_s)
        assert not thread.is_alive(), "the clients did not end"


async def _send(url: str, load: Load, tallies: dict[str, Tally], stop: threading.Event) -> None:
    messages = [message(url, payload, load.path) for payload in load.payloads]
    clients = [
        _client(url, messages, load, tally, stop, keep=kind == "kept", delay_s=load.pause_s * number / load.clients)
        for kind, tally in tallies.items()
        for number in range(load.clients)
    ]
    await asyncio.gather(*clients)


async def _client(
    url: str, messages: list[bytes], load: Load, tally: Tally, stop: threading.Event, *, keep: bool, delay_s: float
) -> None:
    line: Line | None = None
    turn = 0
    await asyncio.sleep(delay_s)
    while not stop.is_set():
        turn += 1
        for attempt in (1, 2):
            line, outcome = await _attempt(url, messages[turn % len(messages)], line, load.timeout_s)
            if line and not keep:
                line.close()
                line = None
            if outcome in ("answered", "refused"):
                setattr(tally, outcome, getattr(tally, outcome) + 1)
                break
            if attempt == 1:
                tally.failed += 1
                tally.reasons[outcome] += 1
                await asyncio.sleep(RETRY_S)
            else:
                tally.lost += 1
                tally.reasons[f"{outcome} at the retry"] += 1
        await asyncio.sleep(load.pause_s)
    if line:
        line.close()


async def _attempt(url: str, request: bytes, line: Line | None, timeout_s: float) -> tuple[Line | None, str]:
    """Return the connection, if it stays open, and what came of the request."""
    try:
        line = line or await Line.open(url, timeout_s)
    except TimeoutError:
        return None, "no connection in time"
    except OSError:
        return None, "connection refused"
    answer = await line.ask(request, timeout_s)
    if not answer.stays:
        line.close()
        line = None
    if answer.status == 200:
        return line, "answered"
    if answer.status in (429, 503) and answer.retry_after:
        return line, "refused"
    return line, f"status {answer.status}" if answer.status else "no answer"
