"""The texts of the page in both languages, none of which is in code.

`texts/en.toml` and `texts/de.toml` have all that every task needs. `texts/<task>/en.toml` and `de.toml`, if they exist,
say some of them in the words of that task, and have those that only it needs.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import streamlit as st

from ui.contract import Fact, Label, Task

LANGUAGES: Final = {"en": "English", "de": "Deutsch"}
KEY: Final = "lang"  # of the language in the session, and in the page's URL
TASK: Final = "task"  # of the name of the task in the session, and in the page's URL
NO_BREAK: Final = "\u00a0"  # a space without a line break
FOLDER: Final = Path(__file__).with_name("texts")


@cache
def read_catalogue(language: str, task: str = "") -> dict[str, str]:
    """Return the texts of a language by table and name, such as `data.title`; those of a task replace others."""
    texts: dict[str, str] = {}
    for path in (
        FOLDER / f"{language}.toml",
        *(FOLDER / name / f"{language}.toml" for name in tasks() if name == task),
    ):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        texts |= {f"{table}.{name}": value for table, named in tables.items() for name, value in named.items()}
    return texts


@cache
def tasks() -> tuple[str, ...]:
    """Return the names of the tasks that have texts of their own."""
    return tuple(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))


def language() -> str:
    """Return the language of this session: the chosen one, or else that of the browser."""
    chosen = st.session_state.get(KEY)
    return chosen if chosen in LANGUAGES else browser_language()


def browser_language() -> str:
    """Return the browser's language if the page is available in it, or else English."""
    wanted = (st.context.locale or "").partition("-")[0]
    return wanted if wanted in LANGUAGES else "en"


def text(key: str, **values: object) -> str:
    """Return a text in the language of this session; KeyError if there is none of this name."""
    return _catalogue()[key].format(**values)


def word(key: str, default: str) -> str:
    """Return a text that not all tasks have, such as one for a name from the service, or `default` without one."""
    return _catalogue().get(key.replace(" ", "_"), default)


def _catalogue() -> dict[str, str]:
    return read_catalogue(language(), st.session_state.get(TASK) or "")


def number(value: float, digits: int = 0) -> str:
    """Return a number in the format of the language: 1,234.5 or 1.234,5."""
    plain = f"{value:,.{digits}f}"
    return plain.translate(str.maketrans(",.", ".,")) if language() == "de" else plain


def percent(value: float, digits: int = 1) -> str:
    """Return a share in the format of the language: 99.8% or 99,8 %."""
    return f"{number(100 * value, digits)}{NO_BREAK if language() == 'de' else ''}%"


def probability(value: float) -> str:
    """Return a probability, in [0, 1], in percent; never 100% or 0%, because no classifier is certain."""
    if value >= 0.9995:
        return f"> {percent(0.999)}"
    return percent(value) if value >= 0.0005 else f"< {percent(0.001)}"


def name_of_task(task: Task) -> str:
    """Return the title of a task in the language of this session, or in English without one."""
    return (task.title_de if language() == "de" else None) or task.title


def name_of(label: Label) -> str:
    """Return the name of a class in the language of this session."""
    return label.name_de if language() == "de" else label.name


def other_name_of(label: Label) -> str:
    """Return the name of a class in the other language."""
    return label.name if language() == "de" else label.name_de


def description_of(label: Label) -> str:
    """Return the description of a class in the language of this session."""
    return label.description_de if language() == "de" else label.description


def title_of(fact: Fact) -> str:
    """Return the title of a fact in the language of this session."""
    return fact.title_de if language() == "de" else fact.title


def value_of(fact: Fact, label: Label) -> str:
    """Return a fact about a class in the language of this session, or "" if the class does not have it."""
    plain = label.facts.get(fact.key, "")
    return label.facts.get(f"{fact.key}_de", plain) if language() == "de" else plain


def markdown_escaped(words: Any) -> str:
    """Return untrusted text, such as a file name, so that Markdown shows it unchanged."""
    return "".join(
        f"\\{character}" if character in r"\`*_{}[]()<>#+-.!|~$:&" else character for character in str(words)
    )
