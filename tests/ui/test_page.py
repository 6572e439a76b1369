"""The page's states that are slow or awkward in a browser, run without one."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from data.task import Task
from model.progress import FinishedEpoch, TrainingState
from tests.conftest import ROOT, awkward_pictures, drawing, encoded, free_port
from tests.ui.conftest import (
    Answer,
    Reply,
    passing_on,
    problem,
    ready,
    server,
    silent_server,
    start_service,
    training,
)
from ui.choosing import Choice
from ui.client import Alternative, Client, Label, Prediction

STOP = encoded(drawing())


def begin(app: AppTest, url: str, monkeypatch: pytest.MonkeyPatch, session: dict[str, Any]) -> AppTest:
    monkeypatch.setenv("UI_SERVICE_URL", url)
    for name, value in session.items():
        app.session_state[name] = value
    return app.run()


def open_page(url: str, monkeypatch: pytest.MonkeyPatch, **session: Any) -> AppTest:
    """Run the page that people come for, with a service at this address."""
    return begin(AppTest.from_file(str(ROOT / "ui" / "app.py"), default_timeout=30), url, monkeypatch, session)


def open_view(name: str, url: str, monkeypatch: pytest.MonkeyPatch, **session: Any) -> AppTest:
    """Run one of the other pages, without what stands around each."""
    script = f"from ui.views import {name}\n{name}.show()"
    return begin(AppTest.from_string(script, default_timeout=30), url, monkeypatch, session)


def give(app: AppTest, name: str, content: bytes) -> None:
    """Give a picture to the page."""
    app.file_uploader[0].set_value([(name, content, "image/png")]).run()


def said(app: AppTest) -> str:
    """Return all that the page says."""
    assert not app.exception
    kinds = ("title", "header", "subheader", "markdown", "caption", "error", "info", "warning", "success", "code")
    return "\n".join(str(getattr(element, "value", "")) for kind in kinds for element in app.get(kind))


# Settings


def test_a_wrong_setting_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_TIMEOUT", "3")
    assert "unknown settings: UI_TIMEOUT" in said(open_page("http://127.0.0.1", monkeypatch))


@pytest.mark.parametrize(("name", "value"), [("UI_TIMEOUT_S", "0"), ("UI_SERVICE_URL", "localhost"), ("UI_URL", "x")])
def test_a_wrong_setting_stops_the_start_with_one_message(name: str, value: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ui"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", name: value},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert name in result.stderr
    assert result.stderr.count("\n") == 1


# Trouble


TROUBLE: dict[str, tuple[Answer, str]] = {
    "stranger": (lambda *_: Reply(b"<html>"), "is not the prediction service"),
    "older": (lambda *_: Reply(ready(contract="1.0")), "is older than this page"),
    "newer": (lambda *_: Reply(ready(contract="2.0")), "is newer than this page"),
    "busy": (lambda *_: Reply(problem("too_busy"), 429), "has too much to do"),
    "no classifier": (lambda *_: Reply(problem("not_ready", "The disk is full."), 503), "has no classifier"),
}


@pytest.mark.parametrize(("answer", "words"), TROUBLE.values(), ids=TROUBLE)
def test_a_service_that_cannot_be_used_is_explained(
    answer: Answer, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(answer) as url:
        assert words in said(open_page(url, monkeypatch))


def test_what_keeps_a_service_from_training_is_said_in_its_own_words(
    untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = said(open_page(untrained[0], monkeypatch))
    assert "has no classifier and is not making one" in words
    assert "There is no classifier, and none is being trained." in words


def test_a_missing_service_is_explained_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    words = said(open_page(f"http://127.0.0.1:{port}", monkeypatch))
    assert "The prediction service is not there" in words
    assert str(port) in words


def test_a_silent_service_is_told_from_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_TIMEOUT_S", "0.2")
    with silent_server() as url:
        assert "did not answer within 0.2 s" in said(open_page(url, monkeypatch))


def test_trouble_is_explained_in_german(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(open_page(f"http://127.0.0.1:{free_port()}", monkeypatch, lang="de"))
    assert "Der Erkennungsdienst ist nicht da" in words


def test_a_page_without_a_key_is_shown_until_a_picture_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with start_service(api_keys="secret") as url:
        app = open_page(url, monkeypatch)
        assert "the answer appears here" in said(app)
        give(app, "sign.png", STOP)
        assert "Set UI_API_KEY" in app.error[0].value


def test_a_service_that_fails_while_a_page_waits_for_it_does_not_end_the_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = "from ui import trouble\nfrom ui.client import Busy\ntrouble._watch(Busy(''))"
    with server(lambda *_: Reply(problem("internal"), 500)) as url:
        monkeypatch.setenv("UI_SERVICE_URL", url)
        app = AppTest.from_string(waiting, default_timeout=30).run()
    assert not app.exception


def test_an_answer_that_takes_its_time_comes_and_the_note_goes(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.connection.SLOW_S", 0)
    app = open_page(service, monkeypatch)
    give(app, "sign.png", STOP)
    for _ in range(2):
        assert app.header[0].value == "Stop"
        assert not app.info
        app.toggle(key="why").set_value(True).run()


# Training

CURVES: tuple[FinishedEpoch, ...] = (
    {"epoch": 1, "loss": 1.2, "validation_accuracy": 0.7},
    {"epoch": 2, "loss": 0.5, "validation_accuracy": 0.83},
)
NOTHING_HELD_OUT: tuple[FinishedEpoch, ...] = ({"epoch": 1, "loss": 1.2}, {"epoch": 2, "loss": 0.5})


def charts(app: AppTest) -> list[dict[str, Any]]:
    """Return the charts that the page shows, as Vega-Lite is told of them."""
    return [json.loads(chart.proto.spec) for chart in [*app.get("vega_lite_chart"), *app.get("arrow_vega_lite_chart")]]


def test_the_progress_of_a_training_is_shown_with_its_curves(
    untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = untrained
    progress = TrainingState(
        "train", epoch=2, epochs=40, loss=0.5, validation_accuracy=0.83, remaining_s=600.0, history=CURVES
    )
    with training(folder, progress):
        app = open_page(url, monkeypatch)
    words = said(app)
    assert "The classifier is being made" in words
    assert ":material/check_circle: Read the pictures" in words
    assert ":material/pending: Train the network" in words
    assert ":material/circle: Measure how good it is" in words
    assert "Fetch the data set" not in words
    assert [metric.value for metric in app.metric] == ["0.500", "83.0%", "10 min"]
    assert len(charts(app)) == 2


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (TrainingState("download"), ":material/pending: Fetch the data set"),
        (TrainingState("prepare"), ":material/pending: Read the pictures"),
        (TrainingState("train", epoch=0, epochs=40), ":material/pending: Train the network"),
        (TrainingState("export", history=CURVES), ":material/pending: Make it small and fast"),
        (TrainingState("evaluate", history=CURVES), ":material/pending: Measure how good it is"),
        (TrainingState("done", history=CURVES), "The classifier is being made"),
    ],
    ids=lambda value: value.stage if isinstance(value, TrainingState) else "",
)
def test_each_stage_of_a_training_is_shown(
    progress: TrainingState, words: str, untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = untrained
    with training(folder, progress):
        app = open_page(url, monkeypatch)
    assert words in said(app)
    assert len(charts(app)) == (2 if progress.history else 0)


def test_a_training_on_all_pictures_has_no_curve_of_an_accuracy(
    untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = untrained
    with training(folder, TrainingState("train", epoch=2, epochs=40, loss=0.5, history=NOTHING_HELD_OUT)):
        app = open_page(url, monkeypatch)
    assert "The classifier is being made" in said(app)
    assert [metric.value for metric in app.metric] == ["0.500"]
    assert len(charts(app)) == 1


def test_the_time_left_is_told_in_german(untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = untrained
    with training(folder, TrainingState("train", epoch=39, epochs=40, validation_accuracy=0.998, remaining_s=42.4)):
        app = open_page(url, monkeypatch, lang="de")
    assert "Der Klassifikator entsteht" in said(app)
    assert [metric.value for metric in app.metric] == ["99,8\u00a0%", "42 s"]


# Pictures and answers


@pytest.mark.parametrize(("name", "payload"), awkward_pictures().items(), ids=awkward_pictures())
def test_whatever_the_service_reads_the_page_survives(
    service: str, monkeypatch: pytest.MonkeyPatch, name: str, payload: bytes
) -> None:
    app = open_page(service, monkeypatch)
    give(app, f"{name}.png", payload)
    assert not app.exception
    assert app.header
    assert "Stop" in [app.header[0].value, *map(str, app.selectbox[0].options)]


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://["),
        "nonsense",
        "http://127.0.0.1/" + "9" * 5000,
    ],
    ids=["no address of IPv6", "no address", "long"],
)
def test_whatever_is_typed_as_an_address_is_answered(
    other_service: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    app = open_page(other_service[0], monkeypatch, way="address")
    app.text_input(key="address").set_value(address)
    app.button[0].click().run()
    assert "This address is not fetched" in said(app)


def test_nobody_is_asked_for_feedback_that_is_not_kept(
    other_service: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(other_service[0], monkeypatch)
    give(app, "sign.png", STOP)
    assert "Come to a full stop" in said(app)
    assert not app.expander


def draw_answer(prediction: "Prediction", labels: "tuple[Label, ...]") -> None:
    from ui import answer

    answer.show(prediction, labels)
    answer.show_similar(prediction, labels)


def answered(service: str, verdict: str, probabilities: dict[int, float]) -> AppTest:
    """Return what a person sees of an answer."""
    labels = Client(service, timeout_s=10).labels()
    others = tuple(Alternative(index, labels[index].name, value) for index, value in probabilities.items())
    first = labels[others[0].class_index]
    prediction = Prediction(first.index, first.name, first.sign_number, others[0].probability, verdict, others, "v")
    return AppTest.from_function(draw_answer, kwargs={"prediction": prediction, "labels": labels}).run()


def test_of_an_unsure_answer_the_other_candidates_are_named(service: str) -> None:
    words = said(answered(service, "unsure", {5: 0.61, 2: 0.3, 3: 0.08, 7: 0.0004}))
    assert "It is probably this sign (61.0%)" in words
    assert "Speed limit (50km/h); Speed limit (60km/h). Look twice." in words


def test_a_guess_is_called_a_guess(service: str) -> None:
    assert "The best guess is this sign (41.0%)" in said(answered(service, "unsure", {5: 0.41, 2: 0.3, 3: 0.2}))


def test_of_an_unsure_answer_without_other_candidates_none_is_named(service: str) -> None:
    words = said(answered(service, "unsure", {14: 0.9999, 2: 0.0001}))
    assert "probably this sign (> 99.9%), but the picture is unlike those" in words


def test_signs_that_are_easily_confused_are_shown_side_by_side(service: str, task: Task) -> None:
    app = answered(service, "confident", {19: 0.999, 20: 0.001})
    assert "Easily confused with" in said(app)
    for index in task.labels[19].confused_with:
        assert task.labels[index].name in said(app)


def test_what_is_no_sign_is_neither_named_nor_compared(service: str, task: Task) -> None:
    words = said(answered(service, "not_recognised", {19: 0.5, 20: 0.4}))
    assert "none of the 43 signs" in words
    assert "Easily confused with" not in words
    assert task.labels[19].description not in words


def test_the_same_answer_is_listed_once(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(service, monkeypatch)
    for name in ("a.png", "b.png", "a.png"):
        give(app, name, STOP)
        app.toggle(key="why").set_value(True).run()
    assert [entry.name for entry in app.session_state["history"]] == ["a.png", "b.png", "a.png"]


# Signs


@pytest.mark.parametrize("language", ["en", "de"])
def test_one_sign_after_the_other_can_be_looked_at(
    service: str, monkeypatch: pytest.MonkeyPatch, task: Task, language: str
) -> None:
    app = open_view("signs", service, monkeypatch, lang=language, signs_search="nothing")
    app.query_params["sign"] = "0"
    app.run()
    for label in task.labels:
        words = said(app)
        names = (label.name, label.name_de) if language == "en" else (label.name_de, label.name)
        assert (app.header[0].value, app.caption[0].value) == names
        assert (label.description if language == "en" else label.description_de) in words
        assert (label.ends if language == "en" else label.ends_de) in words
        assert label.sign_number in words
        app.button(key="signs next").click().run()
    assert app.query_params["sign"] == "0"


@pytest.mark.parametrize(
    "sign",
    [
        "43",
        "-1",
        "²",
        "",
        "stop",
        "1e1",
        pytest.param("9" * 5000, id="long"),
    ],
)
def test_an_address_of_no_sign_shows_all(service: str, monkeypatch: pytest.MonkeyPatch, sign: str) -> None:
    app = open_view("signs", service, monkeypatch)
    app.query_params["sign"] = sign
    app.run()
    assert "43 of 43 signs" in said(app)
    assert not app.header


def test_a_wrong_answer_is_put_right_and_counted(service: str, monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    app = open_view("signs", service, monkeypatch, signs_mode="learn")
    right = task.labels[app.session_state["quiz"]["question"]]
    answers = app.session_state["quiz"]["answers"]
    assert len(set(answers)) == 4
    wrong = next(index for index in answers if index != right.index)
    app.button(key=f"answer {wrong}").click().run()
    words = said(app)
    assert f"No, it is: {right.name}" in words
    assert right.description in words
    assert "0 right of 1" in words


# Languages


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("batch", "Viele Bilder auf einmal"),
        ("signs", "43 von 43 Zeichen"),
        ("data", "keinen Datensatz zur Hand"),
        ("model", "Wie gut ist der Klassifikator?"),
        ("service", "Der Dienst hinter dieser Seite"),
    ],
)
def test_every_page_speaks_german(service: str, monkeypatch: pytest.MonkeyPatch, view: str, words: str) -> None:
    assert words in said(open_view(view, service, monkeypatch, lang="de"))


@pytest.mark.parametrize(("lang", "decimal"), [("de", ","), ("en", ".")])
def test_charts_write_numbers_as_the_language_does(
    service: str, monkeypatch: pytest.MonkeyPatch, lang: str, decimal: str
) -> None:
    app = open_view("model", service, monkeypatch, lang=lang)
    shown = charts(app)
    assert len(shown) == 4
    for each in shown:  # Vega's own way of writing is the English one
        assert each["config"].get("locale", {"number": {"decimal": "."}})["number"]["decimal"] == decimal


def test_an_answer_is_given_in_german(service: str, monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    app = open_page(service, monkeypatch, lang="de")
    give(app, "sign.png", STOP)
    words = said(app)
    assert (app.header[0].value, app.title[0].value) == ("Halt. Vorfahrt gewähren", "Welches Verkehrszeichen ist das?")
    assert task.labels[14].description_de in words
    assert "Sicher" in words


def test_a_language_that_the_page_does_not_speak_is_english(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_file(str(ROOT / "ui" / "app.py"), default_timeout=30)
    app.query_params["lang"] = "fr"
    assert "Which traffic sign is this?" in said(app.run())


# Other classifiers, and newer services


def plain(path: str, answer: Any) -> Any:
    """Turn the card into that of a classifier that was trained on drawings and measured with little effort."""
    if path != "/model":
        return answer
    held_out = {name: value for name, value in answer["metrics"]["held_out"].items() if name != "per_class"}
    return {**answer, "trained_on": "drawings", "metrics": {"held_out": held_out}}


@pytest.mark.parametrize("view", ["classify", "model"])
def test_a_classifier_that_has_only_seen_drawings_is_told_as_such(
    service: str, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    with server(passing_on(service, plain)) as url:
        app = open_view(view, url, monkeypatch)
    assert not app.exception
    assert "trained on drawings" in app.warning[0].value


def test_the_classifier_that_is_shipped_has_seen_photographs(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not open_view("classify", service, monkeypatch).warning


def newer(path: str, answer: Any) -> Any:
    """Turn answers into those of a service with a later contract of the same kind."""
    if path == "/readyz":
        return {**answer, "contract": "1.2", "offers": [*answer["offers"], "telepathy"]}
    if path == "/model":
        metrics = answer["metrics"]
        some = next(iter(metrics["refusal"].values()))
        return {
            **answer,
            "metrics": {
                **metrics,
                "refusal": {**metrics["refusal"], "cows": some},
                "accuracy_under_corruption": {**metrics["accuracy_under_corruption"], "snow": [1, 1, 1, 1, 1]},
            },
        }
    return answer


@pytest.mark.parametrize(
    "view",
    [
        "classify",
        "batch",
        "signs",
        "data",
        pytest.param("model"),
        pytest.param("service"),
    ],
)
def test_what_a_newer_service_offers_besides_harms_no_page(
    service: str, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    with server(passing_on(service, newer)) as url:
        assert said(open_view(view, url, monkeypatch))


def test_answers_are_asked_for_anew_when_the_classifier_is_another_one(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ["one"]

    def renamed(path: str, answer: Any) -> Any:
        if path == "/model/labels":
            return [{**label, "name": f"{label['name']} {version[0]}"} for label in answer]
        return {**answer, "version": version[0]} if path == "/readyz" else answer

    with server(passing_on(service, renamed)) as url:
        app = open_page(url, monkeypatch)
        give(app, "sign.png", STOP)
        assert app.header[0].value == "Stop one"
        version[0] = "two"
        app.run()
    assert app.header[0].value == "Stop two"


# Examples for programs

HOSTILE = [
    "it's.png",
    '"quoted".png',
    "$(touch x) `touch y`.png",
    "a b; rm -rf ~ & # .png",
    "new\nline.png",
    "back\\slash.png",
    "-d.png",
    "Straße ½.png",
    "</script><script>alert(1)</script>.png",
]


def examples(service: str, monkeypatch: pytest.MonkeyPatch, choice: Choice) -> list[str]:
    """Return the examples in curl, Python and JavaScript for a picture."""
    return [str(code.value) for code in open_view("service", service, monkeypatch, choice=choice).code]


@pytest.mark.parametrize("name", HOSTILE)
def test_examples_name_the_file_whatever_it_is_called(service: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    curl, python, javascript = examples(service, monkeypatch, Choice(name, b""))
    url = f"{service}/predict_traffic_sign"
    header = "Content-Type: application/octet-stream"
    assert shlex.split(curl) == ["curl", "-H", header, "--data-binary", f"@{name}", url]
    assert name in [node.value for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Constant)]
    [literal] = re.findall(r"readFile\((.*)\);", javascript)
    assert json.loads(literal) == name


@pytest.mark.parametrize("address", ["https://example.com/a'b\"$(touch x).png", "https://example.com/\\n{}.png"])
def test_examples_name_the_address_whatever_it_is(service: str, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    curl, python, javascript = examples(service, monkeypatch, Choice("sign", address))
    arguments = shlex.split(curl)
    assert json.loads(arguments[arguments.index("--data") + 1]) == {"url": address}
    constants = [node.value for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Constant)]
    assert json.dumps({"url": address}) in constants
    [literal] = re.findall(r"const body = (.*);", javascript)
    assert json.loads(json.loads(literal)) == {"url": address}


def test_the_example_in_python_works(service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = HOSTILE[2]
    (tmp_path / name).write_bytes(STOP)
    _, python, _ = examples(service, monkeypatch, Choice(name, STOP))
    result = subprocess.run(
        [sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert "'class_name': 'Stop'" in result.stdout, result.stderr


def test_examples_name_the_address_that_programs_outside_reach(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_PUBLIC_URL", "https://signs.example.com/")
    for example in examples(service, monkeypatch, Choice("sign.png", b"")):
        assert "https://signs.example.com/predict_traffic_sign" in example
        assert service not in example


def test_examples_do_not_tell_the_key_of_the_page(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_API_KEY", "our-secret")
    words = said(open_view("service", service, monkeypatch))
    assert "X-API-Key" in words
    assert "our-secret" not in words
