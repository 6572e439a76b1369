"""The prediction routes of a real gunicorn."""

import base64
import gzip
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
import requests
from PIL import Image

from data.errors import ImageError
from data.example import Example
from data.images import MAX_BYTES, decode
from data.prepare import prepare
from data.source import Source
from data.task import Task
from model.classifier import Classifier
from service.payloads import MAX_BATCH, MAX_BATCH_BYTES, MAX_BODY_BYTES
from tests.conftest import SHIPPED, awkward_pictures, drawing, encoded
from tests.data.test_images import png_header

STOP = encoded(drawing())


def post(service: str, payload: bytes, content_type: str | None = "image/png", query: str = "") -> requests.Response:
    headers = {"Content-Type": content_type} if content_type else {}
    return requests.post(f"{service}/predict_traffic_sign{query}", data=payload, headers=headers, timeout=30)


def assert_problem(response: requests.Response, status: int, kind: str, reason: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"].endswith(f":{kind}")
    assert reason in body["detail"]


def test_answer_has_the_fields_of_the_contract(service: str) -> None:
    answer = post(service, STOP).json()
    assert list(answer) == [
        "class_index", "class_name", "description", "sign_number", "probability", "verdict", "facts", "alternatives",
        "model",
    ]  # fmt: skip
    assert (answer["class_index"], answer["class_name"], answer["sign_number"]) == (14, "Stop", "206")
    assert "full stop" in answer["description"]
    assert answer["verdict"] in {"confident", "unsure", "not_recognised"}
    assert len(answer["alternatives"]) == 5
    first = answer["alternatives"][0]
    assert first == {"class_index": 14, "class_name": "Stop", "probability": answer["probability"]}
    assert answer["model"]["task"] == "traffic_sign"


def as_multipart(service: str) -> requests.Response:
    return requests.post(f"{service}/predict_traffic_sign", files={"image": ("s.png", STOP)}, timeout=30)


def as_json(service: str) -> requests.Response:
    body = {"image": base64.b64encode(STOP).decode()}
    return requests.post(f"{service}/predict_traffic_sign", json=body, timeout=30)


def as_bytes_of_unknown_type(service: str) -> requests.Response:
    return post(service, STOP, "application/octet-stream")


def without_a_type(service: str) -> requests.Response:
    return post(service, STOP, None)


def as_a_form_that_is_none(service: str) -> requests.Response:
    """As `curl --data-binary` does."""
    return post(service, STOP, "application/x-www-form-urlencoded")


def as_text(service: str) -> requests.Response:
    return post(service, STOP, "text/plain")


def as_json_without_its_type(service: str) -> requests.Response:
    return post(service, json.dumps({"image": base64.b64encode(STOP).decode()}).encode(), "text/plain")


def to_a_path_with_a_slash(service: str) -> requests.Response:
    return requests.post(f"{service}/predict_traffic_sign/", files={"image": ("s.png", STOP)}, timeout=30)


@pytest.mark.parametrize(
    "send",
    [
        as_multipart, as_json, as_bytes_of_unknown_type, without_a_type, as_a_form_that_is_none, as_text,
        as_json_without_its_type, to_a_path_with_a_slash,
    ],
)  # fmt: skip
def test_every_way_of_sending_gives_the_same_answer(service: str, send: Callable[[str], requests.Response]) -> None:
    assert send(service).json() == post(service, STOP).json()


LETTERS = base64.b64encode(STOP).decode()


@pytest.mark.parametrize(
    "text",
    [
        LETTERS + "\n",
        base64.encodebytes(STOP).decode(),
        base64.encodebytes(STOP).decode().replace("\n", "\r\n"),
        LETTERS.rstrip("="),
        base64.urlsafe_b64encode(STOP).decode(),
        f"data:image/png;base64,{LETTERS}",
        f"DATA:;charset=utf-8;BASE64,{LETTERS}",
    ],
    ids=["final newline", "line breaks", "CRLF", "no padding", "base64url", "data URL", "odd data URL"],
)
def test_base64_is_read_as_programs_write_it(service: str, text: str) -> None:
    body = json.dumps({"image": text}).encode()
    assert post(service, body, "application/json").json() == post(service, STOP).json()


@pytest.mark.parametrize("text", ["a", "äöü", "AAA$", "data:image/png,abc", "data:", "AA=A", "."])
def test_what_is_not_base64_is_rejected(service: str, text: str) -> None:
    body = json.dumps({"image": text}).encode()
    assert_problem(post(service, body, "application/json"), 400, "bad_request", "base64")


def test_two_files_for_one_picture_are_rejected(service: str) -> None:
    for second in ("image", "photo"):
        files = [("image", ("a.png", STOP)), (second, ("b.png", STOP))]
        response = requests.post(f"{service}/predict_traffic_sign", files=files, timeout=30)
        assert_problem(response, 400, "bad_request", "/predict/{task}/batch")


@pytest.mark.parametrize("route", ["", "/batch", "/feedback"])
def test_compressed_body_is_rejected(service: str, route: str) -> None:
    headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
    url = f"{service}/predict_traffic_sign{route}"
    response = requests.post(url, data=gzip.compress(STOP), headers=headers, timeout=30)
    assert_problem(response, 415, "unsupported_type", "'gzip'; send it uncompressed")
    headers["Content-Encoding"] = "identity"
    assert "uncompressed" not in requests.post(url, data=STOP, headers=headers, timeout=30).text


def test_top_k_is_the_number_of_alternatives(service: str) -> None:
    assert len(post(service, STOP, query="?top_k=2").json()["alternatives"]) == 2
    everything = post(service, STOP, query="?top_k=43").json()["alternatives"]
    assert sum(alternative["probability"] for alternative in everything) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("top_k", ["0", "44", "-1", "five", "", "2.0", "²", "9" * 3000])
def test_invalid_top_k_is_rejected(service: str, top_k: str) -> None:
    assert_problem(post(service, STOP, query=f"?top_k={top_k}"), 400, "bad_request", "top_k")


class Awkward:
    """The awkward pictures as files of a data source."""

    location = SHIPPED
    pictures = awkward_pictures()

    def names(self) -> list[str]:
        return list(self.pictures)

    def folders(self) -> list[str]:
        return []

    def read(self, name: str) -> bytes:
        return self.pictures[name]


def test_preparation_classifier_and_http_see_the_same_pixels(
    service: str, task: Task, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pictures = Awkward.pictures
    examples = tuple(Example(name, 14, f"14/{name}", (1, 1), (0, 0, 1, 1)) for name in pictures)
    prepared = prepare(Source(Awkward(), "test", examples), task, tmp_path_factory.mktemp("cache"))
    classifier = Classifier.load(SHIPPED)
    predictions = classifier.predict(list(pictures.values()))
    for row, (name, payload) in enumerate(pictures.items()):
        assert np.array_equal(prepared.pixels[row], decode(payload, task.input_size)), name
        logits = classifier.run(prepared.pixels[row : row + 1]).logits[0]
        probabilities = classifier.card.calibration.probabilities(logits)
        assert np.allclose(probabilities, predictions[row].probabilities, atol=1e-6), name
        answer = post(service, payload, "application/octet-stream", "?top_k=43&locate=false").json()
        by_class = {a["class_index"]: a["probability"] for a in answer["alternatives"]}
        assert [by_class[i] for i in range(43)] == predictions[row].probabilities.tolist(), name


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"not a picture", "not a picture in a known format"),
        (STOP[:500], "damaged or truncated"),
        (encoded(drawing(size=96).resize((1, 1))), "each side must have"),
        (png_header(20_000, 20_000), "20,000 × 20,000"),
    ],
    ids=["text", "truncated", "1 × 1", "400 megapixels"],
)
def test_unreadable_picture_is_rejected_with_a_reason(service: str, payload: bytes, reason: str) -> None:
    with pytest.raises(ImageError):
        decode(payload, (48, 48))
    response = post(service, payload)
    assert_problem(response, 422, "unreadable_image", reason)
    detail = response.json()["detail"]
    assert detail[0].isupper()
    assert detail[-1] == "."


