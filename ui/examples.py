"""What each class looks like: a drawing, if the page has some of the task, or else a photo of the data set."""

from pathlib import Path
from typing import Final

import streamlit as st

from ui.client import Refused
from ui.connection import data_pictures, data_url
from ui.contract import Label, Task
from ui.texts import name_of, text

STATIC: Final = Path(__file__).with_name("static")
PHOTO_SIDE: Final = 160  # pixels
ICON_SIDE: Final = 64  # pixels; of a photo within text, which the page has to send again and again


def example_url(task: Task, index: int) -> str | None:
    """Return the URL of a drawing or small photo of a class, None if there is none."""
    if drawing := _drawing(task, index):
        return f"app/static/{drawing.relative_to(STATIC).as_posix()}"
    photo = example_photo(task, index, ICON_SIDE)
    return data_url(photo) if photo else None


def example_photo(task: Task, index: int, side: int) -> bytes | None:
    """Return a photo of a class from the data set as a PNG, None if the service has none.

    Args:
        task: the task.
        index: of the class.
        side: of the square that the photo is fitted to, in pixels.
    """
    if "data" not in task.offers:
        return None
    try:
        photos = data_pictures(task, index, 1, side)
    except Refused:  # the data set has been removed since: one picture less, and everything else is there
        return None
    return photos[0].thumbnail if photos else None


def show_example(task: Task, label: Label, width: int, alt: str = "") -> None:
    """Show a drawing or photo of a class, if there is one; `width` in pixels."""
    if drawing := _drawing(task, label.index):
        st.image(drawing, width=width, alt=alt or text("class.drawn", name=name_of(label)))
    elif photo := example_photo(task, label.index, PHOTO_SIDE):
        st.image(photo, width=width, alt=alt or text("class.photo", name=name_of(label)))


def _drawing(task: Task, index: int) -> Path | None:
    path = STATIC / task.name / "drawings" / f"{index:02}.webp"
    return path if path.exists() else None
