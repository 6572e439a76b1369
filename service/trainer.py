"""The first start: without a classifier, train one in a process of its own."""

import subprocess
import sys
from pathlib import Path

from service.settings import Settings

INIT = Path(__file__).parents[1] / "init.py"


def start_training(settings: Settings) -> "subprocess.Popen[bytes]":
    """Start `init.py` as a process of its own, which holds the lock, tells its progress and writes the artifact."""
    command = [
        sys.executable, str(INIT),
        "--task", settings.task,
        "--artifact", str(settings.artifact_folder),
        "--store", str(settings.store_folder),
    ]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 — no shell, our own words only
