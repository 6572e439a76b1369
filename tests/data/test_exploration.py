"""Statistics of a data set, measured on small sets made by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import exploration
from data.errors import SourceError
from data.source import Source, open_source
from data.task import Task
from data.tasks.traffic_sign.drawing.render import COLUMNS

Box = tuple[int, int, int, int]
GREEN, GREY, WHITE = (0, 255, 0), (90, 90, 90), (255, 255, 255)


@dataclass(frozen=True)
class Picture:
    """One frame of a set made by hand; `size` is (height, width), `colour` fills the box on black."""

    class_index: int
    track: int
    frame: int
    colour: tuple[int, int, int] = GREY
    size: tuple[int, int] = (20, 30)
    box: Box = (5, 5, 25, 15)
    compression: int = 6

    @property
    def path(self) -> str:
        return f"Train/{self.class_index}/{self.class_index:05d}_{self.track:05d}_{self.frame:05d}.png"


Make = Callable[..., Source]


@pytest.fixture
def two_classes(task: Task) -> Task:
    return replace(task, labels=task.labels[:2])


@pytest.fixture
def make(tmp_path: Path, two_classes: Task) -> Make:
    """Write pictures of two classes in Kaggle's layout, and open them."""

    def write(*pictures: Picture) -> Source:
        lines = [",".join(COLUMNS)]
        for picture in pictures:
            height, width = picture.size
            image = Image.new("RGB", (width, height))
            image.paste(picture.colour, picture.box)
            (tmp_path / picture.path).parent.mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / picture.path, compress_level=picture.compression)
            lines.append(",".join(map(str, (width, height, *picture.box, picture.class_index, picture.path))))
        (tmp_path / "Train.csv").write_text("\n".join(lines) + "\n")
        return open_source(tmp_path, two_classes)

    return write


def test_a_track_counts_once_however_many_frames_it_has(make: Make, two_classes: Task) -> None:
    source = make(*(Picture(0, track, frame) for track in (0, 1) for frame in range(3)), Picture(1, 0, 0))
    counts = exploration.count_classes(source, two_classes)
    assert counts.examples.tolist() == [6, 1]
    assert counts.tracks.tolist() == [2, 1]
    assert counts.imbalance == 6
    assert counts.share_of_largest(1) == pytest.approx(6 / 7)


def test_margins_are_left_above_right_below(make: Make) -> None:
    source = make(Picture(0, 0, 0, size=(50, 40), box=(1, 2, 37, 46)), Picture(1, 0, 0))
    assert exploration.measure_margins(source).tolist() == [[1, 2, 3, 4], [5, 5, 5, 5]]
    assert exploration.measure_boxes(source).tolist() == [[44, 36], [10, 20]]
    assert exploration.measure_sizes(source).tolist() == [[50, 40], [20, 30]]
    assert exploration.list_classes(source).tolist() == [0, 1]


def test_a_sign_grows_from_the_first_frame_of_its_track_to_the_last(make: Make) -> None:
    source = make(
        Picture(0, 0, 2, size=(60, 60), box=(0, 0, 60, 50)),
        Picture(0, 0, 0, box=(0, 0, 10, 20)),
        Picture(0, 0, 1, size=(40, 40), box=(0, 0, 40, 40)),
        Picture(1, 0, 0, box=(0, 0, 8, 8)),
        Picture(1, 0, 1, box=(0, 0, 12, 8)),
    )
    tracks = exploration.find_tracks(source)
    assert tracks.groups.tolist() == ["00000/00000", "00001/00000"]
    assert tracks.class_index.tolist() == [0, 1]
    assert tracks.frames.tolist() == [3, 2]
    np.testing.assert_array_equal(tracks.sides, np.array([[20, 40, 60], [8, 12, np.nan]], np.float32))
    assert tracks.growth.tolist() == [3, 1.5]


def test_brightness_is_luma_inside_the_box_only(make: Make) -> None:
    source = make(Picture(0, 0, 0, colour=GREEN), Picture(1, 0, 0, colour=WHITE))
    assert exploration.read_contents(source).brightness == pytest.approx([0.587 * 255, 255], abs=0.01)


def test_identical_pictures_are_found_across_tracks_and_classes(make: Make) -> None:
    source = make(
        Picture(0, 0, 0, colour=GREEN),
        Picture(0, 0, 1, colour=WHITE),
        Picture(0, 0, 2, colour=WHITE),
        Picture(0, 1, 0, colour=GREEN, compression=0),  # other bytes in the file, the same pixels
        Picture(0, 2, 0, colour=GREY),
        Picture(0, 3, 0, colour=GREY, size=(30, 20), box=(5, 5, 15, 25)),  # the same colours in another shape
        Picture(1, 0, 0, colour=GREY),
    )
    found = exploration.find_duplicates(source, exploration.read_contents(source))
    names = [[example.path[-21:-4] for example in same.examples] for same in found]
    assert names == [
        ["00000_00000_00000", "00000_00001_00000"],
        ["00000_00000_00001", "00000_00000_00002"],
        ["00000_00002_00000", "00001_00000_00000"],
    ]
    assert [same.across_tracks for same in found] == [True, False, True]
    assert [same.across_classes for same in found] == [False, False, True]


