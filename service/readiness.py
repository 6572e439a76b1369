"""The classifier in use, or what keeps it from being ready."""

import logging
import threading
import time
from pathlib import Path

import numpy as np

from model.artifact import CARD_FILE, Card
from model.classifier import Classifier
from model.errors import ArtifactError
from model.progress import TrainingState, is_training, read_state
from service.metrics import Metrics
from service.problems import Problem

RETRY_AFTER_S = 5
LOOK_INTERVAL_S = 1.0
STAGES = {
    "download": "the data set is being fetched",
    "prepare": "the pictures are being read",
    "export": "the network is being converted",
    "evaluate": "its accuracy is being measured",
}


_log = logging.getLogger(__name__)


class Readiness:
    """Loads the classifier as soon as its artifact is there or replaced, and explains its absence until then.

    Args:
        artifact: the folder of the classifier.
        training: the folder of its training.
        contract: the version of the contract, which every explanation carries.
        metrics: are told when there is a classifier.
    """

    def __init__(self, artifact: Path, training: Path, contract: str, metrics: Metrics) -> None:
        self._artifact, self._training, self._contract = artifact, training, contract
        self._metrics = metrics
        self._lock = threading.Lock()
        self._classifier: Classifier | None = None
        self._stamp: tuple[int, int] | None = None
        self._next_look = 0.0
        self._fault = ""  # of the artifact, if it could not be loaded

    def has_artifact(self) -> bool:
        """Say whether there is an artifact, be it good or damaged."""
        return (self._artifact / CARD_FILE).exists()

    def classifier(self) -> Classifier:
        """Return the classifier, warm.

        Raises:
            Problem: `not_ready`, with the progress of the training if there is one.
        """
        if self._classifier is not None:
            self._look_for_newer()
            return self._classifier
        if not self.has_artifact():
            raise self._not_ready()
        if self._fault and time.monotonic() < self._next_look:  # reading it takes time, so not for every request
            raise self._problem(self._fault)
        try:
            return self.load()
        except ArtifactError as error:
            self._fault, self._next_look = str(error), time.monotonic() + LOOK_INTERVAL_S
            raise self._problem(self._fault) from error

    def card(self) -> Card | None:
        """Return the card of the classifier in use, if there is one."""
        return None if self._classifier is None else self._classifier.card

    def progress(self) -> TrainingState | None:
        """Return how far a training is, if one goes on."""
        return read_state(self._training) if is_training(self._training) else None

    def load(self) -> Classifier:
        """Load the classifier if that has not been done, and run it once so that the first request is not slow.

        Raises:
            ArtifactError: it is missing or cannot be used.
        """
        with self._lock:
            if self._classifier is None:
                self._stamp = self._read_stamp()
                self._classifier = self._load_warm()
                self._metrics.set_ready()
            return self._classifier

    def _look_for_newer(self) -> None:
        """Take a new artifact into use, if there is one; the old one stays if it cannot be used.

        One thread looks, and no more often than every `LOOK_INTERVAL_S`; the others go on with what there is.
        """
        if time.monotonic() < self._next_look or not self._lock.acquire(blocking=False):
            return
        try:
            self._next_look = time.monotonic() + LOOK_INTERVAL_S
            stamp = self._read_stamp()
            if stamp is None or stamp == self._stamp:
                return
            self._stamp = stamp
            self._classifier = self._load_warm()
            _log.warning("classifier %s is in use now", self._classifier.card.version)
        except ArtifactError as error:
            _log.error("the new classifier cannot be used, the old one stays in use: %s", error)
        finally:
            self._lock.release()

    def _read_stamp(self) -> tuple[int, int] | None:
        """Return what changes whenever an artifact is replaced, or None while there is none."""
        try:
            state = (self._artifact / CARD_FILE).stat()
        except FileNotFoundError:
            return None
        return state.st_ino, state.st_mtime_ns

    def _load_warm(self) -> Classifier:
        classifier = Classifier.load(self._artifact)
        classifier.run(np.zeros((1, *classifier.card.input_size, 3), np.uint8))
        return classifier

    def _not_ready(self) -> Problem:
        progress = read_state(self._training)
        if is_training(self._training):
            progress = progress or TrainingState("prepare")
            return self._problem(_describe(progress), progress=progress.to_json())
        if progress is None:
            return self._problem("There is no classifier, and none is being trained.")
        if progress.stage == "failed":
            return self._problem(f"The training failed: {progress.message}")
        return self._problem("The training was interrupted; it goes on when the service is started again.")

    def _problem(self, detail: str, **members: object) -> Problem:
        members = {"contract": self._contract, **members}
        return Problem("not_ready", detail, members, {"Retry-After": str(RETRY_AFTER_S)})


def _describe(progress: TrainingState) -> str:
    if progress.stage == "train" and progress.epochs:
        epoch = min((progress.epoch or 0) + 1, progress.epochs)
        return f"The classifier is being trained: epoch {epoch} of {progress.epochs}."
    return f"The classifier is being made: {STAGES.get(progress.stage, 'the training begins')}."
