"""The only part of the page that speaks HTTP.

ServiceError
├── Unreachable         nothing answers at the address
│   └── TimedOut        the service did not answer in time
├── UnexpectedServer    another program answers at the address
├── ContractTooOld      the service's contract is older than the one this page needs
├── ContractTooNew      the service's contract has a newer major version than this page knows
├── Busy                the service is overloaded, or this page has sent too many requests
├── NotAllowed          the service needs an API key that this page does not have
├── NotReady            the service has no classifier of a task yet; with the state of its training
└── Refused             the service rejected the request; the message says why
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pydantic import BaseModel
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError
from urllib3.util import Retry

from ui.contract import (
    CONTRACT,
    Answered,
    AnswerError,
    Box,
    Card,
    DataPicture,
    DataPictures,
    DataSet,
    Failed,
    Greeting,
    Label,
    Labels,
    Prediction,
    Problem,
    Receipt,
    Results,
    Scene,
    Service,
    TrainingState,
    read_answer,
)

LONGEST_PAUSE_S: Final = 2  # before a request is retried
BATCH_TIMEOUTS: Final = 6  # a batch may take this many times as long as one picture

A = TypeVar("A", bound=BaseModel)


class ServiceError(Exception):
    """The service did not answer; the message is for people."""


class Unreachable(ServiceError):
    """Nothing answers at the service's address."""


class TimedOut(Unreachable):
    """The service did not answer in time."""


class UnexpectedServer(ServiceError):
    """The program that answers is not the prediction service."""


class ContractTooOld(ServiceError):
    """The service's contract is older than the one this page needs."""


class ContractTooNew(ServiceError):
    """The service's contract has a newer major version than this page knows."""


class Busy(ServiceError):
    """The service rejects requests at the moment; the message says why."""


class NotAllowed(ServiceError):
    """The service needs an API key that this page does not have."""


class NotReady(ServiceError):
    """The service has no classifier of a task yet.

    Attributes:
        task: name of the task; "" if the service did not say.
        training: state of its training, None if it is not being trained.
    """

    def __init__(self, message: str, task: str, training: TrainingState | None) -> None:
        super().__init__(message)
        self.task, self.training = task, training


