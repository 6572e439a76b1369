"""gunicorn's configuration; the values come from the settings.

The master process never imports TensorFlow: the workers that it forks would hang.
"""

import errno
import gc
import os
import socket
import sys
from pathlib import Path
from typing import Any

from model.artifact import CARD_FILE, read_artifact, require_task
from model.errors import ArtifactError
from service import metrics
from service.settings import PREFIX, SettingsError, read_settings
from service.trainer import start_training, stop_training

try:
    _settings = read_settings()
except SettingsError as error:
    sys.exit(f"error: {error}")
# Workers and trainings that start later serve the same tasks, whatever artifacts appear.
os.environ[f"{PREFIX}TASKS"] = ",".join(_settings.served)

wsgi_app = "service.entry:app"
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
workers = _settings.workers
worker_class = "service.worker.Worker"
asgi_lifespan = "off"
timeout = 60  # seconds without a heartbeat of the event loop; longer than receiving a body may take
keepalive = 5  # seconds; also the time limit for the headers of a request
graceful_timeout = 30  # seconds to finish accepted requests at shutdown
limit_request_line = 4094  # bytes
limit_request_fields = 50
limit_request_field_size = 8190  # bytes
logger_class = "service.logs.Logger"
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 — a disk could stall the heartbeat
control_socket_disable = True  # it would need a home folder

# This file is read again at every SIGHUP, which must not reset the counts.
_metrics = metrics.shared = metrics.shared or metrics.Metrics(_settings.served, workers)


def on_starting(server: Any) -> None:
    """Exit with one message if every classifier is damaged, or the port is in use."""
    faults = _find_faults()
    if len(faults) == len(_settings.served):
        sys.exit(f"error: {'; '.join(map(str, faults.values()))}")
    for task, fault in faults.items():
        server.log.error("%s: the classifier cannot be used: %s", task, fault)
    try:
        family, *_, address = socket.getaddrinfo(_settings.host, _settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        wrong_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        advice = (
            "set SERVICE_HOST to an address of this machine" if wrong_host else "set SERVICE_PORT to use another port"
        )
        sys.exit(f"error: cannot listen on {bind}: {error.strerror}; {advice}")


def _find_faults() -> dict[str, ArtifactError]:
    """Return the tasks whose classifiers cannot be used, and why."""
    faults: dict[str, ArtifactError] = {}
    for task, served in _settings.served.items():
        if (served.artifact / CARD_FILE).exists():
            try:
                require_task(served.artifact, read_artifact(served.artifact)[0], task)
            except ArtifactError as error:
                faults[task] = error
    return faults


def when_ready(server: Any) -> None:
    """Train the classifiers that are missing."""
    folders = {task: served.artifact for task, served in _settings.served.items()}
    missing = [task for task, folder in folders.items() if not (folder / CARD_FILE).exists()]
    if not (_settings.train and missing):
        return
    for task in missing:
        server.log.info("no classifier in %s: training one", folders[task])
    start_training(missing)


def pre_fork(server: Any, worker: Any) -> None:
    """Choose the row in which the worker counts: one that no live worker uses."""
    taken = {other.metrics_row for other in server.WORKERS.values()}
    # If all are taken, workers share the last one, which may lose a count now and then.
    worker.metrics_row = next((row for row in range(_metrics.rows) if row not in taken), _metrics.rows - 1)


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Let the worker count in that row."""
    _metrics.take_row(worker.metrics_row)


def post_worker_init(worker: Any) -> None:  # noqa: ARG001
    """Exclude everything loaded so far from garbage collection: it is needed until the worker exits."""
    gc.collect()
    gc.freeze()


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Record, in the worker, that it exits normally, if it does."""
    reason = sys.exception()
    if isinstance(reason, SystemExit) and not reason.code:
        _metrics.end_row()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Count, in the master, a worker that did not exit normally."""
    _metrics.close_row(worker.metrics_row)


def on_exit(server: Any) -> None:  # noqa: ARG001
    """Stop the training together with the service; it resumes at the next start."""
    stop_training()
