"""Runs inferences in order of arrival while the event loop keeps receiving, counting and rejecting requests."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from model.engine import Engine
from model.recogniser import Recogniser

# Handing a job to a thread and back takes about 0.1 ms of processor time, a tenth of this.
SLOW_S: Final = 0.001
WARM_UP_RUNS: Final = 7  # the fastest counts, so other load on the machine does not matter

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarmRecogniser:
    """A recogniser whose classifier has been run, and the processor time of one of its inferences in seconds.

    If an inference server runs the networks, they have not been run, and the time is 0.
    """

    recogniser: Recogniser
    inference_s: float

    @classmethod
    def load(cls, folder: Path, engine: Engine) -> "WarmRecogniser":
        """Load a recogniser and time its classifier in this thread; the first inference of each other one is slower.

        Raises:
            ArtifactError: it is missing or cannot be used.
        """
        recogniser = Recogniser.load(folder, engine)
        classifier = recogniser.classifier
        pixels = np.zeros((1, *classifier.card.input_size, 3), np.uint8)
        runs = 0 if recogniser.is_remote else WARM_UP_RUNS
        warm = cls(recogniser, min((_seconds(lambda: classifier.run(pixels)) for _ in range(runs)), default=0.0))
        if recogniser.is_remote:
            _log.info("classifier %s: on the inference server", classifier.card.version)
        else:
            place, milliseconds = "in threads" if warm.is_slow else "on the event loop", 1000 * warm.inference_s
            _log.info("classifier %s: %.2f ms per inference, %s", classifier.card.version, milliseconds, place)
        return warm

    @property
    def is_slow(self) -> bool:
        """Whether the event loop cannot do an inference of the classifier; a detector's always takes too long."""
        return self.inference_s > SLOW_S


class InferenceQueue:
    """Runs jobs first come, first served, in one of two ways. Both let the event loop go on between two jobs.

    Slow jobs run in threads, so the event loop stays free. Fast ones run on the event loop, because a thread would
    add about a tenth to their processor time, but only one in each turn of it: before the next one starts, everything
    that has arrived is received and counted, and rejected if the queue is full. A job that arrives alone starts at
    once either way.

    Searches of whole photos have threads of their own, so that a small crop never waits for one. (A large one may have
    to be searched, so its caller runs it there from decoding on.) All detectors run there: each needs memory for the
    activations of a whole photo, so there must not be more of them than threads.

    Args:
        threads: number of threads for slow jobs, and of those for searches.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "inference")
        self._searchers = ThreadPoolExecutor(threads, "search")
        self._turn = asyncio.Lock()  # wakes its waiters in the order in which they came

    async def run(self, job: Callable[[], T], *, slow: bool) -> T:
        """Run a job when it is its turn and return its result."""
        loop = asyncio.get_running_loop()
        if slow:
            return await loop.run_in_executor(self._threads, job)
        await self._turn.acquire()
        # Released by the next turn of the loop, not at once: there is no other await between two jobs.
        loop.call_soon(self._turn.release)
        return job()

    async def search(self, job: Callable[[], T]) -> T:
        """Run a search when it is its turn and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._searchers, job)

    def search_here(self, job: Callable[[], T]) -> T:
        """Run a search when it is its turn, and wait for it in this thread, which is not the event loop's."""
        return self._searchers.submit(job).result()


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()  # not wall time: the interpreter's lock may be busy with requests
    work()
    return time.thread_time() - began