def test_missing_picture_is_a_problem(service: str) -> None:
    assert_problem(post(service, b""), 400, "nothing_sent", "0 bytes")
    assert_problem(post(service, b"", None), 400, "nothing_sent", "no body")
    form = requests.post(f"{service}/predict_traffic_sign", files={"photo": ("s.png", STOP)}, timeout=30)
    assert_problem(form, 400, "nothing_sent", "`image`")


@pytest.mark.parametrize("content_type", [None, "text/plain", "image/svg+xml", "application/x-www-form-urlencoded"])
def test_other_content_types_are_rejected(service: str, content_type: str | None) -> None:
    assert_problem(post(service, b"<svg/>", content_type), 415, "unsupported_type", "image/png")


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"image": 5}', '{"image": "a", "url": "b"}', '{"image": "ä"}'])
def test_invalid_json_is_rejected(service: str, body: str) -> None:
    response = post(service, body.encode(), "application/json")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"


def test_deeply_nested_json_is_rejected(service: str) -> None:
    assert_problem(post(service, b"[" * 200_000, "application/json"), 400, "bad_request", "nested")


def test_heat_map_points_at_the_sign(service: str) -> None:
    """The stop sign is in the left half of a wide picture, and so is the evidence for it."""
    with Image.open(io.BytesIO(STOP)) as sign:
        wide = Image.new("RGB", (sign.width * 2, sign.height), (128, 128, 128))
        wide.paste(sign, (0, 0))
    answer = post(service, encoded(wide), query="?explain=true").json()
    heatmap = np.array(answer["heatmap"])
    middle = heatmap.shape[1] // 2
    assert heatmap.min() >= 0
    assert heatmap.max() == 1
    assert heatmap[:, :middle].sum() > heatmap[:, middle:].sum()
    assert "heatmap" not in post(service, STOP).json()


