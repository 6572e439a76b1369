"""The training data, if the service has it, or else how to get it."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from ui.charts import show_chart
from ui.client import Refused
from ui.connection import card, client, data_pictures, labels, with_slow_notice
from ui.contract import DataSet, Histogram, Label, Task
from ui.examples import show_example
from ui.texts import name_of, number, text, word

PICTURES = 24  # per class, one of each group
THUMBNAIL_SIDE = 96  # pixels


@st.cache_data(max_entries=20, show_spinner=False, ttl=60)
def _data(task: str, version: str) -> DataSet:  # noqa: ARG001 — another classifier may have been trained on other data
    return client().data(task)


def draw_page(task: Task) -> None:
    """Draw the page."""
    st.title(text("data.title"), anchor=False)
    try:
        found = with_slow_notice(lambda: _data(task.name, task.version))
    except Refused as error:
        if error.kind != "no_data":
            raise
        st.info(text("data.none"), icon=":material/folder_off:")
        st.code(str(error), language=None, wrap_lines=True)
        used = card(task).data
        st.subheader(text("data.used"), anchor=False)
        _show_figures((used.name, used.citation, used.licence), used.images, used.groups, task.classes)
        return
    known = labels(task)
    _show_figures((found.name, found.citation, found.licence), found.examples, found.tracks, len(found.classes))
    _show_balance(found, known)
    left, right = st.columns(2, gap="large")
    with left:
        _show_histogram(found.sides, "sides")
    with right:
        _show_histogram(found.frames_per_track, "frames")
    _show_pictures(task)


def _show_figures(about: tuple[str | None, ...], pictures: int, groups: int, classes: int) -> None:
    """Show what a data set is, how large it is, and why it is split by group."""
    st.markdown(f"**{' · '.join(words for words in about if words)}**")
    figures = st.columns(3)
    for place, name, count in zip(figures, ("pictures", "tracks", "classes"), (pictures, groups, classes), strict=True):
        if count:
            place.metric(text(f"data.{name}"), number(count), border=True)
    st.markdown(text("data.explained"))


def _show_balance(found: DataSet, known: Sequence[Label]) -> None:
    st.subheader(text("data.balance"), anchor=False)
    table = pd.DataFrame([each.model_dump() for each in found.classes])
    factor = table["examples"].max() / max(1, table["examples"].min())
    st.markdown(text("data.balance_explained", factor=number(factor, 1)))
    table["name"] = [name_of(known[index]) for index in table["class_index"]]
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            y=alt.Y("name:N", sort="-x", title=None, axis=alt.Axis(labelLimit=320, labelOverlap=False)),
            x=alt.X("examples:Q", title=text("data.pictures")),
            tooltip=[
                alt.Tooltip("name:N", title=text("batch.column_name")),
                alt.Tooltip("examples:Q", title=text("data.pictures")),
                alt.Tooltip("tracks:Q", title=text("data.tracks")),
            ],
        )
    )
    show_chart(chart, 20 * len(table))


def _show_histogram(found: Histogram, kind: str) -> None:
    st.subheader(text(f"data.{kind}"), anchor=False)
    st.markdown(word(f"data.{kind}_explained", ""))
    edges = found.edges
    table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "count": found.counts})
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("from:Q", title=text(f"data.{kind}_axis")),
            x2="to:Q",
            y=alt.Y("count:Q", title=text(f"data.{kind}_count")),
            tooltip=[
                alt.Tooltip("from:Q", title=text(f"data.{kind}_axis")),
                alt.Tooltip("count:Q", title=text(f"data.{kind}_count")),
            ],
        )
    )
    show_chart(chart, 260)


def _show_pictures(task: Task) -> None:
    st.subheader(text("data.samples"), anchor=False)
    known = labels(task)
    names = {label.index: name_of(label) for label in known}
    chosen = st.selectbox(text("data.which"), list(names), format_func=names.__getitem__, key=f"data_class {task.name}")
    with st.container(horizontal=True, vertical_alignment="center"):
        show_example(task, known[chosen], 64)
        st.caption(text("data.samples_explained"))
    with st.container(horizontal=True):
        for each in data_pictures(task, chosen, PICTURES, THUMBNAIL_SIDE):
            height, width = each.size
            st.image(
                each.thumbnail, width=72, caption=f"{width} × {height}",
                alt=text("data.picture", track=each.track),
            )  # fmt: skip
