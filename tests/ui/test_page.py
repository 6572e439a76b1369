"""The page without a browser, in states that are slow or awkward to reach in one."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from model.progress import FinishedEpoch, TrainingState
from tests.conftest import ROOT, awkward_pictures, drawing, encoded, free_port
from tests.ui.conftest import (
    PATIENCE_S,
    Answer,
    Reply,
    answers,
    begin,
    give,
    open_page,
    open_view,
    passing_on,
    path_of,
    problem,
    ready,
    said,
    server,
    shipped_facts,
    shipped_labels,
    silent_server,
    start_service,
    training,
)
from ui.choosing import Choice
from ui.contract import Alternative, Fact, Label, ModelName, Prediction
from ui.texts import markdown_escaped

STOP = encoded(drawing())
LABELS, FACTS = shipped_labels(), shipped_facts()


# Settings


def test_invalid_setting_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_TIMEOUT", "3")
    assert "unknown settings: UI_TIMEOUT" in said(open_page("http://127.0.0.1", monkeypatch))


@pytest.mark.parametrize(("name", "value"), [("UI_TIMEOUT_S", "0"), ("UI_SERVICE_URL", "localhost"), ("UI_URL", "x")])
def test_invalid_setting_stops_the_start_with_one_message(name: str, value: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ui"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", name: value},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert name in result.stderr
    assert result.stderr.count("\n") == 1


# Trouble


TROUBLE: dict[str, tuple[Answer, str]] = {
    "unexpected server": (lambda *_: Reply(b"<html>"), "is not the prediction service"),
    "contract too old": (lambda *_: Reply(ready(contract="1.1")), "is too old for this page"),
    "contract too new": (lambda *_: Reply(ready(contract="3.0")), "is newer than this page"),
    "busy": (lambda *_: Reply(problem("too_busy"), 429), "is overloaded"),
    "no classifier": (
        lambda *_: Reply(ready(state="failed", version=None, detail="The disk is full.")),
        "The disk is full.",
    ),
}


@pytest.mark.parametrize(("answer", "words"), TROUBLE.values(), ids=TROUBLE)
def test_unusable_service_is_explained(answer: Answer, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(answer) as url:
        assert words in said(open_page(url, monkeypatch))


def test_message_of_a_service_that_does_not_train_is_shown(
    untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = said(open_page(untrained[0], monkeypatch))
    assert "has no classifier and is not training one" in words
    assert "There is no classifier, and none is being trained." in words


def test_unreachable_service_is_explained_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    words = said(open_page(f"http://127.0.0.1:{port}", monkeypatch))
    assert "The prediction service is not available" in words
    assert str(port) in words


def test_timeout_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_TIMEOUT_S", "0.2")
    with silent_server() as url:
        assert "did not answer within 0.2 s" in said(open_page(url, monkeypatch))


def test_unreachable_service_is_explained_in_german(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(open_page(f"http://127.0.0.1:{free_port()}", monkeypatch, lang="de"))
    assert "Der Erkennungsdienst ist nicht erreichbar" in words


def test_missing_api_key_is_reported_with_the_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    with start_service(api_keys="secret") as url:
        app = open_page(url, monkeypatch)
        assert "The answer appears here" in said(app)
        give(app, "sign.png", STOP)
        assert "Set UI_API_KEY" in app.error[0].value


def test_page_keeps_waiting_when_the_service_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = "from ui import trouble\nfrom ui.client import Busy\ntrouble._watch(Busy(''))"
    with server(lambda *_: Reply(problem("internal"), 500)) as url:
        monkeypatch.setenv("UI_SERVICE_URL", url)
        app = AppTest.from_string(waiting, default_timeout=PATIENCE_S).run()
    assert not app.exception


def test_note_about_a_slow_answer_disappears_with_the_answer(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Return the Vega-Lite specifications of the charts on the page."""
    return [json.loads(chart.proto.spec) for chart in [*app.get("vega_lite_chart"), *app.get("arrow_vega_lite_chart")]]


