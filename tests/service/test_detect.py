"""Locating signs in photos with a real gunicorn, whose detector finds what is red."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import requests
import yaml
from PIL import Image

from data.images import decode
from model.detector import MAX_DETECTIONS
from service.app import OPENAPI_FILE
from tests.conftest import drawing, encoded, scene, start_service
from tests.red_detector import SIDE
from tests.service.test_predict import assert_problem

CONTRACT = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))
STOP = encoded(drawing())
SMALL = encoded(scene((14, 20, 20), size=(200, 160)))  # small enough for the event loop
STREET = encoded(scene((1, 500, 20), (14, 60, 100), (17, 300, 250)))
EMPTY = encoded(scene())
PREDICT, DETECT = "/predict_traffic_sign", "/detect_traffic_sign"


@pytest.fixture(scope="module")
def locating(red_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service with the detector of `red_artifact`."""
    with start_service(artifact=red_artifact, store=tmp_path_factory.mktemp("store")) as url:
        yield url


def post(url: str, path: str, payload: bytes, query: str = "", kind: str = "image/png") -> requests.Response:
    return requests.post(f"{url}{path}{query}", data=payload, headers={"Content-Type": kind}, timeout=60)


def as_bytes(url: str, payload: bytes) -> requests.Response:
    return post(url, "", payload)


def as_form(url: str, payload: bytes) -> requests.Response:
    return requests.post(url, files={"image": ("photo.png", payload)}, timeout=60)


def as_json(url: str, payload: bytes) -> requests.Response:
    return requests.post(url, json={"image": base64.b64encode(payload).decode()}, timeout=60)


