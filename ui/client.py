"""The only part of the page that speaks HTTP.

ServiceError
├── Unreachable    nothing answers at the address
│   └── Silent     something is there, but it does not answer in time
├── Stranger       what answers is not the prediction service
├── Older          it offers less than this page needs
├── Newer          its contract is one that this page does not know
├── Busy           it has too much to do, or this page has asked too often
├── NotAllowed     it wants a key that this page does not have
├── NotReady       it answers, but has no classifier yet; with the progress of the training
└── Refused        it does not take this picture, or does not do what is asked; the message says why
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError
from urllib3.util import Retry

# Of the service: this page needs what it offers since then, and knows no other first number.
CONTRACT: Final = (1, 1)
LONGEST_PAUSE_S: Final = 2  # before a request is sent again
BATCH_TIMEOUTS: Final = 6  # a batch may take so many times as long as one picture

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the upright picture, right and bottom excluded


class ServiceError(Exception):
    """The service could not answer; the message is for a person."""


class Unreachable(ServiceError):
    """Nothing answers at the service's address."""


class Silent(Unreachable):
    """Something is at the service's address, but it does not answer in time."""


class Stranger(ServiceError):
    """What answers is not the prediction service."""


class Older(ServiceError):
    """The service's contract is older than what this page needs."""


class Newer(ServiceError):
    """The service's contract is one that this page does not know."""


class Busy(ServiceError):
    """The service refuses requests at the moment; the message says why."""


class NotAllowed(ServiceError):
    """The service wants a key that this page does not have."""


class NotReady(ServiceError):
    """The service has no classifier yet. `progress` is that of the contract, None when nothing is being trained."""

    def __init__(self, message: str, progress: Mapping[str, Any] | None) -> None:
        super().__init__(message)
        self.progress = progress


class Refused(ServiceError):
    """The service does not take this picture; `kind` names the reason as the contract does."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class State:
    """A service that is ready: the version of its classifier, that of its contract, and what it offers besides."""

    version: str
    contract: str
    offers: frozenset[str]


@dataclass(frozen=True)
class Label:
    """One class as people know it, in English and, with `_de`, in German; `confused_with` are class indices."""

    index: int
    name: str
    name_de: str
    sign_number: str
    category: str
    description: str
    description_de: str
    ends: str
    ends_de: str
    confused_with: tuple[int, ...]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Label":
        """Make a value of an answer; KeyError or TypeError if it is not one of the contract."""
        named = {each.name: answer[each.name] for each in fields(cls)}
        return cls(**{**named, "confused_with": tuple(named["confused_with"])})


@dataclass(frozen=True)
class Alternative:
    """One of the most probable classes."""

    class_index: int
    class_name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The answer of the service; `verdict` is `confident`, `unsure` or `not_recognised`.

    `heatmap` has rows of values in [0, 1], and None if the classifier has none; `thumbnail` is a PNG in base64 of what
    the classifier saw, "" if it was not asked for.
    """

    class_index: int
    class_name: str
    sign_number: str
    probability: float
    verdict: str
    alternatives: tuple[Alternative, ...]
    version: str
    heatmap: tuple[tuple[float, ...], ...] | None = None
    thumbnail: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # the answer as it came

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Prediction":
        """Make a value of an answer; KeyError or TypeError if it is not one of the contract."""
        rows = answer.get("heatmap")
        return cls(
            answer["class_index"],
            answer["class_name"],
            answer["sign_number"],
            answer["probability"],
            answer["verdict"],
            tuple(
                Alternative(each["class_index"], each["class_name"], each["probability"])
                for each in answer["alternatives"]
            ),
            answer["model"]["version"],
            None if rows is None else tuple(tuple(row) for row in rows),
            answer.get("thumbnail", ""),
            answer,
        )


@dataclass(frozen=True)
class Result:
    """What became of one picture of a batch: a prediction, or the reason why there is none and its kind."""

    prediction: Prediction | None
    reason: str = ""
    kind: str = ""


