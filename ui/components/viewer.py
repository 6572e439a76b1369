"""A picture with what the classifier looked at, in which a part can be chosen."""

from collections.abc import Sequence

import streamlit as st

from ui.client import Box
from ui.components import source
from ui.connection import data_url
from ui.texts import text

KEY = "viewer"

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
        instead: a PNG in base64, shown if the browser cannot read the picture, or may not.
        box: the part that is classified, None for all of it.
        cropping: whether a part can be chosen.
        heatmap: rows of values in [0, 1] over that part, None to show none.
    """
    shown = f"data:image/png;base64,{instead}" if isinstance(picture, str) else data_url(picture, "image/*")
    _mount(
        key=KEY,
        data={
            "picture": shown,
            "instead": f"data:image/png;base64,{instead}" if instead else "",
            "alt": description,
            "box": list(box) if box else None,
            "cropping": cropping,
            "heatmap": heatmap,
            "hint": text("classify.crop_keys"),
        },
        on_box_change=lambda: None,
    )


def chosen_box() -> Box | None:
    """Return the part that was chosen, None for the whole picture."""
    box = st.session_state.get(KEY, {}).get("box")
    return None if not box else (int(box[0]), int(box[1]), int(box[2]), int(box[3]))


def forget_box() -> None:
    """Drop what was chosen in the picture before; to be called before the viewer is drawn."""
    st.session_state.pop(KEY, None)
