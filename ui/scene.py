"""What was found in a photo: the names, and which one of the objects the page shows."""

from typing import Final

import streamlit as st

from ui.connection import labels
from ui.contract import MOST_FOUND, Found, Scene, Task
from ui.examples import example_url
from ui.texts import markdown_escaped, name_of, text

MOST_BUTTONS: Final = 12  # objects with a button each; more of them are in a list


def choose_object(task: Task, scene: Scene, key: str) -> int:
    """Show a choice among the objects of a photo, if there are several; return the index of the chosen one.

    Args:
        task: the task.
        scene: the photo, with at least one object.
        key: the key of the session for the index, different for each photo. The picture sets it too.
    """
    places = list(range(len(scene.objects)))
    if st.session_state.get(key) not in places:  # of another classifier, which found more
        st.session_state[key] = 0
    if len(places) > MOST_BUTTONS:
        titles = [title(task, place, found) for place, found in enumerate(scene.objects)]
        st.selectbox(text("scene.choose"), places, key=key, persist_state="session", format_func=titles.__getitem__)
    elif len(places) > 1:
        buttons = [_button(task, place, found) for place, found in enumerate(scene.objects)]
        st.pills(
            text("scene.choose"), places, key=key, required=True, persist_state="session", wrap=True,
            format_func=buttons.__getitem__,
        )  # fmt: skip
    chosen: int = st.session_state[key]
    return chosen


def show_limit(scene: Scene) -> None:
    """Say that some may be missing, if the detector reached its limit."""
    if scene.capped:
        st.caption(f":material/filter_list: {text('scene.capped', limit=MOST_FOUND)}")


def title(task: Task, place: int, found: Found) -> str:
    """Return number and name of an object in a photo, such as "1: Pizza"."""
    return text("scene.object", number=place + 1, name=_name(task, found))


def _button(task: Task, place: int, found: Found) -> str:
    """Return number and name of an object, with an example of its class if it is recognised, in Markdown."""
    example = example_url(task, found.class_index) if found.verdict != "not_recognised" else None
    return f"{f'![]({example}) ' if example else ''}{place + 1}: {markdown_escaped(_name(task, found))}"


def _name(task: Task, found: Found) -> str:
    return text("scene.unknown") if found.verdict == "not_recognised" else name_of(labels(task)[found.class_index])
