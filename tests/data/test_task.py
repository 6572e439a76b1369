"""The task file: what it holds, and how mistakes in one are told."""

import re
from pathlib import Path

import pytest

from data.errors import TaskError
from data.task import TASKS, Task, load_task, read_task

ENGLISH = re.compile(r"\b(the|and|or|of|to|you|sign|with|is|where|ends|road)\b", re.IGNORECASE)
GERMAN = re.compile(r"[äöüß„“]|\b(der|die|das|und|oder|nicht|ist|wo)\b", re.IGNORECASE)
ADDRESSED = re.compile(r"\b(du|dich|dir|deine?[rmns]?|Ihre?[rmns]?)\b")
TEXT = (TASKS / "traffic_sign" / "task.toml").read_text(encoding="utf-8")


def test_traffic_signs_have_all_43_classes_described(task: Task) -> None:
    assert [label.index for label in task.labels] == list(range(43))
    assert task.labels[42].name == "End of no passing by vehicles over 3.5 metric tons"
    for label in task.labels:
        assert label.name_de
        assert label.facts["sign_number"]
        assert label.facts["category"]
        assert 1 <= label.description.count(".") - label.description.count("3.5") <= 2, label.description


def test_every_label_says_in_both_languages_what_to_do_and_where_that_ends(task: Task) -> None:
    for label in task.labels:
        english, german = (label.description, label.facts["ends"]), (label.description_de, label.facts["ends_de"])
        for text in (*english, *german):
            assert re.fullmatch(r"[A-ZÄÖÜ].+[^.]\.", text), text
        for text in (label.facts["ends"], label.facts["ends_de"]):
            assert ". " not in text, f"more than one sentence: {text}"
        for text in english:
            assert not GERMAN.search(text), text
        for text in german:
            assert not ENGLISH.search(text), text
            assert not ADDRESSED.search(text), text


def test_german_says_the_same_numbers_as_english(task: Task) -> None:
    for label in task.labels:
        german = re.findall(r"\d+(?:,\d+)?", label.description_de + label.facts["ends_de"])
        english = re.findall(r"\d+(?:\.\d+)?", label.description + label.facts["ends"])
        assert [number.replace(",", ".") for number in german] == english, label.name


@pytest.mark.parametrize("class_index", [0, 1, 2, 3, 4, 5, 7, 8, 9, 10])
def test_limits_and_bans_do_not_end_at_just_any_junction(task: Task, class_index: int) -> None:
    label = task.labels[class_index]
    assert label.facts["ends"].endswith("a junction alone does not end it.")
    assert "eine Kreuzung allein beendet" in label.facts["ends_de"]
    for other in ("holds until", "lifted"):
        assert other not in label.description, "said twice"


def test_unknown_task_names_the_known_ones() -> None:
    with pytest.raises(TaskError, match=r"'dinosaurs'; known: .*traffic_sign"):
        load_task("dinosaurs")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[48, 48]", "[48, ", "Invalid"),
        ("[48, 48]", "[4, 48]", "input_size"),
        ('name_de = "Kurve (links)"', "", "name_de"),
        ('name_de = "Kurve (links)"', 'name_de = "x"\ncolour = "red"', "colour"),
        ("index = 7\n", "index = 8\n", "order of their indices"),
        ('name = "Stop"', 'name = "Yield"', "same name"),
        ("confused_with = [8]", "confused_with = [99]", "confused_with must"),
        ("confused_with = [8]", "confused_with = [7]", "confused_with must"),
        ("epochs = 40", "epoch = 40", "epoch"),
        ('sign_number = "206"', "sign_number = 206", "facts must be strings"),
        ('sign_number = "206"', 'number = "206"', "label 14 has facts that .* does not declare"),
        ('sign_number = "206"\n', "", "label 14 lacks 'sign_number'"),
        ('key = "ends"', 'key = "category"', "two facts have the same key"),
        ('key = "category"', 'key = "verdict"', "'verdict' has a reserved name"),
        ('layout = "gtsrb"', 'layout = "heap"', "layout must be one of"),
        ("margin = 0.1", "margin = 0.5", "margin must be"),
        ("[[facts]]", "[distortions]\nspin = 9\n[[facts]]", "spin"),
    ],
)
def test_mistakes_in_a_task_file_are_named(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert old in TEXT
    path = tmp_path / "broken.toml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TaskError, match=reason) as caught:
        read_task(path)
    assert str(path) in str(caught.value)