class Refused(ServiceError):
    """The service rejected the request; `kind` is the kind of problem in the contract, such as `too_large`."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Result:
    """The answer to one picture of a batch: a prediction, or the reason why there is none and its kind."""

    prediction: Prediction | None
    reason: str = ""
    kind: str = ""


class Client:
    """A connection to one prediction service; several threads may use it at once.

    Args:
        base_url: the service's address.
        timeout_s: how long to wait for a connection, and for an answer.
        api_key: a key of the service, if it needs one.
    """

    def __init__(self, base_url: str, timeout_s: float, api_key: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout_s, self._api_key = timeout_s, api_key
        self._sessions = threading.local()  # requests does not promise that a session is thread-safe

    def service(self) -> Service:
        """Return the tasks of the service, also of one that is not ready.

        Raises:
            Unreachable, UnexpectedServer, ContractTooOld, ContractTooNew: see the module.
        """
        try:
            content = self._ask("GET", "/tasks")
        except Refused as error:  # this route is new in contract 2.3
            raise ContractTooOld("The service does not list its tasks.") from error
        # The contract comes first: only an answer of a version that this page knows must have all members.
        contract = self._read(Greeting, content).contract
        version = tuple(map(int, contract.split(".")))
        if version < CONTRACT:
            raise ContractTooOld(f"The service's contract is {contract}.")
        if version[0] > CONTRACT[0]:
            raise ContractTooNew(f"The service's contract is {contract}.")
        return self._read(Service, content)

    def labels(self, task: str) -> tuple[Label, ...]:
        """Return all classes of a task, in the order of their indices."""
        return self._read(Labels, self._ask("GET", f"/model/{task}/labels")).root

    def card(self, task: str) -> Card:
        """Return the card of a task's classifier."""
        return self._read(Card, self._ask("GET", f"/model/{task}"))

    def predict(self, task: str, picture: bytes | str, box: Box | None = None) -> Prediction:
        """Classify a picture, or the part of it in a box.

        Args:
            task: the name of the task.
            picture: the bytes of a file, or a URL.
            box: the part to classify, None for the whole picture.

        Raises:
            ServiceError: see the module.
        """
        query = {"explain": "true", "thumbnail": "true", **_box(box)}
        return self._read(Prediction, self._ask("POST", f"/predict/{task}", params=query, **_picture(picture)))

    def detect(self, task: str, picture: bytes | str, *, preview: bool = False) -> Scene:
        """Find every object in a photo; only tasks that offer `detect` can.

        Args:
            task: the name of the task.
            picture: the bytes of a file, or a URL.
            preview: whether to get the photo back as a JPEG.

        Raises:
            ServiceError: see the module.
        """
        query = {"explain": "true", "thumbnail": "true", **({"preview": "true"} if preview else {})}
        return self._read(Scene, self._ask("POST", f"/detect/{task}", params=query, **_picture(picture)))

    def predict_batch(self, task: str, files: Sequence[tuple[str, bytes]]) -> list[Result]:
        """Classify pictures, given as name and bytes, in one request; the results are in the same order.

        Raises:
            ServiceError: see the module; then there is no result for any of the pictures.
        """
        form = [("image", (f"{number}", payload)) for number, (_, payload) in enumerate(files)]
        content = self._ask(
            "POST", f"/predict/{task}/batch", params={"thumbnail": "true"}, files=form,
            timeout=self._timeout_s * BATCH_TIMEOUTS,
        )  # fmt: skip
        results = self._read(Results, content).results
        if len(results) != len(files):
            raise self._unexpected_server()
        return [_result(each) for each in results]

    def send_feedback(
        self, task: str, payload: bytes, class_index: int | None, box: Box | None = None, *, located: bool = False
    ) -> None:
        """Let the service store a picture with the class that a person chose, None for none of the classes.

        Args:
            task: the name of the task.
            payload: the bytes of a file.
            class_index: what the picture shows.
            box: the part to store, None for the whole picture.
            located: whether the service found the box, which then lies tightly around the object.

        Raises:
            ServiceError: see the module; `Refused` if the service does not store pictures.
        """
        query = {"class_index": "none" if class_index is None else str(class_index), **_box(box)}
        if located:
            query["located"] = "true"
        self._read(Receipt, self._ask("POST", f"/predict/{task}/feedback", params=query, **_raw(payload)))

    def data(self, task: str) -> DataSet:
        """Return the statistics of a task's data set.

        Raises:
            ServiceError: see the module; `Refused` if there is no data set.
        """
        return self._read(DataSet, self._ask("GET", f"/data/{task}", timeout=self._timeout_s * BATCH_TIMEOUTS))

    def data_pictures(self, task: str, class_index: int, count: int, side: int) -> tuple[DataPicture, ...]:
        """Return up to `count` pictures of a class of the data set, reduced or enlarged to a side of `side` pixels."""
        query = {"count": str(count), "side": str(side)}
        content = self._ask("GET", f"/data/{task}/{class_index}", params=query)
        return self._read(DataPictures, content).pictures

    def metrics(self) -> list[Sample]:
        """Return the service's metrics, as Prometheus would read them."""
        content = self._ask("GET", "/metrics").decode("utf-8", "replace")
        try:
            families = list(text_string_to_metric_families(content))
        except ValueError as error:
            raise self._unexpected_server() from error
        if not any(family.name == "sign_requests" for family in families):
            raise self._unexpected_server()
        return [sample for family in families for sample in family.samples]

    def may_predict(self, task: str) -> bool:
        """Return whether the service accepts this page's API key, without a prediction."""
        try:
            self._ask("POST", f"/predict/{task}", **_raw(b""))
        except NotAllowed:
            return False
        except Refused:
            return True
        return True

    def _ask(self, method: str, path: str, **options: Any) -> bytes:
        """Return the content of a successful answer; the error that fits for any other."""
        response = self._request(method, path, **options)
        if not response.ok:
            raise _error_of(response.status_code, self._read(Problem, response.content))
        return response.content

    def _read(self, shape: type[A], content: bytes) -> A:
        """Return an answer as a value; a malformed answer comes from another program."""
        try:
            return read_answer(shape, content)
        except AnswerError as error:
            raise self._unexpected_server() from error

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", self._timeout_s)
        headers = {**options.pop("headers", {}), **({"X-API-Key": self._api_key} if self._api_key else {})}
        try:
            return self._session().request(method, self.base_url + path, headers=headers, **options)
        except requests.RequestException as error:
            while_reading = isinstance(error.args[0] if error.args else None, ReadTimeoutError)
            if isinstance(error, requests.Timeout) or while_reading:
                raise TimedOut(f"{self.base_url} did not answer within {options['timeout']:g} s.") from error
            raise Unreachable(f"Nothing answers at {self.base_url}.") from error

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            session = self._sessions.session = requests.Session()
            for scheme in ("http://", "https://"):
                session.mount(scheme, _retrying())
        found: requests.Session = self._sessions.session
        return found

    def _unexpected_server(self) -> UnexpectedServer:
        return UnexpectedServer(f"The program at {self.base_url} is not the prediction service.")


def _error_of(status: int, problem: Problem) -> ServiceError:
    """Return the error for an answer with this status."""
    if problem.kind in ("not_ready", "engine_failed", "engine_timeout"):
        return NotReady(problem.detail, problem.task, problem.progress)
    if status in (requests.codes.service_unavailable, requests.codes.too_many_requests):
        return Busy(problem.detail)
    if status == requests.codes.unauthorized:
        return NotAllowed("The service needs an API key. Set UI_API_KEY to one of its keys.")
    return Refused(problem.detail, problem.kind)


def _retrying() -> HTTPAdapter:
    """Retry a request twice if the service is overloaded, after the pause that the answer asks for.

    Retries are safe: a prediction changes nothing, and the same feedback is stored only once.
    """
    again = Retry(
        total=None, connect=0, read=False, redirect=0, other=0, status=2, status_forcelist=(429, 503),
        allowed_methods=None, backoff_factor=0.1, retry_after_max=LONGEST_PAUSE_S, raise_on_status=False,
    )  # fmt: skip
    return HTTPAdapter(max_retries=again)


def _picture(picture: bytes | str) -> dict[str, Any]:
    return {"json": {"url": picture}} if isinstance(picture, str) else _raw(picture)


def _raw(payload: bytes) -> dict[str, Any]:
    return {"data": payload, "headers": {"Content-Type": "application/octet-stream"}}


def _box(box: Box | None) -> dict[str, str]:
    return {} if box is None else {"box": ",".join(map(str, box))}


def _result(answer: Answered | Failed) -> Result:
    if isinstance(answer, Answered):
        return Result(answer.prediction)
    return Result(None, answer.problem.detail, answer.problem.kind)
