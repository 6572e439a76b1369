"""What the training does when it is killed or the disk is full."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from model.artifact import read_artifact
from model.progress import training_folder
from service.trainer import INIT, supervise
from tests.conftest import ROOT
from tests.faults.client import Tally

Ledger = list[tuple[str, Tally, str]]


def command(folder: Path) -> list[str]:
    """Return a training of seconds, on drawn signs."""
    paths = ["--artifact", str(folder / "artifact"), "--store", str(folder / "store")]
    return [sys.executable, str(INIT), "--data", "drawn", "--preset", "quick", *paths]


def stage(folder: Path) -> str:
    try:
        text = (training_folder(folder / "store", "traffic_sign") / "progress.json").read_text()
    except FileNotFoundError:
        return ""
    return str(json.loads(text)["stage"])


def test_killed_training_resumes(ledger: Ledger, tmp_path: Path) -> None:
    """Killed while preparing, training and exporting, and restarted each time, it produces a classifier."""
    killed: list[str] = []

    def kill() -> None:
        for wanted in ("prepare", "train", "export"):
            while stage(tmp_path) != wanted:
                time.sleep(0.002)
            children = (
                Path(f"/proc/{os.getpid()}/task/{threading.main_thread().native_id}/children").read_text().split()
            )
            for child in children:
                if str(INIT).encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
                    killed.append(wanted)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert supervise([command(tmp_path)]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    killer.join(10)
    assert killed == ["prepare", "train", "export"]
    card, _ = read_artifact(tmp_path / "artifact")
    assert card.training["preset"] == "quick"
    ledger.append(
        ("trainer killed in three stages", Tally(), "resumed from its checkpoint and produced the classifier")
    )


def test_full_disk_is_one_message_and_no_partial_artifact(ledger: Ledger, tmp_path: Path) -> None:
    """No file may grow beyond 200 kB, as if the disk were full; the next attempt has room."""
    result = subprocess.run(
        command(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    assert result.returncode == 1
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "artifact").exists()
    again = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    read_artifact(tmp_path / "artifact")
    ledger.append(("disk full while writing", Tally(), "one message, no partial artifact; the next attempt succeeds"))
