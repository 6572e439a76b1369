"""Feedback, sent to a real gunicorn with a store of its own."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import requests
import yaml
from PIL import Image

from data.feedback import MAX_KEPT_BYTES, MAX_PICTURES, feedback_folder, keep
from data.images import MAX_BYTES, decode, read_size
from data.source import open_labelled
from data.task import Task
from service.app import OPENAPI_FILE
from tests.conftest import awkward_pictures, drawing, encoded, scene, start_service
from tests.service.test_predict import assert_problem

STOP = encoded(drawing())
NAME = f"{hashlib.sha256(STOP).hexdigest()}.png"
CONTRACT = yaml.safe_load(OPENAPI_FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def kept(store: Path) -> Path:
    """The feedback folder of the service of this module."""
    return feedback_folder(store, "traffic_sign")


@pytest.fixture(scope="module")
def keeper(store: Path) -> Iterator[str]:
    """The URL of a service with two workers that keeps pictures."""
    with start_service(store=store, workers=2) as url:
        yield url


def post(url: str, payload: bytes = STOP, query: str = "class_index=14", **headers: str) -> requests.Response:
    headers = {"Content-Type": "application/octet-stream", **headers}
    return requests.post(f"{url}/predict_traffic_sign/feedback?{query}", data=payload, headers=headers, timeout=30)


def files(folder: Path) -> list[str]:
    """Return all files in a folder except the lock."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != ".lock")


def as_form(url: str) -> requests.Response:
    address = f"{url}/predict_traffic_sign/feedback?class_index=14"
    return requests.post(address, files={"image": ("../../x.png", STOP)}, timeout=30)


def as_json(url: str) -> requests.Response:
    body = json.dumps({"image": base64.b64encode(STOP).decode()})
    return post(url, body.encode(), **{"Content-Type": "application/json"})


@pytest.mark.parametrize("send", [post, as_form, as_json])
def test_every_way_of_sending_keeps_the_same_bytes(
    keeper: str, kept: Path, send: Callable[[str], requests.Response]
) -> None:
    answer = send(keeper)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"class_index": 14, "stored": f"00014/{NAME}"}
    described = CONTRACT["paths"]["/predict_traffic_sign/feedback"]["post"]["responses"]["201"]
    jsonschema.validate(answer.json(), described["content"]["application/json"]["schema"])
    assert (kept / "00014" / NAME).read_bytes() == STOP
    assert [name for name in files(kept) if name.endswith(NAME)] == [f"00014/{NAME}"]


def test_picture_that_is_relabelled_moves(keeper: str, kept: Path) -> None:
    payload = encoded(drawing(seed=3))
    for query, folder, class_index in (
        ("class_index=14", "00014", 14),
        ("class_index=0", "00000", 0),
        ("class_index=none", "none", None),
        ("class_index=14", "00014", 14),
    ):
        answer = post(keeper, payload, query).json()
        assert answer["class_index"] == class_index
        assert answer["stored"].startswith(f"{folder}/")
        assert [name for name in files(kept) if name.endswith(answer["stored"].split("/")[1])] == [answer["stored"]]


def test_picture_labelled_by_many_at_once_ends_up_in_one_class(keeper: str, kept: Path) -> None:
    payload = encoded(drawing(seed=4))
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda index: post(keeper, payload, f"class_index={index}"), [*range(8)] * 4))
    assert {answer.status_code for answer in answers} == {201}
    name = f"{hashlib.sha256(payload).hexdigest()}.png"
    assert len([path for path in files(kept) if path.endswith(name)]) == 1


def test_box_is_kept_without_loss_and_its_photo_as_it_was_sent(keeper: str, kept: Path) -> None:
    for payload in awkward_pictures().values():
        answer = post(keeper, payload, "class_index=3&box=10,8,60,70")
        assert answer.status_code == 201, answer.text
        part = (kept / answer.json()["stored"]).read_bytes()
        assert part.startswith(b"\x89PNG")
        assert np.array_equal(decode(part, (48, 48)), decode(payload, (48, 48), (10, 8, 60, 70)))
        stored = (kept / "photos").glob(f"{hashlib.sha256(payload).hexdigest()}.*")
        assert [path.read_bytes() for path in stored if path.suffix != ".json"] == [payload]


def test_photo_is_kept_once_with_what_users_said_about_its_boxes(keeper: str, kept: Path) -> None:
    photo = encoded(scene((14, 60, 60)), "JPEG", quality=90)
    before = set(files(kept))
    for query in (
        "class_index=13&box=72,60,162,150&located=true",
        "class_index=none&box=300,200,340,250",
        *["class_index=14&box=72,60,162,150&located=true"] * 2,
    ):
        assert post(keeper, photo, query).status_code == 201
    name = f"photos/{hashlib.sha256(photo).hexdigest()}.jpeg"
    assert {path for path in set(files(kept)) - before if path.startswith("photos")} == {name, f"{name}.json"}
    assert len(set(files(kept)) - before) == 4
    assert (kept / name).read_bytes() == photo
    assert json.loads((kept / f"{name}.json").read_text()) == [
        {"box": [72, 60, 162, 150], "class_index": 14, "located": True},
        {"box": [300, 200, 340, 250], "class_index": None, "located": False},
    ]


