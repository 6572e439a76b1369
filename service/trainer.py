"""The first start: train the classifiers that are missing, one after the other, in a process of its own.

`python -m service.trainer TASK…` runs `init.py` for one task after the other. `init.py` holds the lock, reports its
progress and writes the artifact. If it is killed, it is restarted and resumes from its last checkpoint.
"""

import logging
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from model.progress import training_folder, waiting_to_train
from service.settings import Settings, read_settings

INIT: Final = Path(__file__).parents[1] / "init.py"
MAX_CRASHES: Final = 5  # then trying again will not help, for example if there is too little memory

_log = logging.getLogger(__name__)
_started: "list[subprocess.Popen[bytes]]" = []


def start_training(tasks: Iterable[str]) -> None:
    """Start this module as a process of its own, with the settings of this process."""
    _started.append(subprocess.Popen([sys.executable, "-m", "service.trainer", *tasks], stdin=subprocess.DEVNULL))  # noqa: S603 — no shell; fixed arguments and names of tasks


def stop_training() -> None:
    """Stop the training processes that were started; they resume at the next start."""
    for process in _started:
        process.terminate()


def training_command(settings: Settings, task: str) -> list[str]:
    """Return the command that trains a classifier for one of the tasks in the settings."""
    served = settings.served[task]
    paths = ["--artifact", str(served.artifact), "--store", str(settings.store_folder)]
    paths += ["--data", str(served.data)] if served.data else []
    return [sys.executable, str(INIT), "--task", task, *paths]


def training_commands(settings: Settings, tasks: Iterable[str]) -> Iterator[list[str]]:
    """Yield the command that trains each task, and mark the task as waiting until its command has ended."""
    with ExitStack() as stack:
        marks = {}
        for task in tasks:
            marks[task] = stack.enter_context(ExitStack())
            marks[task].enter_context(waiting_to_train(training_folder(settings.store_folder, task)))
        for task, mark in marks.items():
            yield training_command(settings, task)
            mark.close()


def supervise(commands: Iterable[Sequence[str]]) -> int:
    """Run commands one after the other until each exits, again if it is killed; return 0 if all succeed, else 1.

    SIGTERM is passed on and ends both processes.
    """
    stopping = False
    process: subprocess.Popen[bytes] | None = None

    def end(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        if process:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    failed = False
    for command in commands:
        for crash in range(1, MAX_CRASHES + 1):
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 — no shell; fixed arguments
            if stopping:  # SIGTERM came before the process existed
                process.terminate()
            status = process.wait()
            if stopping:
                return 1
            if status >= 0:
                break
            _log.error("the training was killed by signal %d (%d of at most %d times)", -status, crash, MAX_CRASHES)
        failed = failed or status != 0
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m service.trainer TASK…")
    try:
        sys.exit(supervise(training_commands(read_settings(), sys.argv[1:])))
    except OSError as error:  # the store is not writable
        sys.exit(f"error: {error}")
