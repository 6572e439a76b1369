"""Benchmark of the function on AWS Lambda: `python -m bench.aws_lambda`.

It starts the function in the real runtime client on one core, against a local Runtime API, and measures the
initialisation (from the start of Python until the function asks for its first event) and the peak of its memory. Other
load on the machine affects the CPU time of the initialisation less than its duration.
"""

import base64
import dataclasses
import os
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil

from data.task import DEFAULT_TASK
from tests.conftest import drawing, encoded, scene
from tests.runtime_api import Function, start_function

ROUNDS: Final = 5
ENVIRONMENT: Final = {"SERVICE_TASKS": DEFAULT_TASK, "MALLOC_ARENA_MAX": "1"}  # the latter as in the image
PHOTO_SIZE: Final = (4000, 3000)  # 12 megapixels
Event = dict[str, Any]
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run: durations in seconds, and peaks of the resident memory so far in megabytes (10⁶ bytes).

    The peaks are those after the initialisation, a picture of a sign, a photo, and every sign in it with a preview.
    """

    init_s: float
    init_cpu_s: float
    started_mb: float
    picture_mb: float
    photo_mb: float
    detect_mb: float
    photo_s: float


def main() -> int:
    """Print a table of medians with the range; return the exit status."""
    picture = _event(encoded(drawing()))
    photo = _event(encoded(scene((14, 40, 60), (17, 380, 250)).resize(PHOTO_SIZE), "JPEG", quality=90))
    core = min(os.sched_getaffinity(0))
    rounds = [_measure(picture, photo, core) for _ in range(ROUNDS)]
    print(
        "| | init, s | CPU of it, s | peak after it, MB | after a picture, MB | after a photo of 12 MP, MB "
        "| after finding all signs in it, MB | first photo, s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    columns = list(zip(*map(dataclasses.astuple, rounds), strict=True))
    for name, summary in (("median", statistics.median), ("least", min), ("most", max)):
        values = map(summary, columns)
        print("| {} | {:.2f} | {:.2f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.2f} |".format(name, *values))
    return 0


def _event(payload: bytes) -> Event:
    return {"image": base64.b64encode(payload).decode("ascii")}


def _measure(picture: Event, photo: Event, core: int) -> Measured:
    with start_function(ENVIRONMENT, cores=[core]) as function:
        times = psutil.Process(function.process.pid).cpu_times()
        started_mb = _peak_mb(function)
        _invoke(function, picture)
        picture_mb = _peak_mb(function)
        photo_s = _invoke(function, photo)
        photo_mb = _peak_mb(function)
        _invoke(function, {**photo, "task": DEFAULT_TASK, "detect": True, "preview": True})
        init_cpu_s, detect_mb = times.user + times.system, _peak_mb(function)
        return Measured(function.init_s, init_cpu_s, started_mb, picture_mb, photo_mb, detect_mb, photo_s)


def _invoke(function: Function, event: Event) -> float:
    """Return the seconds until the function has answered.

    Raises:
        RuntimeError: the answer is a problem.
    """
    began = time.perf_counter()
    answer = function.invoke(event)
    seconds = time.perf_counter() - began
    if "model" not in answer:
        raise RuntimeError(f"no prediction: {answer}")
    return seconds


def _peak_mb(function: Function) -> float:
    """Return the peak of the resident memory of a function so far, in megabytes (10⁶ bytes)."""
    status = Path(f"/proc/{function.process.pid}/status").read_text(encoding="ascii")
    [kibibytes] = _PEAK.findall(status)
    return int(kibibytes) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
