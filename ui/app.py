"""The entry point of the page: task, language, navigation, and the errors of all views."""

from functools import partial
from importlib import import_module
from pathlib import Path

import streamlit as st

from ui import texts
from ui.client import Refused, ServiceError
from ui.components import extras
from ui.connection import service
from ui.contract import Task
from ui.settings import SettingsError
from ui.tasks import choose_task, require_ready
from ui.texts import text
from ui.trouble import show_refusal, wait_for_end

HERE = Path(__file__).parent
PAGES = ("classify", "batch", "classes", "data", "model", "service")  # the first is the default


def draw_page(name: str, task: Task | ServiceError | SettingsError) -> None:
    """Draw a page about a task, or raise why there is none.

    The module of the page is imported only now, so that the first page does not wait for charts.
    """
    if isinstance(task, Exception):
        raise task
    require_ready(task)
    import_module(f"ui.views.{name}").draw_page(task)


def main() -> None:
    """Draw the page that the URL names."""
    wanted = st.query_params.get(texts.KEY, "")
    st.session_state.setdefault(texts.KEY, wanted if wanted in texts.LANGUAGES else texts.browser_language())
    st.set_page_config(page_icon=str(HERE / "icon.png"), layout="wide")
    st.html(HERE / "style.css")
    with st.container(horizontal=True, horizontal_alignment="right", key="choices"):
        try:
            task: Task | ServiceError | SettingsError = choose_task(service().tasks)
        except (ServiceError, SettingsError) as error:
            task = error
        st.segmented_control(
            text("app.language"), list(texts.LANGUAGES), key=texts.KEY, required=True, bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
    st.set_page_config(page_title=text("app.name"))  # which depends on the task
    unseen = st.container(key="unseen")
    with unseen:
        extras.set_page_language(texts.language())
        st.html(f"<style>:root {{ --upload: '{text('app.upload')}'; }}</style>")
    pages = [
        st.Page(partial(draw_page, name, task), title=text(f"{name}.nav"), url_path=name, default=name == PAGES[0])
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
