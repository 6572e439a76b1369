"""What the page says, in two languages: every sentence stands in `texts/en.toml` and `texts/de.toml`, none in code."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import streamlit as st

from ui.client import Label

LANGUAGES: Final = {"en": "English", "de": "Deutsch"}
KEY: Final = "lang"  # of the choice in the session, and of the parameter in the address
NO_BREAK: Final = "\u00a0"  # a space at which no line ends
FOLDER: Final = Path(__file__).with_name("texts")


@cache
def read_catalogue(language: str) -> dict[str, str]:
    """Return all texts of a language, each under its table and name: `signs.title`."""
    tables = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return {f"{table}.{name}": value for table, texts in tables.items() for name, value in texts.items()}


def language() -> str:
    """Return the language of this session: the chosen one, else that of the browser if there are texts in it."""
    chosen = st.session_state.get(KEY)
    return chosen if chosen in LANGUAGES else browser_language()


def browser_language() -> str:
    """Return the browser's language if there are texts in it, else English."""
    wanted = (st.context.locale or "").partition("-")[0]
    return wanted if wanted in LANGUAGES else "en"


def text(key: str, **values: object) -> str:
    """Return a text in the language of this session; KeyError if there is none of this name."""
    return read_catalogue(language())[key].format(**values)


def word(key: str, otherwise: str) -> str:
    """Return the text for something that the service names; `otherwise` if the catalogue does not know it."""
    return read_catalogue(language()).get(key.replace(" ", "_"), otherwise)


def number(value: float, digits: int = 0) -> str:
    """Return a number as the language writes it: 1,234.5 or 1.234,5."""
    plain = f"{value:,.{digits}f}"
    return plain.translate(str.maketrans(",.", ".,")) if language() == "de" else plain


def percent(value: float, digits: int = 1) -> str:
    """Return a share as the language writes it: 99.8% or 99,8 %."""
    return f"{number(100 * value, digits)}{NO_BREAK if language() == 'de' else ''}%"


def probability(value: float) -> str:
    """Return a probability, in [0, 1], in percent; no classifier is ever certain, so none is called 100% or 0%."""
    if value >= 0.9995:
        return f"> {percent(0.999)}"
    return percent(value) if value >= 0.0005 else f"< {percent(0.001)}"


def name_of(label: Label) -> str:
    """Return the name of a class in the language of this session."""
    return label.name_de if language() == "de" else label.name


def other_name_of(label: Label) -> str:
    """Return the name of a class in the other language."""
    return label.name if language() == "de" else label.name_de


def duty_of(label: Label) -> str:
    """Return what a class asks of a driver."""
    return label.description_de if language() == "de" else label.description


def end_of(label: Label) -> str:
    """Return where that ends."""
    return label.ends_de if language() == "de" else label.ends


def category_of(label: Label) -> str:
    """Return the name of a class's category; one without a text of its own keeps its name."""
    return word(f"category.{label.category}", label.category)


def markdown_escaped(words: Any) -> str:
    """Return words of a stranger, such as a file's name, so that Markdown shows them as they are."""
    return "".join(
        f"\\{character}" if character in r"\`*_{}[]()<>#+-.!|~$:&" else character for character in str(words)
    )
