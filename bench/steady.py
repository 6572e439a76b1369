"""Load at a fixed rate, independent of the answers (an open-loop load generator).

Latencies are measured from the time at which a request was due, so a server that stalls cannot hide it.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

CONNECTIONS: Final = 32


@dataclass
class _Seen:
    latencies_s: list[float] = field(default_factory=list)
    wrong: int = 0


def steady(url: str, bodies: list[Path], rate: float, seconds: float, seed: int = 0) -> tuple[float, float]:
    """Send `rate` requests per second on average, at random times; return the median and 99th percentile in ms.

    Raises:
        RuntimeError: an answer was wrong.
    """
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(1 / rate, round(rate * seconds)))
    seen = asyncio.run(_send(url, [path.read_bytes() for path in bodies], due.tolist()))
    if seen.wrong:
        raise RuntimeError(f"{seen.wrong} wrong answers")
    p50, p99 = np.quantile(seen.latencies_s, (0.5, 0.99)) * 1000
    return float(p50), float(p99)


async def _send(url: str, payloads: list[bytes], due: list[float]) -> _Seen:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: image/png\r\nContent-Length: "
    messages = [head.encode() + b"%d\r\n\r\n%b" % (len(payload), payload) for payload in payloads]
    queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    seen = _Seen()
    clients = [
        asyncio.create_task(_client(parts.hostname or "", parts.port or 80, queue, seen)) for _ in range(CONNECTIONS)
    ]
    began = time.perf_counter()
    for number, moment in enumerate(due):
        wait = began + moment - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        queue.put_nowait((began + moment, messages[number % len(messages)]))
    for _ in clients:
        queue.put_nowait(None)
    await asyncio.gather(*clients)
    return seen


async def _client(host: str, port: int, queue: "asyncio.Queue[tuple[float, bytes] | None]", seen: _Seen) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while (order := await queue.get()) is not None:
        due, message = order
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        seen.wrong += not head.startswith(b"HTTP/1.1 200")
        seen.latencies_s.append(time.perf_counter() - due)
    writer.close()
