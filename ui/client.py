"""The only part of the page that speaks HTTP.

ServiceError
├── Unreachable    nothing answers at the address, or not in time
├── Busy           it has too much to do, or this page has asked too often
├── NotAllowed     it wants a key that this page does not have
├── NotReady       it answers, but has no classifier yet; with the progress of the training
└── Refused        it does not take this picture; the message says why
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

LONGEST_PAUSE_S: Final = 2  # before a request is sent again


class ServiceError(Exception):
    """The service could not answer; the message is for a person."""


class Unreachable(ServiceError):
    """Nothing answers at the service's address, or not in time."""


class Busy(ServiceError):
    """The service refuses requests at the moment; the message says why."""


class NotAllowed(ServiceError):
    """The service wants a key that this page does not have."""


class NotReady(ServiceError):
    """The service has no classifier yet. `progress` is that of the contract, None when nothing is being trained."""

    def __init__(self, message: str, progress: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.progress = progress


class Refused(ServiceError):
    """The service does not take this picture."""


@dataclass(frozen=True)
class Alternative:
    """One of the most probable classes."""

    class_index: int
    class_name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The answer of the service; `verdict` is `confident`, `unsure` or `not_recognised`."""

    class_index: int
    class_name: str
    description: str
    sign_number: str
    probability: float
    verdict: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class Card:
    """What the page says of the classifier.

    `accuracy` in [0, 1] was measured on `examples` held-out pictures; `itself` is False if that was done with another
    one, trained in the same way on fewer pictures.
    """

    version: str
    trained_on: str
    accuracy: float
    examples: int
    itself: bool


class Client:
    """Asks one prediction service.

    Args:
        base_url: its address; timeout_s: how long to wait for it to accept a connection, and for an answer.
        api_key: a key of the service, if it asks for one.
    """

    def __init__(self, base_url: str, timeout_s: float, api_key: str = "") -> None:
        self._api_key = api_key
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        # Who is told to come back soon does so, twice; a prediction changes nothing, so it may be asked for again.
        again = Retry(
            total=None, connect=0, read=False, redirect=0, other=0, status=2, status_forcelist=(429,),
            allowed_methods=None, backoff_factor=0.1, retry_after_max=LONGEST_PAUSE_S, raise_on_status=False,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=again))

    def predict(self, payload: bytes) -> Prediction:
        """Classify a picture, the bytes of a whole file.

        Raises:
            Unreachable, Busy, NotAllowed, NotReady, Refused: see the module.
        """
        headers = {"Content-Type": "application/octet-stream", "X-API-Key": self._api_key}
        answer = self._ask("POST", "/predict_traffic_sign", data=payload, headers=headers)
        names = ("class_index", "class_name", "description", "sign_number", "probability", "verdict")
        with self._understanding():
            alternatives = tuple(Alternative(**alternative) for alternative in answer["alternatives"])
            return Prediction(**{name: answer[name] for name in names}, alternatives=alternatives)

    def card(self) -> Card:
        """Return what the page needs of the classifier's card.

        Raises:
            Unreachable, Busy, NotReady: see the module.
        """
        answer = self._ask("GET", "/model")
        with self._understanding():
            metrics = answer["metrics"]
            return Card(
                answer["version"],
                answer["trained_on"],
                metrics["held_out"]["accuracy"],
                metrics["held_out"]["examples"],
                itself="measured_on" not in metrics,
            )

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._session.request(method, self._base_url + path, timeout=self._timeout_s, **options)
            answer = response.json()
        except requests.Timeout as error:
            raise Unreachable(f"{self._base_url} did not answer within {self._timeout_s:g} s.") from error
        except requests.JSONDecodeError as error:
            raise self._stranger() from error
        except requests.RequestException as error:
            raise Unreachable(f"Nothing answers at {self._base_url}.") from error
        with self._understanding():
            if response.status_code == requests.codes.service_unavailable:
                raise NotReady(answer["detail"], answer.get("progress"))
            if response.status_code == requests.codes.unauthorized:
                raise NotAllowed("The service wants a key, and UI_API_KEY holds none that it knows.")
            if response.status_code == requests.codes.too_many_requests:
                raise Busy(answer["detail"])
            if not response.ok:
                raise Refused(answer["detail"])
        return answer

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """Take an answer that is not that of the contract for that of another server."""
        try:
            yield
        except (KeyError, TypeError, AttributeError) as error:
            raise self._stranger() from error

    def _stranger(self) -> Unreachable:
        return Unreachable(f"What answers at {self._base_url} is not the prediction service.")