def test_one_pixel_makes_a_picture_another(make: Make, tmp_path: Path) -> None:
    source = make(Picture(0, 0, 0), Picture(1, 0, 0))
    assert len(exploration.find_duplicates(source, exploration.read_contents(source))) == 1
    path = tmp_path / Picture(1, 0, 0).path
    with Image.open(path) as image:
        image.putpixel((29, 19), (0, 0, 1))
        image.save(path)
    assert exploration.find_duplicates(source, exploration.read_contents(source)) == ()


def test_a_picture_that_cannot_be_read_is_named(make: Make, tmp_path: Path) -> None:
    source = make(Picture(0, 0, 0), Picture(1, 0, 0))
    (tmp_path / Picture(1, 0, 0).path).write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"Train/1/00001_00000_00000\.png: .*not a picture"):
        exploration.read_contents(source)


@pytest.mark.parametrize(
    ("values", "share"),
    [
        pytest.param([3, 3, 7, 7], 1, id="frames of a track are alike"),
        pytest.param([3, 7, 3, 7], 0, id="tracks are alike"),
    ],
)
def test_the_share_between_tracks_tells_alike_frames_from_alike_tracks(
    make: Make, values: list[float], share: float
) -> None:
    source = make(*(Picture(class_index, 0, frame) for class_index in (0, 1) for frame in (0, 1)))
    assert exploration.share_between_tracks(source, np.array(values, np.float32)) == pytest.approx(share)


def test_what_was_measured_on_another_source_is_refused(make: Make) -> None:
    fewer = exploration.read_contents(make(Picture(0, 0, 0), Picture(1, 0, 0)))
    source = make(Picture(0, 0, 0), Picture(0, 0, 1), Picture(1, 0, 0))
    with pytest.raises(ValueError, match="expected 3 values"):
        exploration.share_between_tracks(source, fewer.brightness)
    with pytest.raises(ValueError, match="expected contents of 3 examples"):
        exploration.choose_by_brightness(source, fewer, 2)
    with pytest.raises(ValueError, match="zip"):
        exploration.find_duplicates(source, fewer)


def test_a_contact_sheet_shows_the_last_frame_of_every_track_of_a_class(make: Make) -> None:
    source = make(
        Picture(0, 0, 0), Picture(0, 0, 1, colour=WHITE), Picture(0, 1, 0, colour=GREEN), Picture(1, 0, 0, colour=GREEN)
    )
    chosen = exploration.choose_one_per_track(source, 0)
    assert [example.path[-21:-4] for example in chosen] == ["00000_00000_00001", "00000_00001_00000"]
    sheet = exploration.decode_examples(source, chosen, 12)
    assert sheet.shape == (2, 12, 12, 3)
    assert sheet[:, 6, 6].tolist() == [list(WHITE), list(GREEN)]


@pytest.mark.parametrize(("count", "tracks"), [(3, [0, 3, 6]), (1, [0]), (20, [0, 1, 2, 3, 4, 5, 6])])
def test_chosen_tracks_are_spread_over_the_class(make: Make, count: int, tracks: list[int]) -> None:
    source = make(*(Picture(0, track, 0) for track in range(7)), Picture(1, 0, 0))
    chosen = exploration.choose_one_per_track(source, 0, count)
    assert [example.group for example in chosen] == [f"00000/{track:05d}" for track in tracks]


@pytest.mark.parametrize(("count", "frames"), [(3, [0, 3, 6]), (2, [0, 6]), (20, [0, 1, 2, 3, 4, 5, 6])])
def test_chosen_frames_are_spread_over_the_track(make: Make, count: int, frames: list[int]) -> None:
    source = make(*(Picture(0, 4, frame) for frame in range(7)), Picture(1, 0, 0))
    chosen = exploration.choose_frames(source, "00000/00004", count)
    assert [int(example.path[-9:-4]) for example in chosen] == frames


def test_chosen_brightness_runs_from_the_darkest_to_the_brightest(make: Make) -> None:
    source = make(
        *(Picture(0, track, 0, colour=(value,) * 3) for track, value in enumerate((200, 40, 120, 80))), Picture(1, 0, 0)
    )
    chosen = exploration.choose_by_brightness(source, exploration.read_contents(source), 3)
    assert [round(brightness) for _, brightness in chosen] == [40, 90, 200]
    assert [example.group for example, _ in chosen] == ["00000/00001", "00001/00000", "00000/00000"]
