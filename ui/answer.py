"""A prediction as people see it: the class, its meaning, the verdict, and the other candidates."""

import html
from collections.abc import Sequence
from typing import Final

import streamlit as st

from ui.client import Refused, ServiceError
from ui.components import extras
from ui.connection import client, facts, labels, with_slow_notice
from ui.contract import Box, Fact, Label, Prediction, Task
from ui.examples import example_url, show_example
from ui.texts import (
    description_of,
    language,
    markdown_escaped,
    name_of,
    other_name_of,
    probability,
    text,
    title_of,
    value_of,
)
from ui.trouble import show_refusal, show_trouble

VERDICTS: Final = {
    "confident": (":material/check_circle:", "green"),
    "unsure": (":material/help:", "orange"),
    "not_recognised": (":material/block:", "red"),
}
NONE: Final = "none"
SHOWN: Final = 0.001  # candidates less probable than this are not mentioned


def show_name(label: Label) -> None:
    """Show the name of a class, and that in the other language if it differs."""
    st.header(name_of(label), anchor=False)
    if other_name_of(label) != name_of(label):
        st.caption(other_name_of(label))


def show_meaning(label: Label, facts: Sequence[Fact]) -> None:
    """Show the description of a class and its facts: short ones as badges, others as paragraphs."""
    short = [(fact, value) for fact in facts if fact.short and (value := value_of(fact, label))]
    badges = [
        f":{'blue' if fact.in_answer else 'gray'}-badge[{markdown_escaped(_badge_text(fact, value))}]"
        for fact, value in short
    ]
    st.markdown(" ".join([*badges, f":gray-badge[{text('class.index', index=label.index)}]"]))
    if description_of(label):
        st.write(description_of(label))
    for fact in facts:
        if not fact.short and (value := value_of(fact, label)):
            st.markdown(f"**{title_of(fact)}:** {value}")


def show_prediction(task: Task, prediction: Prediction, *, part: bool = False) -> None:
    """Show the verdict, the class and its meaning, and the candidates; `part`: the prediction is about a box."""
    known, declared = labels(task), facts(task)
    icon, colour = VERDICTS[prediction.verdict]
    label = known[prediction.class_index]
    recognised = prediction.verdict != "not_recognised"
    if recognised:
        with st.container(horizontal=True, vertical_alignment="center"):
            show_example(task, label, 112)
            with st.container(width="stretch"):
                show_name(label)
    else:
        st.header(text("verdict.none"), anchor=False)
    st.markdown(f":{colour}-badge[{icon} {text(f'verdict.{prediction.verdict}')}]")
    if part and not recognised:
        st.write(text("verdict.part_explained", count=len(known)))
    else:
        st.write(_explain(prediction, known))
    if recognised:
        show_meaning(label, declared)
        sentences = [value_of(fact, label) for fact in declared if not fact.short]
        words = " ".join([f"{name_of(label)}.", description_of(label), *sentences])
        extras.offer_to_read(words, text("answer.read"), {"de": "de-DE"}.get(language(), "en-GB"))
    st.markdown(f"**{text('answer.candidates' if recognised else 'answer.nearest')}**")
    st.html(_bars(task, prediction, known))


def show_nothing_found() -> None:
    """Say that nothing was found in a photo."""
    icon, colour = VERDICTS["not_recognised"]
    st.header(text("verdict.none"), anchor=False)
    st.markdown(f":{colour}-badge[{icon} {text('verdict.not_recognised')}]")
    st.write(text("verdict.nothing_found"))


def show_similar(task: Task, prediction: Prediction) -> None:
    """Show the classes that are often confused with this one, side by side."""
    known = labels(task)
    label = known[prediction.class_index]
    if prediction.verdict == "not_recognised" or not label.confused_with:
        return
    st.subheader(text("answer.similar"), anchor=False)
    with st.container(horizontal=True):
        for other in (label, *(known[index] for index in label.confused_with)):
            with st.container(width=150, horizontal_alignment="center"):
                show_example(task, other, 96)
                st.caption(f"**{name_of(other)}**" if other is label else name_of(other), text_alignment="center")


