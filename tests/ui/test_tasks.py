"""The page with a service that has several tasks: the choice, and what each task's pages are made of."""

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import drawing, encoded
from tests.ui.conftest import (
    Reply,
    answers,
    begin,
    give,
    open_page,
    path_of,
    ready,
    said,
    script_of,
    server,
    shipped_card,
)

STOP, PHOTO = encoded(drawing()), encoded(drawing(13))
CLASSES = ("Moon jelly", "Blue jelly", "Compass jelly")


def jelly_labels() -> list[dict[str, Any]]:
    return [
        {
            "index": index, "name": name, "name_de": f"{name} auf Deutsch", "description": f"About the {name}.",
            "description_de": "", "confused_with": [], "facts": {},
        }
        for index, name in enumerate(CLASSES)
    ]  # fmt: skip


def jelly_answers(offers: list[str]) -> dict[str, Any]:
    """Return the answers of a task without texts, drawings and samples of its own."""
    card = shipped_card()
    held_out = {"examples": 90, "errors": 9, "accuracy": 0.9, "accuracy_interval_95": [0.82, 0.95]}
    found = {"class_index": 1, "class_name": "Blue jelly", "probability": 0.9}
    return {
        "/model/jelly": {
            **card, "version": "j", "facts": [], "detector": None, "metrics": {"held_out": held_out},
            "data": {"name": "Jelly photos", "images": 900, "groups": 300, "licence": "CC BY 4.0"},
        },
        "/model/jelly/labels": jelly_labels(),
        "/predict/jelly": {**found, "verdict": "confident", "alternatives": [found], "model": {"version": "j"}},
        **{
            f"/data/jelly/{index}": {
                "class_index": index,
                "pictures": [{"track": "a", "size": [96, 96], "thumbnail": base64.b64encode(PHOTO).decode()}],
            }
            for index in range(len(CLASSES))
            if "data" in offers
        },
    }  # fmt: skip


class Service:
    """A service with traffic signs and jellyfish; it records which pictures it was asked about."""

    def __init__(self, state: str = "ready", offers: list[str] | None = None) -> None:
        jelly = {"name": "jelly", "title": "Jellyfish", "title_de": "Quallen", "classes": 3, "state": state}
        progress = {"stage": "train", "epoch": 3, "epochs": 24} if state == "training" else None
        version = "j" if state == "ready" else None
        self.asked: list[tuple[str, bytes]] = []
        self._answers = {**answers(), **jelly_answers(offers or [])}
        self._answers["/tasks"] = ready()
        self._answers["/tasks"]["tasks"].append(
            {**jelly, "version": version, "offers": offers or [], "progress": progress, "detail": "Not yet."}
        )

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        if body:
            self.asked.append((path_of(request), body))
        return Reply(self._answers[path_of(request)])


@pytest.fixture
def two() -> Iterator[tuple[str, Service]]:
    """The address of a service with two tasks, and the service."""
    service = Service(offers=["data"])
    with server(service) as url:
        yield url, service


def view(name: str, url: str, monkeypatch: pytest.MonkeyPatch, **session: Any) -> AppTest:
    """Run one page about jellyfish."""
    return begin(
        AppTest.from_string(script_of(name), default_timeout=60), url, monkeypatch, {"task": "jelly", **session}
    )


def test_first_task_is_the_default_and_the_choice_has_all(
    two: tuple[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(two[0], monkeypatch)
    assert app.selectbox(key="task").options == ["German traffic signs", "Jellyfish"]
    assert "Which traffic signs are in this photo?" in said(app)
    app.selectbox(key="task").set_value("jelly").run()
    assert "Which traffic signs" not in said(app)
    assert "**Jellyfish.** Drop a photo to learn which of 3 classes it shows" in said(app)


def test_titles_of_tasks_are_in_the_language_of_the_page(
    two: tuple[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(two[0], monkeypatch, lang="de")
    assert app.selectbox(key="task").options == ["German traffic signs", "Quallen"]


@pytest.mark.parametrize(("named", "chosen"), [("jelly", "jelly"), ("cows", "traffic_sign"), ("", "traffic_sign")])
def test_task_in_the_address_is_chosen_if_the_service_has_it(
    two: tuple[str, Service], monkeypatch: pytest.MonkeyPatch, named: str, chosen: str
) -> None:
    monkeypatch.setenv("UI_SERVICE_URL", two[0])
    app = AppTest.from_string(script_of("classes"), default_timeout=60)
    app.query_params["task"] = named
    app.run()
    assert app.session_state["task"] == chosen


def test_there_is_no_choice_of_a_single_task(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda request, _: Reply(answers()[path_of(request)])) as url:
        assert not open_page(url, monkeypatch).selectbox


def test_picture_is_sent_to_the_chosen_task(two: tuple[str, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    url, service = two
    app = open_page(url, monkeypatch, task="jelly")
    give(app, "photo.png", STOP)
    assert service.asked == [("/predict/jelly", STOP)]
    assert app.header[0].value == "Blue jelly"
    assert "About the Blue jelly." in said(app)


def test_sample_of_one_task_is_not_shown_for_another(two: tuple[str, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(two[0], monkeypatch)
    app.button_group(key="sample").set_value("stop").run()
    assert app.header[0].value == "Stop"
    app.selectbox(key="task").set_value("jelly").run()
    assert not app.header
    assert "sample" not in app.query_params


def test_photos_of_the_data_set_are_samples_if_there_are_no_others(
    two: tuple[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, service = two
    app = open_page(url, monkeypatch, task="jelly")
    app.button_group(key="sample").set_value("Moon jelly").run()
    assert service.asked == [("/predict/jelly", PHOTO)]


def test_task_without_samples_and_data_asks_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(Service()) as url:
        app = open_page(url, monkeypatch, task="jelly")
        assert not [group for group in app.button_group if group.key == "sample"]
        assert "Drop a photo. The answer appears here." in said(app)


def test_classes_have_photos_of_the_data_set(two: tuple[str, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("classes", two[0], monkeypatch)
    assert "3 of 3 classes" in said(app)
    assert len(app.get("image")) == len(CLASSES)


def test_quiz_without_pictures_asks_about_the_description(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(Service()) as url:
        app = view("classes", url, monkeypatch, classes_mode="learn")
        question = CLASSES[app.session_state["quiz jelly"]["question"]]
        assert "Which class is described here?" in said(app)
        assert f"About the {question}." in said(app)


def test_data_page_has_the_figures_of_the_card_if_there_is_no_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_data(request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        if path_of(request) == "/data/jelly":
            return Reply({"type": "urn:x:no_data", "detail": "Get it."}, 404)
        return service(request, body)

    service = Service()
    with server(without_data) as url:
        app = view("data", url, monkeypatch)
    assert "**Jelly photos · CC BY 4.0**" in said(app)
    assert [metric.value for metric in app.metric] == ["900", "300", "3"]


def test_training_of_one_task_does_not_hide_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(Service(state="training")) as url:
        app = open_page(url, monkeypatch, task="jelly")
        assert "The classifier is being trained" in said(app)
        app.selectbox(key="task").set_value("traffic_sign").run()
        assert "Which traffic signs are in this photo?" in said(app)
