"""The shipped detector on drawn streets, whose signs are known, and the steps of a detector worked out by hand."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from data.images import Picture
from data.tasks.traffic_sign.drawing.street import COUNTRY, TOWN, Post
from model.detector import find_peaks, intersection_over_union, non_maximum_suppression
from model.recogniser import Recogniser, decode_photo
from tests.conftest import SHIPPED, encoded, scene, write_red_artifact

SAMPLES = Path(__file__).parents[2] / "ui/static/traffic_sign/samples"


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.load(SHIPPED)


@pytest.mark.parametrize(("name", "posts"), [("town", TOWN), ("country", COUNTRY)])
def test_every_sign_of_a_street_is_found_with_its_name_and_nothing_else_is(
    recogniser: Recogniser, name: str, posts: tuple[Post, ...]
) -> None:
    found, _ = recogniser.recognise(decode_photo(Picture((SAMPLES / f"{name}.jpg").read_bytes())))
    accepted = [each for each in found if each.prediction.is_accepted]
    wanted = [(class_index, *_box(post, number)) for post in posts for number, class_index in enumerate(post.signs)]
    assert sorted(each.prediction.class_index for each in accepted) == sorted(index for index, *_ in wanted)
    for class_index, *box in wanted:
        [sign] = [each for each in accepted if each.prediction.class_index == class_index]
        assert intersection_over_union(np.array([sign.box]), np.array([box]))[0, 0] > 0.7


def _box(post: Post, number: int) -> tuple[float, float, float, float]:
    """Return where a sign of a post was drawn: left, top, right, bottom in pixels."""
    top = post.top + number * round(post.side * 1.06)
    return post.x - post.side / 2, top, post.x + post.side / 2, top + post.side


def cells(*peaks: tuple[int, int, float, float, float, float, float]) -> npt.NDArray[np.float32]:
    """Return a network's answer of 4 × 6 cells, with these values in some: row, column, then the five channels."""
    answer = np.full((4, 6, 5), -9, np.float32)
    for row, column, *values in peaks:
        answer[row, column] = values
    return answer


def test_peak_is_decoded_around_the_middle_of_its_cell() -> None:
    """Half a stride right of the middle of cell (1, 2), and twice as wide as the reference of 32 pixels."""
    boxes, scores = find_peaks(cells((1, 2, 0.0, 0.5, 0.0, np.log(2), 0.0)), 0.3)
    assert boxes == pytest.approx(np.array([[24 - 32, 12 - 16, 24 + 32, 12 + 16]]), abs=1e-4)
    assert scores == pytest.approx([0.5])


def test_only_local_maxima_above_the_score_are_peaks() -> None:
    """In a corner, next to a higher one, two of the same height, and one that is too low."""
    answer = cells((0, 0, 2, 0, 0, 0, 0), (0, 1, 1, 0, 0, 0, 0), (3, 2, 1, 0, 0, 0, 0), (0, 5, -2, 0, 0, 0, 0))
    boxes, scores = find_peaks(answer, 0.3)
    assert scores == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))])
    assert (boxes[:, :2] + boxes[:, 2:]).tolist() == [[8, 8], [40, 56]]
    boxes, scores = find_peaks(cells(), 0.3)
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


def test_sides_of_boxes_are_limited() -> None:
    boxes, _ = find_peaks(cells((1, 2, 0, 0, 0, 80, -80)), 0.3)
    assert boxes[0, 2] - boxes[0, 0] == pytest.approx(8 * np.exp(5))
    assert boxes[0, 3] - boxes[0, 1] == pytest.approx(8 * np.exp(-3))


def test_better_one_of_two_boxes_of_a_sign_is_kept() -> None:
    """The others: an overlap of 0.6, a small box inside, an overlap of a third, one elsewhere, and an empty one."""
    boxes = [[0, 0, 8, 8], [2, 0, 10, 8], [1, 1, 3, 3], [4, 0, 12, 8], [50, 50, 60, 60], [20, 0, 20, 8]]
    kept = non_maximum_suppression(np.array(boxes, float), np.array([0.8, 0.7, 0.9, 0.5, 0.6, 0.95]))
    assert kept.tolist() == [2, 1, 4]
    kept = non_maximum_suppression(np.array(boxes, float), np.array([0.8, 0.7, 0.1, 0.5, 0.6, 0.95]))
    assert kept.tolist() == [0, 4, 3]
    assert non_maximum_suppression(np.empty((0, 4)), np.empty(0)).tolist() == []


def test_memory_is_bounded_whatever_size_the_network_gives_a_sign(tmp_path: Path) -> None:
    """This one says that every red spot is as large as can be, in a photo that is looked at on three scales."""
    recogniser = Recogniser.load(write_red_artifact(tmp_path / "artifact", "1e9"))
    assert recogniser.detector is not None
    image = scene(*[(14, 700 * column, 600 * row) for column in range(5) for row in range(5)], size=(4000, 3000))
    photo = decode_photo(Picture(encoded(image, "JPEG")))
    before = reset_peak_mb()
    detections, _ = recogniser.detector.detect(photo, 0.001)
    assert peak_mb() - before < 300
    for detection in detections:
        left, top, right, bottom = detection.box
        assert 0 <= left < right <= 4000
        assert 0 <= top < bottom <= 3000


def reset_peak_mb() -> float:
    """Forget this process's peak of resident memory, and return what it is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def peak_mb() -> float:
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
