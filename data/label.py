"""A class as people and programs know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GERMAN = "_de"  # suffix of the fields and facts that hold German text


@dataclass(frozen=True)
class Fact:
    """A kind of fact that a task knows about its labels.

    Attributes:
        key: name of the fact in `Label.facts` and in answers.
        title, title_de: what people read beside its value, in English and German.
        short: whether a value fits into a badge or a table column; otherwise it is a sentence.
        in_answer: whether every prediction carries it, at the top level, under `key`.
    """

    key: str
    title: str
    title_de: str
    short: bool
    in_answer: bool


@dataclass(frozen=True)
class Label:
    """One class.

    Attributes:
        index: position in the task and in the network's output, from 0.
        name, name_de: in English and German; the English name identifies the class.
        description, description_de: what people should know about it, in one or two sentences.
        confused_with: class indices that this class is easily confused with, most confusing first.
        facts: texts by the keys that the task declares; a key with the suffix `_de` holds the German text, and where
            it is missing the plain one serves both languages.
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
        """Make a label from a TOML or JSON table.

        Raises:
            KeyError, TypeError: a field is missing, unknown or of the wrong type.
        """
        facts = dict(table["facts"])
        if not all(isinstance(value, str) for value in facts.values()):
            raise TypeError(f"facts must be strings, not {facts}")
        return cls(**{**table, "confused_with": tuple(table["confused_with"]), "facts": facts})