def show_feedback_hint(hint: str) -> None:
    """Show how to report what was missed, where there is no answer to correct."""
    with st.expander(text("feedback.title"), icon=":material/flag:"):
        st.write(hint)


def ask_for_feedback(task: Task, picture: bytes, box: Box | None, hint: str = "", *, located: bool = False) -> None:
    """Show a form to correct the answer; the service stores picture and class if the person agrees.

    Args:
        task: the task, whose classes there are to choose from.
        picture: the bytes of a file.
        box: the part that the answer is about, None for the whole picture.
        hint: a sentence below the form, "" for none.
        located: whether the service found the box.
    """
    done = f"feedback {hash((task.name, picture, box))}"
    if st.session_state.get(done):
        st.success(text("feedback.thanks"), icon=":material/volunteer_activism:")
        return
    with st.expander(text("feedback.title"), icon=":material/flag:"):
        with st.form(f"form {done}", border=False):
            none = text("feedback.none" if box is None else "feedback.none_part")
            names = {NONE: none, **{str(label.index): name_of(label) for label in labels(task)}}
            right = st.selectbox(
                text("feedback.which"), list(names), index=None, placeholder=text("feedback.choose"),
                format_func=names.__getitem__, key=f"right {done}",
            )  # fmt: skip
            agreed = st.checkbox(text("feedback.consent"), key=f"agreed {done}")
            sent = st.form_submit_button(text("feedback.send"), type="primary")
        if hint:
            st.caption(hint)
    if sent and not right:
        st.warning(text("feedback.no_class"), icon=":material/rule:")
    elif sent and not agreed:
        st.warning(text("feedback.no_consent"), icon=":material/privacy_tip:")
    elif sent and right:
        index = None if right == NONE else int(right)
        try:
            with_slow_notice(lambda: client().send_feedback(task.name, picture, index, box, located=located))
        except Refused as error:
            show_refusal(error)
        except ServiceError as error:
            show_trouble(error)
            st.warning(text("feedback.not_sent"), icon=":material/unsubscribe:")
        else:
            st.session_state[done] = True
            st.rerun()


def _badge_text(fact: Fact, value: str) -> str:
    """Return a value that is a word as it is, and any other, such as a number, behind its title: "Number 206"."""
    return value if value[0].isalpha() else f"{title_of(fact)} {value}"


def _explain(prediction: Prediction, labels: Sequence[Label]) -> str:
    share = probability(prediction.probability)
    if prediction.verdict == "not_recognised":
        return text("verdict.not_recognised_explained", count=len(labels))
    if prediction.verdict == "confident":
        return text("verdict.confident_explained", probability=share)
    others = [name_of(labels[each.class_index]) for each in prediction.alternatives[1:] if each.probability >= SHOWN]
    named = "; ".join(others[:2])
    if not named:
        return text("verdict.unsure_alone", probability=share)
    likely = prediction.probability >= 0.5
    return text("verdict.unsure_explained" if likely else "verdict.unsure_guess", probability=share, others=named)


def _bars(task: Task, prediction: Prediction, labels: Sequence[Label]) -> str:
    rows = []
    for each in prediction.alternatives:
        name, share = html.escape(name_of(labels[each.class_index])), html.escape(probability(each.probability))
        example = example_url(task, each.class_index)
        picture = f'<img src="{example}" alt="" width="28" height="28">' if example else "<span></span>"
        rows.append(
            f'<li>{picture}<span class="name">{name}</span><span class="share">{share}</span>'
            f'<span class="track"><span style="width:{100 * each.probability:.1f}%"></span></span></li>'
        )
    return f'<ol class="bars {prediction.verdict}">{"".join(rows)}</ol>'
