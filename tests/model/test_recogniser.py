"""The classifier and a detector together."""

import dataclasses
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.images import Picture, decode
from data.photo import Photo
from model.artifact import add_detector, read_models
from model.classifier import Classifier
from model.detector import MAX_DETECTIONS, Detection, Detector
from model.engine import LiteRtNetwork
from model.errors import ArtifactError
from model.recogniser import Recogniser, decode_photo, prominence, with_margin
from tests.conftest import SHIPPED, drawing, encoded, scene
from tests.red_detector import CARD_PART, SIDE


@pytest.fixture(scope="module")
def recogniser(red_artifact: Path) -> Recogniser:
    return Recogniser.load(red_artifact)


def photo_of(image: Image.Image) -> Photo:
    return decode_photo(Picture(encoded(image)))


def test_whole_picture_that_is_accepted_is_the_only_object(recogniser: Recogniser) -> None:
    picture = encoded(drawing())
    [found], capped = recogniser.recognise(decode_photo(Picture(picture)))
    assert (found.box, found.score, capped) == ((0, 0, 96, 96), 1.0, False)
    assert found.prediction.class_index == 14
    assert np.array_equal(found.pixels, decode(picture, recogniser.card.input_size))


def test_every_sign_is_found_and_named_the_accepted_ones_first(recogniser: Recogniser) -> None:
    """The ring of the speed limit is too little red for the detector's smallest score."""
    found, capped = recogniser.recognise(photo_of(scene((1, 500, 20), (14, 60, 100), (17, 300, 250))))
    assert not capped
    assert [each.prediction.class_index for each in found] == [14, 17]
    assert all(each.prediction.is_accepted for each in found)
    for each, (left, top) in zip(found, [(60, 100), (300, 250)], strict=True):
        assert np.hypot(each.box[0] + SIDE / 2 - left - 45, each.box[1] + SIDE / 2 - top - 45) < 24
        assert (each.box[2] - each.box[0], each.box[3] - each.box[1]) == (SIDE, SIDE)


def test_what_looks_like_a_sign_but_is_none_is_listed_and_not_accepted(recogniser: Recogniser) -> None:
    image = Image.new("RGB", (640, 480), (150, 160, 170))
    image.paste((230, 10, 10), (400, 200, 490, 290))
    [found], _ = recogniser.find_all(photo_of(image))
    assert found.score >= CARD_PART["min_score"]
    assert found.prediction.verdict == "not_recognised"


def test_low_score_is_never_accepted_whatever_the_classifier_says(red_artifact: Path) -> None:
    models = read_models(red_artifact)
    assert models.detector is not None
    strict = dataclasses.replace(models.card, detector={**CARD_PART, "min_score": 0.9999, "min_unsure_score": 0.9999})
    recogniser = Recogniser.of(dataclasses.replace(models, card=strict))
    photo = photo_of(scene((14, 60, 100)))
    assert recogniser.find_all(photo) == ([], False)
    [found], _ = recogniser.find_all(photo, min_score=0.1)
    assert found.score < 0.9999
    assert recogniser.classifier.classify(found.pixels).is_accepted
    assert found.prediction.verdict == "not_recognised"
    assert recogniser.find_best(photo) is None


def test_best_is_the_first_accepted_object(recogniser: Recogniser) -> None:
    photo = photo_of(scene((17, 60, 100), (1, 300, 250), (14, 500, 20)))
    best, (all_of_them, _) = recogniser.find_best(photo), recogniser.find_all(photo)
    assert best is not None
    assert best.box == all_of_them[0].box
    assert best.prediction.is_accepted


def test_classifier_sees_the_box_with_its_margin(recogniser: Recogniser) -> None:
    photo = photo_of(scene((14, 100, 100)))
    [found], _ = recogniser.find_all(photo)
    left, top, right, bottom = found.box
    wanted = photo.resize((48, 48), (left - SIDE / 8, top - SIDE / 8, right + SIDE / 8, bottom + SIDE / 8))
    assert np.abs(found.pixels.astype(int) - wanted).mean() < 1


def test_margin_is_a_fraction_of_the_enlarged_box() -> None:
    assert with_margin((10, 20, 90, 60), 0.1) == pytest.approx((0, 15, 100, 65))
    assert with_margin((10, 20, 90, 60), 0.0) == (10, 20, 90, 60)


