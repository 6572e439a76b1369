"""The task file: what it holds, and how mistakes in one are told."""

from pathlib import Path

import pytest

from data.errors import TaskError
from data.task import TASKS, Task, load_task, read_task

TEXT = (TASKS / "traffic_sign.toml").read_text(encoding="utf-8")


def test_traffic_signs_have_all_43_classes_described(task: Task) -> None:
    assert [label.index for label in task.labels] == list(range(43))
    assert task.labels[42].name == "End of no passing by vehicles over 3.5 metric tons"
    for label in task.labels:
        assert label.name_de
        assert label.sign_number
        assert label.category
        assert 1 <= label.description.count(".") - label.description.count("3.5") <= 2, label.description


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
        ("confused_with = [8]", "confused_with = [99]", "confused with"),
        ("confused_with = [8]", "confused_with = [7]", "confused with"),
        ("epochs = 40", "epoch = 40", "epoch"),
    ],
)
def test_mistakes_in_a_task_file_are_named(old: str, new: str, reason: str, tmp_path: Path) -> None:
    assert old in TEXT
    path = tmp_path / "broken.toml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(TaskError, match=reason) as caught:
        read_task(path)
    assert str(path) in str(caught.value)
