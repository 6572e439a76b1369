"""How gunicorn runs the service; the values come from the settings.

The master process never imports TensorFlow: what it forks would hang.
"""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from model.artifact import CARD_FILE, read_artifact
from model.errors import ArtifactError
from service import metrics
from service.settings import SettingsError, read_settings
from service.trainer import start_training

try:
    _settings = read_settings()
except SettingsError as error:
    sys.exit(f"error: {error}")

wsgi_app = "service.wsgi:app"
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.workers
threads = _settings.threads
worker_class = "gthread"
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 — a disk could stall the heartbeat
control_socket_disable = True  # it would want a home folder

_metrics = metrics.shared = metrics.Metrics(workers)
_training: "subprocess.Popen[bytes] | None" = None


def on_starting(server: Any) -> None:  # noqa: ARG001
    """Refuse to start, with one message, what could not work: a damaged classifier or a port that is taken."""
    try:
        if (_settings.artifact_folder / CARD_FILE).exists():
            read_artifact(_settings.artifact_folder)
        family, *_, address = socket.getaddrinfo(_settings.host, _settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except ArtifactError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: cannot listen on {bind}: {error.strerror}; SERVICE_PORT chooses another port")


def when_ready(server: Any) -> None:
    """Train at the first start."""
    global _training
    if _settings.train and not (_settings.artifact_folder / CARD_FILE).exists():
        server.log.info("no classifier in %s: training one", _settings.artifact_folder)
        _training = start_training(_settings)


def pre_fork(server: Any, worker: Any) -> None:
    """Choose where the worker is to count: in a row that no living one uses."""
    taken = {other.metrics_row for other in server.WORKERS.values()}
    worker.metrics_row = next(row for row in range(_metrics.rows) if row not in taken)


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Let the worker count there."""
    _metrics.take_row(worker.metrics_row)


def on_exit(server: Any) -> None:  # noqa: ARG001
    """Stop the training with the service; it goes on at the next start."""
    if _training is not None:
        _training.terminate()
