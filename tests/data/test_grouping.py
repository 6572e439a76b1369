"""Groups from file names."""

from pathlib import PurePosixPath

from data.grouping import Grouping, group_by_name


def groups(names: list[str], grouping: Grouping | None, classes: list[int] | None = None) -> list[str]:
    return group_by_name([PurePosixPath("folder") / name for name in names], classes or [0] * len(names), grouping)


def test_without_a_grouping_each_picture_is_its_own_group() -> None:
    assert groups(["a.png", "b.png"], None) == ["folder/a.png", "folder/b.png"]


def test_the_groups_of_the_pattern_joined_name_the_group_within_the_class() -> None:
    grouping = Grouping(r"(?:copy-\d+-)?(\w+)_(?P<camera>\w+)\.png")
    names = ["rose_left.png", "copy-7-rose_left.png", "rose_right.png", "rose_left.png", "other.jpg"]
    assert groups(names, grouping, [0, 0, 0, 1, 1]) == [
        "00000/rose-left",
        "00000/rose-left",
        "00000/rose-right",
        "00001/rose-left",
        "folder/other.jpg",
    ]


def test_groups_may_span_classes() -> None:
    same, other = groups(["x-1.png", "x-2.png"], Grouping(r"(\w+)-", across_classes=True), [0, 1])
    assert same == other


def test_a_gap_between_numbers_starts_a_new_group() -> None:
    grouping = Grouping(r"(cam\d)-(?P<number>\d+)", gap=10)
    names = ["cam1-121.png", "cam1-100.png", "cam1-110.png", "cam2-105.png", "cam1-125.png", "cam1-9.png"]
    assert groups(names, grouping) == [
        "00000/cam1-121",  # 11 after 110
        "00000/cam1-100",
        "00000/cam1-100",
        "00000/cam2-105",  # another camera
        "00000/cam1-121",
        "00000/cam1-9",  # numbers are compared as numbers, not as text
    ]
