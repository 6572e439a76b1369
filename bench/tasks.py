"""Benchmark of one service with several tasks: `python -m bench.tasks`.

It measures how long the service takes to start and how much memory its worker uses, with one task and with five. Where
fewer tasks have a classifier, copies of the default task's classifier make up for them.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
import requests

from data.task import DEFAULT_TASK, TASK_FILE, TASKS
from model.artifact import ARTIFACTS, NETWORK_FILE, read_artifact, write_artifact
from service.settings import read_settings
from tests.conftest import drawing, encoded, start_process

COUNTS = (1, 5)
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Measured:
    """Seconds from the start of the service to its first answer, and the worker's share of memory in megabytes."""

    start_s: float
    started_mb: float
    used_mb: float


def main() -> int:
    """Print a table; return the exit status."""
    print("| tasks | start, s | worker at the start, MB | after a picture of each task, MB |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = _create_tasks(folder, max(COUNTS))
        for count in COUNTS:
            rounds = [_measure(folder, names[:count]) for _ in range(ROUNDS)]
            medians = (
                statistics.median(getattr(each, field.name) for each in rounds)
                for field in dataclasses.fields(Measured)
            )
            print("| {} | {:.2f} | {:.0f} | {:.0f} |".format(count, *medians))
    return 0


def _create_tasks(folder: Path, count: int) -> list[str]:
    """Fill `tasks` and `artifacts` in a folder; return the names of the tasks, the default one first."""
    names = list(read_settings({}).served)[:count]
    (folder / "tasks").mkdir()
    (folder / "artifacts").mkdir()
    for name in names:
        (folder / "artifacts" / name).symlink_to(ARTIFACTS / name)
    source = ARTIFACTS / DEFAULT_TASK
    card, inference = read_artifact(source)
    network = (source / NETWORK_FILE).read_bytes()
    text = (TASKS / DEFAULT_TASK / TASK_FILE).read_text(encoding="utf-8")
    for number in range(count - len(names)):
        name = f"copy_{number}"
        (folder / "tasks" / name).mkdir()
        copied = text.replace(f'name = "{DEFAULT_TASK}"', f'name = "{name}"')
        (folder / "tasks" / name / TASK_FILE).write_text(copied, encoding="utf-8")
        write_artifact(
            folder / "artifacts" / name,
            dataclasses.replace(card, task=name),
            inference,
            lambda path: path.write_bytes(network),
        )
        names.append(name)
    return names


def _measure(folder: Path, names: list[str]) -> Measured:
    """Start a service with one worker, and have each task answer a picture."""
    picture = encoded(drawing())
    folders = {"TASKS": folder / "tasks", "SERVICE_ARTIFACTS": folder / "artifacts", "SERVICE_STORE": folder}
    began = time.perf_counter()
    with start_process(200, SERVICE_TASKS=",".join(names), SERVICE_TRAIN="false", **folders) as (url, process):
        start_s = time.perf_counter() - began
        [worker] = psutil.Process(process.pid).children()
        started_mb = _memory_mb(worker)
        for name in names:
            headers = {"Content-Type": "image/png"}
            requests.post(f"{url}/predict/{name}", data=picture, headers=headers, timeout=60).raise_for_status()
        return Measured(start_s, started_mb, _memory_mb(worker))


def _memory_mb(process: psutil.Process) -> float:
    """Return the memory of a process, where shared pages count in parts, in megabytes (10⁶ bytes)."""
    return float(process.memory_full_info().pss / 1e6)


if __name__ == "__main__":
    sys.exit(main())
