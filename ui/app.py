"""The entry point of the page: language, navigation, and the errors of all views."""

from functools import partial
from importlib import import_module
from pathlib import Path

import streamlit as st

from ui import texts
from ui.client import Refused, ServiceError
from ui.components import extras
from ui.settings import SettingsError
from ui.texts import text
from ui.trouble import show_refusal, wait_for_end

HERE = Path(__file__).parent
PAGES = ("classify", "batch", "signs", "data", "model", "service")  # the first is the default


def draw_page(name: str) -> None:
    """Draw a page; its module is imported only now, so that the first page does not wait for charts."""
    import_module(f"ui.views.{name}").draw_page()


def main() -> None:
    """Draw the page that the URL names."""
    wanted = st.query_params.get(texts.KEY, "")
    st.session_state.setdefault(texts.KEY, wanted if wanted in texts.LANGUAGES else texts.browser_language())
    st.set_page_config(page_title=text("app.name"), page_icon=str(HERE / "icon.png"), layout="wide")
    st.html(HERE / "style.css")
    with st.container(horizontal=True, horizontal_alignment="right", key="language"):
        st.segmented_control(
            text("app.language"), list(texts.LANGUAGES), key=texts.KEY, required=True, bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
    unseen = st.container(key="unseen")
    with unseen:
        extras.set_page_language(texts.language())
        st.html(f"<style>:root {{ --upload: '{text('app.upload')}'; }}</style>")
    pages = [
        st.Page(partial(draw_page, name), title=text(f"{name}.nav"), url_path=name, default=name == PAGES[0])
        for name in PAGES
    ]
    page = st.navigation(pages, position="top")
    with unseen:
        extras.close_menu_after_choice(page.url_path)
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
