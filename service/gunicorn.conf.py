"""How gunicorn runs the service; the values come from the settings.

The master process never imports TensorFlow: what it forks would hang.
"""

import gc
import socket
import sys
from pathlib import Path
from typing import Any

from model.artifact import CARD_FILE, read_artifact
from model.errors import ArtifactError
from service import metrics
from service.settings import SettingsError, read_settings
from service.trainer import start_training, stop_training

try:
    _settings = read_settings()
except SettingsError as error:
    sys.exit(f"error: {error}")

wsgi_app = "service.entry:app"
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.workers
worker_class = "service.worker.Worker"
asgi_lifespan = "off"
timeout = 60  # seconds without a heartbeat of the event loop; longer than a body may take
keepalive = 5  # seconds; as long may the headers of a request take
graceful_timeout = 30  # seconds for requests that were accepted before the end
limit_request_line = 4094  # bytes
limit_request_fields = 50
limit_request_field_size = 8190  # bytes
logger_class = "service.logs.Logger"
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 — a disk could stall the heartbeat
control_socket_disable = True  # it would want a home folder

# This file is read again at every SIGHUP: what has been counted stays.
_metrics = metrics.shared = metrics.shared or metrics.Metrics(workers)


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
    if _settings.train and not (_settings.artifact_folder / CARD_FILE).exists():
        server.log.info("no classifier in %s: training one", _settings.artifact_folder)
        start_training()


def pre_fork(server: Any, worker: Any) -> None:
    """Choose where the worker is to count: in a row that no living one uses."""
    taken = {other.metrics_row for other in server.WORKERS.values()}
    # Should all be taken, some share the last one, which may lose a count now and then.
    worker.metrics_row = next((row for row in range(_metrics.rows) if row not in taken), _metrics.rows - 1)


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Let the worker count there."""
    _metrics.take_row(worker.metrics_row)


def post_worker_init(worker: Any) -> None:  # noqa: ARG001
    """Take what has been loaded out of the garbage collector's rounds: it stays until the end."""
    gc.collect()
    gc.freeze()


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Note, in the worker, that it ends as it should, if it does."""
    reason = sys.exception()
    if isinstance(reason, SystemExit) and not reason.code:
        _metrics.end_row()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Count, in the master, a worker that ended without a note."""
    _metrics.close_row(worker.metrics_row)


def on_exit(server: Any) -> None:  # noqa: ARG001
    """Stop the training with the service; it goes on at the next start."""
    stop_training()
