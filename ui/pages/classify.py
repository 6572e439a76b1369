"""One picture: which sign it is, what it asks of a driver, and how far to trust that."""

import streamlit as st

from ui import answer, history
from ui.choosing import Choice, choose
from ui.client import Refused, State
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
    choice = choose(service)
    if choice is None:
        st.info(text("classify.begin"), icon=":material/image:")
    else:
        _show_answer(choice, service)


def _show_answer(choice: Choice, service: State) -> None:
    place = st.empty()
    # The box of this run is known before the picture is drawn, so that answer and picture agree.
    box = viewer.chosen_box() if st.session_state.get("cropping") else None
    try:
        found = prediction(choice.picture, box, service.version)
    except Refused as error:
        show_refusal(error)
        return
    history.remember(choice.name, box, found)
    with place.container():
        picture, words = st.columns([5, 7], gap="large")
        with words:
            answer.show(found, labels(service.version))
        with picture:
            _show_picture(choice, box)
            viewer.show(
                choice.picture,
                text("classify.picture", name=choice.name),
                instead=found.thumbnail,
                box=box,
                cropping=bool(st.session_state.get("cropping")) and isinstance(choice.picture, bytes),
                heatmap=found.heatmap if st.session_state.get("why") else None,
            )
            if st.session_state.get("why"):
                st.caption(text("classify.why_explained" if found.heatmap else "classify.why_missing"))
        answer.show_similar(found, labels(service.version))
        if isinstance(choice.picture, bytes) and "feedback" in service.offers:
            answer.ask_for_feedback(choice.picture, box, labels(service.version))


def _show_picture(choice: Choice, box: object) -> None:
    with st.container(horizontal=True):
        st.toggle(text("classify.why"), key="why", persist_state="session")
        if isinstance(choice.picture, bytes):
            st.toggle(text("classify.crop"), key="cropping", persist_state="session")
    if st.session_state.get("cropping") and box is None and isinstance(choice.picture, bytes):
        st.caption(text("classify.crop_explained"))
