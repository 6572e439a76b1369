"""The first start: if there is no classifier, train one in a process of its own.

`python -m service.trainer TASK` runs `init.py`, which holds the lock, reports its progress and writes the artifact, and
restarts it if it is killed: it resumes from its last checkpoint.
"""

import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.settings import Settings, read_settings

INIT: Final = Path(__file__).parents[1] / "init.py"
MAX_CRASHES: Final = 5  # then trying again will not help, for example if there is too little memory

_log = logging.getLogger(__name__)
_started: "list[subprocess.Popen[bytes]]" = []


def start_training(task: str) -> None:
    """Start this module as a process of its own, with the settings of this process."""
    _started.append(subprocess.Popen([sys.executable, "-m", "service.trainer", task], stdin=subprocess.DEVNULL))  # noqa: S603 — no shell; fixed arguments and the name of a task


def stop_training() -> None:
    """Stop the trainings that were started; they resume at the next start."""
    for process in _started:
        process.terminate()


def training_command(settings: Settings, task: str) -> list[str]:
    """Return the command that trains a classifier for one of the tasks in the settings."""
    paths = ["--artifact", str(settings.artifacts[task]), "--store", str(settings.store_folder)]
    paths += ["--data", str(settings.data)] if settings.data else []
    return [sys.executable, str(INIT), "--task", task, *paths]


def supervise(command: Sequence[str]) -> int:
    """Run a command until it exits, again if it is killed, and return its exit status.

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
    for crash in range(1, MAX_CRASHES + 1):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 — no shell; fixed arguments
        if stopping:  # SIGTERM came before the process existed
            process.terminate()
        status = process.wait()
        if stopping or status >= 0:
            return status
        _log.error("the training was killed by signal %d (%d of at most %d times)", -status, crash, MAX_CRASHES)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m service.trainer TASK")
    sys.exit(supervise(training_command(read_settings(), sys.argv[1])))
