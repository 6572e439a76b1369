"""What Streamlit has no element for: small pieces of JavaScript, each beside the function that puts it on a page."""

from pathlib import Path


def source(name: str) -> str:
    """Return the text of a file of this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
