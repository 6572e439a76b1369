"""All signs that the classifier knows, to look up and to learn."""

import random
from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from ui.answer import show_meaning, show_sign
from ui.connection import facts, labels, state
from ui.contract import Fact, Label
from ui.texts import name_of, other_name_of, text, title_of, value_of

CHOSEN: Final = "sign"  # in the URL: ?sign=14
ANSWERS: Final = 4  # per question


def draw_page() -> None:
    """Draw the page."""
    version = state().version
    known, declared = labels(version), facts(version)
    st.title(text("signs.title"), anchor=False)
    st.markdown(text("signs.subtitle", count=len(known)))
    chosen = st.query_params.get(CHOSEN, "")
    if len(chosen) < 9 and chosen.isascii() and chosen.isdigit() and int(chosen) < len(known):
        _show_details(known[int(chosen)], known, declared)
    st.segmented_control(
        text("signs.mode"), ["look", "learn"], key="signs_mode", default="look", required=True, persist_state="session",
        format_func=lambda mode: text(f"signs.{mode}"), label_visibility="collapsed",
    )  # fmt: skip
    if st.session_state["signs_mode"] == "learn":
        _ask(known, declared)
    else:
        _show_all(known, declared)


def _show_all(known: Sequence[Label], declared: Sequence[Fact]) -> None:
    words = st.text_input(text("signs.search"), key="signs_search", placeholder=text("signs.search_example"))
    found = [label for label in known if _matches(label, words)]
    for fact in declared:
        if _is_filter(fact, known):
            wanted = _choose_values(fact, known)
            found = [label for label in found if not wanted or label.facts.get(fact.key) in wanted]
    st.caption(text("signs.found", count=len(found), total=len(known)))
    with st.container(horizontal=True, key="signs_grid"):
        for label in found:
            with st.container(width=148, height="stretch", border=True, horizontal_alignment="center"):
                show_sign(label, 100)
                st.button(
                    name_of(label), key=f"sign {label.index}", type="tertiary", on_click=_choose, args=(label.index,)
                )


def _is_filter(fact: Fact, known: Sequence[Label]) -> bool:
    """Return whether a fact groups the signs: it is short, and a value belongs to two signs or more on average."""
    values = [label.facts[fact.key] for label in known if fact.key in label.facts]
    return fact.short and 2 <= len(set(values)) <= len(values) / 2


def _choose_values(fact: Fact, known: Sequence[Label]) -> list[str]:
    """Show a filter and return the chosen values, as the labels have them under the fact's key."""
    values = {label.facts[fact.key]: value_of(fact, label) for label in known if fact.key in label.facts}
    chosen: list[str] = st.pills(
        title_of(fact), list(values), selection_mode="multi", key=f"signs_{fact.key}", format_func=values.__getitem__
    )
    return chosen


def _matches(label: Label, words: str) -> bool:
    texts = (label.name, label.name_de, label.description, label.description_de, *label.facts.values())
    everything = " ".join(texts).casefold()
    return all(word in everything for word in words.casefold().split())


def _choose(index: int | None) -> None:
    if index is None:
        st.query_params.pop(CHOSEN, None)
    else:
        st.query_params[CHOSEN] = str(index)


def _show_details(label: Label, known: Sequence[Label], declared: Sequence[Fact]) -> None:
    with st.container(border=True):
        picture, words = st.columns([1, 3], gap="medium")
        with picture:
            show_sign(label, 200)
        with words:
            st.header(name_of(label), anchor=False)
            st.caption(other_name_of(label))
            show_meaning(label, declared)
            if label.confused_with:
                st.markdown(f"**{text('signs.confused')}**")
                with st.container(horizontal=True):
                    for other in (known[index] for index in label.confused_with):
                        with st.container(width=120, horizontal_alignment="center"):
                            show_sign(other, 64)
                            st.button(
                                name_of(other), key=f"similar {other.index}", type="tertiary",
                                on_click=_choose, args=(other.index,),
                            )  # fmt: skip
        with st.container(horizontal=True):
            count = len(known)
            for key, target in (("previous", (label.index - 1) % count), ("next", (label.index + 1) % count)):
                st.button(text(f"signs.{key}"), key=f"signs {key}", on_click=_choose, args=(target,))
            st.button(text("signs.close"), icon=":material/close:", on_click=_choose, args=(None,))


def _ask(known: Sequence[Label], declared: Sequence[Fact]) -> None:
    """Ask which sign a drawing shows; the wrong answers are signs that are often confused with it."""
    quiz = st.session_state.setdefault("quiz", {"right": 0, "asked": 0, "question": None, "answer": None})
    if quiz["question"] is None:
        label = random.choice(known)
        others = list(label.confused_with)[: ANSWERS - 1]
        rest = [other.index for other in known if other.index not in (label.index, *others)]
        answers = [label.index, *others, *random.sample(rest, min(len(rest), ANSWERS - 1 - len(others)))]
        random.shuffle(answers)
        quiz.update(question=label.index, answers=answers, answer=None)
    label = known[quiz["question"]]
    st.markdown(f"**{text('signs.question')}**")
    show_sign(label, 160, text("signs.asked"))  # the usual alternative text would give the answer away
    with st.container(horizontal=True):
        for index in quiz["answers"]:
            st.button(
                name_of(known[index]), key=f"answer {index}", disabled=quiz["answer"] is not None,
                icon=_mark(index, quiz), on_click=_take_answer, args=(index,),
            )  # fmt: skip
    if quiz["answer"] is not None:
        if quiz["answer"] == label.index:
            st.success(text("signs.right"), icon=":material/check_circle:")
        else:
            st.error(text("signs.wrong", name=name_of(label)), icon=":material/cancel:")
        show_meaning(label, declared)
        st.button(text("signs.another"), type="primary", on_click=lambda: quiz.update(question=None))
    if quiz["asked"]:
        st.caption(text("signs.score", right=quiz["right"], asked=quiz["asked"]))


def _mark(index: int, quiz: dict[str, Any]) -> str | None:
    """Return an icon for the right answer, and for the wrong one that was given, once the question is answered."""
    if quiz["answer"] is None or index not in (quiz["question"], quiz["answer"]):
        return None
    return ":material/check:" if index == quiz["question"] else ":material/close:"


def _take_answer(index: int) -> None:
    quiz = st.session_state["quiz"]
    quiz["answer"] = index
    quiz["asked"] += 1
    quiz["right"] += index == quiz["question"]
