"""Small helps of the browser: pasting pictures, reading aloud, closing the menu, knowing that there is no camera."""

import streamlit as st

from ui.components import source

_paste = st.components.v2.component("paste", js=source("paste.js"))
_speech = st.components.v2.component(
    "speech", html="<button type='button' hidden></button>", css=source("speech.css"), js=source("speech.js")
)
_camera = st.components.v2.component("camera", js=source("camera.js"))
_menu = st.components.v2.component("menu", js=source("menu.js"))
_language = st.components.v2.component("language", js=source("language.js"))


def tell_language(language: str) -> None:
    """Tell the browser in which language the page is, for those who have it read to them."""
    _language(key="language_of_page", data=language, height=0)


def close_menu_when_chosen() -> None:
    """Let the menu of a narrow screen, which covers the page, go away when a page is chosen."""
    _menu(key="menu", height=0)


def accept_pasted_pictures() -> None:
    """Give pictures that are pasted anywhere on the page to its first field for files."""
    _paste(key="paste", height=0)


def offer_to_read(words: str, label: str, language: str) -> None:
    """Show a button that reads words aloud, if the browser has a voice."""
    _speech(key="speech", data={"words": words, "label": label, "language": language})


def camera_is_refused() -> bool:
    """Say whether there is no camera, or the person has refused it; known from the second run on."""
    return bool(_camera(key="camera_state", height=0, on_refused_change=lambda: None).refused)
