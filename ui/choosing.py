"""The input of a picture: as a file, pasted, from the camera, from a URL, or a sample; the last input counts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Final

import streamlit as st

from ui.components import extras
from ui.connection import forget_answers, labels
from ui.contract import Task
from ui.examples import STATIC, example_photo, example_url
from ui.texts import name_of, text

WAYS: Final = {"file": ":material/upload:", "camera": ":material/photo_camera:", "address": ":material/link:"}
MOST_PHOTOS: Final = 12  # of the data set, as samples
PHOTO_SIDE: Final = 224  # pixels; of such a sample
CHOICE, SAMPLE, WAY, UNFOLDED = "choice", "sample", "way", "unfolded"  # keys of the session


@dataclass(frozen=True)
class Choice:
    """A picture that was chosen: its file name, its bytes or its URL, and the key of the input that it came from."""

    name: str
    picture: bytes | str
    source: str = ""


@dataclass(frozen=True)
class Sample:
    """A picture to try: its title for people, its file name, its URL for browsers, and a function that reads it."""

    title: str
    name: str
    url: str
    read: Callable[[], bytes | None]


def samples(task: Task) -> dict[str, Sample]:
    """Return the samples of a task: the page's own, or else a photo of each class from the data set, if there is one.

    Whole scenes, which are the page's JPEG files, come first; they are left out if the task only classifies.
    """
    folder = STATIC / task.name / "samples"
    kinds = ("*.jpg", "*.png") if "detect" in task.offers else ("*.png",)
    paths = [path for kind in kinds for path in sorted(folder.glob(kind))]
    own = {
        path.stem: Sample(
            text(f"sample.{path.stem}"), path.name, f"app/static/{task.name}/samples/{path.name}", path.read_bytes
        )
        for path in paths
    }
    return own or _photos(task)


def _photos(task: Task) -> dict[str, Sample]:
    """Return a photo of each of the first classes from the data set, by name of the class."""
    return {
        label.name: Sample(
            name_of(label), f"{label.name}.png", url, partial(example_photo, task, label.index, PHOTO_SIDE)
        )
        for label in labels(task)[:MOST_PHOTOS]
        if (url := example_url(task, label.index))
    }


def choose_picture(task: Task) -> Choice | None:
    """Show all inputs and return the picture that was chosen last, or None if there is none."""
    offered = samples(task)
    if CHOICE not in st.session_state:
        st.session_state[CHOICE] = None
        if st.query_params.get(SAMPLE) in offered:
            st.session_state[SAMPLE] = st.query_params[SAMPLE]
            _take_sample(offered)
    elif st.session_state.get(SAMPLE) not in (None, *offered):  # of another task
        st.session_state[SAMPLE] = None
        _drop(SAMPLE)
    ways = [way for way in WAYS if way != "address" or "urls" in task.offers]
    st.segmented_control(
        text("classify.way"), ways, key=WAY, default="file", required=True, persist_state="session",
        format_func=lambda way: f"{WAYS[way]} {text(f'classify.way_{way}')}", label_visibility="collapsed",
    )  # fmt: skip
    way = st.session_state[WAY]
    if way == "camera" and extras.is_camera_unavailable():
        st.warning(text("classify.camera_refused"), icon=":material/no_photography:")
        way = "file"
    if way == "camera":
        st.camera_input(text("classify.camera"), key="camera", on_change=_take_file, args=("camera",))
    elif way == "address":
        with st.form("address_form", border=False):
            st.text_input(text("classify.address"), key="address", placeholder="https://…")
            st.form_submit_button(text("classify.fetch"), on_click=_take_address, type="primary")
    else:
        st.file_uploader(
            text("classify.upload"), key="upload", on_change=_take_file, args=("upload",), help=text("classify.formats")
        )
        extras.accept_pasted_pictures()
    choice: Choice | None = st.session_state[CHOICE]
    if offered:
        _offer_samples(offered, folded=choice is not None and not st.session_state.get(UNFOLDED, False))
    return choice


def _offer_samples(offered: dict[str, Sample], *, folded: bool) -> None:
    """Show the samples; on a phone, style.css hides them as long as there is a button to unfold them."""
    with st.container():  # so that what follows stays where it is when the button comes or goes
        st.pills(
            text("classify.samples"), list(offered), key=SAMPLE, on_change=_take_sample, args=(offered,), wrap=True,
            persist_state="session", format_func=lambda name: f"![]({offered[name].url}) {offered[name].title}",
        )  # fmt: skip
        if folded:
            st.button(text("classify.unfold"), key="unfold", icon=":material/unfold_more:", on_click=_unfold)


def _unfold() -> None:
    st.session_state[UNFOLDED] = True


def _take(choice: Choice | None) -> None:
    """Remember a choice, and name it in the page's URL if it is a sample."""
    st.session_state[CHOICE], st.session_state[UNFOLDED] = choice, False
    sample = st.session_state.get(SAMPLE)
    if sample is None:
        st.query_params.pop(SAMPLE, None)
    elif st.query_params.get(SAMPLE) != sample:
        st.query_params[SAMPLE] = sample


def _drop(source: str) -> None:
    """Forget the choice if it came from this input.

    An input that was emptied may not be the one that counts: Streamlit empties the file input for a moment before it
    has the next file, and tells the page of a sample that it has reset itself.
    """
    choice: Choice | None = st.session_state[CHOICE]
    if choice and choice.source == source:
        _take(None)


def _take_file(key: str) -> None:
    file = st.session_state[key]
    if file is None:
        _drop(key)
    else:
        st.session_state[SAMPLE] = None
        _take(Choice(file.name, file.getvalue(), key))


def _take_address() -> None:
    address = st.session_state["address"].strip()
    if address:
        st.session_state[SAMPLE] = None
        forget_answers()  # there may be another picture at the same URL now
        _take(Choice(PurePosixPath(address.partition("?")[0]).name or address, address, "address"))


def _take_sample(offered: dict[str, Sample]) -> None:
    sample = offered.get(st.session_state[SAMPLE])
    content = sample.read() if sample else None
    if sample and content:
        _take(Choice(sample.name, content, SAMPLE))
    else:
        _drop(SAMPLE)