def test_boxes_of_one_photo_sent_at_once_are_all_kept(keeper: str, kept: Path) -> None:
    photo = encoded(scene((14, 60, 60), (17, 300, 60)))
    boxes = [(left, 10, left + 40, 60) for left in range(16)]
    with ThreadPoolExecutor(8) as clients:
        queries = [f"class_index=1&box={','.join(map(str, box))}" for box in boxes]
        answers = list(clients.map(lambda query: post(keeper, photo, query), queries))
    assert {answer.status_code for answer in answers} == {201}
    table = kept / "photos" / f"{hashlib.sha256(photo).hexdigest()}.png.json"
    assert sorted(tuple(each["box"]) for each in json.loads(table.read_text())) == boxes


def test_damaged_list_of_boxes_is_a_problem_that_names_no_path(keeper: str, kept: Path) -> None:
    photo = encoded(scene((17, 200, 100)))
    assert post(keeper, photo, "class_index=17&box=212,100,302,190").status_code == 201
    table = kept / "photos" / f"{hashlib.sha256(photo).hexdigest()}.png.json"
    table.write_text("[")
    answer = post(keeper, photo, "class_index=none&box=10,10,60,60")
    assert_problem(answer, 507, "storage_full", "The picture could not be saved: its list of boxes is damaged.")
    assert str(kept) not in answer.text
    assert table.read_text() == "["


@pytest.mark.parametrize("left", [60, -14], ids=["inside", "at the edge"])
def test_located_sign_is_kept_with_the_margin_that_the_classifier_saw(
    task: Task, red_artifact: Path, tmp_path: Path, left: int
) -> None:
    photo = encoded(scene((14, left, 100)))
    with start_service(artifact=red_artifact, store=tmp_path) as url:
        answer = requests.post(f"{url}/detect_traffic_sign?thumbnail=true", data=photo, timeout=60).json()
        [found] = answer["objects"]
        box = ",".join(map(str, found["box"]))
        stored = post(url, photo, f"class_index=14&box={box}&located=true").json()["stored"]
        drawn = post(url, photo, f"class_index=14&box={box}").json()["stored"]
    folder = feedback_folder(tmp_path, "traffic_sign")
    part = (folder / stored).read_bytes()
    seen = decode(base64.b64decode(found["thumbnail"]), (48, 48)).astype(int)
    assert np.abs(decode(part, (48, 48)) - seen).mean() < 1.5
    # Training takes the sign for what is left without its margin.
    height, width = read_size(part)
    kept = np.array(task.data.default_box) * (width, height, width, height)
    sides = found["box"][2] - found["box"][0], found["box"][3] - found["box"][1]
    assert (kept[2] - kept[0], kept[3] - kept[1]) == pytest.approx(sides, abs=1)
    assert read_size((folder / drawn).read_bytes()) == (sides[1], sides[0])


def test_kept_pictures_can_be_read_as_class_folders(task: Task, tmp_path: Path) -> None:
    with start_service(store=tmp_path) as url:
        for index, payload in enumerate(awkward_pictures().values()):
            assert post(url, payload, f"class_index={index}").status_code == 201
    source = open_labelled(feedback_folder(tmp_path, "traffic_sign"), task)
    assert [example.class_index for example in source.examples] == list(range(8))
    assert {source.read(example) for example in source.examples} == set(awkward_pictures().values())


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "class_index must be an integer from 0 to 42, or none, not ''"),
        ("class_index=43", "from 0 to 42"),
        ("class_index=-1", "from 0 to 42"),
        ("class_index=../none", "from 0 to 42"),
        ("class_index=%2Fetc", "from 0 to 42"),
        ("class_index=None", "from 0 to 42"),
        (f"class_index={'0' * 3000}", "from 0 to 42"),
        ("class_index=14&box=1,2,3", "left,top,right,bottom"),
        ("class_index=14&located=true", "`located` needs the `box`"),
        ("class_index=14&located=1&box=0,0,9,9", "located must be true or false"),
        ("class_index=14&located=true&box=0,0,97,96", "does not lie inside the picture of 96 × 96 pixels"),
        ("class_index=14&box=0,0,97,96", "does not lie inside the picture of 96 × 96 pixels"),
    ],
)
def test_invalid_feedback_is_rejected_and_nothing_is_kept(keeper: str, store: Path, query: str, reason: str) -> None:
    before = files(store)
    assert_problem(post(keeper, encoded(drawing(seed=5)), query), 400, "bad_request", reason)
    assert files(store) == before


