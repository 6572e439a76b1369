"""The training data, if the service has it, or else how to get it."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from ui.answer import show_sign
from ui.charts import show_chart
from ui.client import Refused
from ui.connection import client, labels, state, with_slow_notice
from ui.contract import DataPicture, DataSet, Histogram, Label
from ui.texts import name_of, number, text

PICTURES = 24  # per class, one of each physical sign


@st.cache_data(max_entries=2, show_spinner=False, ttl=60)
def _data(version: str) -> DataSet:  # noqa: ARG001 — another classifier may have been trained on other data
    return client().data()


@st.cache_data(max_entries=60, show_spinner=False, ttl=600)
def _pictures(class_index: int, version: str) -> tuple[DataPicture, ...]:  # noqa: ARG001 — as above
    return client().data_pictures(class_index, PICTURES)


def draw_page() -> None:
    """Draw the page."""
    version = state().version
    st.title(text("data.title"), anchor=False)
    try:
        found = with_slow_notice(lambda: _data(version))
    except Refused as error:
        if error.kind != "no_data":
            raise
        st.info(text("data.none"), icon=":material/folder_off:")
        st.code(str(error), language=None, wrap_lines=True)
        return
    known = labels(version)
    about = (found.name, found.citation, found.licence)
    st.markdown(f"**{' · '.join(words for words in about if words)}**")
    figures = st.columns(3)
    figures[0].metric(text("data.pictures"), number(found.examples), border=True)
    figures[1].metric(text("data.tracks"), number(found.tracks), border=True)
    figures[2].metric(text("data.classes"), number(len(found.classes)), border=True)
    st.markdown(text("data.explained"))
    _show_balance(found, known)
    left, right = st.columns(2, gap="large")
    with left:
        _show_histogram(found.sides, "sides")
    with right:
        _show_histogram(found.frames_per_track, "frames")
    _show_pictures(known, version)


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
    st.markdown(text(f"data.{kind}_explained"))
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


def _show_pictures(known: Sequence[Label], version: str) -> None:
    st.subheader(text("data.samples"), anchor=False)
    names = {label.index: name_of(label) for label in known}
    chosen = st.selectbox(text("data.which"), list(names), format_func=names.__getitem__, key="data_class")
    with st.container(horizontal=True, vertical_alignment="center"):
        show_sign(known[chosen], 64)
        st.caption(text("data.samples_explained"))
    with st.container(horizontal=True):
        for each in with_slow_notice(lambda: _pictures(chosen, version)):
            height, width = each.size
            st.image(
                f"data:image/png;base64,{each.thumbnail}", width=72, caption=f"{width} × {height}",
                alt=text("data.picture", track=each.track),
            )  # fmt: skip