def test_only_the_box_is_classified(service: str) -> None:
    """Two signs side by side; each box gives the answer for its sign alone."""
    wide = Image.new("RGB", (200, 96))
    wide.paste(drawing(14), (0, 0))
    wide.paste(drawing(17), (100, 0))
    for box, sign in (("0,0,96,96", drawing(14)), ("100,0,196,96", drawing(17))):
        alone = post(service, encoded(sign)).json()
        assert post(service, encoded(wide), query=f"?box={box}").json() == alone
        form = {"image": ("s.png", encoded(wide))}
        assert requests.post(f"{service}/predict_traffic_sign?box={box}", files=form, timeout=30).json() == alone


def test_box_refers_to_the_upright_picture(service: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    tall = Image.new("RGB", (96, 1200))
    tall.paste(drawing(14), (0, 1100))
    turned = encoded(tall.rotate(90, expand=True), exif=exif)
    assert post(service, turned, query="?box=0,1100,96,1196").json() == post(service, STOP).json()


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("", "left,top,right,bottom"),
        ("1,2,3", "left,top,right,bottom"),
        ("0,0,96.5,96", "left,top,right,bottom"),
        ("-1,0,96,96", "left,top,right,bottom"),
        ("0,0,²,96", "left,top,right,bottom"),
        (f"0,0,{'9' * 3000},96", "left,top,right,bottom"),
        ("0,0,97,96", "does not lie inside the picture of 96 × 96 pixels"),
        ("50,0,50,96", "is empty: left must be < right and top must be < bottom"),
        ("0,0,999999999,96", "does not lie inside the picture of 96 × 96 pixels"),
        ("10,10,17,96", "in the picture of 96 × 96 pixels is too small; each side must have at least 8"),
    ],
)
def test_invalid_box_is_rejected(service: str, box: str, reason: str) -> None:
    assert_problem(post(service, STOP, query=f"?box={box}"), 400, "bad_request", reason)


def test_thumbnail_is_what_the_classifier_saw(service: str) -> None:
    sent = list(awkward_pictures().values())
    in_batch = batch(service, [("a", payload) for payload in sent], "?thumbnail=true&locate=false").json()["results"]
    for payload, result in zip(sent, in_batch, strict=True):
        answer = post(service, payload, "application/octet-stream", "?thumbnail=true&locate=false").json()
        shown = base64.b64decode(answer["thumbnail"], validate=True)
        assert shown.startswith(b"\x89PNG")
        assert np.array_equal(decode(shown, (48, 48)), decode(payload, (48, 48)))
        assert result["prediction"] == answer
    part = base64.b64decode(post(service, STOP, query="?thumbnail=true&box=20,20,80,80").json()["thumbnail"])
    assert np.array_equal(decode(part, (48, 48)), decode(STOP, (48, 48), (20, 20, 80, 80)))
    assert "thumbnail" not in post(service, STOP).json()


