"""The signs in a photo: their names, and which one of them the page shows."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from ui.answer import sign_url
from ui.contract import MOST_FOUND, FoundSign, Label, Scene
from ui.texts import markdown_escaped, name_of, text

MOST_BUTTONS: Final = 12  # signs with a button each; more of them are in a list


def choose_sign(scene: Scene, known: Sequence[Label], key: str) -> int:
    """Show a choice among the signs of a photo, if there are several; return the index of the chosen one.

    Args:
        scene: the photo, with at least one sign.
        known: the labels of the classifier.
        key: the key of the session for the index, different for each photo. The picture sets it too.
    """
    places = list(range(len(scene.objects)))
    if st.session_state.get(key) not in places:  # of another classifier, which found more
        st.session_state[key] = 0
    if len(places) > MOST_BUTTONS:
        titles = [title(place, found, known) for place, found in enumerate(scene.objects)]
        st.selectbox(text("scene.choose"), places, key=key, persist_state="session", format_func=titles.__getitem__)
    elif len(places) > 1:
        buttons = [_button(place, found, known) for place, found in enumerate(scene.objects)]
        st.pills(
            text("scene.choose"), places, key=key, required=True, persist_state="session", wrap=True,
            format_func=buttons.__getitem__,
        )  # fmt: skip
    chosen: int = st.session_state[key]
    return chosen


def show_limit(scene: Scene) -> None:
    """Say that signs may be missing, if the detector reached its limit."""
    if scene.capped:
        st.caption(f":material/filter_list: {text('scene.capped', limit=MOST_FOUND)}")


def title(place: int, found: FoundSign, known: Sequence[Label]) -> str:
    """Return number and name of a sign in a photo: "Sign 1: Stop"."""
    return text("scene.sign", number=place + 1, name=_name(found, known))


def _button(place: int, found: FoundSign, known: Sequence[Label]) -> str:
    """Return number and name of a sign, with its drawing if it is recognised, in Markdown."""
    drawing = sign_url(found.class_index) if found.verdict != "not_recognised" else None
    return f"{f'![]({drawing}) ' if drawing else ''}{place + 1}: {markdown_escaped(_name(found, known))}"


def _name(found: FoundSign, known: Sequence[Label]) -> str:
    return text("scene.unknown") if found.verdict == "not_recognised" else name_of(known[found.class_index])
