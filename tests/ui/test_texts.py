"""The texts of the page: complete in both languages, and with one for every name that comes from the service."""

import ast
import re
from collections.abc import Iterator
from string import Formatter
from typing import get_args

import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as some

from data.images import MAX_BYTES, MAX_PIXELS
from model.progress import Stage
from service.payloads import MAX_BATCH, MAX_BATCH_BYTES
from service.problems import KINDS
from service.settings import Settings
from tests.conftest import ROOT
from tests.ui.conftest import shipped_card
from ui import texts
from ui.answer import VERDICTS
from ui.choosing import WAYS
from ui.examples import STATIC
from ui.texts import LANGUAGES, markdown_escaped, number, percent, probability, read_catalogue, tasks
from ui.training import STAGES
from ui.views import batch

SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "ui").rglob("*.py"))}


@pytest.fixture(params=LANGUAGES)
def catalogue(request: pytest.FixtureRequest) -> dict[str, str]:
    """The texts of each language for all tasks."""
    return read_catalogue(request.param)


@pytest.fixture(params=[(language, task) for language in LANGUAGES for task in tasks()], ids="-".join)
def own(request: pytest.FixtureRequest) -> dict[str, str]:
    """The texts of each language for each task that has texts of its own."""
    return read_catalogue(*request.param)


@pytest.fixture
def german() -> Iterator[None]:
    """A German session."""
    st.session_state[texts.KEY] = "de"
    yield
    del st.session_state[texts.KEY]


def placeholders(words: str) -> set[tuple[str, str | None]]:
    """Return the placeholders of a text, with their formats."""
    return {(name, form) for _, name, form, _ in Formatter().parse(words) if name is not None}


