"""Task files written from class folders."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from data.class_folders import read_class_folders
from data.errors import SourceError, TaskError
from data.files import open_files
from data.new_task import find_folders, write_task
from data.task import load_task


def fill(folder: Path, count: int, size: tuple[int, int] = (120, 90)) -> None:
    """Write pictures to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number}.png")


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """A data set of three classes, whose names have spaces, umlauts and underscores."""
    for name, count in (("Grünfink", 5), ("blue_tit", 3), ("House Sparrow", 4)):
        fill(tmp_path / "birds" / name, count)
    return tmp_path / "birds"


@pytest.fixture(autouse=True)
def _own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tasks").mkdir()
    monkeypatch.setenv("TASKS", str(tmp_path / "tasks"))


def create(birds: Path, **options: str) -> Path:
    backbone = {"backbone": "", "weights": "", **options}
    return write_task("my_birds", find_folders(open_files(birds)), "birds", **backbone)


def test_task_has_a_label_for_each_folder_and_reads_its_pictures(birds: Path, tmp_path: Path) -> None:
    path = create(birds)
    assert path == tmp_path / "tasks/my_birds/task.toml"
    task = load_task("my_birds")
    assert task.title == "My birds"
    assert [label.name for label in task.labels] == ["Grünfink", "House Sparrow", "blue tit"]
    found = read_class_folders(open_files(birds), task).examples
    assert sorted(example.class_index for example in found) == [0] * 5 + [1] * 4 + [2] * 3


@pytest.mark.parametrize("parts", [("train", "test"), ("Training", "valid", "Test")])
def test_classes_are_those_of_the_training_parts(birds: Path, tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        shutil.copytree(birds, tmp_path / "whole" / part)
    fill(tmp_path / "whole" / parts[-1] / "Unknown", 3)
    folders = find_folders(open_files(tmp_path / "whole"))
    assert folders.pictures == {
        "Grünfink": 5 * (len(parts) - 1), "House Sparrow": 4 * (len(parts) - 1), "blue_tit": 3 * (len(parts) - 1)
    }  # fmt: skip


def test_archives_are_read_unopened(birds: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", birds.parent, "birds")
    assert find_folders(open_files(Path(archive))) == find_folders(open_files(birds))


@pytest.mark.parametrize(("side", "input_side"), [(30, 96), (100, 128), (150, 160), (500, 224)])
def test_input_is_about_as_large_as_the_pictures(tmp_path: Path, side: int, input_side: int) -> None:
    for name in "ab":
        fill(tmp_path / "set" / name, 3, (2 * side, side))
    create(tmp_path / "set")
    assert load_task("my_birds").input_size == (input_side, input_side)


def test_backbone_is_used_if_there_are_weights(birds: Path) -> None:
    create(birds, backbone="EfficientNetLite0", weights="imagenet.npz")
    settings = load_task("my_birds").preset("cpu")
    assert (settings.network, settings.weights) == ("EfficientNetLite0", "imagenet.npz")
    assert 0 < settings.frozen_epochs < settings.epochs


def test_without_weights_our_own_network_is_used(birds: Path) -> None:
    create(birds)
    settings = load_task("my_birds").preset("cpu")
    assert (settings.network, settings.weights, settings.frozen_epochs) == ("residual", "", 0)


def test_rare_classes_count_more_if_sizes_are_unequal(birds: Path) -> None:
    fill(birds / "Grünfink", 40)
    folders = find_folders(open_files(birds))
    assert "times as many pictures as 'blue_tit'" in "\n".join(folders.lines())
    write_task("my_birds", folders, "birds", "", "")
    assert load_task("my_birds").preset("cpu").class_balance < 0


@pytest.mark.parametrize("count", [2, 200])
def test_any_number_of_classes_makes_a_task(tmp_path: Path, count: int) -> None:
    for number in range(count):
        fill(tmp_path / "set" / f"class {number}", 2)
    create(tmp_path / "set")
    task = load_task("my_birds")
    assert len(task.labels) == count
    assert task.preset("cpu").prototypes >= 1


def test_names_with_quotes_and_backslashes_become_labels(tmp_path: Path) -> None:
    for name in ('say "hi"', "back\\slash"):
        fill(tmp_path / "set" / name, 2)
    create(tmp_path / "set")
    assert {label.name for label in load_task("my_birds").labels} == {'say "hi"', "back\\slash"}


PROBLEMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty folder": (lambda folder: (folder / "hawk").mkdir(), "'hawk': no pictures in it; add some, or remove it"),
    "one picture": (lambda folder: fill(folder / "owl", 1), "'owl': one picture only"),
    "picture outside": (lambda folder: fill(folder, 1), "'0.png': not in a class folder"),
    "same name": (lambda folder: fill(folder / "Blue-Tit", 2), "the same but for case and punctuation"),
    "no letters": (lambda folder: fill(folder / "…", 2), "a name without letters and digits"),
}


@pytest.mark.parametrize(("spoil", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_problem_of_a_folder_is_named_with_what_to_do(birds: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(birds)
    with pytest.raises(SourceError) as caught:
        find_folders(open_files(birds))
    assert words in str(caught.value)


def test_all_problems_are_named_at_once(birds: Path) -> None:
    for spoil, _ in PROBLEMS.values():
        spoil(birds)
    with pytest.raises(SourceError) as caught:
        find_folders(open_files(birds))
    assert [words for _, words in PROBLEMS.values() if words not in str(caught.value)] == []


def test_single_class_is_not_enough(tmp_path: Path) -> None:
    fill(tmp_path / "set" / "owl", 5)
    with pytest.raises(SourceError, match="only 'owl' has pictures"):
        find_folders(open_files(tmp_path / "set"))


@pytest.mark.parametrize("name", ["My birds", "3birds", "birds/../x", "", "vögel", "labels"])
def test_name_that_cannot_be_part_of_a_url_is_rejected(birds: Path, name: str) -> None:
    with pytest.raises(TaskError, match="cannot name a task"):
        write_task(name, find_folders(open_files(birds)), "birds", "", "")


def test_existing_task_is_not_overwritten(birds: Path) -> None:
    path = create(birds)
    assert create(birds) == path
    written = path.read_text(encoding="utf-8") + "# by hand\n"
    path.write_text(written, encoding="utf-8")
    for name in ("my_birds", "traffic_sign"):
        with pytest.raises(TaskError, match=f"there is a task '{name}' already"):
            write_task(name, find_folders(open_files(birds)), "birds", "", "")
    assert path.read_text(encoding="utf-8") == written
