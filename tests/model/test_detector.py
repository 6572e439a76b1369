"""The shipped detector on drawn streets, whose signs are known."""

from pathlib import Path

import numpy as np
import pytest

from data.images import Picture
from data.tasks.traffic_sign.drawing.street import COUNTRY, TOWN, Post
from model.detector import intersection_over_union
from model.recogniser import Recogniser, decode_photo
from tests.conftest import SHIPPED

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
