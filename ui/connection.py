"""The page's requests to the service, with what is cached, and the note while an answer takes long."""

import base64
import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import Final, TypeVar

import streamlit as st

from ui.client import Client, Refused
from ui.contract import Box, Card, DataPicture, Fact, Label, Prediction, Scene, Service, Task
from ui.settings import Settings, read_settings
from ui.texts import text

SLOW_S: Final = 1.0  # after which the page says that the service takes longer than usual
KEPT: Final = 20  # classifiers whose labels and cards all visitors share
MOST_ANSWERS: Final = 100  # that a session remembers
POLL_S: Final = 2.0  # how often a part of the page refreshes itself
# Keys of containers that refresh themselves begin with this; style.css keeps Streamlit from dimming them meanwhile.
REFRESHING: Final = "refreshing"

# How files begin that are JPEG, PNG, GIF, BMP, WebP or AVIF.
_OF_THE_WEB: Final = re.compile(rb"\xff\xd8|\x89PNG|GIF8|BM|RIFF.{4}WEBP|.{4}ftypavi[fs]", re.DOTALL)
_ANSWERS: Final = "answers"  # key of the session

T = TypeVar("T")


@st.cache_resource
def settings() -> Settings:
    """Return the settings of the page; they are read once."""
    return read_settings()


@st.cache_resource
def client() -> Client:
    """Return the connection to the service, which all visitors share."""
    return Client(str(settings().service_url), settings().timeout_s, settings().api_key)


@st.cache_resource
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(32, "ask")


def with_slow_notice(ask: Callable[[], T]) -> T:
    """Return the answer to a request; show a note while it takes long.

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


def service() -> Service:
    """Return the tasks of the service; ServiceError if it does not answer."""
    return with_slow_notice(client().service)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _labels(task: str, version: str) -> tuple[Label, ...]:  # noqa: ARG001 — another classifier may have other labels
    return client().labels(task)


@st.cache_data(max_entries=KEPT, show_spinner=False)
def _card(task: str, version: str) -> Card:  # noqa: ARG001 — as above
    return client().card(task)


@st.cache_data(max_entries=200, show_spinner=False, ttl=600)
def _pictures(task: str, version: str, class_index: int, count: int, side: int) -> tuple[DataPicture, ...]:  # noqa: ARG001
    return client().data_pictures(task, class_index, count, side)


def labels(task: Task) -> tuple[Label, ...]:
    """Return the labels of a task's classifier."""
    return _labels(task.name, task.version)


def card(task: Task) -> Card:
    """Return the card of a task's classifier."""
    return _card(task.name, task.version)


def facts(task: Task) -> tuple[Fact, ...]:
    """Return the facts that the labels of a task may have, in the order to show them."""
    return card(task).facts


def data_pictures(task: Task, class_index: int, count: int, side: int) -> tuple[DataPicture, ...]:
    """Return up to `count` pictures of a class of the data set, with a longer side of `side` pixels."""
    return with_slow_notice(lambda: _pictures(task.name, task.version, class_index, count, side))


def prediction(task: Task, picture: bytes | str, box: Box | None) -> Prediction:
    """Return the prediction of a task's classifier, requested once per session and picture.

    Raises:
        ServiceError: see `ui.client`; a `Refused` is remembered too.
    """
    key = ("predict", task.name, task.version, _name(picture), box)
    return _remembered(key, lambda: client().predict(task.name, picture, box))


def scene(task: Task, picture: bytes | str) -> Scene:
    """Return what is in a photo, requested once per session and picture; with a preview if browsers cannot show it.

    Raises:
        ServiceError: see `ui.client`; a `Refused` is remembered too.
    """
    key = ("detect", task.name, task.version, _name(picture))
    return _remembered(key, lambda: client().detect(task.name, picture, preview=not is_shown(picture)))


def is_shown(picture: bytes | str) -> bool:
    """Return whether all browsers can show a picture: a file in a format of the web, not HEIC, PPM, or a URL.

    Most browsers could show a picture at a URL, but that would reveal the visitor to its server.
    """
    return isinstance(picture, bytes) and _OF_THE_WEB.match(picture) is not None


def _name(picture: bytes | str) -> bytes | str:
    return picture if isinstance(picture, str) else hashlib.sha256(picture).digest()


def _remembered(key: object, ask: Callable[[], T]) -> T:
    """Return the answer to a request that this session has sent before, or else send it."""
    answers: dict[object, T | Refused] = st.session_state.setdefault(_ANSWERS, {})
    if key not in answers:
        try:
            answers[key] = with_slow_notice(ask)
        except Refused as refusal:
            answers[key] = refusal
        while len(answers) > MOST_ANSWERS:
            del answers[next(iter(answers))]
    found = answers[key]
    if isinstance(found, Refused):
        raise found
    return found


def forget_answers() -> None:
    """Drop the remembered answers, so that every picture is sent again."""
    st.session_state.pop(_ANSWERS, None)


def data_url(content: bytes, media_type: str = "image/png") -> str:
    """Return content as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
