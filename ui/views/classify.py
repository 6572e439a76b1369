"""One picture: which sign it shows, what it requires of drivers, and how far to trust the answer."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui import history
from ui.answer import ask_for_feedback, show_prediction, show_similar_signs
from ui.choosing import Choice, choose_picture
from ui.client import Refused
from ui.components import viewer
from ui.connection import card, facts, labels, prediction, state
from ui.contract import Box, Prediction, State
from ui.texts import text
from ui.trouble import show_refusal


def draw_page() -> None:
    """Draw the page."""
    st.title(text("classify.title"), anchor=False)
    st.markdown(text("classify.subtitle"))
    service = state()
    if card(service.version).trained_on == "drawings":
        st.warning(text("classify.drawings"), icon=":material/draw:")
    picture, words = st.columns([5, 7], gap="large")
    with picture:
        choice = choose_picture(service)
    if choice is None:
        words.info(text("classify.begin"), icon=":material/image:")
    else:
        _show_choice(choice, service, picture, words)


def _show_choice(choice: Choice, service: State, picture: DeltaGenerator, words: DeltaGenerator) -> None:
    """Show the picture and the prediction, each in its column."""
    can_crop = isinstance(choice.picture, bytes)  # of a URL, the page only has what the classifier saw
    with picture, st.container(horizontal=True):
        why = st.toggle(text("classify.why"), key="why", persist_state="session")
        cropping = can_crop and st.toggle(text("classify.crop"), key="cropping", persist_state="session")
    box = viewer.chosen_box(choice.picture) if cropping else None
    known = labels(service.version)
    try:
        with words:
            found = prediction(choice.picture, box, service.version)
    except Refused as error:
        with words:
            show_refusal(error)
        if box is not None:  # so that another box can be drawn
            with picture:
                _show_picture(choice, None, box, cropping=True, why=False)
        return
    history.remember(choice.name, box, found)
    with picture:
        _show_picture(choice, found, box, cropping=cropping, why=why)
    with words:
        show_prediction(found, known, facts(service.version))
        if isinstance(choice.picture, bytes) and "feedback" in service.offers:
            ask_for_feedback(choice.picture, box, known)
    show_similar_signs(found, known)


def _show_picture(choice: Choice, found: Prediction | None, box: Box | None, *, cropping: bool, why: bool) -> None:
    viewer.show_picture(
        choice.picture,
        text("classify.picture", name=choice.name),
        instead=found.thumbnail if found else "",
        box=box,
        cropping=cropping,
        heatmap=found.heatmap if found and why else None,
    )
    if found and why:
        st.caption(text("classify.why_explained" if found.heatmap else "classify.why_missing"))
    elif cropping and box is None:
        st.caption(text("classify.crop_explained"))
