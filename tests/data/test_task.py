"""Task files: their contents, and error messages for mistakes in them."""

import re
import shutil
from pathlib import Path

import pytest

from data.errors import TaskError
from data.task import TASKS, Task, list_tasks, load_task, read_task
from tests.conftest import ROOT

ENGLISH = re.compile(r"\b(the|and|or|of|to|you|sign|with|is|where|ends|road)\b", re.IGNORECASE)
GERMAN = re.compile(r"[äöüß„“]|\b(der|die|das|und|oder|nicht|ist|wo)\b", re.IGNORECASE)
SECOND_PERSON = re.compile(r"\b(du|dich|dir|deine?[rmns]?|Ihre?[rmns]?)\b")
TEXT = (TASKS / "traffic_sign" / "task.toml").read_text(encoding="utf-8")


def test_traffic_signs_have_all_43_classes_described(task: Task) -> None:
    assert [label.index for label in task.labels] == list(range(43))
    assert task.labels[42].name == "End of no passing by vehicles over 3.5 metric tons"
    for label in task.labels:
        assert label.name_de
        assert label.facts["sign_number"]
        assert label.facts["category"]
        assert 1 <= label.description.count(".") - label.description.count("3.5") <= 2, label.description


def test_labels_describe_the_rule_and_its_end_in_both_languages(task: Task) -> None:
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
            assert not SECOND_PERSON.search(text), text


def test_german_and_english_texts_have_the_same_numbers(task: Task) -> None:
    for label in task.labels:
        german = re.findall(r"\d+(?:,\d+)?", label.description_de + label.facts["ends_de"])
        english = re.findall(r"\d+(?:\.\d+)?", label.description + label.facts["ends"])
        assert [number.replace(",", ".") for number in german] == english, label.name


@pytest.mark.parametrize("class_index", [0, 1, 2, 3, 4, 5, 7, 8, 9, 10])
def test_limits_and_bans_do_not_end_at_junctions_alone(task: Task, class_index: int) -> None:
    label = task.labels[class_index]
    assert label.facts["ends"].endswith("a junction alone does not end it.")
    assert "eine Kreuzung allein beendet" in label.facts["ends_de"]
    for other in ("holds until", "lifted"):
        assert other not in label.description, "the description repeats where the rule ends"


def test_tasks_in_a_further_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    included = list_tasks()
    (tmp_path / "more" / "shapes").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "shapes.toml", tmp_path / "more" / "shapes" / "task.toml")
    monkeypatch.setenv("TASKS", str(tmp_path / "more"))
    assert list_tasks() == sorted([*included, "shapes"])
    assert load_task("shapes").title == "Shapes"
    assert load_task("shapes").load_extension() is None
    assert load_task("traffic_sign").load_extension() is not None
    shutil.copytree(TASKS / "traffic_sign", tmp_path / "more" / "traffic_sign")
    with pytest.raises(TaskError, match="traffic_sign is already the name of a task"):
        list_tasks()
    monkeypatch.setenv("TASKS", str(tmp_path / "nowhere"))
    with pytest.raises(TaskError, match=r"TASKS: .*nowhere is not a folder"):
        load_task("traffic_sign")


def test_error_for_an_unknown_task_lists_the_known_tasks() -> None:
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
def test_mistakes_in_a_task_file_are_reported(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert old in TEXT
    path = tmp_path / "broken.toml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TaskError, match=reason) as caught:
        read_task(path)
    assert str(path) in str(caught.value)
