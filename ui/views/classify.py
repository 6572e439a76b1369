"""One picture: what it shows, what that means, and how far to trust the answer."""

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui import connection, history
from ui.answer import (
    ask_for_feedback,
    show_feedback_hint,
    show_nothing_found,
    show_prediction,
    show_similar,
)
from ui.choosing import Choice, choose_picture, samples
from ui.client import Refused
from ui.components import viewer
from ui.connection import card
from ui.contract import Box, Card, Prediction, Scene, Task
from ui.scene import choose_object, show_limit, title
from ui.texts import name_of_task, text
from ui.trouble import show_refusal


@dataclass(frozen=True)
class Shown:
    """What the page shows of a picture.

    Attributes:
        prediction: about the part in `box`, None if nothing was found in the photo.
        box: the part that was drawn by the person or found by the service, None for the whole picture.
        located: whether the service found the box, if there is one.
        photo: what the service found in the picture; None if it only classifies, or rejected the picture.
        truncated: whether the file ends early.
    """

    prediction: Prediction | None
    box: Box | None
    located: bool = False
    photo: Scene | None = None
    truncated: bool = False

    @property
    def scene(self) -> Scene | None:
        """The objects in the photo; None if the whole picture was recognised, or if the service only classifies."""
        return None if self.photo is None or self.photo.is_whole else self.photo


def draw_page(task: Task) -> None:
    """Draw the page."""
    st.title(text("classify.title"), anchor=False)
    about = "classify.subtitle" if "detect" in task.offers else "classify.subtitle_whole"
    st.markdown(text(about, title=name_of_task(task), count=task.classes))
    if card(task).trained_on == "drawings":
        st.warning(text("classify.drawings"), icon=":material/draw:")
    picture, words = st.columns([5, 7], gap="large")
    with picture:
        choice = choose_picture(task)
    if choice is None:
        words.info(text("classify.begin" if samples(task) else "classify.begin_alone"), icon=":material/image:")
    else:
        _show_choice(choice, task, picture, words)


def _show_choice(choice: Choice, task: Task, picture: DeltaGenerator, words: DeltaGenerator) -> None:
    """Show the picture and the answer, each in its column."""
    can_crop = isinstance(choice.picture, bytes)  # a URL would be fetched again, and may have another picture then
    cropping = can_crop and bool(st.session_state.get("cropping"))
    drawn = viewer.chosen_box(choice.picture) if cropping else None
    switches = picture.container(horizontal=True)
    photo = None
    try:
        with words:
            if "detect" in task.offers:
                photo = connection.scene(task, choice.picture)
            shown = _ask(task, choice.picture, drawn, photo)
            if photo:
                show_limit(photo)
    except Refused as error:
        with words:
            show_refusal(error)
        if drawn is not None:  # so that another box can be drawn
            switches.toggle(text("classify.crop"), key="cropping", persist_state="session")
            with picture:
                _show_picture(choice, Shown(None, drawn, photo=photo), drawn, task, cropping=True, why=False)
        return
    with switches:
        why = shown.prediction is not None and st.toggle(text("classify.why"), key="why", persist_state="session")
        if can_crop:
            st.toggle(text("classify.crop"), key="cropping", persist_state="session")
    _remember(task, choice.name, shown)
    with picture, st.container(key="scene" if shown.scene else None):
        _show_picture(choice, shown, drawn, task, cropping=cropping, why=why)
    with words:
        if shown.prediction:
            show_prediction(task, shown.prediction, part=shown.box is not None)
        else:
            show_nothing_found()
        if isinstance(choice.picture, bytes) and "feedback" in task.offers:
            _ask_for_feedback(task, choice.picture, shown, drawn)
    if shown.prediction:
        show_similar(task, shown.prediction)


def _ask(task: Task, picture: bytes | str, drawn: Box | None, photo: Scene | None) -> Shown:
    """Return what to show: what is in the drawn box, or else the object of the photo that is chosen here.

    Raises:
        ServiceError: see `ui.client`.
    """
    if photo is None or drawn is not None:
        found = connection.prediction(task, picture, drawn)
        return Shown(found, found.box or drawn, found.box is not None, photo, found.truncated)
    if photo.is_whole:
        return Shown(photo.objects[0], None, photo=photo, truncated=photo.truncated)
    if not photo.objects:
        return Shown(None, None, photo=photo, truncated=photo.truncated)
    chosen = photo.objects[choose_object(task, photo, viewer.object_key(picture))]
    return Shown(chosen, chosen.box, True, photo, photo.truncated)


def _remember(task: Task, name: str, shown: Shown) -> None:
    """Add to the history: of a photo everything that is recognised, otherwise the one answer."""
    if shown.scene and shown.prediction in shown.scene.objects:
        found = [(each.box, each) for each in shown.scene.objects if each.verdict != "not_recognised"]
        history.remember(task, name, found)
    elif shown.prediction:
        history.remember(task, name, [(shown.box, shown.prediction)])


def _show_picture(
    choice: Choice,
    shown: Shown,
    drawn: Box | None,
    task: Task,
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
        seen=_seen(shown, card(task)),
        outlines=_outlines(task, shown),
    )
    if shown.truncated:
        st.caption(f":material/content_cut: {text('scene.truncated')}")
    if found and why:
        st.caption(text("classify.why_explained" if found.heatmap else "classify.why_missing"))
    elif cropping and drawn is None:
        st.caption(text("classify.crop_explained"))


def _seen(shown: Shown, model: Card) -> tuple[float, float, float, float] | None:
    """Return the part of the picture that the classifier saw: a box that the service found has a margin around it."""
    if shown.box is None or not shown.located or model.detector is None:
        return shown.box
    left, top, right, bottom = shown.box
    margin = model.detector.margin
    across, down = ((high - low) * margin / (1 - 2 * margin) for low, high in ((left, right), (top, bottom)))
    return left - across, top - down, right + across, bottom + down


def _outlines(task: Task, shown: Shown) -> viewer.Outlines | None:
    if shown.scene is None:
        return None
    outlines = [
        viewer.Outline(found.box, title(task, place, found), found.verdict)
        for place, found in enumerate(shown.scene.objects)
    ]
    chosen = next((place for place, found in enumerate(shown.scene.objects) if found is shown.prediction), None)
    return viewer.Outlines(outlines, chosen)


def _ask_for_feedback(task: Task, picture: bytes, shown: Shown, drawn: Box | None) -> None:
    """Show a form to correct the answer, and how to report what was missed in a photo."""
    hint = text("feedback.missed") if shown.scene and drawn is None else ""
    if shown.prediction:
        # A box that was drawn is what the person means, also if the service found something else in it.
        ask_for_feedback(task, picture, drawn or shown.box, hint, located=shown.located and drawn is None)
    else:
        show_feedback_hint(hint)
