"""The input of a picture: as a file, pasted, from the camera, from a URL, or a sample; the last input counts."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import streamlit as st

from ui.components import extras
from ui.connection import forget_answers
from ui.contract import State
from ui.texts import text

SAMPLES: Final = {path.stem: path for path in sorted((Path(__file__).parent / "static/samples").glob("*.png"))}
WAYS: Final = {"file": ":material/upload:", "camera": ":material/photo_camera:", "address": ":material/link:"}
CHOICE, SAMPLE, WAY = "choice", "sample", "way"  # keys of the session


@dataclass(frozen=True)
class Choice:
    """A picture that was chosen: its file name, and its bytes or its URL."""

    name: str
    picture: bytes | str


def choose_picture(state: State) -> Choice | None:
    """Show all inputs and return the picture that was chosen last, or None if there is none."""
    if CHOICE not in st.session_state:
        st.session_state[CHOICE] = None
        if st.query_params.get(SAMPLE) in SAMPLES:
            st.session_state[SAMPLE] = st.query_params[SAMPLE]
            _take_sample()
    ways = [way for way in WAYS if way != "address" or "urls" in state.offers]
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
    st.pills(
        text("classify.samples"), list(SAMPLES), key=SAMPLE, on_change=_take_sample, persist_state="session",
        format_func=lambda name: f"![](app/static/samples/{name}.png) {text(f'sample.{name}')}", wrap=True,
    )  # fmt: skip
    choice: Choice | None = st.session_state[CHOICE]
    return choice


def _take(choice: Choice | None) -> None:
    """Remember a choice, and name it in the page's URL if it is a sample."""
    st.session_state[CHOICE] = choice
    sample = st.session_state.get(SAMPLE)
    if sample is None:
        st.query_params.pop(SAMPLE, None)
    elif st.query_params.get(SAMPLE) != sample:
        st.query_params[SAMPLE] = sample


def _take_file(key: str) -> None:
    file = st.session_state[key]
    st.session_state[SAMPLE] = None
    _take(None if file is None else Choice(file.name, file.getvalue()))


def _take_address() -> None:
    address = st.session_state["address"].strip()
    if address:
        st.session_state[SAMPLE] = None
        forget_answers()  # there may be another picture at the same URL now
        _take(Choice(PurePosixPath(address.partition("?")[0]).name or address, address))


def _take_sample() -> None:
    name = st.session_state[SAMPLE]
    _take(None if name is None else Choice(SAMPLES[name].name, SAMPLES[name].read_bytes()))