def named_by(node: ast.expr) -> Iterator[str]:
    """Yield a pattern for each key that an argument of `text` can have, as far as the code shows."""
    if isinstance(node, ast.Constant):
        yield re.escape(str(node.value))
    elif isinstance(node, ast.JoinedStr):
        yield "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from named_by(node.body)
        yield from named_by(node.orelse)
    elif isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant):
        yield re.escape(str(node.left.value)) + ".+"


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the place of each call of `text`, a pattern of the key, and the names of the values."""
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text":
                for pattern in named_by(node.args[0]):
                    yield f"{path.name}:{node.lineno}", pattern, {str(each.arg) for each in node.keywords}


def words_in_code() -> Iterator[str]:
    """Yield a pattern for each string in the code that may be the key of a text."""
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                yield from named_by(node)


@pytest.mark.parametrize("task", ["", *tasks()])
def test_both_languages_have_the_same_texts_with_the_same_placeholders(task: str) -> None:
    english, german = (
        {key: placeholders(words) for key, words in read_catalogue(name, task).items()} for name in LANGUAGES
    )
    assert english == german


def test_texts_of_a_task_need_no_other_values_than_those_for_all_tasks(
    catalogue: dict[str, str], own: dict[str, str]
) -> None:
    assert [key for key, words in catalogue.items() if not placeholders(own[key]) <= placeholders(words)] == []


def test_texts_are_not_empty_and_have_no_surrounding_spaces(own: dict[str, str]) -> None:
    assert [key for key, words in own.items() if not words or words != words.strip()] == []


def test_every_text_in_the_code_exists_and_gets_its_values(catalogue: dict[str, str], own: dict[str, str]) -> None:
    found = list(calls())
    assert len(found) > 100
    for place, pattern, values in found:
        named = [key for key in own if re.fullmatch(pattern, key)]
        assert named, f"{place}: there is no text {pattern}"
        if ".+" not in pattern:
            wanted = {name for name, _ in placeholders(catalogue.get(named[0], own[named[0]]))}
            assert wanted == values, f"{place}: {named[0]} has other placeholders"


def test_every_text_is_used(own: dict[str, str]) -> None:
    tables = {key.partition(".")[0] for key in own}
    patterns = {
        pattern
        for pattern in words_in_code()
        if pattern.partition(r"\.")[0] in tables or re.fullmatch(r"\.\+\\\.\w+", pattern)
    }
    unused = [key for key in own if not any(re.fullmatch(pattern, key) for pattern in patterns)]
    assert unused == []


def known_words() -> Iterator[str]:
    """Yield the key of the text for each name that comes from samples, service and shipped classifier."""
    metrics = shipped_card()["metrics"]
    for name in metrics["refusal"]:
        yield f"refusal.{name.replace(' ', '_')}"
    for name, figures in metrics["accuracy_under_corruption"].items():
        if isinstance(figures, list):
            yield f"corruption.{name.replace(' ', '_')}"
    assert set(metrics["verdicts"]) == set(VERDICTS)
    for name in VERDICTS:
        yield from (f"verdict.{name}", f"batch.{name}")
    yield from (f"sample.{path.stem}" for path in (STATIC / "traffic_sign" / "samples").iterdir())
    yield from (f"classify.way_{name}" for name in WAYS)
    yield from (f"service.offer_{name}" for name in Settings(allow_urls=True, feedback=True).offers)
    yield from (f"training.{name}" for name in STAGES)


@pytest.mark.parametrize("key", list(known_words()))
@pytest.mark.parametrize("language", LANGUAGES)
def test_names_from_the_service_have_texts(key: str, language: str) -> None:
    assert key in read_catalogue(language, "traffic_sign")


def test_every_stage_of_a_training_is_known() -> None:
    assert {*STAGES, "done", "failed"} == set(get_args(Stage))


# The problems that a visitor can cause through the page. Not among them: `no_data`, which has a page of its own, and
# problems with the status 401, 429 or 503, which are not rejections.
MET = {
    "bad_request": "a box that is too small",
    "nothing_sent": "an empty file",
    "too_large": "a large file",
    "unreadable_image": "a file that is not a picture",
    "timeout": "a large picture over a slow connection",
    "url_refused": "a private address",
    "url_failed": "a URL without a picture",
    "not_implemented": "a service that was restarted without feedback",
    "storage_full": "feedback when the storage quota is reached",
    "internal": "a bug in the service",
}


def test_explained_rejections_are_problems_of_the_contract(catalogue: dict[str, str]) -> None:
    explained = {key.partition(".")[2] for key in catalogue if key.startswith("refused.")} - {"words", "other"}
    assert explained <= set(KINDS)
    assert set(MET) <= set(KINDS)


@pytest.mark.parametrize("kind", list(MET))
def test_rejections_that_visitors_can_cause_are_explained(kind: str, catalogue: dict[str, str]) -> None:
    assert f"refused.{kind}" in catalogue


def test_limits_in_the_texts_are_those_of_the_service(catalogue: dict[str, str]) -> None:
    assert f"{MAX_BYTES // 1024**2} MB" in catalogue["classify.formats"]
    assert f"{MAX_BYTES // 1024**2} MB" in catalogue["batch.help"]
    assert f"{MAX_BYTES // 1024**2} MB" in catalogue["refused.too_large"]
    assert f"{MAX_PIXELS // 10**6} " in catalogue["refused.too_large"]
    assert re.sub("[.,]", "", catalogue["batch.help"]).count(str(batch.MOST_FILES)) == 1


def test_batch_requests_stay_within_the_limits_of_the_service() -> None:
    overhead = 1024 * batch.CHUNK_FILES
    assert batch.CHUNK_FILES <= MAX_BATCH
    assert batch.CHUNK_BYTES + overhead <= MAX_BATCH_BYTES
    assert batch.MOST_BYTES >= MAX_BYTES


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [(0, 0, "0"), (1234.5, 1, "1,234.5"), (51839, 0, "51,839"), (0.126, 2, "0.13"), (-1234.5, 1, "-1,234.5")],
)
def test_numbers_have_the_english_format(value: float, digits: int, written: str) -> None:
    assert number(value, digits) == written


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [(0, 0, "0"), (1234.5, 1, "1.234,5"), (51839, 0, "51.839"), (1234567.891, 2, "1.234.567,89")],
)
def test_numbers_have_the_german_format(value: float, digits: int, written: str) -> None:
    assert number(value, digits) == written


def test_percentages_have_the_english_format() -> None:
    assert (percent(0.998), percent(1), percent(0.99638, 2)) == ("99.8%", "100.0%", "99.64%")


@pytest.mark.usefixtures("german")
def test_percentages_have_the_german_format() -> None:
    assert (percent(0.998), percent(0.99638, 2)) == ("99,8\u00a0%", "99,64\u00a0%")
    assert probability(0.99999) == "> 99,9\u00a0%"


@given(some.floats(0, 1))
def test_probabilities_are_never_shown_as_0_or_100_percent(value: float) -> None:
    said = probability(value)
    assert re.search(r"\d+\.\d", said)
    assert not re.search(r"100|\b0\.0%", said)


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.0, "> 99.9%"), (0.9996, "> 99.9%"), (0.9994, "99.9%"), (0.5, "50.0%"), (0.0006, "0.1%"), (0.0, "< 0.1%")],
)
def test_probabilities_near_0_and_100_percent_are_shown_as_bounds(value: float, said: str) -> None:
    assert probability(value) == said


@pytest.mark.parametrize(
    "name",
    [
        "**bold**.png",
        "[a link](javascript:alert(1)).png",
        "![](http://example.com/spy.png)",
        "<img src=x onerror=alert(1)>",
        "`code`",
        ":red[x] :material/home: $x^2$ ~~gone~~",
        "# heading\n\n- list\n1. one\n> quote\n| table |",
        "back\\slash \\*",
        "&lt;b&gt; &#42;",
        "Straße 50 km.jpg",
    ],
)
def test_untrusted_names_are_shown_unchanged(name: str) -> None:
    escaped = markdown_escaped(name)
    assert re.sub(r"\\(\W|_)", r"\1", escaped) == name
    assert not re.search(r"(?<!\\)[*_`\[\]()<>#|~$:&!]", re.sub(r"\\\\", "", escaped))


def test_values_that_are_not_text_are_escaped_too() -> None:
    assert markdown_escaped(ValueError("a_b")) == r"a\_b"
