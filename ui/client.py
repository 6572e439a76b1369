"""The only part of the page that speaks HTTP.

ServiceError
├── Unreachable    nothing answers at the address, or not in time
├── NotReady       it answers, but has no classifier yet; with the progress of the training
└── Refused        it does not take this picture; the message says why
"""

from dataclasses import dataclass
from typing import Any

import requests


class ServiceError(Exception):
    """The service could not answer; the message is for a person."""


class Unreachable(ServiceError):
    """Nothing answers at the service's address, or not in time."""


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


class Client:
    """Asks one prediction service.

    Args:
        base_url: its address; timeout_s: how long to wait for it to accept a connection, and for an answer.
    """

    def __init__(self, base_url: str, timeout_s: float) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()

    def predict(self, payload: bytes) -> Prediction:
        """Classify a picture, the bytes of a whole file.

        Raises:
            Unreachable, NotReady, Refused: see the module.
        """
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._ask("POST", "/predict_traffic_sign", data=payload, headers=headers)
        names = ("class_index", "class_name", "description", "sign_number", "probability", "verdict")
        alternatives = tuple(Alternative(**alternative) for alternative in answer["alternatives"])
        return Prediction(**{name: answer[name] for name in names}, alternatives=alternatives)

    def card(self) -> dict[str, Any]:
        """Return the card of the classifier.

        Raises:
            Unreachable, NotReady: see the module.
        """
        return self._ask("GET", "/model")

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        url = self._base_url + path
        try:
            response = self._session.request(method, url, timeout=self._timeout_s, **options)
            answer: dict[str, Any] = response.json()
        except requests.Timeout as error:
            raise Unreachable(f"{self._base_url} did not answer within {self._timeout_s:g} s.") from error
        except requests.JSONDecodeError as error:
            raise Unreachable(f"What answers at {self._base_url} is not the prediction service.") from error
        except requests.RequestException as error:
            raise Unreachable(f"Nothing answers at {self._base_url}.") from error
        if response.status_code == requests.codes.service_unavailable:
            raise NotReady(answer["detail"], answer.get("progress"))
        if not response.ok:
            raise Refused(answer["detail"])
        return answer
