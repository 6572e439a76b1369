"""Other signs: two families with nothing in common, none of them one of the 43; and roadsides without a sign."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from data.tasks.traffic_sign.drawing import render
from data.tasks.traffic_sign.drawing.other_signs import (
    TESTING,
    TRAINING,
    draw_empty_scene,
    draw_other_example,
    draw_other_sign,
)
from data.tasks.traffic_sign.drawing.render import SIGN_COUNT, draw_example, draw_sign

EVERY_NAME = TRAINING + TESTING


def on_white(sign: Image.Image) -> npt.NDArray[np.float64]:
    """Return the RGB pixels a reader sees on a white page."""
    ground = Image.new("RGBA", sign.size, "white")
    return np.asarray(Image.alpha_composite(ground, sign).convert("RGB"), np.float64)


def test_the_families_have_no_sign_in_common() -> None:
    assert len(set(EVERY_NAME)) == len(TRAINING) + len(TESTING)
    assert len(TRAINING) >= 20
    assert len(TESTING) >= 10


@pytest.mark.parametrize("name", EVERY_NAME)
@pytest.mark.parametrize("size", [48, 96])
def test_every_sign_is_drawn_on_a_transparent_ground_and_fills_the_side(name: str, size: int) -> None:
    sign = draw_other_sign(name, size)
    assert (sign.mode, sign.size) == ("RGBA", (size, size))
    opacity = np.asarray(sign.getchannel("A"))
    assert [opacity[y, x] for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
    assert opacity[size // 2, size // 2] == 255
    left, _, right, _ = sign.getchannel("A").getbbox() or (0, 0, 0, 0)
    assert right - left >= size - 2


def test_no_other_sign_looks_like_another_one_or_like_one_of_the_43() -> None:
    views = {name: on_white(draw_other_sign(name, 48)) for name in EVERY_NAME}
    known = {f"class {index}": on_white(draw_sign(index, 48)) for index in range(SIGN_COUNT)}
    pairs = [*itertools.combinations(views, 2), *itertools.product(views, known)]
    everything = views | known
    distances = {(one, other): float(np.abs(everything[one] - everything[other]).mean()) for one, other in pairs}
    nearest = min(distances, key=lambda pair: distances[pair])
    assert distances[nearest] > 2.0, f"{nearest} differ by {distances[nearest]:.2f} of 255 only"


@pytest.mark.parametrize("name", ["", "limit-50", "Parking", "0"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no other sign"):
        draw_other_sign(name, 32)
    with pytest.raises(ValueError, match="no other sign"):
        draw_other_example(name, np.random.default_rng(0))


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 pixel"):
        draw_other_sign("parking", 0)
    with pytest.raises(ValueError, match="at least 8 pixels"):
        draw_other_example("parking", np.random.default_rng(0), size=7)
    with pytest.raises(ValueError, match="at least 8 pixels"):
        draw_empty_scene(np.random.default_rng(0), size=7)


@pytest.mark.parametrize("name", EVERY_NAME)
def test_the_box_of_an_example_lies_inside_and_is_no_larger_than_a_sign_may_be(name: str) -> None:
    rng = np.random.default_rng(len(name))
    for _ in range(3):
        image, (left, top, right, bottom) = draw_other_example(name, rng)
        side = image.width
        assert (image.mode, image.size) == ("RGB", (side, side))
        assert render.MIN_SIDE <= side <= render.MAX_SIDE
        assert 0 <= left < right <= side
        assert 0 <= top < bottom <= side
        assert 0.6 * side <= max(right - left, bottom - top) <= 0.95 * side + 2


def test_an_example_depends_on_its_seed_and_on_nothing_else() -> None:
    one, one_box = draw_other_example("queue", np.random.default_rng(3))
    draw_example(7, np.random.default_rng(9))
    same, same_box = draw_other_example("queue", np.random.default_rng(3))
    other, _ = draw_other_example("queue", np.random.default_rng(4))
    assert (one.tobytes(), one_box) == (same.tobytes(), same_box)
    assert other.tobytes() != one.tobytes()


def test_an_empty_scene_depends_on_its_seed_and_on_nothing_else() -> None:
    one = draw_empty_scene(np.random.default_rng(3))
    draw_other_example("parking", np.random.default_rng(9))
    assert draw_empty_scene(np.random.default_rng(3)).tobytes() == one.tobytes()
    assert draw_empty_scene(np.random.default_rng(4)).tobytes() != one.tobytes()
    assert draw_empty_scene(np.random.default_rng(0), size=50).size == (50, 50)


def test_empty_scenes_vary_in_size_and_light() -> None:
    scenes = [draw_empty_scene(np.random.default_rng(seed)) for seed in range(60)]
    assert all(scene.mode == "RGB" and scene.width == scene.height for scene in scenes)
    sides = {scene.width for scene in scenes}
    assert render.MIN_SIDE <= min(sides) < max(sides) <= render.MAX_SIDE
    assert np.std([np.asarray(scene).mean() for scene in scenes]) > 15


def test_an_empty_scene_draws_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a sign was drawn")

    monkeypatch.setattr(render, "draw_frontal", never)
    monkeypatch.setattr(render, "_cached_frontal", never)
    for seed in range(100):
        draw_empty_scene(np.random.default_rng(seed), size=16)


def test_no_outline_stays_in_the_mean_of_many_empty_scenes() -> None:
    # A sign stands in the middle of its picture; scenes without one have no place where anything stands out.
    def spread(pictures: list[Image.Image]) -> float:
        pixels = np.stack([np.asarray(picture, np.float64) for picture in pictures])
        mean = (pixels / pixels.mean(axis=(1, 2, 3), keepdims=True)).mean(axis=0)
        return float((mean[:, :, 0] / mean[:, :, 2])[4:-4, 4:-4].std())

    scenes = spread([draw_empty_scene(np.random.default_rng(seed), 32) for seed in range(300)])
    signs = spread([draw_other_example("weight-limit", np.random.default_rng(seed), 32)[0] for seed in range(300)])
    assert scenes < signs / 2
