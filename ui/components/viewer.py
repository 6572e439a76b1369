"""A picture with the classifier's heat map and the objects that were found, in which a box can be drawn."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit import runtime

from ui.components import source
from ui.connection import data_url
from ui.contract import Box
from ui.texts import text

_BOX: Final = "box"  # key of the session: the viewer in which a box was drawn last, and that box

_mount = st.components.v2.component(
    "picture_viewer",
    html="<figure><div class='stage'></div></figure>",
    css=source("viewer.css"),
    js=source("viewer.js"),
)


@dataclass(frozen=True)
class Outline:
    """A numbered box around an object: its name for screen readers, and its verdict, which decides on the colour."""

    box: Box
    name: str
    verdict: str


@dataclass(frozen=True)
class Outlines:
    """The objects of a photo, and the index of the chosen one, None for none."""

    objects: Sequence[Outline]
    chosen: int | None


def show_picture(
    picture: bytes | str,
    description: str,
    *,
    thumbnail: str,
    box: Box | None,
    cropping: bool,
    heatmap: Sequence[Sequence[float]] | None,
    preview: bytes = b"",
    size: tuple[int, int] | None = None,
    seen: tuple[float, float, float, float] | None = None,
    outlines: Outlines | None = None,
) -> None:
    """Show a picture; `chosen_box` returns the box that a person draws from the next run on.

    Args:
        picture: the bytes of a file, or its URL.
        description: alternative text for screen readers.
        thumbnail: a PNG in base64 of what the classifier saw, "" for none. It is shown if neither the picture nor a
            preview can be, without boxes.
        box: the part that a person has drawn, None for the whole picture.
        cropping: whether a box can be drawn.
        heatmap: rows of values in [0, 1] over what the classifier saw, None to show none.
        preview: a JPEG of the whole picture to show if the browser cannot load the picture, empty for none.
        size: (width, height) of the picture in pixels, which boxes refer to; None if the browser has to find out.
        seen: what it saw, in pixels and perhaps beyond the edges, None for the whole picture.
        outlines: the objects to choose from; a click or an arrow key sets the index at `object_key`. None for none.
    """
    small = f"data:image/png;base64,{thumbnail}" if thumbnail else ""
    instead = _address(preview, "image/jpeg") if preview else small
    key = _key(picture)

    def take_object() -> None:
        if (chosen := st.session_state[key].get("object")) is not None:
            st.session_state[object_key(picture)] = int(chosen)

    _mount(
        key=key,
        data={
            "picture": instead if isinstance(picture, str) else _address(picture),
            "instead": instead,
            "thumbnail": small,
            "size": size,
            "alt": description,
            "box": list(box) if box else None,
            "cropping": cropping,
            "heatmap": heatmap,
            "seen": seen,
            "hint": text("classify.crop_keys"),
            "scene": _as_json(outlines) if outlines else None,
        },
        on_box_change=lambda: None,
        on_object_change=take_object,
    )


def chosen_box(picture: bytes | str) -> Box | None:
    """Return the box that was drawn in this picture, or None for the whole picture.

    It is kept while other pages are open, until another picture is chosen.
    """
    key = _key(picture)
    state = st.session_state.get(key)
    box = state.get("box") if state else None
    if box:
        st.session_state[_BOX] = key, (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
    whose, remembered = st.session_state.get(_BOX, ("", None))
    found: Box | None = remembered if whose == key else None
    return found


def object_key(picture: bytes | str) -> str:
    """Return the key of the session for the index of the object that is chosen in this picture."""
    return f"found_{_digest(picture)}"


def _key(picture: bytes | str) -> str:
    """Return a key of the element that is unique to the picture, so that the box of another one is not reused."""
    return f"viewer-{_digest(picture)}"


def _digest(picture: bytes | str) -> str:
    content = picture.encode() if isinstance(picture, str) else picture
    return hashlib.sha256(content).hexdigest()[:16]


def _as_json(outlines: Outlines) -> dict[str, object]:
    objects = [{"box": each.box, "name": each.name, "verdict": each.verdict} for each in outlines.objects]
    return {
        "objects": objects,
        "chosen": outlines.chosen,
        "name": text("scene.choose"),
    }


def _address(picture: bytes, media_type: str = "image/png") -> str:
    """Return the URL of a picture, which Streamlit serves like those of its own elements."""
    if not runtime.exists():  # in tests without a server
        return data_url(picture, media_type)
    return runtime.get_instance().media_file_mgr.add(picture, media_type, f"viewer {media_type}").lstrip("/")
