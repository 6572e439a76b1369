"""The task files that are shipped, and the data sets they describe."""

import os
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from data.duplicates import find_links, merge_groups
from data.grouping import group_by_name
from data.prepare import prepare
from data.source import Source, open_source
from data.split import split_by_group
from data.task import list_tasks, load_task

ARCHIVES = {
    "jellyfish": "jellyfish.zip",
    "pizza": "pizza_not_pizza.zip",
    "rock_paper_scissors": "rock_paper_scissors.zip",
    "fruits": "fruits_360.zip",
}


def open_data(name: str) -> Source:
    """Open the real data set of a task, in the folder that the variable TASK_DATA names."""
    folder = os.environ.get("TASK_DATA")
    if not folder:
        pytest.skip("TASK_DATA does not name a folder with the data sets of the tasks")
    path = Path(folder) / ARCHIVES[name]
    if not path.exists():
        pytest.skip(f"{path.name} is not in the folder that TASK_DATA names")
    return open_source(path, load_task(name))


def groups(task_name: str, *names: str, classes: list[int] | None = None) -> list[str]:
    paths = [PurePosixPath("folder") / name for name in names]
    return group_by_name(paths, classes or [0] * len(names), load_task(task_name).data.grouping)


def test_five_tasks_are_there() -> None:
    assert set(ARCHIVES) | {"traffic_sign"} <= set(list_tasks())


@pytest.mark.parametrize("name", list_tasks())
def test_everything_that_people_read_is_there_in_both_languages(name: str) -> None:
    task = load_task(name)
    assert task.title
    assert task.title_de
    for fact in task.facts:
        assert fact.title
        assert fact.title_de
    for label in task.labels:
        assert label.name
        assert label.name_de
        for text in (label.description, label.description_de):
            assert text.endswith("."), text
            assert text[0].isupper(), text
        assert label.description != label.description_de
        assert set(label.facts) >= {fact.key for fact in task.facts}, label.name


@pytest.mark.parametrize("name", ARCHIVES)
def test_tasks_of_class_folders_say_where_their_data_is_from_and_have_presets(name: str) -> None:
    task = load_task(name)
    assert task.data.layout == "folders"
    assert task.data.name
    assert task.data.citation
    assert task.data.licence
    assert {"cpu", "quick"} <= set(task.training)
    assert not task.data.archives  # no publisher serves its file without an account


def test_copies_of_jellyfish_belong_to_their_photo() -> None:
    assert groups("jellyfish", "07.jpg", "aug-12-07.jpg", "aug-103-07.JPG", "12.jpg", classes=[1, 1, 1, 1]) == [
        *["00001/07"] * 3,
        "00001/12",
    ]
    assert len(set(groups("jellyfish", "07.jpg", "07.jpg", classes=[0, 1]))) == 2


def test_fruits_belong_to_the_film_of_their_variety() -> None:
    names = ["r_0_100.jpg", "r_33_100.jpg", "0_100.jpg", "100_100.jpg", "r0_1_100.jpg", "r1_100_100.jpg"]
    assert groups("fruits", *names) == ["00000/r"] * 2 + ["00000/"] * 2 + ["00000/r0", "00000/r1"]


def test_hands_belong_to_their_session() -> None:
    same = [
        ("rock.egohands-public-1620849827096_png_jpg", "paper.egohands-public-1620850420000_png_jpg"),
        ("rock.IMG_5636_MOV-31_jpg", "scissors.IMG_5636_MOV-7_jpg"),
        ("rock.0054_png", "paper.0345_png"),
        ("scissors.20220216_223322_jpg", "rock.20220216_220815_jpg"),
        ("rock.Photo-on-2-11-22-at-2-53-PM-3_jpg", "rock.Photo-on-2-11-22-at-2-53-PM_jpg"),
        ("rock.Screen-Shot-2022-02-14-at-1-09-18-PM_png", "paper.Screen-Shot-2022-02-14-at-1-09-22-PM_png"),
        ("scissors.scissors_jpg", "scissors.scissors_jpg"),
    ]
    names = [f"{stem}.rf.ab12_00012.jpg" for pair in same for stem in pair]
    found = groups("rock_paper_scissors", *names, classes=[0, 1] * len(same))
    assert found[::2] == found[1::2]
    assert len(set(found)) == len(same)
    later = groups(
        "rock_paper_scissors",
        "rock.egohands-public-1620849827096_png_jpg.rf.ab_1.jpg",
        "rock.egohands-public-1620850427097_png_jpg.rf.ab_1.jpg",  # a millisecond more than ten minutes
    )
    assert len(set(later)) == 2


@pytest.mark.parametrize(
    ("name", "pictures", "expected"),
    [("jellyfish", 900, 319), ("pizza", 1400, 1400), ("rock_paper_scissors", 1877, 60), ("fruits", 1421, 24)],
)
def test_real_data_has_the_groups_that_were_found_by_hand(name: str, pictures: int, expected: int) -> None:
    source, task = open_data(name), load_task(name)
    assert len(source.examples) == pictures
    names = np.array([example.group for example in source.examples])
    assert len(set(names)) == expected
    assert set(Counter(example.class_index for example in source.examples)) == set(range(len(task.labels)))
    classes = np.array([example.class_index for example in source.examples])
    training, validation = split_by_group(classes, names, task.preset("cpu").validation, seed=0)
    assert not set(names[training]) & set(names[validation])
    assert set(classes[validation]) == set(classes[training]) == set(range(len(task.labels)))


def test_real_copies_of_jellyfish_are_found_without_their_names(tmp_path: Path) -> None:
    source, task = open_data("jellyfish"), load_task("jellyfish")
    two_classes = Source(source.files, source.origin, tuple(e for e in source.examples if e.class_index in (2, 5)))
    prepared = prepare(two_classes, task, tmp_path / "cache")
    assert prepared.duplicates is not None
    paths, told = ([getattr(e, name) for e in two_classes.examples] for name in ("path", "group"))
    found, report = merge_groups(find_links(prepared.pixels[:], paths), paths, prepared.class_index, paths)
    copies = len(told) - len(set(told))
    linked = len(told) - len(set(zip(told, found, strict=True)))
    assert linked >= 0.98 * copies
    assert not report.across_classes
