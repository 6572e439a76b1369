"""What all pages ask of the service, and how they wait for it."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import Any, Final, TypeVar

import streamlit as st

from ui.client import Box, Client, Label, Prediction, Refused, State
from ui.settings import Settings, read_settings
from ui.texts import text

SLOW_S: Final = 1.0  # after which a person is told that the service takes its time
MOST_ANSWERS: Final = 100  # that a session remembers
POLL_S: Final = 2.0  # how often a page in trouble asks whether it is over

_ANSWERS: Final = "answers"  # in the session

T = TypeVar("T")


@st.cache_resource
def settings() -> Settings:
    """Return the settings of the page, read once."""
    return read_settings()


@st.cache_resource
def client() -> Client:
    """Return the connection to the service, the same for all visitors."""
    return Client(str(settings().service_url), settings().timeout_s, settings().api_key)


@st.cache_resource
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(32, "ask")


def patiently(ask: Callable[[], T]) -> T:
    """Return what the service says, and tell the person if that takes long.

    Raises:
        ServiceError: see `ui.client`.
    """
    asked = _threads().submit(ask)
    try:
        return asked.result(SLOW_S)
    except StillRunning:
        note = st.empty()
        note.info(text("trouble.slow"), icon=":material/hourglass_top:")
        try:
            return asked.result()
        finally:
            note.empty()


def state() -> State:
    """Return the state of the service; ServiceError if it is not ready."""
    return patiently(client().state)


@st.cache_data(max_entries=4, show_spinner=False)
def labels(version: str) -> tuple[Label, ...]:  # noqa: ARG001 — another classifier may have others
    """Return the classes of the classifier of this version."""
    return client().labels()


@st.cache_data(max_entries=4, show_spinner=False)
def card(version: str) -> Mapping[str, Any]:  # noqa: ARG001 — as above
    """Return the card of the classifier of this version."""
    return client().card()


def prediction(picture: bytes | str, box: Box | None, version: str) -> Prediction:
    """Return what the classifier of this version says of a picture, asked once in a session.

    Raises:
        ServiceError: see `ui.client`; a refusal is remembered too.
    """
    answers: dict[object, Prediction | Refused] = st.session_state.setdefault(_ANSWERS, {})
    key = picture if isinstance(picture, str) else hashlib.sha256(picture).digest(), box, version
    if key not in answers:
        try:
            answers[key] = patiently(lambda: client().predict(picture, box))
        except Refused as refusal:
            answers[key] = refusal
        while len(answers) > MOST_ANSWERS:
            del answers[next(iter(answers))]
    found = answers[key]
    if isinstance(found, Refused):
        raise found
    return found


def forget_answers() -> None:
    """Ask anew for every picture."""
    st.session_state.pop(_ANSWERS, None)


def data_url(content: bytes, media_type: str = "image/png") -> str:
    """Return an address that is the content itself."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
