"""The first start: without a classifier, train one, in processes of their own.

`python -m service.trainer` runs `init.py`, which holds the lock, tells its progress and writes the artifact, and starts
it anew when it is killed: it goes on from its last checkpoint.
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
MAX_CRASHES: Final = 5  # then something is wrong that another try does not mend, such as too little memory

_log = logging.getLogger(__name__)
_started: "subprocess.Popen[bytes] | None" = None


def start_training() -> None:
    """Start this module as a process of its own, with the settings of this one."""
    global _started
    _started = subprocess.Popen([sys.executable, "-m", "service.trainer"], stdin=subprocess.DEVNULL)


def stop_training() -> None:
    """Stop what was started; it goes on at the next start."""
    if _started is not None:
        _started.terminate()


def training_command(settings: Settings) -> list[str]:
    """Return the command that trains what the settings name."""
    paths = ["--artifact", str(settings.artifact_folder), "--store", str(settings.store_folder)]
    paths += ["--data", str(settings.data)] if settings.data else []
    return [sys.executable, str(INIT), "--task", settings.task, *paths]


def supervise(command: Sequence[str]) -> int:
    """Run a command until it ends by itself, again if it is killed; return its exit status.

    A SIGTERM is passed on, and ends both.
    """
    told_to_end = False
    process: subprocess.Popen[bytes] | None = None

    def end(_number: int, _frame: object) -> None:
        nonlocal told_to_end
        told_to_end = True
        if process:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    for crash in range(1, MAX_CRASHES + 1):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 — no shell, our own words only
        if told_to_end:  # just before there was a process to tell
            process.terminate()
        status = process.wait()
        if told_to_end or status >= 0:
            return status
        _log.error("the training was killed by signal %d, for the %d. time", -status, crash)
    return 1


if __name__ == "__main__":
    sys.exit(supervise(training_command(read_settings())))