def test_training_is_shown_with_its_curves(untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = untrained
    state = TrainingState(
        "train", epoch=2, epochs=40, loss=0.5, validation_accuracy=0.83, remaining_s=600.0, history=CURVES
    )
    with training(folder, state):
        app = open_page(url, monkeypatch)
    words = said(app)
    assert "The classifier is being trained" in words
    assert ":material/check_circle: Read the pictures" in words
    assert ":material/pending: Train the network" in words
    assert ":material/circle: Evaluate the classifier" in words
    assert "Download the data set" not in words
    assert [metric.value for metric in app.metric] == ["0.500", "83.0%", "10 min"]
    assert len(charts(app)) == 2


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (TrainingState("download"), ":material/pending: Download the data set"),
        (TrainingState("prepare"), ":material/pending: Read the pictures"),
        (TrainingState("train", epoch=0, epochs=40), ":material/pending: Train the network"),
        (TrainingState("export", history=CURVES), ":material/pending: Export and compress the network"),
        (TrainingState("evaluate", history=CURVES), ":material/pending: Evaluate the classifier"),
        (TrainingState("done", history=CURVES), "The classifier is being trained"),
    ],
    ids=lambda value: value.stage if isinstance(value, TrainingState) else "",
)
def test_each_stage_of_a_training_is_shown(
    state: TrainingState, words: str, untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = untrained
    with training(folder, state):
        app = open_page(url, monkeypatch)
    assert words in said(app)
    assert len(charts(app)) == (2 if state.history else 0)


def test_training_without_held_out_pictures_has_no_accuracy_curve(
    untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = untrained
    with training(folder, TrainingState("train", epoch=2, epochs=40, loss=0.5, history=NOTHING_HELD_OUT)):
        app = open_page(url, monkeypatch)
    assert "The classifier is being trained" in said(app)
    assert [metric.value for metric in app.metric] == ["0.500"]
    assert len(charts(app)) == 1


def test_time_left_is_shown_in_german(untrained: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = untrained
    with training(folder, TrainingState("train", epoch=39, epochs=40, validation_accuracy=0.998, remaining_s=42.4)):
        app = open_page(url, monkeypatch, lang="de")
    assert "Der Klassifikator wird trainiert" in said(app)
    assert [metric.value for metric in app.metric] == ["99,8\u00a0%", "42 s"]


# Pictures and answers


@pytest.mark.parametrize(("name", "payload"), awkward_pictures().items(), ids=awkward_pictures())
def test_page_shows_every_format_that_the_service_reads(
    service: str, monkeypatch: pytest.MonkeyPatch, name: str, payload: bytes
) -> None:
    app = open_page(service, monkeypatch)
    give(app, f"{name}.png", payload)
    assert not app.exception
    assert not app.error
    assert app.header[0].value in ("Stop", "No sign recognised")


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://["),
        "nonsense",
        "http://127.0.0.1/" + "9" * 5000,
    ],
    ids=["invalid IPv6 address", "not a URL", "long"],
)
def test_invalid_address_is_explained(
    other_service: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    app = open_page(other_service[0], monkeypatch, way="address")
    app.text_input(key="address").set_value(address)
    app.button[0].click().run()
    assert "This address is not allowed" in said(app)


def test_feedback_form_is_hidden_if_the_service_does_not_store_feedback(
    other_service: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(other_service[0], monkeypatch)
    give(app, "sign.png", STOP)
    assert "Come to a full stop" in said(app)
    assert not app.expander


def test_file_that_is_removed_does_not_affect_the_sample_chosen_after_it(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(service, monkeypatch)
    give(app, "sign.png", STOP)
    app.button_group(key="sample").set_value("yield").run()
    assert app.header[0].value == "Yield"
    app.file_uploader[0].set_value([]).run()
    assert app.header[0].value == "Yield"
    give(app, "again.png", STOP)
    assert app.header[0].value == "Stop"
    app.file_uploader[0].set_value([]).run()
    assert not app.header


def test_sample_that_resets_itself_does_not_affect_the_file_chosen_after_it(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(service, monkeypatch)
    app.button_group(key="sample").set_value("yield").run()
    give(app, "sign.png", STOP)
    app.session_state["sample"] = "yield"  # what the browser still has when it sends the file
    app.button_group(key="sample").set_value(None).run()
    assert app.header[0].value == "Stop"


def test_sample_can_be_deselected(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(service, monkeypatch)
    app.button_group(key="sample").set_value("yield").run()
    assert app.query_params["sample"] == "yield"
    app.button_group(key="sample").set_value(None).run()
    assert not app.header
    assert "sample" not in app.query_params


def draw_prediction(prediction: "Prediction") -> None:
    from ui import answer
    from ui.connection import service
    from ui.tasks import choose_task

    task = choose_task(service().tasks)
    answer.show_prediction(task, prediction)
    answer.show_similar(task, prediction)


def answered(
    monkeypatch: pytest.MonkeyPatch, verdict: str, probabilities: dict[int, float],
    labels: tuple[Label, ...] = LABELS, facts: tuple[Fact, ...] = FACTS, **session: object,
) -> AppTest:  # fmt: skip
    """Return a page that shows a prediction of a classifier with these labels and facts."""
    others = tuple(
        Alternative(class_index=index, class_name=labels[index].name, probability=value)
        for index, value in probabilities.items()
    )
    prediction = Prediction.model_validate({
        **others[0].model_dump(), "verdict": verdict, "alternatives": others, "model": ModelName(version="v")
    })  # fmt: skip
    app = AppTest.from_function(draw_prediction, kwargs={"prediction": prediction}, default_timeout=PATIENCE_S)
    with server(serving(labels, facts)) as url:
        return begin(app, url, monkeypatch, session)


def test_unsure_answer_names_the_other_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(answered(monkeypatch, "unsure", {5: 0.61, 2: 0.3, 3: 0.08, 7: 0.0004}))
    assert "It is probably this sign (61.0%)" in words
    assert "Speed limit (50km/h); Speed limit (60km/h). Please check." in words


def test_guess_is_called_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "The best guess is this sign (41.0%)" in said(answered(monkeypatch, "unsure", {5: 0.41, 2: 0.3, 3: 0.2}))


def test_unsure_answer_without_other_candidates_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(answered(monkeypatch, "unsure", {14: 0.9999, 2: 0.0001}))
    assert "probably this sign (> 99.9%), but the picture differs from those" in words


def test_similar_signs_are_shown_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answered(monkeypatch, "confident", {19: 0.999, 20: 0.001})
    assert "Easily confused with" in said(app)
    for index in LABELS[19].confused_with:
        assert LABELS[index].name in said(app)


def test_unknown_sign_has_no_description_and_no_similar_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(answered(monkeypatch, "not_recognised", {19: 0.5, 20: 0.4}))
    assert "none of the 43 signs" in words
    assert "Easily confused with" not in words
    assert LABELS[19].description not in words
    assert "Where it ends" not in words


# Facts


def fact(key: str, *, short: bool = True, in_answer: bool = False) -> Fact:
    """Return a declared fact, whose titles are its key."""
    return Fact(key=key, title=key, title_de=f"{key} auf Deutsch", short=short, in_answer=in_answer)


def fruit(index: int, **facts: str) -> Label:
    """Return a label of another task."""
    names = {"name": f"Fruit {index}", "name_de": f"Obst {index}", "description": "Round.", "description_de": "Rund."}
    return Label(index=index, confused_with=(), facts=facts, **names)


FRUIT = (
    fruit(0, Code="4011", Family="Rosaceae", Weight="150 g", Storage="In the fridge.", Storage_de="Im Kühlschrank."),
    fruit(1, Code="[4012]*", Family="Rutaceae", Family_de="Rautengewächse"),
)
FRUIT_FACTS = (
    fact("Family"),
    fact("Code", in_answer=True),
    fact("Weight"),
    fact("Storage", short=False),
    fact("Unused"),
    fact("Season", short=False),
)


def badges(app: AppTest) -> list[str]:
    """Return the badges of the page below the verdict, with their colours."""
    found = [each for each in app.markdown if "gray-badge" in each.value]
    return re.findall(r":(\w+-badge\[(?:\\.|[^\]])*\])", found[0].value)


def test_short_facts_are_badges_in_their_order_and_numbers_have_a_title(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answered(monkeypatch, "confident", {0: 0.9, 1: 0.1}, FRUIT, FRUIT_FACTS)
    expected = ["gray-badge[Rosaceae]", "blue-badge[Code 4011]", "gray-badge[Weight 150 g]", "gray-badge[Class 0]"]
    assert badges(app) == expected


def test_badges_show_special_characters_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answered(monkeypatch, "confident", {1: 0.9, 0: 0.1}, FRUIT, FRUIT_FACTS)
    assert "blue-badge[Code \\[4012\\]\\*]" in badges(app)


def test_long_facts_are_paragraphs_with_their_title(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(answered(monkeypatch, "confident", {0: 0.9, 1: 0.1}, FRUIT, FRUIT_FACTS))
    assert "**Storage:** In the fridge." in words
    assert "Season" not in words


def test_facts_are_shown_in_german_or_else_in_the_language_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answered(monkeypatch, "confident", {1: 0.9, 0: 0.1}, FRUIT, FRUIT_FACTS, lang="de")
    assert badges(app) == [
        "gray-badge[Rautengewächse]", "blue-badge[Code auf Deutsch \\[4012\\]\\*]", "gray-badge[Klasse 1]"
    ]  # fmt: skip


def test_labels_without_facts_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answered(monkeypatch, "confident", {0: 0.9, 1: 0.1}, (fruit(0), fruit(1)), ())
    assert badges(app) == ["gray-badge[Class 0]"]


def test_facts_of_the_shipped_classifier_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    app = answered(monkeypatch, "confident", {14: 0.9, 1: 0.1})
    assert badges(app)[:2] == ["blue-badge[Sign 206]", f"gray-badge[{LABELS[14].facts['category']}]"]
    assert f"**Where it ends:** {LABELS[14].facts['ends']}" in said(app)


def test_read_aloud_reads_name_description_and_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    [spoken] = answered(monkeypatch, "confident", {0: 0.9, 1: 0.1}, FRUIT, FRUIT_FACTS).get("bidi_component")
    assert "Fruit 0. Round. In the fridge." in str(spoken.proto)


def test_history_has_no_repeated_entries(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(service, monkeypatch)
    for name in ("a.png", "b.png", "a.png"):
        give(app, name, STOP)
        app.toggle(key="why").set_value(True).run()
    assert [entry.name for entry in app.session_state["history traffic_sign"]] == ["a.png", "b.png", "a.png"]


# Signs


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_sign_has_a_page_of_its_own(service: str, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    app = open_view("classes", service, monkeypatch, lang=language, classes_search="nothing")
    app.query_params["class"] = "0"
    app.run()
    for label in LABELS:
        words = said(app)
        names = (label.name, label.name_de) if language == "en" else (label.name_de, label.name)
        assert (app.header[0].value, app.caption[0].value) == names
        assert (label.description if language == "en" else label.description_de) in words
        assert label.facts["ends" if language == "en" else "ends_de"] in words
        assert markdown_escaped(label.facts["sign_number"]) in words
        app.button(key="classes next").click().run()
    assert app.query_params["class"] == "0"


BASKET = (
    fruit(0, Family="Rosaceae", Code="1", Storage="Cool."),
    fruit(1, Family="Rosaceae", Code="2", Storage="Cool."),
    fruit(2, Family="Rutaceae", Family_de="Rautengewächse", Code="3", Storage="Warm."),
    fruit(3, Family="Rutaceae", Family_de="Rautengewächse", Code="4", Storage="Warm."),
    fruit(4, Code="5"),
)


def serving(labels: tuple[Label, ...], facts: tuple[Fact, ...]) -> Answer:
    """Return a server with a classifier that has other labels."""
    changed = answers()
    changed["/model/traffic_sign/labels"] = [label.model_dump(mode="json") for label in labels]
    changed["/model/traffic_sign"] = {**changed["/model/traffic_sign"], "facts": [fact.model_dump() for fact in facts]}
    return lambda request, _: Reply(changed[path_of(request)])


def filters(app: AppTest) -> list[str]:
    """Return the titles of the filters on the page of all signs."""
    return [group.label for group in app.button_group if group.key != "classes_mode"]


def test_short_facts_with_repeated_values_are_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(serving(BASKET, FRUIT_FACTS)) as url:
        app = open_view("classes", url, monkeypatch, lang="de")
        assert filters(app) == ["Family auf Deutsch"]
        assert app.button_group(key="classes_traffic_sign_Family").options == ["Rosaceae", "Rautengewächse"]
        assert "5 von 5 Zeichen" in said(app)
        app.button_group(key="classes_traffic_sign_Family").set_value(["Rutaceae"]).run()
        assert "2 von 5 Zeichen" in said(app)
        app.button_group(key="classes_traffic_sign_Family").set_value(["Rosaceae", "Rutaceae"]).run()
    assert "4 von 5 Zeichen" in said(app)


def test_category_is_the_filter_of_the_shipped_classifier(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert filters(open_view("classes", service, monkeypatch)) == ["Category"]


@pytest.mark.parametrize(
    ("words", "count"), [("rautengewächse", 2), ("rutaceae WARM", 2), ("obst 4 5", 1), ("apple", 0)]
)
def test_search_includes_all_facts_in_both_languages(monkeypatch: pytest.MonkeyPatch, words: str, count: int) -> None:
    with server(serving(BASKET, FRUIT_FACTS)) as url:
        app = open_view("classes", url, monkeypatch, classes_search=words)
    assert f"{count} of 5 signs" in said(app)


@pytest.mark.parametrize("view", ["classify", "batch", "classes", "model", "service"])
def test_pages_work_for_a_task_without_facts(monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    labels = tuple(fruit(index) for index in range(43))
    metrics = Reply(b"# TYPE sign_requests counter\nsign_requests_total 1\n")
    known = serving(labels, ())
    with server(lambda request, body: metrics if path_of(request) == "/metrics" else known(request, body)) as url:
        assert said(open_view(view, url, monkeypatch))


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
def test_invalid_sign_in_the_url_is_ignored(service: str, monkeypatch: pytest.MonkeyPatch, sign: str) -> None:
    app = open_view("classes", service, monkeypatch)
    app.query_params["class"] = sign
    app.run()
    assert "43 of 43 signs" in said(app)
    assert not app.header


def test_wrong_answer_is_corrected_and_counted(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_view("classes", service, monkeypatch, classes_mode="learn")
    right = LABELS[app.session_state["quiz traffic_sign"]["question"]]
    answers = app.session_state["quiz traffic_sign"]["answers"]
    assert len(set(answers)) == 4
    wrong = next(index for index in answers if index != right.index)
    app.button(key=f"answer {wrong}").click().run()
    words = said(app)
    assert f"No, it is: {right.name}" in words
    assert right.description in words
    assert "0 of 1 correct" in words


# Languages


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("batch", "Viele Bilder auf einmal"),
        ("classes", "43 von 43 Zeichen"),
        ("data", "Der Dienst hat keinen Datensatz"),
        ("model", "Wie gut ist der Klassifikator?"),
        ("service", "Der Dienst hinter dieser Seite"),
    ],
)
def test_every_page_is_available_in_german(
    service: str, monkeypatch: pytest.MonkeyPatch, view: str, words: str
) -> None:
    assert words in said(open_view(view, service, monkeypatch, lang="de"))


@pytest.mark.parametrize(("lang", "decimal"), [("de", ","), ("en", ".")])
def test_charts_use_the_number_format_of_the_language(
    service: str, monkeypatch: pytest.MonkeyPatch, lang: str, decimal: str
) -> None:
    app = open_view("model", service, monkeypatch, lang=lang)
    shown = charts(app)
    assert len(shown) == 4
    for each in shown:  # Vega's default is the English format
        assert each["config"].get("locale", {"number": {"decimal": "."}})["number"]["decimal"] == decimal


def test_answer_is_shown_in_german(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(service, monkeypatch, lang="de")
    give(app, "sign.png", STOP)
    words = said(app)
    assert (app.header[0].value, app.title[0].value) == (
        "Halt. Vorfahrt gewähren",
        "Welche Verkehrszeichen sind auf diesem Foto?",
    )
    assert LABELS[14].description_de in words
    assert "Sicher" in words


def test_unknown_language_is_replaced_by_english(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_SERVICE_URL", service)
    app = AppTest.from_file(str(ROOT / "ui" / "app.py"), default_timeout=PATIENCE_S)
    app.query_params["lang"] = "fr"
    assert "Which traffic signs are in this photo?" in said(app.run())


@pytest.mark.parametrize("found", [True, False])
def test_model_page_says_how_well_signs_are_found(service: str, monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    rate = {"recall": 0.9, "recall_from_20_px": 0.95, "recall_by_size": {"16-24": [1, 2], "24-32": [17, 18]}}
    metrics = {"scenes": 10, "signs": 20, "map50": 0.875, "at_false_alarms_per_scene": {"0.1": rate}}

    def with_detector(path: str, answer: Any) -> Any:
        part = {"margin": 0.1, "metrics": metrics if found else {}}
        return {**answer, "detector": part} if path == "/model/traffic_sign" else answer

    with server(passing_on(service, with_detector)) as url:
        app = open_view("model", url, monkeypatch)
    words = said(app)
    assert ("90.0% of 20 signs were found" in words) == found
    assert ("95.0% of those of at least 20 pixels" in words) == found
    assert ("87.5%" in words) == found


# Other classifiers, and newer services


def plain(path: str, answer: Any) -> Any:
    """Turn the card into that of a classifier trained on drawings, with the required metrics only."""
    if path != "/model/traffic_sign":
        return answer
    held_out = {name: value for name, value in answer["metrics"]["held_out"].items() if name != "per_class"}
    return {**answer, "trained_on": "drawings", "metrics": {"held_out": held_out}}


@pytest.mark.parametrize("view", ["classify", "model"])
def test_classifier_trained_on_drawings_has_a_warning(service: str, monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    with server(passing_on(service, plain)) as url:
        app = open_view(view, url, monkeypatch)
    assert not app.exception
    assert "trained on drawings" in app.warning[0].value


def test_shipped_classifier_has_no_warning_about_drawings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not open_view("classify", service, monkeypatch).warning


def newer(path: str, answer: Any) -> Any:
    """Turn answers into those of a service with a later minor version of the contract."""
    if path == "/tasks":
        tasks = [{**task, "offers": [*task["offers"], "telepathy"], "new": 1} for task in answer["tasks"]]
        return {"contract": "2.9", "tasks": tasks}
    if path == "/model/traffic_sign":
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
        "classes",
        "data",
        pytest.param("model"),
        pytest.param("service"),
    ],
)
def test_pages_ignore_additions_of_a_newer_service(service: str, monkeypatch: pytest.MonkeyPatch, view: str) -> None:
    with server(passing_on(service, newer)) as url:
        assert said(open_view(view, url, monkeypatch))


def test_picture_is_classified_again_when_the_classifier_changes(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    version = ["one"]

    def renamed(path: str, answer: Any) -> Any:
        if path == "/model/traffic_sign/labels":
            return [{**label, "name": f"{label['name']} {version[0]}"} for label in answer]
        if path == "/tasks":
            return {**answer, "tasks": [{**task, "version": version[0]} for task in answer["tasks"]]}
        return answer

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


PREDICT, DETECT = "/predict/traffic_sign", "/detect/traffic_sign"


def examples(service: str, monkeypatch: pytest.MonkeyPatch, choice: Choice, path: str) -> list[str]:
    """Return the examples in curl, Python and JavaScript for a picture and a route."""
    codes = [str(code.value) for code in open_view("service", service, monkeypatch, choice=choice).code]
    return [code for code in codes if path in code]


@pytest.mark.parametrize("path", [PREDICT, DETECT])
@pytest.mark.parametrize("name", HOSTILE)
def test_examples_quote_file_names(service: str, monkeypatch: pytest.MonkeyPatch, name: str, path: str) -> None:
    curl, python, javascript = examples(service, monkeypatch, Choice(name, b""), path)
    header = "Content-Type: application/octet-stream"
    assert shlex.split(curl) == ["curl", "-H", header, "--data-binary", f"@{name}", f"{service}{path}"]
    assert name in [node.value for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Constant)]
    [literal] = re.findall(r"readFile\((.*)\);", javascript)
    assert json.loads(literal) == name


@pytest.mark.parametrize("path", [PREDICT, DETECT])
@pytest.mark.parametrize("address", ["https://example.com/a'b\"$(touch x).png", "https://example.com/\\n{}.png"])
def test_examples_quote_urls(service: str, monkeypatch: pytest.MonkeyPatch, address: str, path: str) -> None:
    curl, python, javascript = examples(service, monkeypatch, Choice("sign", address), path)
    arguments = shlex.split(curl)
    assert json.loads(arguments[arguments.index("--data") + 1]) == {"url": address}
    constants = [node.value for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Constant)]
    assert json.dumps({"url": address}) in constants
    [literal] = re.findall(r"const body = (.*);", javascript)
    assert json.loads(json.loads(literal)) == {"url": address}


@pytest.mark.parametrize(
    ("path", "printed"), [(PREDICT, "'class_name': 'Stop'"), (DETECT, "Stop confident [0, 0, 96, 96]")]
)
def test_python_example_works(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, printed: str
) -> None:
    name = HOSTILE[2]
    (tmp_path / name).write_bytes(STOP)
    _, python, _ = examples(service, monkeypatch, Choice(name, STOP), path)
    result = subprocess.run(
        [sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert printed in result.stdout, result.stderr


@pytest.mark.parametrize("path", [PREDICT, DETECT])
def test_curl_example_works(service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    name = HOSTILE[2]
    (tmp_path / name).write_bytes(STOP)
    curl, _, _ = examples(service, monkeypatch, Choice(name, STOP), path)
    result = subprocess.run(
        ["bash", "-c", curl], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    answer = json.loads(result.stdout)
    assert (answer if path == PREDICT else answer["objects"][0])["class_name"] == "Stop"


def test_examples_are_for_what_the_service_offers(bare_service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(examples(bare_service, monkeypatch, Choice("sign.png", b""), PREDICT)) == 3
    assert examples(bare_service, monkeypatch, Choice("sign.png", b""), DETECT) == []


@pytest.mark.parametrize("path", [PREDICT, DETECT])
def test_examples_use_the_public_url(service: str, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("UI_PUBLIC_URL", "https://signs.example.com/")
    for example in examples(service, monkeypatch, Choice("sign.png", b""), path):
        assert f"https://signs.example.com{path}" in example
        assert service not in example


def test_examples_do_not_contain_the_api_key(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_API_KEY", "our-secret")
    words = said(open_view("service", service, monkeypatch))
    assert "X-API-Key" in words
    assert "our-secret" not in words
