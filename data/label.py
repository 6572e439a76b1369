"""Labels of classes, and the facts that a task declares about them."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GERMAN = "_de"  # suffix of the fields and facts that hold German text


@dataclass(frozen=True)
class Fact:
    """A kind of fact about labels, declared in the task file.

    Attributes:
        key: name of the fact in `Label.facts` and in predictions.
        title, title_de: heading shown with the value, in English and German.
        short: whether values fit into a badge or a table column; otherwise they are sentences.
        in_answer: whether every prediction has the fact, at the top level under `key`.
    """

    key: str
    title: str
    title_de: str
    short: bool
    in_answer: bool


@dataclass(frozen=True)
class Label:
    """The name, description and facts of one class.

    Attributes:
        index: position in the task and in the network's output, from 0.
        name, name_de: name in English and German; the English name identifies the class.
        description, description_de: one or two sentences on the meaning of the class, in English and German.
        confused_with: indices of classes that it is easily confused with, most similar first.
        facts: texts by the keys that the task declares. A key with the suffix `_de` holds the German text; without one,
            the text under the plain key is used in both languages.
    """

    index: int
    name: str
    name_de: str
    description: str
    description_de: str
    confused_with: tuple[int, ...]
    facts: Mapping[str, str]

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Label":
        """Create a label from a TOML or JSON table.

        Raises:
            KeyError, TypeError: a field is missing, unknown or has the wrong type.
        """
        facts = dict(table["facts"])
        if not all(isinstance(value, str) for value in facts.values()):
            raise TypeError(f"facts must be strings, not {facts}")
        return cls(**{**table, "confused_with": tuple(table["confused_with"]), "facts": facts})


def fold_name(name: str) -> str:
    """Return the part of a name that counts when a folder is compared with a label: its letters and digits.

    Case, spaces, underscores, hyphens and other signs do not count, nor does whether an umlaut is stored as one or as
    two characters.
    """
    return "".join(character for character in unicodedata.normalize("NFKC", name).casefold() if character.isalnum())
