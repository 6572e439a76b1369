"""Class folders as people have them: parts for training and testing, other spellings, and mistakes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.download import download
from data.errors import SourceError, SplitError, TaskError
from data.prepare import prepare
from data.source import describe_gaps, find_source, open_labelled, open_source
from data.split import require_two_groups, split_by_group
from data.task import Task, read_task
from tests.conftest import drawing, encoded

SHAPES = (Path(__file__).parents[1] / "shapes.toml").read_text(encoding="utf-8")


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Task:
    """Return the task `shapes` with changes to its file."""
    text = SHAPES
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "changed.toml"
    path.write_text(text, encoding="utf-8")
    return read_task(path)


def write(folder: Path, *names: str, content: bytes | None = None) -> Path:
    """Write a different picture, or this content, to each of the files."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(drawing(size=32, seed=seed)) if content is None else content)
    return folder


def read(location: Path, task: Task) -> list[tuple[str, int]]:
    return [(example.path, example.class_index) for example in open_source(location, task).examples]


@pytest.mark.parametrize("top", ["", "deeper/"])
@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [("train", "valid", "test"), ("Training", "Validation", "Test"), ("TRAIN", "val", "testing")],
)
def test_training_reads_the_training_parts_and_an_evaluation_the_test_part(
    shapes: Task, tmp_path: Path, top: str, train: str, valid: str, test: str
) -> None:
    folder = tmp_path / "data"
    write(folder, *(f"{top}{part}/{name}/a.png" for part in (train, valid, test) for name in ("round", "triangular")))
    write(folder, f"{top}round/copy.png", f"{top}triangular/copy.png")  # the same pictures again, without parts
    expected = sorted(
        (f"{top}{part}/{name}/a.png", i) for part in (train, valid) for i, name in enumerate(("round", "triangular"))
    )
    assert read(folder, shapes) == expected
    assert read(Path(shutil.make_archive(str(tmp_path / "data"), "zip", folder)), shapes) == expected
    only_train = replace(shapes, data=replace(shapes.data, training_parts=("train",)))
    assert {path for path, _ in read(folder, only_train)} == {
        f"{top}{train}/{n}/a.png" for n in ("round", "triangular")
    }
    evaluated = open_labelled(folder, shapes)
    assert {example.path for example in evaluated.examples} == {
        f"{top}{test}/{n}/a.png" for n in ("round", "triangular")
    }
    assert not evaluated.grouped


def test_a_class_may_be_called_like_a_part(tmp_path: Path) -> None:
    task = changed(tmp_path, ('name = "round"', 'name = "Train"'), ('name = "triangular"', 'name = "Test"'))
    assert read(write(tmp_path / "data", "train/a.png", "test/a.png"), task) == [("test/a.png", 1), ("train/a.png", 0)]


def test_case_spaces_and_punctuation_of_folder_names_do_not_count(tmp_path: Path) -> None:
    task = changed(
        tmp_path,
        ('name = "round"', 'name = "Lion\'s mane"'),
        ('name = "triangular"', 'name = "Weiße Äpfel"\nfolders = ["apples"]'),
    )
    for names in (("lions_mane", "weiße-äpfel"), ("LIONS MANE", "weisse a\u0308pfel"), ("Lion's-Mane", "Apples")):
        folder = write(tmp_path / names[0], *(f"{name}/a.png" for name in names))
        assert sorted(index for _, index in read(folder, task)) == [0, 1], names


def test_names_tell_the_groups(tmp_path: Path) -> None:
    task = changed(
        tmp_path, ("margin = 0.0", "margin = 0.0\n[data.grouping]\npattern = '([a-z]+)\\d'\nacross_classes = true")
    )
    folder = write(
        tmp_path / "data", "round/a1.png", "round/a2.png", "round/b1.png", "triangular/a3.png", "triangular/c.png"
    )
    groups = [example.group for example in open_source(folder, task).examples]
    assert groups == ["all/a", "all/a", "all/b", "all/a", "triangular/c.png"]


def test_error_names_all_folders_that_are_no_class(shapes: Task, tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "round/a.png", "triangular/a.png", "banana/a.png", "größere Kreise/a.png")
    with pytest.raises(
        SourceError, match=r"'banana' is neither .* same is true of 'größere Kreise'.*round, triangular"
    ):
        open_source(folder, shapes)


def test_other_folders_can_be_left_out_with_a_note(tmp_path: Path) -> None:
    task = changed(tmp_path, ("margin = 0.0", "margin = 0.0\nignore_other_folders = true"))
    source = open_source(write(tmp_path / "data", "round/a.png", "triangular/a.png", "banana/a.png"), task)
    assert len(source.examples) == 2
    [note] = describe_gaps(source, task)
    assert "left out, because their folders are no classes: 1 in 'banana'" in note


def test_other_classes_in_the_test_part_are_a_note_for_training_and_an_error_for_an_evaluation(
    shapes: Task, tmp_path: Path
) -> None:
    names = [f"train/{name}/{i}.png" for name in ("round", "triangular") for i in range(2)]
    folder = write(tmp_path / "data", *names, "test/banana/a.png")
    [note] = describe_gaps(open_source(folder, shapes), shapes)
    assert "'test/banana'" in note
    with pytest.raises(SourceError, match=r"'banana' is neither .* Rename the folder"):
        open_labelled(folder, shapes)


