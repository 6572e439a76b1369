"""One picture: which signs it shows, what they require of drivers, and how far to trust the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui import connection, history
from ui.answer import (
    ask_for_feedback,
    show_feedback_hint,
    show_nothing_found,
    show_prediction,
    show_similar_signs,
)
from ui.choosing import Choice, choose_picture
from ui.client import Refused
from ui.components import viewer
from ui.connection import card, facts, labels, state
from ui.contract import Box, Card, Label, Prediction, Scene, State
from ui.scene import choose_sign, show_limit, title
from ui.texts import text
from ui.trouble import show_refusal


@dataclass(frozen=True)
class Shown:
    """What the page shows of a picture.

    Attributes:
        prediction: about the part in `box`, None if there is nothing like a sign in the photo.
        box: the part that was drawn by the person or found by the service, None for the whole picture.
        photo: what the service found in the picture; None if it does not look for signs, or rejected the picture.
        truncated: whether the file ends early.
    """

    prediction: Prediction | None
    box: Box | None
    photo: Scene | None = None
    truncated: bool = False

    @property
    def scene(self) -> Scene | None:
        """The signs in the photo; None if the picture is one sign, or if the service does not look for signs."""
        return None if self.photo is None or self.photo.is_one_sign else self.photo


def draw_page() -> None:
    """Draw the page."""
    st.title(text("classify.title"), anchor=False)
    service = state()
    st.markdown(text("classify.subtitle" if "detect" in service.offers else "classify.subtitle_whole"))
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
    """Show the picture and the answer, each in its column."""
    can_crop = isinstance(choice.picture, bytes)  # a URL would be fetched again, and may have another picture then
    cropping = can_crop and bool(st.session_state.get("cropping"))
    drawn = viewer.chosen_box(choice.picture) if cropping else None
    known = labels(service.version)
    switches = picture.container(horizontal=True)
    photo = None
    try:
        with words:
            if "detect" in service.offers:
                photo = connection.scene(choice.picture, service.version)
            shown = _ask(choice.picture, drawn, photo, service, known)
            if photo:
                show_limit(photo)
    except Refused as error:
        with words:
            show_refusal(error)
        if drawn is not None:  # so that another box can be drawn
            switches.toggle(text("classify.crop"), key="cropping", persist_state="session")
            with picture:
                _show_picture(choice, Shown(None, drawn, photo), drawn, service, cropping=True, why=False)
        return
    with switches:
        why = shown.prediction is not None and st.toggle(text("classify.why"), key="why", persist_state="session")
        if can_crop:
            st.toggle(text("classify.crop"), key="cropping", persist_state="session")
    _remember(choice.name, shown)
    with picture, st.container(key="scene" if shown.scene else None):
        _show_picture(choice, shown, drawn, service, cropping=cropping, why=why)
    with words:
        if shown.prediction:
            show_prediction(shown.prediction, known, facts(service.version), part=shown.box is not None)
        else:
            show_nothing_found()
        if isinstance(choice.picture, bytes) and "feedback" in service.offers:
            _ask_for_feedback(choice.picture, shown, drawn, known)
    if shown.prediction:
        show_similar_signs(shown.prediction, known)


def _ask(picture: bytes | str, drawn: Box | None, photo: Scene | None, service: State, known: Sequence[Label]) -> Shown:
    """Return what to show: the drawn box, or else the chosen sign of the photo, for which this shows a choice.

    Raises:
        ServiceError: see `ui.client`.
    """
    if photo is None:
        found = connection.prediction(picture, drawn, service.version)
        return Shown(found, drawn, None, found.truncated)
    if drawn is not None:
        return Shown(connection.prediction(picture, drawn, service.version), drawn, photo, photo.truncated)
    if photo.is_one_sign:
        return Shown(photo.objects[0], None, photo, photo.truncated)
    if not photo.objects:
        return Shown(None, None, photo, photo.truncated)
    sign = photo.objects[choose_sign(photo, known, viewer.sign_key(picture))]
    return Shown(sign, sign.box, photo, photo.truncated)


def _remember(name: str, shown: Shown) -> None:
    """Add to the history: of a photo all signs that are recognised, otherwise the one answer."""
    if shown.scene and shown.prediction in shown.scene.objects:
        found = [(each.box, each) for each in shown.scene.objects if each.verdict != "not_recognised"]
        history.remember(name, found)
    elif shown.prediction:
        history.remember(name, [(shown.box, shown.prediction)])


def _show_picture(
    choice: Choice,
    shown: Shown,
    drawn: Box | None,
    service: State,
    *,
    cropping: bool,
    why: bool,
) -> None:
    found = shown.prediction
    viewer.show_picture(
        choice.picture,
        text("classify.picture", name=choice.name),
        thumbnail=found.thumbnail if found else "",
        preview=shown.photo.preview if shown.photo else b"",
        size=(shown.photo.width, shown.photo.height) if shown.photo else None,
        box=drawn,
        cropping=cropping,
        heatmap=found.heatmap if found and why else None,
        seen=_seen(shown, drawn, card(service.version)),
        outlines=_outlines(shown, labels(service.version)),
    )
    if shown.truncated:
        st.caption(f":material/content_cut: {text('scene.truncated')}")
    if found and why:
        st.caption(text("classify.why_explained" if found.heatmap else "classify.why_missing"))
    elif cropping and drawn is None:
        st.caption(text("classify.crop_explained"))


def _seen(shown: Shown, drawn: Box | None, model: Card) -> tuple[float, float, float, float] | None:
    """Return the part of the picture that the classifier saw: a box that the service found has a margin around it."""
    if shown.box is None or drawn is not None or model.detector is None:
        return shown.box
    left, top, right, bottom = shown.box
    margin = model.detector.margin
    across, down = ((high - low) * margin / (1 - 2 * margin) for low, high in ((left, right), (top, bottom)))
    return left - across, top - down, right + across, bottom + down


def _outlines(shown: Shown, known: Sequence[Label]) -> viewer.Outlines | None:
    if shown.scene is None:
        return None
    signs = [
        viewer.Outline(found.box, title(place, found, known), found.verdict)
        for place, found in enumerate(shown.scene.objects)
    ]
    chosen = next((place for place, found in enumerate(shown.scene.objects) if found is shown.prediction), None)
    return viewer.Outlines(signs, chosen)


def _ask_for_feedback(picture: bytes, shown: Shown, drawn: Box | None, known: Sequence[Label]) -> None:
    """Show a form to correct the answer, and how to report a sign of a photo that was missed."""
    hint = text("feedback.missed") if shown.scene and drawn is None else ""
    if shown.prediction:
        ask_for_feedback(picture, shown.box, known, hint, located=shown.box is not None and drawn is None)
    else:
        show_feedback_hint(hint)
