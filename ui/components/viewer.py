"""A picture with what the classifier looked at, in which a part can be chosen."""

import hashlib
from collections.abc import Sequence
from typing import Final

import streamlit as st
from streamlit import runtime

from ui.client import Box
from ui.components import source
from ui.connection import data_url
from ui.texts import text

_BOX: Final = "box"  # in the session: the picture that a part was chosen of, and that part

_mount = st.components.v2.component(
    "picture_viewer",
    html="<figure><div class='stage'></div></figure>",
    css=source("viewer.css"),
    js=source("viewer.js"),
)


def show(
    picture: bytes | str,
    description: str,
    *,
    instead: str,
    box: Box | None,
    cropping: bool,
    heatmap: Sequence[Sequence[float]] | None,
) -> None:
    """Show a picture; a part that a person chooses is in `chosen_box` at the next run.

    Args:
        picture: the bytes of a file, or its address.
        description: for those who do not see it.
        instead: a PNG in base64, shown if the browser cannot read the picture, or may not; "" if there is none.
        box: the part that is classified, None for all of it.
        cropping: whether a part can be chosen.
        heatmap: rows of values in [0, 1] over that part, None to show none.
    """
    other = f"data:image/png;base64,{instead}" if instead else ""
    _mount(
        key=_key(picture),
        data={
            "picture": other if isinstance(picture, str) else _address(picture),
            "instead": other,
            "alt": description,
            "box": list(box) if box else None,
            "cropping": cropping,
            "heatmap": heatmap,
            "hint": text("classify.crop_keys"),
        },
        on_box_change=lambda: None,
    )


def chosen_box(picture: bytes | str) -> Box | None:
    """Return the part of this picture that was chosen, None for all of it.

    It is remembered when another page is looked at, and forgotten with the picture.
    """
    key = _key(picture)
    state = st.session_state.get(key)
    box = state.get("box") if state else None
    if box:
        st.session_state[_BOX] = key, (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
    whose, remembered = st.session_state.get(_BOX, ("", None))
    found: Box | None = remembered if whose == key else None
    return found


def _key(picture: bytes | str) -> str:
    """Return a name of the element that is the picture's own, so that the browser keeps no box of another one."""
    content = picture.encode() if isinstance(picture, str) else picture
    return f"viewer-{hashlib.sha256(content).hexdigest()[:16]}"


def _address(picture: bytes) -> str:
    """Return where the browser gets a picture, as Streamlit serves those of its own elements."""
    if not runtime.exists():  # as in tests without a server
        return data_url(picture)
    return runtime.get_instance().media_file_mgr.add(picture, "image/png", "viewer").lstrip("/")