def check(answer: Any, path: str) -> None:
    """Check an answer against the contract."""
    content = CONTRACT["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(answer, {**content["schema"], "components": CONTRACT["components"]})


@pytest.mark.parametrize("photo", [SMALL, STREET], ids=["small", "large"])
def test_photo_is_answered_with_its_most_prominent_sign(locating: str, photo: bytes) -> None:
    answer = post(locating, PREDICT, photo).json()
    check(answer, PREDICT)
    assert list(answer)[-1] == "box"
    assert (answer["class_index"], answer["verdict"]) == (14, "confident")
    first = post(locating, DETECT, photo).json()["objects"][0]
    assert {name: value for name, value in first.items() if name != "score"} == answer


def test_sign_in_a_loose_box_is_located(locating: str, bare_service: str) -> None:
    left, top, right, bottom = found = post(locating, PREDICT, STREET).json()["box"]
    loose = f"?box={left - SIDE},{top - SIDE // 2},{right + SIDE // 2},{bottom + SIDE}"
    assert post(bare_service, PREDICT, STREET, loose).json()["verdict"] == "not_recognised"
    answer = post(locating, PREDICT, STREET, loose).json()
    assert (answer["class_index"], answer["verdict"]) == (14, "confident")
    assert answer["box"] == pytest.approx(found, abs=SIDE / 10)


def test_whole_picture_can_be_only_classified(locating: str, bare_service: str) -> None:
    answer = post(locating, PREDICT, STREET, "?locate=false").json()
    assert answer == post(bare_service, PREDICT, STREET).json()
    assert answer["verdict"] == "not_recognised"


def test_tight_crop_is_answered_as_without_a_detector(locating: str, bare_service: str) -> None:
    response = post(locating, PREDICT, STOP, "?explain=true&thumbnail=true")
    assert response.json() == post(bare_service, PREDICT, STOP, "?explain=true&thumbnail=true").json()
    assert "locate" not in response.headers["Server-Timing"]


def test_photo_without_a_sign_is_answered_as_without_a_detector(locating: str, bare_service: str) -> None:
    response = post(locating, PREDICT, EMPTY)
    assert response.json() == post(bare_service, PREDICT, EMPTY).json()
    assert "locate;dur=" in response.headers["Server-Timing"]


def test_thumbnail_is_what_the_classifier_saw_of_the_box(locating: str) -> None:
    answer = post(locating, PREDICT, STREET, "?thumbnail=true").json()
    shown = decode(base64.b64decode(answer["thumbnail"]), (48, 48)).astype(int)
    left, top, right, bottom = answer["box"]
    margin = SIDE // 8  # a tenth of the sides of the result
    wanted = decode(STREET, (48, 48), (left - margin, top - margin, right + margin, bottom + margin))
    assert np.abs(shown - wanted).mean() < 1


@pytest.mark.parametrize("send", [as_bytes, as_form, as_json])
@pytest.mark.parametrize("path", [DETECT, "/detect/traffic_sign"])
@pytest.mark.parametrize("photo", [SMALL, STREET], ids=["small", "large"])
def test_every_sign_is_found_however_the_photo_is_sent(
    locating: str, send: Callable[[str, bytes], requests.Response], path: str, photo: bytes
) -> None:
    response = send(locating + path, photo)
    answer = response.json()
    check(answer, DETECT)
    signs = [(each["class_index"], each["verdict"] != "not_recognised") for each in answer["objects"]]
    assert signs == ([(14, True), (17, True)] if photo is STREET else [(14, True)])
    assert (answer["width"], answer["height"]) == ((640, 480) if photo is STREET else (200, 160))
    assert (answer["truncated"], "capped" in answer) == (False, False)
    assert "locate;dur=" in response.headers["Server-Timing"]


def test_options_apply_to_every_sign(locating: str) -> None:
    objects = post(locating, DETECT, STREET, "?top_k=2&explain=true&thumbnail=true").json()["objects"]
    assert len(objects) == 2
    for each in objects:
        assert len(each["alternatives"]) == 2
        assert np.array(each["heatmap"]).max() == 1
        assert base64.b64decode(each["thumbnail"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("send", [as_bytes, as_form])
@pytest.mark.parametrize("photo", [SMALL, STREET, STOP], ids=["small", "large", "one sign"])
def test_preview_is_the_photo_as_a_jpeg(
    locating: str, send: Callable[[str, bytes], requests.Response], photo: bytes
) -> None:
    answer = send(f"{locating}{DETECT}?preview=true", photo).json()
    check(answer, DETECT)
    preview = base64.b64decode(answer["preview"])
    assert preview.startswith(b"\xff\xd8")
    assert np.abs(decode(preview, (48, 48)).astype(int) - decode(photo, (48, 48))).mean() < 3
    assert "preview" not in send(f"{locating}{DETECT}", photo).json()


def test_heic_photo_is_shown_upright_with_the_boxes_of_its_full_size(locating: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° for display
    upright = scene((14, 500, 820), size=(1500, 2000))
    photo = encoded(upright.rotate(90, expand=True), "HEIF", quality=90, exif=exif.tobytes())
    answer = post(locating, "/detect/traffic_sign", photo, "?preview=true", kind="image/heic").json()
    check(answer, DETECT)
    assert (answer["width"], answer["height"]) == (1500, 2000)
    [sign] = answer["objects"]
    assert sign["class_index"] == 14
    left, top, right, bottom = sign["box"]
    with Image.open(io.BytesIO(base64.b64decode(answer["preview"]))) as preview:
        assert (preview.format, preview.size) == ("JPEG", (1200, 1600))
        shown = np.asarray(preview).astype(int)
    redness = shown[..., 0] - shown[..., 1:].max(axis=2)
    rows, columns = np.nonzero(redness > 60)
    assert 0.8 * left <= columns.min() <= columns.max() <= 0.8 * right + 8
    assert 0.8 * top <= rows.min() <= rows.max() <= 0.8 * bottom + 8


def test_recognised_whole_picture_is_the_only_object(locating: str) -> None:
    answer = post(locating, DETECT, STOP).json()
    check(answer, DETECT)
    [found] = answer["objects"]
    assert (found["box"], found["score"], found["class_index"]) == ([0, 0, 96, 96], 1.0, 14)


def test_photo_without_signs_has_no_objects(locating: str) -> None:
    response = post(locating, DETECT, EMPTY)
    assert (response.status_code, response.json()["objects"]) == (200, [])
    check(response.json(), DETECT)


def test_photo_with_more_signs_than_are_returned_is_marked(locating: str) -> None:
    signs = [(14, 100 * column, 100 * row) for row in range(10) for column in range(12)]
    answer = post(locating, DETECT, encoded(scene(*signs, size=(1200, 1000)))).json()
    check(answer, DETECT)
    assert len(answer["objects"]) == MAX_DETECTIONS
    assert answer["capped"] is True


def test_answer_says_that_a_photo_was_cut(locating: str) -> None:
    whole = encoded(scene((14, 60, 100)), "JPEG")
    cut = whole[: len(whole) * 9 // 10]
    answer = post(locating, DETECT, cut, kind="image/jpeg").json()
    check(answer, DETECT)
    assert answer["truncated"] is True
    assert [each["class_index"] for each in answer["objects"]] == [14]
    for query in ("", "?locate=false"):
        answer = post(locating, PREDICT, cut, query, "image/jpeg").json()
        check(answer, PREDICT)
        assert answer["truncated"] is True
        assert "truncated" not in post(locating, PREDICT, whole, query, "image/jpeg").json()


def test_pictures_of_a_batch_are_located(locating: str) -> None:
    def batch(query: str) -> list[dict[str, Any]]:
        files = [("image", (str(number), photo)) for number, photo in enumerate((STOP, STREET, EMPTY, SMALL, b""))]
        answer = requests.post(f"{locating}{PREDICT}/batch{query}", files=files, timeout=60).json()
        check(answer, f"{PREDICT}/batch")
        return [result.get("prediction") for result in answer["results"]]

    alone = [post(locating, PREDICT, photo).json() for photo in (STOP, STREET, EMPTY, SMALL)]
    assert batch("") == [*alone, None]
    assert ["box" in each for each in alone] == [False, True, False, True]
    assert not any("box" in each for each in batch("?locate=false") if each)


@pytest.mark.parametrize("send", [as_bytes, as_form])
def test_detection_is_not_implemented_without_a_detector(
    bare_service: str, send: Callable[[str, bytes], requests.Response]
) -> None:
    assert_problem(send(bare_service + DETECT, STREET), 501, "not_implemented", "no detector")
    assert "box" not in send(bare_service + PREDICT, STREET).json()
    assert "detect" not in requests.get(f"{bare_service}/readyz", timeout=60).json()["offers"]


def test_readyz_and_card_name_the_detector(locating: str) -> None:
    ready = requests.get(f"{locating}/readyz", timeout=60).json()
    assert ready["offers"] == ["detect", "feedback"]
    assert requests.get(f"{locating}/model", timeout=60).json()["detector"]["min_score"] == 0.5


@pytest.mark.parametrize("send", [as_bytes, as_form])
def test_invalid_requests_are_rejected(locating: str, send: Callable[[str, bytes], requests.Response]) -> None:
    assert_problem(send(f"{locating}/detect/pizza", STREET), 404, "not_found", "no task 'pizza'")
    assert_problem(send(f"{locating}{DETECT}?box=0,0,9,9", STREET), 400, "bad_request", "`box` is not supported")
    assert_problem(
        send(f"{locating}{DETECT}?locate=false", STREET), 400, "bad_request", "`locate=false` is not supported"
    )
    for path in (PREDICT, "/predict", f"{PREDICT}/batch"):
        assert_problem(
            send(f"{locating}{path}?preview=true", STREET),
            400,
            "bad_request",
            "`preview` is only supported on `/detect/",
        )
    assert_problem(send(f"{locating}{DETECT}?top_k=0", STREET), 400, "bad_request", "top_k")
    assert_problem(send(f"{locating}{DETECT}?preview=1", STREET), 400, "bad_request", "preview must be true or false")
    assert_problem(
        send(f"{locating}{PREDICT}?locate=maybe", STREET), 400, "bad_request", "locate must be true or false"
    )
    assert_problem(send(locating + DETECT, STREET[:3000]), 422, "unreadable_image", "damaged or truncated")
    assert_problem(send(locating + DETECT, b"no picture"), 422, "unreadable_image", "not a picture")


def test_get_is_not_allowed(locating: str) -> None:
    for path in (DETECT, "/detect/traffic_sign"):
        assert_problem(requests.get(locating + path, timeout=60), 405, "method_not_allowed", "Allow")


def test_keys_and_limits_apply_to_detection(red_artifact: Path) -> None:
    body = json.dumps({"image": ""}).encode()
    with start_service(artifact=red_artifact, api_keys="secret", rate_limit="2/hour") as url:
        for path in (DETECT, "/detect/traffic_sign", "/detect/pizza"):
            assert_problem(post(url, path, body, kind="application/json"), 401, "unauthorised", "X-API-Key")
        headers = {"X-API-Key": "secret", "Content-Type": "image/png"}
        statuses = [
            requests.post(url + path, data=STOP, headers=headers, timeout=60).status_code
            for path in (PREDICT, DETECT, "/detect/traffic_sign")
        ]
        assert statuses == [200, 200, 429]
        samples = requests.get(f"{url}/metrics", timeout=60).text
        assert f'sign_requests_total{{route="{DETECT}",status="200",task="traffic_sign"}} 1.0' in samples
        assert 'sign_requests_total{route="/detect/{task}",status="429",task="traffic_sign"} 1.0' in samples


def test_only_accepted_signs_are_counted(red_artifact: Path) -> None:
    with start_service(artifact=red_artifact) as url:
        post(url, DETECT, STREET)
        post(url, DETECT, EMPTY)
        samples = requests.get(f"{url}/metrics", timeout=60).text
    assert 'sign_classes_total{class_index="14",task="traffic_sign"} 1.0' in samples
    assert 'sign_classes_total{class_index="1",task="traffic_sign"}' not in samples
    assert 'sign_verdicts_total{task="traffic_sign",verdict="not_recognised"} 0.0' in samples
    assert 'sign_stage_seconds_count{stage="locate",task="traffic_sign"} 2.0' in samples
