"""The inference queue by itself: order, and what the event loop does between two jobs."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.inference import InferenceQueue

JOBS = 20


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run an event loop in a thread: a browser of other tests may have one in this thread."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(main())).result()


@pytest.mark.parametrize("slow", [False, True])
def test_jobs_run_in_order_of_arrival(slow: bool) -> None:
    done: list[int] = []

    async def main() -> None:
        queue = InferenceQueue(threads=1)
        await asyncio.gather(*(queue.run(lambda n=n: done.append(n), slow=slow) for n in range(JOBS)))  # type: ignore[misc]

    run(main)
    assert done == list(range(JOBS))


def test_event_loop_receives_between_two_fast_jobs() -> None:
    """Each job sends a byte; it has been received before the next job starts."""
    received: list[bytes] = []
    seen: list[int] = []

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            asyncio.get_running_loop().add_reader(ours, lambda: received.append(ours.recv(1)))
            queue = InferenceQueue(threads=1)

            def job() -> None:
                seen.append(len(received))
                theirs.send(b"x")

            await asyncio.gather(*(queue.run(job, slow=False) for _ in range(JOBS)))
            asyncio.get_running_loop().remove_reader(ours)

    run(main)
    assert seen == list(range(JOBS))


def test_a_fast_job_that_arrives_alone_starts_at_once() -> None:
    events: list[str] = []

    async def main() -> None:
        queue = InferenceQueue(threads=1)
        for _ in range(3):
            asyncio.get_running_loop().call_soon(events.append, "turn")
            await queue.run(lambda: events.append("job"), slow=False)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run(main)
    assert events == ["job", "turn"] * 3


@pytest.mark.parametrize("slow", [False, True])
def test_errors_and_cancelled_requests_do_not_stop_the_queue(slow: bool) -> None:
    async def main() -> None:
        queue = InferenceQueue(threads=1)
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: 1 // 0, slow=slow)
        tasks = [asyncio.create_task(queue.run(lambda: 1, slow=slow)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert (results[0], results[2]) == (1, 1)

    run(main)
