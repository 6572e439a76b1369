"""The classifier in use, or the reason why there is none yet."""

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from model.artifact import CARD_FILE, require_task
from model.engine import Engine
from model.errors import ArtifactError, EngineError
from model.progress import TrainingState, is_training, is_waiting, read_state
from model.recogniser import Recogniser
from service.inference import WarmRecogniser
from service.metrics import TaskMetrics, TaskState
from service.problems import Problem, without_paths
from service.watch import Watch

RETRY_AFTER_S = 5
LOOK_INTERVAL_S = 1.0
TRAINING_STAGES = {
    "download": "downloading the data set",
    "prepare": "reading the pictures",
    "export": "converting the network",
    "evaluate": "measuring its accuracy",
}

NotReady = Literal["training", "failed"]

_log = logging.getLogger(__name__)


class Readiness:
    """Loads the classifier of a task when its artifact appears or is replaced, and explains why there is none yet.

    Args:
        task: name of the task.
        artifact: folder of the classifier.
        training: folder of its training.
        contract: version of the HTTP contract, which every explanation states.
        metrics: of the task.
        engine: runs its networks.
    """

    def __init__(
        self, task: str, artifact: Path, training: Path, contract: str, metrics: TaskMetrics, engine: Engine
    ) -> None:
        self._task, self._artifact, self._training, self._contract = task, artifact, training, contract
        self._metrics, self._engine = metrics, engine
        self._lock = threading.Lock()
        self._warm: WarmRecogniser | None = None
        self._stamp: tuple[int, int] | None = None
        self._next_look = 0.0
        self._fault = ""  # why the artifact could not be loaded
        self._watch: Watch | None = None  # if an inference server runs the networks

    def has_artifact(self) -> bool:
        """Say whether there is an artifact, valid or damaged."""
        return (self._artifact / CARD_FILE).exists()

    def recogniser(self) -> Recogniser:
        """Return the recogniser in use, loading it first if necessary.

        Raises:
            Problem: `not_ready`, with the progress of the training if there is one.
        """
        return self.warm_recogniser().recogniser

    def warm_recogniser(self) -> WarmRecogniser:
        """Return the recogniser in use as `recogniser` does, with the time that its classifier takes."""
        if warm := self.in_use():
            return warm
        if not self.has_artifact():
            raise self._not_ready()
        if self._fault and time.monotonic() < self._next_look:  # reading it takes too long to try for every request
            raise self._problem(self._fault)
        try:
            return self.load()
        except ArtifactError as error:
            if not self._fault:
                _log.error("%s: the classifier cannot be used: %s", self._task, error)
            self._fault, self._next_look = self._public(str(error)), time.monotonic() + LOOK_INTERVAL_S
            raise self._problem(self._fault) from error

    def problem(self) -> Problem | None:
        """Return why nothing can be predicted, or None; the classifier is loaded first if necessary."""
        try:
            self.warm_recogniser()
        except Problem as problem:
            return problem
        fault = self._watch.fault if self._watch else None
        return self._problem(f"{fault[0].upper()}{fault[1:]}.") if fault else None

    def in_use(self) -> WarmRecogniser | None:
        """Return the recogniser in use without waiting, or None if none has been loaded.

        A newer artifact is loaded in the background and returned by a later call.
        """
        if self._warm is not None:
            self._look_for_newer()
        return self._warm

    def state(self) -> TaskState:
        """Return the state for the metrics: the classifier in use and the training in progress."""
        version = None if self._warm is None else self._warm.recogniser.card.version
        return TaskState(version, read_state(self._training) if is_training(self._training) else None)

    def load(self) -> WarmRecogniser:
        """Load the classifier unless that has been done.

        Raises:
            ArtifactError: it is missing or cannot be used.
        """
        with self._lock:
            if self._warm is None:
                self._stamp = self._read_stamp()
                self._warm = self._watched(self._read())
            return self._warm

    def _watched(self, warm: WarmRecogniser) -> WarmRecogniser:
        """Watch a recogniser instead of the one before, if an inference server runs its networks; return it."""
        if self._watch:
            self._watch.stop()
        if warm.recogniser.is_remote:
            self._watch = Watch(warm.recogniser, self._metrics)
        else:
            self._metrics.set_ready(is_ready=True)
        return warm

    def _look_for_newer(self) -> None:
        """Start to load a new artifact if there is one.

        At most one thread does this at a time, and looks every `LOOK_INTERVAL_S` at most.
        """
        if time.monotonic() < self._next_look or not self._lock.acquire(blocking=False):
            return
        with ExitStack() as stack:
            stack.callback(self._lock.release)
            self._next_look = time.monotonic() + LOOK_INTERVAL_S
            stamp = self._read_stamp()
            if stamp is not None and stamp != self._stamp:
                self._stamp = stamp
                threading.Thread(target=self._replace, name="load", daemon=True).start()
                stack.pop_all()  # the thread releases the lock

    def _replace(self) -> None:
        """Load a new artifact and put it in use, or keep the old one if that fails; then release the lock."""
        try:
            warm = self._read()
            if warm.recogniser.is_remote:
                warm.recogniser.verify()
            self._warm = self._watched(warm)
            _log.warning("%s: classifier %s is in use now", self._task, warm.recogniser.card.version)
        except EngineError as error:
            _log.error("%s: the new classifier cannot be used yet, the old one stays in use: %s", self._task, error)
            self._stamp = None  # try again at the next look
        except ArtifactError as error:
            _log.error("%s: the new classifier cannot be used, the old one stays in use: %s", self._task, error)
        except Exception:  # noqa: BLE001 — the edge of a thread; whatever it is, the log says what stays in use
            _log.exception("%s: the new classifier cannot be used, the old one stays in use", self._task)
        finally:
            self._lock.release()

    def _read(self) -> WarmRecogniser:
        """Load the classifier.

        Raises:
            ArtifactError: it is missing, cannot be used, or belongs to another task.
        """
        warm = WarmRecogniser.load(self._artifact, self._engine)
        require_task(self._artifact, warm.recogniser.card, self._task)
        return warm

    def _read_stamp(self) -> tuple[int, int] | None:
        """Return a value that changes when the artifact is replaced, or None while there is none."""
        try:
            state = (self._artifact / CARD_FILE).stat()
        except FileNotFoundError:
            return None
        return state.st_ino, state.st_mtime_ns

    def _not_ready(self) -> Problem:
        progress = read_state(self._training)
        if is_training(self._training):
            progress = progress or TrainingState("prepare")
            return self._problem(_describe(progress), "training", progress=progress.to_json())
        if is_waiting(self._training):
            return self._problem("The classifier is waiting to be trained; one is trained at a time.", "training")
        if progress is None:
            return self._problem("There is no classifier, and none is being trained.")
        if progress.stage == "done":  # its result is in another folder, or was removed
            return self._problem(
                "There is no classifier where SERVICE_ARTIFACT or SERVICE_ARTIFACTS says, and none is being trained."
            )
        if progress.stage == "failed":
            return self._problem(f"The training failed: {self._public(progress.message or '')}")
        return self._problem("The training was interrupted; it resumes when the service is restarted.")

    def _public(self, message: str) -> str:
        """Return a message without the paths of this machine."""
        return without_paths(message, self._artifact, self._training, self._training.parents[1], Path.cwd())

    def _problem(self, detail: str, state: NotReady = "failed", **members: object) -> Problem:
        members = {"contract": self._contract, "task": self._task, "state": state, **members}
        return Problem("not_ready", detail, members, {"Retry-After": str(RETRY_AFTER_S)})


def _describe(progress: TrainingState) -> str:
    if progress.stage == "train" and progress.epochs:
        epoch = min((progress.epoch or 0) + 1, progress.epochs)
        return f"The classifier is being trained: epoch {epoch} of {progress.epochs}."
    return f"The classifier is being trained: {TRAINING_STAGES.get(progress.stage, 'starting')}."