def test_a_test_part_without_class_folders_does_not_disturb_training(shapes: Task, tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "train/round/a.png", "train/triangular/a.png", "test/1.png")
    assert len(read(folder, shapes)) == 2


@pytest.mark.parametrize("found", [["round/a.png"], ["round/a.png", "triangular/notes.txt"]])
def test_error_for_a_class_without_pictures_says_what_to_do(shapes: Task, tmp_path: Path, found: list[str]) -> None:
    with pytest.raises(SourceError, match=r"no examples of class 1 \(triangular\); put pictures of it into a folder"):
        open_source(write(tmp_path / "data", *found), shapes)


def test_error_names_all_unreadable_pictures_and_training_can_go_on_without_them(shapes: Task, tmp_path: Path) -> None:
    names = [f"{name}/{i}.png" for name in ("round", "triangular") for i in range(2)]
    folder = write(tmp_path / "data", *names)
    write(folder, "round/text.jpg", "triangular/empty file.png", content=b"no picture")
    whole = (folder / names[0]).read_bytes()
    with pytest.raises(SourceError, match="2 pictures cannot be read") as caught:
        open_source(folder, shapes)
    for name in ("round/text.jpg", "triangular/empty file.png", "--skip-unreadable"):
        assert name in str(caught.value)
    write(folder, "round/cut.png", content=whole[:300])  # its header is intact
    source = open_source(folder, shapes, skip_unreadable=True)
    assert [example.path for example in source.examples] == names
    [note] = describe_gaps(source, shapes)
    assert "cannot be read: 3" in note
    assert "round/cut.png" in note


def test_error_names_all_pictures_that_cannot_be_decoded(shapes: Task, tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "round/a.png", "triangular/a.png")
    write(folder, "round/b.png", "triangular/b.png", content=(folder / "round/a.png").read_bytes()[:300])
    with pytest.raises(SourceError, match=r"2 pictures cannot be read:[^\0]*round/b\.png: [^\0]*triangular/b\.png: "):
        prepare(open_source(folder, shapes), shapes, tmp_path / "cache")


def test_error_names_all_classes_that_cannot_be_split(shapes: Task) -> None:
    class_index, groups = np.array([0, 1, 1, 1]), np.array(["a", "b", "b", "b"])
    with pytest.raises(
        SplitError,
        match=r"class 'round' has 1 picture; all 3 pictures of class 'triangular' are of one picture\. .* add",
    ):
        require_two_groups(shapes, class_index, groups)
    with pytest.raises(SplitError, match=r"class 0 has 1 group\(s\), class 1 has 1 group\(s\)"):
        split_by_group(class_index, groups, 0.5, seed=0)
    require_two_groups(shapes, np.array([0, 0, 1, 1]), np.array(["a", "b", "c", "d"]))


def test_groups_that_span_classes_are_never_on_both_sides_of_a_split() -> None:
    rng = np.random.default_rng(0)
    class_index, groups = rng.integers(0, 3, 900), np.array([f"all/{number}" for number in rng.integers(0, 40, 900)])
    for seed in range(5):
        training, validation = split_by_group(class_index, groups, 0.15, seed)
        assert sorted([*training, *validation]) == list(range(900))
        assert not set(groups[training]) & set(groups[validation])
        for index in range(3):
            held_out = set(groups[validation][class_index[validation] == index])
            assert 1 <= len(held_out) <= 8, "about 15% of 40 groups, although each class chooses some"


def test_errors_say_where_the_data_set_is(tmp_path: Path) -> None:
    task = changed(tmp_path, ("margin = 0.0", 'margin = 0.0\npage = "https://example.org/shapes"'))
    with pytest.raises(SourceError, match=r"Test shapes is at https://example\.org/shapes"):
        find_source(task, tmp_path / "store")
    with pytest.raises(SourceError, match=r"Test shapes from https://example\.org/shapes"):
        download(task, tmp_path / "store")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("margin = 0.0", "margin = 0.0\n[data.grouping]\npattern = '(a'", "not a regular expression"),
        ("margin = 0.0", "margin = 0.0\n[data.grouping]\npattern = 'a'", "needs at least one group"),
        ("margin = 0.0", "margin = 0.0\n[data.grouping]\npattern = '(a)'\ngap = 3", "need each other"),
        ("margin = 0.0", "margin = 0.0\n[data.grouping]\npattern = '(?P<number>a)'", "need each other"),
        ("margin = 0.0", 'margin = 0.0\ntraining_parts = ["test"]', "training_parts must be"),
        ('name = "triangular"', 'name = "ROUND"', "differ only in case"),
        ('name = "triangular"', 'name = "triangular"\nfolders = ["round "]', "differ only in case"),
    ],
)
def test_mistakes_in_the_description_of_class_folders_are_reported(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    with pytest.raises(TaskError, match=reason):
        changed(tmp_path, (old, new))


def test_the_german_title_is_the_english_one_if_there_is_none(shapes: Task, tmp_path: Path) -> None:
    assert shapes.title_de == "Shapes"
    assert changed(tmp_path, ('title = "Shapes"', 'title = "Shapes"\ntitle_de = "Formen"')).title_de == "Formen"
