"""How gunicorn runs the service; the values come from the settings.

The master process never imports TensorFlow: what it forks would hang.
"""

import subprocess
import sys
from typing import Any

from data.errors import DataError
from model.artifact import CARD_FILE, read_card
from model.errors import ModelError
from service.settings import SettingsError, read_settings
from service.trainer import start_training

try:
    _settings = read_settings()
    if (_settings.artifact_folder / CARD_FILE).exists():
        read_card(_settings.artifact_folder)  # a damaged classifier stops the start here, with one message
except (SettingsError, DataError, ModelError) as error:
    sys.exit(f"error: {error}")

wsgi_app = "service.wsgi:app"
bind = f"{_settings.host}:{_settings.port}"
workers = _settings.workers
threads = _settings.threads
worker_class = "gthread"
worker_tmp_dir = "/dev/shm"  # noqa: S108 — the heartbeat file must not wait for a disk
control_socket_disable = True  # it would want a home folder

_training: "subprocess.Popen[bytes] | None" = None


def when_ready(server: Any) -> None:
    """Train at the first start."""
    global _training
    if _settings.train and not (_settings.artifact_folder / CARD_FILE).exists():
        server.log.info("no classifier in %s: training one", _settings.artifact_folder)
        _training = start_training(_settings)


def on_exit(server: Any) -> None:  # noqa: ARG001
    """Stop the training with the service; it goes on at the next start."""
    if _training is not None:
        _training.terminate()
