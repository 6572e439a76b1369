"""One picture: which sign it is, what it asks of a driver, and how far to trust that."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui import answer, history
from ui.choosing import Choice, choose
from ui.client import Box, Prediction, Refused, State
from ui.components import viewer
from ui.connection import card, labels, prediction, state
from ui.texts import text
from ui.trouble import show_refusal


def show() -> None:
    """Draw the page."""
    st.title(text("classify.title"), anchor=False)
    st.markdown(text("classify.subtitle"))
    service = state()
    if card(service.version)["trained_on"] == "drawings":
        st.warning(text("classify.drawings"), icon=":material/draw:")
    picture, words = st.columns([5, 7], gap="large")
    with picture:
        choice = choose(service)
    if choice is None:
        words.info(text("classify.begin"), icon=":material/image:")
    else:
        _show_answer(choice, service, picture, words)


def _show_answer(choice: Choice, service: State, picture: DeltaGenerator, words: DeltaGenerator) -> None:
    """Show picture and answer, each in its column."""
    can_crop = isinstance(choice.picture, bytes)  # of an address the page sees no more than the classifier does
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
        if box is not None:  # so that another one can be drawn
            with picture:
                _show_picture(choice, None, box, cropping=True, why=False)
        return
    history.remember(choice.name, box, found)
    with picture:
        _show_picture(choice, found, box, cropping=cropping, why=why)
    with words:
        answer.show(found, known)
        if isinstance(choice.picture, bytes) and "feedback" in service.offers:
            answer.ask_for_feedback(choice.picture, box, known)
    answer.show_similar(found, known)


def _show_picture(choice: Choice, found: Prediction | None, box: Box | None, *, cropping: bool, why: bool) -> None:
    viewer.show(
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
