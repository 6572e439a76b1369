"""Load generators that count what became of every request: answered, refused or lost."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

ANSWER_S = 30.0  # a request without an answer after so long is lost


@dataclass
class Tally:
    """What became of the requests of a load.

    `statuses` counts answers; `latencies_s` has those of the answers 200, `rejections_s` those of the answers 429.

    In HTTP, a server may close a connection before it answers a request on it. Clients then retry once on a new
    connection, because predictions are idempotent (RFC 9110, section 9.2.2). `retried` counts these requests, `lost`
    those without an answer to the retry, `refused` those whose connection was refused.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    rejections_s: list[float] = field(default_factory=list)
    retried: int = 0
    lost: int = 0
    refused: int = 0

    @property
    def sent(self) -> int:
        """Number of requests that reached the server, each counted once."""
        return sum(self.statuses.values()) + self.lost


def message(url: str, payload: bytes, path: str = "/predict_traffic_sign") -> bytes:
    """Return a request with a raw picture."""
    host = urlsplit(url).netloc
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\n"
    return f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload


@contextmanager
def load(url: str, payloads: Sequence[bytes], connections: int, pause_s: float = 0.0) -> Iterator[Tally]:
    """Send requests from a thread for the duration of the block, on each connection one after the other.

    At the end of the block, every connection waits for its last answer, so that stopping loses nothing.
    """
    tally, stop = Tally(), threading.Event()
    messages = [message(url, payload) for payload in payloads]
    thread = threading.Thread(target=lambda: asyncio.run(_load(url, messages, connections, pause_s, tally, stop)))
    thread.start()
    try:
        yield tally
    finally:
        stop.set()
        thread.join(2 * ANSWER_S)
        assert not thread.is_alive(), "the load did not end"


async def _load(
    url: str, messages: list[bytes], connections: int, pause_s: float, tally: Tally, stop: threading.Event
) -> None:
    await asyncio.gather(*(_client(url, messages, number, pause_s, tally, stop) for number in range(connections)))


async def _client(
    url: str, messages: list[bytes], number: int, pause_s: float, tally: Tally, stop: threading.Event
) -> None:
    line: Line | None = None
    while not stop.is_set():
        number += 1
        request = messages[number % len(messages)]
        began = time.perf_counter()
        for attempt in (1, 2):
            try:
                line = line or await Line.open(url)
            except OSError:
                tally.refused += 1
                await asyncio.sleep(0.05)
                break
            answer = await line.ask(request)
            if not answer.stays:
                line.close()
                line = None
            if answer.status:
                tally.statuses[answer.status] += 1
                if answer.status in (200, 429):
                    latencies = tally.latencies_s if answer.status == 200 else tally.rejections_s
                    latencies.append(time.perf_counter() - began)
                break
            if attempt == 1:
                tally.retried += 1
            else:
                tally.lost += 1
        await asyncio.sleep(pause_s)
    if line:
        line.close()


class Answer(NamedTuple):
    """What a server answered."""

    status: int  # 0 if there was no answer
    stays: bool  # whether the connection stays open
    retry_after: bool = False  # whether it says when to try again


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str, timeout_s: float = ANSWER_S) -> "Line":
        """Connect to the server of a URL."""
        parts = urlsplit(url)
        async with asyncio.timeout(timeout_s):
            return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def ask(self, request: bytes, timeout_s: float = ANSWER_S) -> Answer:
        """Send a request and wait for the answer."""
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(request)
                head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                await self._reader.readexactly(length)
        except (OSError, EOFError, TimeoutError):
            return Answer(0, stays=False)
        return Answer(int(head[9:12]), b"connection: close" not in head, b"\r\nretry-after:" in head)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()
