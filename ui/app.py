"""The page: a picture of a traffic sign goes in; the sign, its meaning and how far to trust that come out."""

from pathlib import Path

import streamlit as st

from ui import texts
from ui.client import Refused, ServiceError
from ui.pages import batch, classify, data, model, service, signs
from ui.settings import SettingsError
from ui.texts import text
from ui.trouble import show_refusal, wait_for_end

HERE = Path(__file__).parent
PAGES = {"classify": classify, "batch": batch, "signs": signs, "data": data, "model": model, "service": service}


def main() -> None:
    """Draw the page that the address names."""
    st.session_state.setdefault(texts.KEY, texts.browser_language())
    st.set_page_config(page_title=text("app.name"), page_icon=str(HERE / "icon.png"), layout="wide")
    st.html(HERE / "style.css")
    pages = [
        st.Page(module.show, title=text(f"{name}.nav"), url_path=name, default=name == "classify")
        for name, module in PAGES.items()
    ]
    page = st.navigation(pages, position="top")
    with st.container(horizontal=True, horizontal_alignment="right", key="language"):
        st.segmented_control(
            text("app.language"), list(texts.LANGUAGES), key=texts.KEY, required=True, bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
    try:
        page.run()
    except SettingsError as error:
        st.error(str(error), icon=":material/settings:")
    except Refused as error:
        show_refusal(error)
    except ServiceError as error:
        wait_for_end(error)
    st.caption(text("app.footer"))


main()
