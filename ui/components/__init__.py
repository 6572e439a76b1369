"""Elements that Streamlit lacks: small pieces of JavaScript, next to the functions that add them to a page."""

from pathlib import Path


def source(name: str) -> str:
    """Return the content of a file in this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
