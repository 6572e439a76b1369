"""Charts with numbers in the format of the session's language."""

from typing import Final

import altair as alt
import streamlit as st

from ui.texts import language

GERMAN: Final = alt.Locale(number=alt.NumberLocale(decimal=",", thousands=".", grouping=[3], currency=["", " €"]))


def show_chart(chart: alt.Chart | alt.LayerChart, height: int) -> None:
    """Show a chart at full width; `height` in pixels."""
    locale = GERMAN if language() == "de" else alt.Undefined
    st.altair_chart(chart.properties(height=height).configure(locale=locale))
