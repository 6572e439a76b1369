"""Knows whether the inference server can run the networks of a task, without asking it for each request."""

import logging
import threading
from typing import Final

from model.errors import ArtifactError, EngineError
from model.recogniser import Recogniser
from service.metrics import TaskMetrics

INTERVAL_S: Final = 1.0

_log = logging.getLogger(__name__)


class Watch:
    """Asks the inference server again and again, in a thread of its own, and logs when its state changes.

    Args:
        recogniser: whose networks the server runs.
        metrics: of the task; they say whether this process can predict.

    Attributes:
        fault: why they cannot be run now, or None if they can.
    """

    def __init__(self, recogniser: Recogniser, metrics: TaskMetrics) -> None:
        self.fault: str | None = "the inference server has not been asked yet"
        self._recogniser, self._metrics = recogniser, metrics
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        """Stop asking."""
        self._stopped.set()

    def _run(self) -> None:
        task, is_verified = self._recogniser.card.task, False
        while not self._stopped.is_set():
            fault = None
            try:
                if is_verified:
                    self._recogniser.check()
                else:
                    self._recogniser.verify()
                    is_verified = True
            except (ArtifactError, EngineError) as error:
                fault = str(error)
            if self._stopped.is_set():  # the metrics are for the next one
                return
            self._metrics.set_ready(is_ready=fault is None)
            if fault != self.fault:
                level = logging.ERROR if fault else logging.WARNING
                _log.log(level, "%s: %s", task, fault or "the inference server can run the networks")
            self.fault = fault
            self._stopped.wait(INTERVAL_S)