def test_large_and_certain_objects_are_prominent() -> None:
    small, large = Detection((0, 0, 10, 10), 0.9), Detection((0, 0, 40, 10), 0.9)
    doubtful = Detection((0, 0, 40, 10), 0.4)
    assert prominence(large) > prominence(small) > prominence(doubtful)


def test_nothing_is_found_in_a_grey_picture(recogniser: Recogniser) -> None:
    photo = photo_of(scene())
    assert recogniser.recognise(photo) == ([], False)
    assert recogniser.find_best(photo) is None


def test_narrow_strips_are_not_searched(recogniser: Recogniser) -> None:
    """Decoded at 2 megapixels, this one is 8 pixels high and 250,000 wide."""
    strip = Image.new("RGB", (1_000_000, 32), (255, 0, 0))
    assert recogniser.find_all(photo_of(strip)) == ([], False)


def test_number_of_objects_is_limited(recogniser: Recogniser) -> None:
    signs = [(14, 100 * column, 100 * row) for row in range(10) for column in range(12)]
    found, capped = recogniser.recognise(photo_of(scene(*signs, size=(1200, 1000))))
    assert capped
    assert len(found) == MAX_DETECTIONS


def test_limit_is_said_although_the_close_look_rejects_most(recogniser: Recogniser) -> None:
    """Squares that are just red enough for a close look, and signs that are more than that."""
    image = scene((14, 0, 0), (17, 600, 500), size=(1200, 1000))
    for left, top in itertools.product(range(0, 1200, 100), range(0, 1000, 100)):
        if (left, top) not in [(0, 0), (600, 500)]:
            image.paste((190, 153, 153), (left, top, left + 90, top + 90))
    found, capped = recogniser.recognise(photo_of(image))
    assert capped
    assert [each.prediction.class_index for each in found] == [14, 17]
    found, capped = recogniser.recognise(photo_of(image.crop((0, 0, 1200, 700))))  # all of these get a close look
    assert not capped
    assert [each.prediction.class_index for each in found] == [14, 17]


def test_boxes_lie_inside_the_photo(recogniser: Recogniser) -> None:
    """Signs at the corners, whose boxes would reach beyond the edges."""
    photo = photo_of(scene((14, -40, -40), (17, 590, 430)))
    found, _ = recogniser.find_all(photo)
    assert found
    for each in found:
        left, top, right, bottom = each.box
        assert 0 <= left < right <= photo.width
        assert 0 <= top < bottom <= photo.height


def test_signs_in_a_photo_that_is_decoded_at_a_reduced_scale_have_boxes_at_the_full_one(
    recogniser: Recogniser,
) -> None:
    picture = scene((14, 60, 100), (17, 1400, 1050), size=(1632, 1224)).resize((4080, 3060))
    photo = photo_of(picture)
    assert photo.scale < 0.5
    found, _ = recogniser.recognise(photo)
    [stop] = [each for each in found if each.prediction.class_index == 14 and each.prediction.is_accepted]
    left, top, right, bottom = (edge / 2.5 for edge in stop.box)
    assert np.hypot((left + right) / 2 - 105, (top + bottom) / 2 - 145) < 24


def test_artifact_without_a_detector_recognises_whole_pictures() -> None:
    recogniser = Recogniser(Classifier.load(SHIPPED), None)
    photo = photo_of(scene((14, 60, 100)))
    [found], _ = recogniser.recognise(photo)
    assert found.box == (0, 0, 640, 480)
    for find in (recogniser.find_all, recogniser.find_best):
        with pytest.raises(ArtifactError, match="has no detector"):
            find(photo)


def test_detector_without_a_card_or_with_a_wrong_model_is_refused(red_artifact: Path, tmp_path: Path) -> None:
    models = read_models(red_artifact)
    assert models.detector is not None
    undescribed = Classifier(dataclasses.replace(models.card, detector=None), LiteRtNetwork(models.classifier))
    with pytest.raises(ArtifactError, match="does not describe"):
        Recogniser(undescribed, Detector(LiteRtNetwork(models.detector)))
    folder = Path(shutil.copytree(red_artifact, tmp_path / "artifact"))
    add_detector(folder, b"no model", lambda path: path.write_bytes(b""), CARD_PART)
    with pytest.raises(ArtifactError, match="the network cannot run"):
        Recogniser.load(folder)