def test_pictures_that_training_cannot_use_are_rejected(keeper: str, store: Path) -> None:
    before = files(store)
    assert_problem(post(keeper, b"no picture"), 422, "unreadable_image", "not a picture")
    assert_problem(post(keeper, STOP[:500]), 422, "unreadable_image", "damaged")
    assert_problem(post(keeper, b""), 400, "nothing_sent", "0 bytes")
    assert_problem(post(keeper, bytes(MAX_BYTES + 1)), 413, "too_large", f"{MAX_BYTES:,} bytes")
    noise = np.random.default_rng(0).integers(0, 256, (2700, 2700, 3), np.uint8)
    large = encoded(Image.fromarray(noise), "JPEG", quality=80)
    query = "class_index=14&box=0,0,2700,2700"
    assert_problem(post(keeper, large, query), 413, "too_large", "The lossless crop has")
    url = b'{"url": "http://example.org/a.png"}'
    rejected = post(keeper, url, **{"Content-Type": "application/json"})
    assert_problem(rejected, 400, "bad_request", 'must be {"image": "<base64>"}.')
    assert_problem(post(keeper, b"no picture", **{"Content-Type": "text/plain"}), 415, "unsupported_type", "image/png")
    assert files(store) == before


def test_other_origins_can_only_send_feedback_if_allowed(keeper: str, store: Path, tmp_path: Path) -> None:
    before, payload, page = files(store), encoded(drawing(seed=6)), "https://page.example"
    assert_problem(post(keeper, payload, Origin=page), 403, "foreign_page", page)
    for origin in ("null", "http://[", "http://[::1", "http://a]"):
        assert_problem(post(keeper, payload, Origin=origin), 403, "foreign_page", origin)
    rebound = "rebinding.example:9696"
    assert_problem(post(keeper, payload, Origin=f"http://{rebound}", Host=rebound), 403, "foreign_page", rebound)
    assert files(store) == before
    assert post(keeper, payload, Origin=keeper).status_code == 201
    with start_service(store=tmp_path, cors_origins=page) as url:
        assert post(url, payload, Origin=page).status_code == 201


def test_feedback_needs_a_key_and_counts_towards_the_rate_limit(tmp_path: Path) -> None:
    with start_service(store=tmp_path, api_keys="secret", rate_limit="2/hour") as url:
        assert_problem(post(url), 401, "unauthorised", "X-API-Key")
        assert [post(url, STOP, **{"X-API-Key": "secret"}).status_code for _ in range(3)] == [201, 201, 429]
        samples = requests.get(f"{url}/metrics", timeout=60).text
    for status, count in ((201, 2), (401, 1), (429, 1)):
        labels = f'route="/predict_traffic_sign/feedback",status="{status}",task="traffic_sign"'
        assert f"sign_requests_total{{{labels}}} {count}.0" in samples


def test_feedback_can_be_disabled(tmp_path: Path) -> None:
    with start_service(store=tmp_path, feedback="false") as url:
        assert_problem(post(url), 501, "not_implemented", "SERVICE_FEEDBACK")
    assert files(tmp_path) == []


def test_feedback_needs_the_labels_of_a_classifier(tmp_path: Path) -> None:
    with start_service(status=503, store=tmp_path, artifact=tmp_path / "artifact", train="false") as url:
        assert_problem(post(url), 503, "not_ready", "no classifier")


def test_disk_error_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "feedback").write_text("in the way")
    with start_service(store=tmp_path) as url:
        assert_problem(post(url), 507, "storage_full", "The picture could not be saved: ")


def test_storage_quota_is_enforced(tmp_path: Path) -> None:
    folder = feedback_folder(tmp_path, "traffic_sign")
    stored = folder / keep(folder, STOP, ".png", 14)
    filler = folder / "00001" / "filler"
    filler.parent.mkdir()
    with start_service(store=tmp_path) as url:
        with filler.open("wb") as file:
            file.truncate(MAX_KEPT_BYTES - len(STOP))
        other = encoded(drawing(seed=3))
        assert_problem(
            post(url, other), 507, "storage_full", f"The limit of {MAX_PICTURES:,} pictures or {MAX_KEPT_BYTES:,}"
        )
        assert post(url, STOP, "class_index=none").status_code == 201  # takes no more room
        assert not stored.exists()
        filler.unlink()
        for number in range(MAX_PICTURES - 1):
            (filler.parent / f"{number}.png").touch()
        assert_problem(post(url, other), 507, "storage_full", f"reached: {MAX_PICTURES:,} pictures")
        (filler.parent / "0.png").unlink()
        assert post(url, other).status_code == 201
