"""Small browser features: pasting pictures, reading aloud, closing the menu, detecting a missing camera."""

import streamlit as st

from ui.components import source

_paste = st.components.v2.component("paste", js=source("paste.js"))
_speech = st.components.v2.component(
    "speech", html="<button type='button' hidden></button>", css=source("speech.css"), js=source("speech.js")
)
_camera = st.components.v2.component("camera", js=source("camera.js"))
_menu = st.components.v2.component("menu", js=source("menu.js"))
_language = st.components.v2.component("language", js=source("language.js"))


def set_page_language(language: str) -> None:
    """Set the `lang` attribute of the page, for screen readers."""
    _language(key="language_of_page", data=language, height=0)


def close_menu_after_choice(page: str) -> None:
    """Close the menu of a narrow screen, which covers the page, when a page was chosen.

    Args:
        page: path of the chosen page; the browser runs the code again when it changes.
    """
    _menu(key="menu", data=page, height=0)


def accept_pasted_pictures() -> None:
    """Upload pictures that are pasted anywhere on the page through its first file input."""
    _paste(key="paste", height=0)


def offer_to_read(words: str, label: str, language: str) -> None:
    """Show a button that reads words aloud, if the browser supports speech."""
    _speech(key="speech", data={"words": words, "label": label, "language": language})


def is_camera_unavailable() -> bool:
    """Return whether there is no camera, or access to it was denied; known from the second run on."""
    return bool(_camera(key="camera_state", height=0, on_refused_change=lambda: None).refused)