def test_box_is_not_supported_for_batches(service: str) -> None:
    assert_problem(batch(service, [("s.png", STOP)], "?box=0,0,96,96"), 400, "bad_request", "not supported for batches")


def batch(service: str, pictures: list[tuple[str, bytes]], query: str = "") -> requests.Response:
    files = [("image", picture) for picture in pictures]
    return requests.post(f"{service}/predict_traffic_sign/batch{query}", files=files, timeout=60)


def test_batch_is_answered_in_order_and_failures_do_not_affect_the_others(service: str) -> None:
    pictures = [(f"{index}.png", encoded(drawing(index))) for index in (14, 17, 12)]
    sent = [pictures[0], ("text.png", b"no picture"), *pictures[1:], ("empty.png", b"")]
    results = batch(service, sent, "?top_k=2&explain=true").json()["results"]
    assert [result["filename"] for result in results] == [name for name, _ in sent]
    assert [result["problem"]["status"] for result in results if "problem" in result] == [422, 400]
    predictions = [result["prediction"] for result in results if "prediction" in result]
    alone = [post(service, payload, query="?top_k=2&explain=true").json() for _, payload in pictures]
    assert predictions == alone


def test_batches_beyond_the_limits_are_rejected(service: str) -> None:
    assert len(batch(service, [("s.png", STOP)] * MAX_BATCH).json()["results"]) == MAX_BATCH
    assert_problem(batch(service, [("s.png", STOP)] * (MAX_BATCH + 1)), 413, "too_large", f"{MAX_BATCH} pictures")
    large = [("s.png", bytes(MAX_BYTES))] * (MAX_BATCH_BYTES // MAX_BYTES + 1)
    assert_problem(batch(service, large), 413, "too_large", f"{MAX_BATCH_BYTES:,} bytes in all")
    flat = encoded(Image.new("L", (8000, 8000)))
    problems = [result.get("problem") for result in batch(service, [("flat.png", flat)] * 9).json()["results"]]
    assert problems[:8] == [None] * 8
    assert "512,000,000 pixels" in problems[8]["detail"]
    url = f"{service}/predict_traffic_sign/batch"
    text = requests.post(url, files=[("image", (None, b"a")), ("image", ("stop.png", STOP))], timeout=60)
    assert_problem(text, 400, "bad_request", "must be a file")
    assert_problem(requests.post(url, data=STOP, timeout=60), 415, "unsupported_type", "one field `image` for each")
    assert_problem(requests.post(url, files={"photo": STOP}, timeout=60), 400, "nothing_sent", "`image`")


def test_urls_are_not_fetched_by_default(service: str) -> None:
    body = json.dumps({"url": "http://example.org/sign.png"}).encode()
    assert_problem(post(service, body, "application/json"), 501, "not_implemented", "URL")


@pytest.mark.parametrize("name", ["explain", "thumbnail"])
def test_flag_is_true_or_false(service: str, name: str) -> None:
    assert_problem(post(service, STOP, query=f"?{name}=maybe"), 400, "bad_request", f"{name} must be true or false")
    assert post(service, STOP, query=f"?{name}=false").status_code == 200


def test_too_large_bodies_are_rejected_and_the_service_continues(service: str) -> None:
    for size in (MAX_BYTES + 1, 100_000_000):
        assert_problem(post(service, bytes(size)), 413, "too_large", f"{MAX_BYTES:,} bytes")
    assert post(service, STOP).json()["class_index"] == 14


def test_endless_body_without_a_length_is_rejected(service: str) -> None:
    chunks = (bytes(1_000_000) for _ in range(MAX_BODY_BYTES // 1_000_000 + 5))
    response = requests.post(
        f"{service}/predict_traffic_sign", data=chunks, headers={"Content-Type": "image/png"}, timeout=30
    )
    assert_problem(response, 413, "too_large", "bytes")


def test_service_survives_damaged_pictures(service: str) -> None:
    rng = np.random.default_rng(0)
    for picture in awkward_pictures().values():
        damaged = bytearray(picture)
        for position in rng.integers(0, len(damaged), 20):
            damaged[position] = rng.integers(0, 256)
        assert post(service, bytes(damaged), "application/octet-stream").status_code in {200, 422}
    assert requests.get(f"{service}/healthz", timeout=60).json() == {"status": "alive"}