class Client:
    """Asks one prediction service; may be used by several threads at once.

    Args:
        base_url: its address; timeout_s: how long to wait for it to accept a connection, and for an answer.
        api_key: a key of the service, if it asks for one.
    """

    def __init__(self, base_url: str, timeout_s: float, api_key: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout_s, self._api_key = timeout_s, api_key
        self._sessions = threading.local()  # requests promises nothing about a session in two threads

    def state(self) -> State:
        """Return what the service is, if it is ready.

        Raises:
            Unreachable, Stranger, Older, Newer, NotReady: see the module.
        """
        answer = self._ask("GET", "/readyz")
        with self._understanding():
            if answer["status"] != "ready":
                raise TypeError
            if "contract" not in answer:
                raise Older("")
            contract = answer["contract"]
            numbers = tuple(int(number) for number in contract.split("."))
            if numbers < CONTRACT:
                raise Older(contract)
            if numbers[0] > CONTRACT[0]:
                raise Newer(contract)
            return State(answer["version"], contract, frozenset(answer["offers"]))

    def labels(self) -> tuple[Label, ...]:
        """Return all classes, in the order of their indices."""
        answer = self._ask("GET", "/model/labels")
        with self._understanding():
            return tuple(Label.of(each) for each in answer)

    def card(self) -> Mapping[str, Any]:
        """Return the classifier's card, as the contract describes it."""
        answer = self._ask("GET", "/model")
        with self._understanding():
            if "held_out" not in answer["metrics"]:
                raise KeyError
        card: Mapping[str, Any] = answer
        return card

    def predict(self, picture: bytes | str, box: Box | None = None) -> Prediction:
        """Classify a picture, the bytes of a whole file or the address of one, or the part of it in a box.

        Raises:
            ServiceError: see the module.
        """
        query = {"explain": "true", "thumbnail": "true", **_box(box)}
        content: dict[str, Any] = {"json": {"url": picture}} if isinstance(picture, str) else _raw(picture)
        answer = self._ask("POST", "/predict_traffic_sign", params=query, **content)
        with self._understanding():
            return Prediction.of(answer)

    def predict_batch(self, files: Sequence[tuple[str, bytes]]) -> list[Result]:
        """Classify pictures, each with a name, in one request; the answers stand in their order.

        Raises:
            ServiceError: see the module; nothing is known of any of the pictures then.
        """
        form = [("image", (f"{number}", payload)) for number, (_, payload) in enumerate(files)]
        answer = self._ask(
            "POST", "/predict_traffic_sign/batch", params={"thumbnail": "true"}, files=form,
            timeout=self._timeout_s * BATCH_TIMEOUTS,
        )  # fmt: skip
        with self._understanding():
            if len(answer["results"]) != len(files):
                raise TypeError
            return [_result(each) for each in answer["results"]]

    def send_feedback(self, payload: bytes, class_index: int | None, box: Box | None = None) -> None:
        """Let the service keep a picture with the class that a person names, None for none of them.

        Raises:
            ServiceError: see the module; `Refused` if it keeps none.
        """
        query = {"class_index": "none" if class_index is None else str(class_index), **_box(box)}
        self._ask("POST", "/predict_traffic_sign/feedback", params=query, **_raw(payload))

    def data(self) -> Mapping[str, Any]:
        """Return what the service knows of the data set.

        Raises:
            ServiceError: see the module; `Refused` if it has none.
        """
        answer: Mapping[str, Any] = self._ask("GET", "/data", timeout=self._timeout_s * BATCH_TIMEOUTS)
        return answer

    def data_pictures(self, class_index: int, count: int) -> Sequence[Mapping[str, Any]]:
        """Return some pictures of a class of the data set, as the contract describes them."""
        answer = self._ask("GET", f"/data/{class_index}", params={"count": str(count)})
        with self._understanding():
            pictures: Sequence[Mapping[str, Any]] = answer["pictures"]
            return pictures

    def metrics(self) -> str:
        """Return what the service has counted, in the text format of Prometheus."""
        response = self._request("GET", "/metrics")
        if not response.ok or "sign_requests" not in response.text:
            raise self._stranger()
        return response.text

    def may_predict(self) -> bool:
        """Say whether the service takes this page's key, without a prediction."""
        try:
            self._ask("POST", "/predict_traffic_sign", **_raw(b""))
        except NotAllowed:
            return False
        except Refused:
            return True
        return True

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        response = self._request(method, path, **options)
        try:
            answer = response.json()
        except requests.JSONDecodeError as error:
            raise self._stranger() from error
        with self._understanding():
            if response.status_code == requests.codes.service_unavailable:
                if _kind(answer) != "not_ready":
                    raise Busy(answer["detail"])
                raise NotReady(answer["detail"], answer.get("progress"))
            if response.status_code == requests.codes.unauthorized:
                raise NotAllowed("The service wants a key, and UI_API_KEY holds none that it knows.")
            if response.status_code == requests.codes.too_many_requests:
                raise Busy(answer["detail"])
            if not response.ok:
                raise Refused(answer["detail"], _kind(answer))
        return answer

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", self._timeout_s)
        headers = {**options.pop("headers", {}), **({"X-API-Key": self._api_key} if self._api_key else {})}
        try:
            return self._session().request(method, self.base_url + path, headers=headers, **options)
        except requests.RequestException as error:
            in_the_middle = isinstance(error.args[0] if error.args else None, ReadTimeoutError)
            if isinstance(error, requests.Timeout) or in_the_middle:
                raise Silent(f"{self.base_url} did not answer within {options['timeout']:g} s.") from error
            raise Unreachable(f"Nothing answers at {self.base_url}.") from error

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            session = self._sessions.session = requests.Session()
            for scheme in ("http://", "https://"):
                session.mount(scheme, _coming_back(429, 503))
            # There, 503 is the answer: of a service that trains, whose progress the page shows.
            session.mount(f"{self.base_url}/readyz", _coming_back(429))
        found: requests.Session = self._sessions.session
        return found

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """Take an answer that is not that of the contract for that of another server."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._stranger() from error

    def _stranger(self) -> Stranger:
        return Stranger(f"What answers at {self.base_url} is not the prediction service.")


def _coming_back(*statuses: int) -> HTTPAdapter:
    """Send a request again, twice, if it is answered with one of these: each says when to come back.

    A prediction changes nothing, and feedback that was kept is not kept twice.
    """
    again = Retry(
        total=None, connect=0, read=False, redirect=0, other=0, status=2, status_forcelist=statuses,
        allowed_methods=None, backoff_factor=0.1, retry_after_max=LONGEST_PAUSE_S, raise_on_status=False,
    )  # fmt: skip
    return HTTPAdapter(max_retries=again)


def _raw(payload: bytes) -> dict[str, Any]:
    return {"data": payload, "headers": {"Content-Type": "application/octet-stream"}}


def _box(box: Box | None) -> dict[str, str]:
    return {} if box is None else {"box": ",".join(map(str, box))}


def _result(answer: Mapping[str, Any]) -> Result:
    if "prediction" in answer:
        return Result(Prediction.of(answer["prediction"]))
    return Result(None, answer["problem"]["detail"], _kind(answer["problem"]))


def _kind(problem: Mapping[str, Any]) -> str:
    """Return the last part of a problem's type, such as `too_large`."""
    kind: str = problem["type"]
    return kind.rpartition(":")[2]
