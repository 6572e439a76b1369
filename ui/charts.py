"""Charts that write numbers as the language does."""

from typing import Final

import altair as alt
import streamlit as st

from ui.texts import language

GERMAN: Final = alt.Locale(number=alt.NumberLocale(decimal=",", thousands=".", grouping=[3], currency=["", " €"]))


def show(chart: alt.Chart | alt.LayerChart, height: int) -> None:
    """Show a chart, as wide as there is room; `height` in pixels."""
    locale = GERMAN if language() == "de" else alt.Undefined
    st.altair_chart(chart.properties(height=height).configure(locale=locale))
