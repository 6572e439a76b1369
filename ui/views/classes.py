"""All classes that the classifier knows, to look up and to learn."""

import random
from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from ui.answer import show_meaning, show_name
from ui.connection import facts, labels
from ui.contract import Fact, Label, Task
from ui.examples import example_url, show_example
from ui.texts import description_of, name_of, text, title_of, value_of

CHOSEN: Final = "class"  # in the URL: ?class=14
ANSWERS: Final = 4  # per question


def draw_page(task: Task) -> None:
    """Draw the page."""
    known = labels(task)
    st.title(text("classes.title"), anchor=False)
    st.markdown(text("classes.subtitle", count=len(known)))
    chosen = st.query_params.get(CHOSEN, "")
    if len(chosen) < 9 and chosen.isascii() and chosen.isdigit() and int(chosen) < len(known):
        _show_details(task, known[int(chosen)])
    st.segmented_control(
        text("classes.mode"), ["look", "learn"], key="classes_mode", default="look", required=True,
        persist_state="session", format_func=lambda mode: text(f"classes.{mode}"), label_visibility="collapsed",
    )  # fmt: skip
    if st.session_state["classes_mode"] == "learn":
        _ask(task)
    else:
        _show_all(task)


def _show_all(task: Task) -> None:
    known = labels(task)
    words = st.text_input(text("classes.search"), key="classes_search", placeholder=text("classes.search_example"))
    found = [label for label in known if _matches(label, words)]
    for fact in facts(task):
        if _is_filter(fact, known):
            wanted = _choose_values(task, fact)
            found = [label for label in found if not wanted or label.facts.get(fact.key) in wanted]
    st.caption(text("classes.found", count=len(found), total=len(known)))
    with st.container(horizontal=True, key="classes_grid"):
        for label in found:
            with st.container(width=148, height="stretch", border=True, horizontal_alignment="center"):
                show_example(task, label, 100)
                st.button(
                    name_of(label), key=f"class {label.index}", type="tertiary", on_click=_choose, args=(label.index,)
                )


def _is_filter(fact: Fact, known: Sequence[Label]) -> bool:
    """Return whether a fact groups the classes: it is short, and a value belongs to two classes or more on average."""
    values = [label.facts[fact.key] for label in known if fact.key in label.facts]
    return fact.short and 2 <= len(set(values)) <= len(values) / 2


def _choose_values(task: Task, fact: Fact) -> list[str]:
    """Show a filter and return the chosen values, as the labels have them under the fact's key."""
    values = {label.facts[fact.key]: value_of(fact, label) for label in labels(task) if fact.key in label.facts}
    chosen: list[str] = st.pills(
        title_of(fact),
        list(values),
        selection_mode="multi",
        key=f"classes_{task.name}_{fact.key}",
        format_func=values.__getitem__,
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


def _show_details(task: Task, label: Label) -> None:
    known = labels(task)
    with st.container(border=True):
        picture, words = st.columns([1, 3], gap="medium")
        with picture:
            show_example(task, label, 200)
        with words:
            show_name(label)
            show_meaning(label, facts(task))
            if label.confused_with:
                st.markdown(f"**{text('classes.confused')}**")
                with st.container(horizontal=True):
                    for other in (known[index] for index in label.confused_with):
                        with st.container(width=120, horizontal_alignment="center"):
                            show_example(task, other, 64)
                            st.button(
                                name_of(other), key=f"similar {other.index}", type="tertiary",
                                on_click=_choose, args=(other.index,),
                            )  # fmt: skip
        with st.container(horizontal=True):
            count = len(known)
            for key, target in (("previous", (label.index - 1) % count), ("next", (label.index + 1) % count)):
                st.button(text(f"classes.{key}"), key=f"classes {key}", on_click=_choose, args=(target,))
            st.button(text("classes.close"), icon=":material/close:", on_click=_choose, args=(None,))


def _ask(task: Task) -> None:
    """Ask which class an example shows, or a description without one; wrong answers are easily confused with it."""
    known = labels(task)
    quiz = st.session_state.setdefault(f"quiz {task.name}", {"right": 0, "asked": 0, "question": None, "answer": None})
    if quiz["question"] is None:
        label = random.choice(known)
        others = list(label.confused_with)[: ANSWERS - 1]
        rest = [other.index for other in known if other.index not in (label.index, *others)]
        answers = [label.index, *others, *random.sample(rest, min(len(rest), ANSWERS - 1 - len(others)))]
        random.shuffle(answers)
        quiz.update(question=label.index, answers=answers, answer=None)
    label = known[quiz["question"]]
    if example_url(task, label.index):
        st.markdown(f"**{text('classes.question')}**")
        show_example(task, label, 160, text("classes.asked"))  # the usual alternative text would give the answer away
    else:
        st.markdown(f"**{text('classes.question_words')}**")
        st.write(description_of(label))
    with st.container(horizontal=True):
        for index in quiz["answers"]:
            st.button(
                name_of(known[index]), key=f"answer {index}", disabled=quiz["answer"] is not None,
                icon=_mark(index, quiz), on_click=_take_answer, args=(quiz, index),
            )  # fmt: skip
    if quiz["answer"] is not None:
        if quiz["answer"] == label.index:
            st.success(text("classes.right"), icon=":material/check_circle:")
        else:
            st.error(text("classes.wrong", name=name_of(label)), icon=":material/cancel:")
        show_meaning(label, facts(task))
        st.button(text("classes.another"), type="primary", on_click=lambda: quiz.update(question=None))
    if quiz["asked"]:
        st.caption(text("classes.score", right=quiz["right"], asked=quiz["asked"]))


def _mark(index: int, quiz: dict[str, Any]) -> str | None:
    """Return an icon for the right answer, and for the wrong one that was given, once the question is answered."""
    if quiz["answer"] is None or index not in (quiz["question"], quiz["answer"]):
        return None
    return ":material/check:" if index == quiz["question"] else ":material/close:"


def _take_answer(quiz: dict[str, Any], index: int) -> None:
    quiz["answer"] = index
    quiz["asked"] += 1
    quiz["right"] += index == quiz["question"]
