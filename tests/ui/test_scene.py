"""Photos with several signs, without a browser: which sign is shown, what is missing, and feedback about a box."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from model.detector import MAX_DETECTIONS
from tests.conftest import ROOT, encoded
from tests.ui.conftest import (
    PATIENCE_S,
    Reply,
    answers,
    found,
    give,
    open_page,
    open_view,
    path_of,
    prediction,
    problem,
    ready,
    said,
    scene,
    server,
    shipped_labels,
)
from ui.choosing import Choice

PHOTO = encoded(Image.new("RGB", (600, 300), "grey"))
DIGEST = hashlib.sha256(PHOTO).hexdigest()[:16]
CHOICE = f"found_{DIGEST}"
LABELS = shipped_labels()
STOP, YIELD, UNKNOWN = (
    found((20, 50, 220, 250)),
    found((380, 50, 580, 250), 13, "unsure"),
    found((300, 10, 320, 30), 17, "not_recognised"),
)
CAPPED = (
    f"The detector reached its limit of {MAX_DETECTIONS} possible signs in this photo, so some signs may be missing"
)
HEATMAP = [[0.0, 1.0], [0.5, 0.25]]


class Requests(list[tuple[str, dict[str, str]]]):
    """The path and the options of each request for an answer."""

    def paths(self) -> list[str]:
        """Return the paths only."""
        return [path for path, _ in self]

    def options(self, path: str) -> dict[str, str]:
        """Return the options of the only request for this path."""
        [options] = [options for asked, options in self if asked == path]
        return options


@contextmanager
def finding(
    answer: dict[str, Any], offers: tuple[str, ...] = ("detect", "feedback"), **others: dict[str, Any]
) -> Iterator[tuple[str, Requests]]:
    """Run a service that finds the same in every photo; yield its address and what it was asked.

    `others` are its answers on other routes: `predict` for `/predict/traffic_sign`.
    """
    asked = Requests()
    known = {**answers(), "/tasks": ready(offers=offers), "/detect/traffic_sign": answer}
    known |= {f"/{route}/traffic_sign": other for route, other in others.items()}

    def reply(request: BaseHTTPRequestHandler, _: bytes) -> Reply:
        if request.command == "POST":
            options = parse_qs(urlsplit(request.path).query)
            asked.append((path_of(request), {name: value for name, [value] in options.items()}))
        return Reply(known[path_of(request)])

    with server(reply) as url:
        yield url, asked


def viewer(app: AppTest) -> dict[str, Any]:
    """Return what the page tells the picture viewer."""
    [element] = [each for each in app.get("bidi_component") if each.proto.component_name.endswith("picture_viewer")]
    data: dict[str, Any] = json.loads(element.proto.json)
    return data


def options(app: AppTest) -> list[str]:
    """Return the signs to choose from."""
    return list(app.button_group(key=CHOICE).options)


def test_most_prominent_sign_is_shown_at_once_and_all_signs_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP, YIELD, UNKNOWN)) as (url, asked):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert app.header[0].value == "Stop"
        assert [option.partition(") ")[2] or option for option in options(app)] == [
            "1: Stop", "2: Yield", "3: not recognised"
        ]  # fmt: skip
        app.button_group(key=CHOICE).set_value(1).run()
        assert app.header[0].value == "Yield"
        assert "Unsure" in said(app)
        app.button_group(key=CHOICE).set_value(2).run()
        assert app.header[0].value == "No sign recognised"
        assert "too small or too blurred in the photo" in said(app)
    assert asked.paths() == ["/detect/traffic_sign"]


def test_boxes_have_names_verdicts_and_the_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP, YIELD, UNKNOWN)) as (url, _):
        app = open_page(url, monkeypatch, lang="de")
        give(app, "photo.png", PHOTO)
        app.button_group(key=CHOICE).set_value(1).run()
        shown = viewer(app)["scene"]
        assert viewer(app)["size"] == [600, 300]
    assert (shown["chosen"], shown["name"]) == (1, "Zeichen auf diesem Foto")
    assert [(each["box"], each["name"], each["verdict"]) for each in shown["objects"]] == [
        ([20, 50, 220, 250], "Zeichen 1: Halt. Vorfahrt gewähren", "confident"),
        ([380, 50, 580, 250], "Zeichen 2: Vorfahrt gewähren", "unsure"),
        ([300, 10, 320, 30], "Zeichen 3: nicht erkannt", "not_recognised"),
    ]


def test_single_sign_in_a_photo_has_a_box_but_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP)) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert app.header[0].value == "Stop"
        assert len(viewer(app)["scene"]["objects"]) == 1
    assert CHOICE not in [group.key for group in app.button_group]


def test_picture_that_is_one_sign_has_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(found((0, 0, 600, 300)))) as (url, asked):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert app.header[0].value == "Stop"
        assert viewer(app)["scene"] is None
        assert "Was another sign missed" not in said(app)
        correct(app, "17")
    assert asked.options("/predict/traffic_sign/feedback") == {"class_index": "17"}


def test_photo_without_a_sign_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene()) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        words = said(app)
        assert app.header[0].value == "No sign recognised"
        assert "There seems to be no traffic sign in this photo" in words
        assert "Was another sign missed" in words
        assert "Easily confused with" not in words
        assert [toggle.key for toggle in app.toggle] == ["cropping"]
        assert not app.selectbox


def test_photo_in_which_nothing_is_recognised_shows_the_most_prominent_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with finding(scene(UNKNOWN)) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert app.header[0].value == "No sign recognised"
        assert "Closest matches" in said(app)
        assert viewer(app)["scene"]["chosen"] == 0


@pytest.mark.parametrize("truncated", [True, False])
@pytest.mark.parametrize(
    "objects", [(STOP, YIELD), (found((0, 0, 600, 300)),), ()], ids=["signs", "one sign", "nothing"]
)
def test_photo_that_is_cut_short_says_so_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, objects: tuple[dict[str, Any], ...], truncated: bool
) -> None:
    with finding(scene(*objects, truncated=truncated)) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert said(app).count("This file ends early") == truncated


def test_service_that_does_not_find_signs_may_say_that_a_picture_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(), ()) as (url, _):
        give(app := open_page(url, monkeypatch), "photo.png", PHOTO)
        assert said(app).count("This file ends early") == 1


def test_many_signs_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [found((place, 0, place + 20, 20), place % 43) for place in range(100)]
    with finding(scene(*many, capped=True)) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert CAPPED in said(app)
        assert app.selectbox(key=CHOICE).options[99] == f"Sign 100: {LABELS[13].name}"
        app.selectbox(key=CHOICE).set_value(13).run()
        assert app.header[0].value == "Yield"


@pytest.mark.parametrize("capped", [{"capped": True}, {}], ids=["capped", "complete"])
@pytest.mark.parametrize("objects", [(STOP,), ()], ids=["one sign", "nothing"])
def test_page_says_that_signs_may_be_missing_however_few_are_shown(
    monkeypatch: pytest.MonkeyPatch, objects: tuple[dict[str, Any], ...], capped: dict[str, bool]
) -> None:
    with finding(scene(*objects, **capped)) as (url, _):
        give(app := open_page(url, monkeypatch), "photo.png", PHOTO)
        assert (CAPPED in said(app)) == bool(capped)


def test_choice_is_kept_for_each_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP, YIELD)) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        app.button_group(key=CHOICE).set_value(1).run()
        give(app, "other.png", encoded(Image.new("RGB", (600, 300))))
        assert app.header[0].value == "Stop"
        give(app, "photo.png", PHOTO)
        assert app.header[0].value == "Yield"


def test_classifier_that_finds_fewer_signs_shows_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP, YIELD)) as (url, _):
        app = open_page(url, monkeypatch, **{CHOICE: 2})
        give(app, "photo.png", PHOTO)
        assert app.header[0].value == "Stop"


def test_reason_is_shown_for_the_chosen_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP, {**YIELD, "heatmap": HEATMAP})) as (url, _):
        app = open_page(url, monkeypatch, why=True)
        give(app, "photo.png", PHOTO)
        assert "cannot show what it looked at" in said(app)
        app.button_group(key=CHOICE).set_value(1).run()
        assert viewer(app)["heatmap"] == HEATMAP


JPEG = encoded(Image.new("RGB", (300, 150), "grey"), "JPEG")


@pytest.mark.parametrize(
    ("kind", "previewed"),
    [("HEIF", True), ("PPM", True), *((kind, False) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"))],
)
def test_preview_is_requested_only_of_files_that_browsers_cannot_show(
    monkeypatch: pytest.MonkeyPatch, kind: str, previewed: bool
) -> None:
    with finding(scene(STOP, YIELD, preview=base64.b64encode(JPEG).decode())) as (url, asked):
        app = open_page(url, monkeypatch)
        give(app, "photo", encoded(Image.new("RGB", (600, 300), "grey"), kind))
        assert len(viewer(app)["scene"]["objects"]) == 2
    assert (asked.options("/detect/traffic_sign").get("preview") == "true") == previewed


def test_preview_takes_the_place_of_a_photo_that_the_browser_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP, YIELD, preview=base64.b64encode(JPEG).decode())) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.heic", encoded(Image.new("RGB", (600, 300), "grey"), "HEIF"))
        shown = viewer(app)
    assert not shown["picture"].endswith(".jpg")
    assert shown["instead"].endswith(".jpg")
    assert shown["size"] == [600, 300]


@pytest.mark.parametrize("previews", [True, False], ids=["new", "old"])
def test_photo_at_a_url_is_shown_by_its_preview_or_else_by_what_the_classifier_saw(
    monkeypatch: pytest.MonkeyPatch, previews: bool
) -> None:
    more = {"preview": base64.b64encode(JPEG).decode()} if previews else {}
    answer = scene({**STOP, "thumbnail": "iVBORw0KGgo="}, **more)
    with finding(answer, ("detect", "urls")) as (url, asked):
        app = open_page(url, monkeypatch, choice=Choice("scene.jpg", "https://example.com/scene.jpg"))
        shown = viewer(app)
    assert shown["picture"].endswith(".jpg") == previews
    assert (shown["picture"] == shown["thumbnail"]) != previews
    assert len(shown["scene"]["objects"]) == 1
    assert asked.options("/detect/traffic_sign")["preview"] == "true"


def test_rejected_box_is_shown_on_the_preview_in_pixels_of_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    heic = encoded(Image.new("RGB", (600, 300), "grey"), "HEIF")
    known = {
        **answers(), "/tasks": ready(offers=["detect"]),
        "/detect/traffic_sign": scene(STOP, preview=base64.b64encode(JPEG).decode()),
    }  # fmt: skip

    def reply(request: BaseHTTPRequestHandler, _: bytes) -> Reply:
        if path_of(request) == "/predict/traffic_sign":
            return Reply(problem("bad_request", "The box is too small."), 400)
        return Reply(known[path_of(request)])

    with server(reply) as url:
        app = open_page(url, monkeypatch)
        give(app, "photo.heic", heic)
        app.session_state["box"] = f"viewer-{hashlib.sha256(heic).hexdigest()[:16]}", (0, 0, 4, 4)
        app.toggle(key="cropping").set_value(True).run()
        assert "Draw a larger box" in said(app)
        shown = viewer(app)
    assert shown["instead"].endswith(".jpg")
    assert (shown["size"], shown["scene"]["chosen"]) == ([600, 300], None)


def test_heat_map_covers_what_the_classifier_saw_of_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**answers(), "/tasks": ready(offers=["detect"]), "/detect/traffic_sign": scene(STOP)}
    known["/model/traffic_sign"] = {
        **known["/model/traffic_sign"],
        "detector": {"margin": 0.1, "min_score": 0.5, "min_unsure_score": 0.5},
    }
    with server(lambda request, _: Reply(known[path_of(request)])) as url:
        give(app := open_page(url, monkeypatch), "photo.png", PHOTO)
    assert viewer(app)["seen"] == [-5, 25, 245, 275]  # the sign of 200 pixels has 25 pixels on each side


@pytest.mark.parametrize("offers", [("feedback",), ()])
def test_service_that_does_not_find_signs_is_asked_for_the_whole_picture(
    monkeypatch: pytest.MonkeyPatch, offers: tuple[str, ...]
) -> None:
    with finding(scene(STOP, YIELD), offers) as (url, asked):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert app.header[0].value == "Stop"
        assert viewer(app)["scene"] is None
    assert asked.paths() == ["/predict/traffic_sign"]


def test_rejected_photo_is_explained_without_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Reply(problem("unreadable_image", "These bytes are no picture."), 400)
    known = {**answers(), "/tasks": ready(offers=["detect"])}
    with server(lambda request, _: refused if request.command == "POST" else Reply(known[path_of(request)])) as url:
        app = open_page(url, monkeypatch)
        give(app, "notes.png", b"hello")
        assert "This picture cannot be read" in said(app)
        assert not app.toggle


# Feedback


def correct(app: AppTest, right: str) -> None:
    """Say which sign it is, agree and send."""
    app.selectbox[0].set_value(right)
    app.checkbox[0].check()
    next(button for button in app.button if button.label == "Send").click().run()
    assert "Thank you" in said(app)


@pytest.mark.parametrize(("place", "box"), [(0, "20,50,220,250"), (1, "380,50,580,250"), (2, "300,10,320,30")])
@pytest.mark.parametrize("right", ["17", "none"], ids=["wrong sign", "not a sign"])
def test_feedback_is_about_the_chosen_sign(monkeypatch: pytest.MonkeyPatch, place: int, box: str, right: str) -> None:
    with finding(scene(STOP, YIELD, UNKNOWN)) as (url, asked):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        app.button_group(key=CHOICE).set_value(place).run()
        assert app.selectbox[0].options[0] == "Not a sign, or none of these"
        correct(app, right)
    assert asked.options("/predict/traffic_sign/feedback") == {"class_index": right, "box": box, "located": "true"}


@pytest.mark.parametrize("objects", [(STOP, YIELD), ()], ids=["signs", "nothing"])
def test_sign_that_was_missed_is_reported_by_drawing_a_box(
    monkeypatch: pytest.MonkeyPatch, objects: tuple[dict[str, Any], ...]
) -> None:
    with finding(scene(*objects)) as (url, asked):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        assert "Use Crop to draw a box around the sign" in said(app)
        app.session_state["box"] = f"viewer-{DIGEST}", (300, 100, 340, 140)  # what the viewer says
        app.toggle(key="cropping").set_value(True).run()
        shown = viewer(app)
        assert (shown["box"], shown["scene"]["chosen"]) == ([300, 100, 340, 140], None)
        assert len(shown["scene"]["objects"]) == len(objects)
        correct(app, "17")
    assert asked.options("/predict/traffic_sign")["box"] == "300,100,340,140"
    assert asked.options("/predict/traffic_sign/feedback") == {"class_index": "17", "box": "300,100,340,140"}


def test_sign_that_is_found_in_a_drawn_box_is_shown_and_the_drawn_box_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(), predict=prediction(box=[310, 110, 330, 130])) as (url, asked):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        app.session_state["box"] = f"viewer-{DIGEST}", (300, 100, 340, 140)
        app.toggle(key="cropping").set_value(True).run()
        assert viewer(app)["box"] == [300, 100, 340, 140]
        assert viewer(app)["seen"] == pytest.approx([307.5, 107.5, 332.5, 132.5])  # with the margin of the shipped card
        correct(app, "17")
    assert asked.options("/predict/traffic_sign/feedback") == {"class_index": "17", "box": "300,100,340,140"}


# Around the answer


def test_history_has_every_recognised_sign_of_a_photo_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with finding(scene(STOP, YIELD, UNKNOWN)) as (url, _):
        app = open_page(url, monkeypatch)
        give(app, "photo.png", PHOTO)
        for place in (1, 2, 0):
            app.button_group(key=CHOICE).set_value(place).run()
        kept = [(each.name, each.box, each.prediction.class_name) for each in app.session_state["history traffic_sign"]]
    assert kept == [("photo.png", (20, 50, 220, 250), "Stop"), ("photo.png", (380, 50, 580, 250), "Yield")]


def test_service_page_names_the_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Reply(b"# TYPE sign_requests counter\nsign_requests_total 1\n")
    known = {**answers(), "/tasks": ready(offers=["detect"])}
    with server(lambda request, _: metrics if "metrics" in request.path else Reply(known[path_of(request)])) as url:
        assert "signs in photos" in said(open_view("service", url, monkeypatch))


def test_samples_are_folded_until_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_folded() -> bool:  # style.css hides the samples on a phone while there is this button
        return "unfold" in [button.key for button in app.button]

    with finding(scene(STOP)) as (url, _):
        app = open_page(url, monkeypatch)
        assert not is_folded()
        give(app, "photo.png", PHOTO)
        assert is_folded()
        app.button(key="unfold").click().run()
        assert not is_folded()
        app.button_group(key="sample").set_value("stop").run()
        assert is_folded()
        assert prediction()["class_name"] == app.header[0].value


@pytest.mark.parametrize("offers", [["detect"], []])
def test_scenes_are_samples_only_if_the_service_finds_signs(monkeypatch: pytest.MonkeyPatch, offers: list[str]) -> None:
    with finding(scene(STOP), tuple(offers)) as (url, asked):
        app = open_page(url, monkeypatch)
        named = " ".join(app.button_group(key="sample").options)
        assert "Stop" in named
        assert ("Street in a town" in named) == bool(offers)
        app = AppTest.from_file(str(ROOT / "ui" / "app.py"), default_timeout=PATIENCE_S)  # which the URL also chooses
        app.query_params["sample"] = "town"
        app.run()
        assert bool(app.header) == bool(offers)
    assert asked.paths() == ["/detect/traffic_sign"] * len(offers)


@pytest.mark.parametrize(("offers", "said_so"), [(["detect"], False), ([], True)])
def test_card_says_whether_signs_are_found_in_scenes(
    monkeypatch: pytest.MonkeyPatch, offers: list[str], said_so: bool
) -> None:
    with finding(scene(), tuple(offers)) as (url, _):
        assert ("does not find signs in a scene" in said(open_view("model", url, monkeypatch))) == said_so


STAGES = """# TYPE sign_requests counter
sign_requests_total 1
# TYPE sign_stage_seconds histogram
"""


@pytest.mark.parametrize("locates", [True, False])
def test_service_page_shows_the_time_to_find_signs_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, locates: bool
) -> None:
    stages = {"decode": (4, 0.008), "infer": (4, 0.004), "locate": (2, 0.2), "encode": (4, 0.0)}
    lines = [
        f'sign_stage_seconds_{name}{{stage="{stage}",task="{task}"}} {value}'
        for task, factor in (("traffic_sign", 1), ("another", 9))
        for stage, values in stages.items()
        if locates or stage != "locate"
        for name, value in zip(("count", "sum"), (values[0], factor * values[1]), strict=True)
    ]
    metrics = Reply((STAGES + "\n".join(lines) + "\n").encode())
    known = {**answers(), "/tasks": ready()}
    with server(lambda request, _: metrics if "metrics" in request.path else Reply(known[path_of(request)])) as url:
        app = open_view("service", url, monkeypatch)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Decode the picture"] == "2.00 ms"
    assert shown.get("Find signs") == ("100.00 ms" if locates else None)
