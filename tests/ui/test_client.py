"""The page's client with the real service, with other versions of it, and with programs that are not the service."""

import base64
import copy
import dataclasses
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.artifact import read_artifact
from model.progress import FinishedEpoch, TrainingState
from service.problems import KINDS
from tests.conftest import SHIPPED, awkward_pictures, drawing, encoded, free_port
from tests.ui.conftest import (
    PATIENCE_S,
    Reply,
    answers,
    found,
    passing_on,
    path_of,
    problem,
    ready,
    scene,
    server,
    shipped_facts,
    shipped_labels,
    silent_server,
    start_service,
    training,
)
from ui.client import (
    Busy,
    Client,
    ContractTooNew,
    ContractTooOld,
    NotAllowed,
    NotReady,
    Refused,
    ServiceError,
    TimedOut,
    UnexpectedServer,
    Unreachable,
)

STOP = encoded(drawing())
TASK = "traffic_sign"


@pytest.fixture
def client(service: str) -> Client:
    return Client(service, timeout_s=PATIENCE_S)


def two_signs() -> bytes:
    """Return a picture with a stop sign on the left and a yield sign on the right, each of 96 by 96 pixels."""
    both = Image.new("RGB", (192, 96))
    both.paste(drawing(14), (0, 0))
    both.paste(drawing(13), (96, 0))
    return encoded(both)


def test_tasks_have_the_version_and_features_of_their_classifiers(client: Client) -> None:
    service = client.service()
    assert service.contract == "2.4"
    task = next(task for task in service.tasks if task.name == TASK)
    assert (task.version, task.classes) == (read_artifact(SHIPPED)[0].version, 43)
    assert task.offers - {"detect"} == {"feedback"}


def test_tasks_have_the_enabled_features_only(other_service: tuple[str, Path]) -> None:
    for task in Client(other_service[0], timeout_s=PATIENCE_S).service().tasks:
        assert task.offers - {"detect"} == {"urls"}


def test_labels_are_those_of_the_artifact(client: Client) -> None:
    assert client.labels(TASK) == shipped_labels()


def test_card_is_that_of_the_artifact(client: Client) -> None:
    card = client.card(TASK)
    assert (card.version, card.trained_on) == (read_artifact(SHIPPED)[0].version, "photographs")
    assert card.facts == shipped_facts()


def test_prediction_has_class_and_alternatives(client: Client) -> None:
    prediction = client.predict(TASK, STOP)
    assert (prediction.class_index, prediction.class_name) == (14, "Stop")
    assert prediction.model.version == client.card(TASK).version
    assert len(prediction.alternatives) == 5
    assert prediction.alternatives[0].probability == prediction.probability


def test_prediction_has_heatmap_and_thumbnail(client: Client) -> None:
    prediction = client.predict(TASK, STOP)
    assert prediction.heatmap
    values = [value for row in prediction.heatmap for value in row]
    assert 0 <= min(values) < max(values) <= 1
    with Image.open(io.BytesIO(base64.b64decode(prediction.thumbnail))) as seen:
        assert seen.format == "PNG"
        assert (seen.height, seen.width) == client.card(TASK).input_size


@pytest.mark.parametrize(("box", "class_index"), [((0, 0, 96, 96), 14), ((96, 0, 192, 96), 13)])
def test_only_the_box_is_classified(client: Client, box: tuple[int, int, int, int], class_index: int) -> None:
    assert client.predict(TASK, two_signs(), box).class_index == class_index


def test_box_outside_the_picture_is_rejected(client: Client) -> None:
    with pytest.raises(Refused) as caught:
        client.predict(TASK, STOP, (90, 90, 100, 100))
    assert caught.value.kind == "bad_request"


def test_16_bit_picture_is_recognised(client: Client) -> None:
    assert client.predict(TASK, awkward_pictures()["16-bit grey PNG"]).class_index == 14


@pytest.mark.parametrize(
    ("picture", "kind", "reason"),
    [
        (b"hello", "unreadable_image", "not a picture in a known format"),
        (b"", "nothing_sent", "0 bytes"),
        (bytes(21 * 1024**2), "too_large", "20,971,520 bytes"),
        ("http://127.0.0.1/sign.png", "not_implemented", "URL"),
    ],
    ids=["not a picture", "empty", "large", "URL"],
)
def test_rejection_has_kind_and_reason(client: Client, picture: bytes | str, kind: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        client.predict(TASK, picture)
    assert caught.value.kind == kind


def test_private_address_is_rejected_by_a_service_that_fetches_urls(other_service: tuple[str, Path]) -> None:
    with pytest.raises(Refused) as caught:
        Client(other_service[0], timeout_s=PATIENCE_S).predict(TASK, "http://127.0.0.1/sign.png")
    assert caught.value.kind == "url_refused"


def test_batch_results_are_in_order_and_failures_have_reasons(client: Client) -> None:
    yield_sign = encoded(drawing(13))
    files = [("same", STOP), ("text.png", b"hello"), ("same", yield_sign), ("", b""), ('ä\n".png', STOP)]
    results = client.predict_batch(TASK, files)
    found = [result.prediction and result.prediction.class_index for result in results]
    assert found == [14, None, 13, None, 14]
    assert [result.kind for result in results] == ["", "unreadable_image", "", "nothing_sent", ""]
    assert "not a picture in a known format" in results[1].reason
    assert results[0].prediction
    assert results[0].prediction.thumbnail


def test_feedback_is_stored_under_the_chosen_class(tmp_path: Path) -> None:
    with start_service(store=tmp_path) as url:
        client = Client(url, timeout_s=PATIENCE_S)
        client.send_feedback(TASK, STOP, 17)
        client.send_feedback(TASK, two_signs(), None, (96, 0, 192, 96))
    named, none, photo = sorted((tmp_path / "feedback").rglob("*.png"))
    assert (named.parent.name, named.read_bytes()) == ("00017", STOP)
    assert none.parent.name == "none"
    with Image.open(none) as part:
        assert part.convert("RGB").tobytes() == drawing(13).tobytes()
    assert (photo.parent.name, photo.read_bytes()) == ("photos", two_signs())


def test_service_without_feedback_rejects_it(other_service: tuple[str, Path]) -> None:
    url, store = other_service
    with pytest.raises(Refused) as caught:
        Client(url, timeout_s=PATIENCE_S).send_feedback(TASK, STOP, 14)
    assert caught.value.kind == "not_implemented"
    assert not list(store.rglob("*.png"))


def test_service_without_data_set_explains_how_to_get_one(client: Client) -> None:
    with pytest.raises(Refused, match=r"init\.py") as caught:
        client.data(TASK)
    assert caught.value.kind == "no_data"


def test_metrics_count_predictions(client: Client) -> None:
    def count() -> float:
        wanted = {"route": "/predict/{task}", "task": TASK, "status": "200"}
        return sum(
            sample.value
            for sample in client.metrics()
            if sample.name == "sign_requests_total" and wanted.items() <= sample.labels.items()
        )

    before = count()
    client.predict(TASK, STOP)
    assert count() == before + 1


@pytest.mark.parametrize(
    "content", [b"python_info 1.0\n", b"<html>", b"", b"\xff", b'{"a": 1}', b"sign_requests_total{"]
)
def test_metrics_of_another_program_are_recognised_as_such(content: bytes) -> None:
    with server(lambda *_: Reply(content)) as url, pytest.raises(UnexpectedServer):
        Client(url, timeout_s=PATIENCE_S).metrics()


def test_each_thread_gets_its_own_answers(client: Client) -> None:
    wanted = [index for index in (1, 12, 13, 14, 17, 25, 38, 40) for _ in range(5)]
    alone = {index: client.predict(TASK, encoded(drawing(index))) for index in set(wanted)}
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda index: client.predict(TASK, encoded(drawing(index))), wanted))
    assert [each.class_index for each in found] == [alone[index].class_index for index in wanted]
    assert [each.thumbnail for each in found] == [alone[index].thumbnail for index in wanted]


def test_error_during_training_has_its_state(untrained: tuple[str, Path]) -> None:
    url, folder = untrained
    history: tuple[FinishedEpoch, ...] = (
        {"epoch": 1, "loss": 1.5, "validation_accuracy": 0.5},
        {"epoch": 2, "loss": 0.7},
    )
    state = TrainingState("train", epoch=2, epochs=30, loss=0.7, history=history)
    client = Client(url, timeout_s=PATIENCE_S)
    with training(folder, state):
        [task] = client.service().tasks
        with pytest.raises(NotReady) as caught:
            client.predict(TASK, STOP)
    assert (task.state, task.version, caught.value.task) == ("training", "", TASK)
    for progress in (task.progress, caught.value.training):
        assert progress
        assert progress.model_dump(mode="json", exclude_unset=True) == state.to_json()


def test_error_without_training_has_no_state(untrained: tuple[str, Path]) -> None:
    client = Client(untrained[0], timeout_s=PATIENCE_S)
    [task] = client.service().tasks
    assert (task.state, task.progress) == ("failed", None)
    with pytest.raises(NotReady, match="none is being trained") as caught:
        client.predict(TASK, STOP)
    assert caught.value.training is None


def test_only_predictions_and_feedback_need_a_key() -> None:
    with start_service(api_keys="secret") as url:
        without_key, with_key = Client(url, timeout_s=PATIENCE_S), Client(url, timeout_s=PATIENCE_S, api_key="secret")
        assert without_key.service() == with_key.service()
        assert len(without_key.labels(TASK)) == 43
        assert not without_key.may_predict(TASK)
        for ask in (
            lambda: without_key.predict(TASK, STOP),
            lambda: without_key.predict_batch(TASK, [("stop.png", STOP)]),
            lambda: without_key.send_feedback(TASK, STOP, 14),
        ):
            with pytest.raises(NotAllowed):
                ask()
        assert with_key.may_predict(TASK)
        assert with_key.predict(TASK, STOP).class_index == 14


def counting(replies: list[Reply], asked: list[str]) -> Any:
    """Return a server's function that gives one reply after the other, repeats the last one, and records the paths."""

    def answer(request: BaseHTTPRequestHandler, _: bytes) -> Reply:
        asked.append(path_of(request))
        return replies[min(len(asked), len(replies)) - 1]

    return answer


TOO_MANY = Reply(problem("too_many", "At most 1 per 1 hour are answered."), 429, {"Retry-After": "0"})


def test_request_is_retried_twice_after_429() -> None:
    asked: list[str] = []
    with server(counting([TOO_MANY, TOO_MANY, Reply(ready())], asked)) as url:
        assert Client(url, timeout_s=PATIENCE_S).service().tasks[0].version == "v"
    assert len(asked) == 3


@pytest.mark.parametrize(
    "reply", [TOO_MANY, Reply(problem("too_many_connections", "More than 1000 are open."), 503, {"Retry-After": "0"})]
)
def test_batch_is_retried_while_the_service_is_busy(reply: Reply) -> None:
    asked: list[str] = []
    with server(counting([reply, reply, Reply({"results": []})], asked)) as url:
        assert Client(url, timeout_s=PATIENCE_S).predict_batch(TASK, []) == []
    assert len(asked) == 3


def test_exhausted_rate_limit_is_reported_with_the_message_of_the_service() -> None:
    asked: list[str] = []
    with server(counting([TOO_MANY], asked)) as url, pytest.raises(Busy, match="At most 1 per 1 hour"):
        Client(url, timeout_s=PATIENCE_S).predict(TASK, STOP)
    assert len(asked) == 3


def test_long_retry_after_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.client.LONGEST_PAUSE_S", 0.01)
    reply = dataclasses.replace(TOO_MANY, headers={"Retry-After": "3600"})
    with server(lambda *_: reply) as url, pytest.raises(Busy):
        Client(url, timeout_s=PATIENCE_S).service()


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"contract": "1.1"}, ContractTooOld),
        ({"contract": "2.2"}, ContractTooOld),
        ({"contract": "1.10"}, ContractTooOld),
        ({"contract": "3.0"}, ContractTooNew),
        ({"contract": "10.0"}, ContractTooNew),
        ({"contract": "of marriage"}, UnexpectedServer),
        ({"contract": 2.0}, UnexpectedServer),
        ({"contract": "2." + "0" * 5000}, UnexpectedServer),
        ({"state": "fine"}, UnexpectedServer),
        ({"offers": None}, UnexpectedServer),
    ],
)
def test_service_with_another_contract_is_recognised(members: dict[str, Any], error: type[ServiceError]) -> None:
    with server(lambda *_: Reply(ready(**members))) as url, pytest.raises(error):
        Client(url, timeout_s=PATIENCE_S).service()


@pytest.mark.parametrize(("contract", "error"), [("1.1", ContractTooOld), ("3.0", ContractTooNew)])
def test_another_contract_may_have_another_state(contract: str, error: type[ServiceError]) -> None:
    answer = {"contract": contract, "tasks": {"signs": "ready"}}
    with server(lambda *_: Reply(answer)) as url, pytest.raises(error):
        Client(url, timeout_s=PATIENCE_S).service()


def test_service_that_does_not_list_its_tasks_is_older() -> None:
    with server(lambda *_: Reply(problem("not_found"), 404)) as url, pytest.raises(ContractTooOld):
        Client(url, timeout_s=PATIENCE_S).service()


@pytest.mark.parametrize("contract", ["2.3", "2.4", "2.10"])
def test_newer_minor_version_is_accepted(contract: str) -> None:
    with server(lambda *_: Reply(ready(contract=contract, offers=["feedback", "telepathy"]))) as url:
        assert Client(url, timeout_s=PATIENCE_S).service().tasks[0].offers == {"feedback", "telepathy"}


def with_more(answer: Any) -> Any:
    """Return an answer with additional members in every object that the contract leaves open."""
    if isinstance(answer, list):
        return [with_more(each) for each in answer]
    if isinstance(answer, dict):
        closed = {name: value for name, value in answer.items() if name == "facts" and isinstance(value, dict)}
        return {**{name: with_more(value) for name, value in answer.items()}, "new": {"in": "2.9"}, **closed}
    return answer


def test_additional_members_are_ignored(service: str, client: Client) -> None:
    with server(passing_on(service, lambda _, answer: with_more(answer))) as url:
        newer = Client(url, timeout_s=PATIENCE_S)
        assert newer.service() == client.service()
        assert newer.labels(TASK) == client.labels(TASK)
        assert newer.predict(TASK, STOP) == client.predict(TASK, STOP)
        assert newer.predict_batch(TASK, [("a", STOP), ("b", b"")]) == client.predict_batch(
            TASK, [("a", STOP), ("b", b"")]
        )
        with pytest.raises(Refused, match="0 bytes"):
            newer.predict(TASK, b"")


# Malformed answers

ASK: dict[str, Callable[[Client], object]] = {
    "/tasks": Client.service,
    "/model/traffic_sign": lambda client: client.card(TASK),
    "/model/traffic_sign/labels": lambda client: client.labels(TASK),
    "/predict/traffic_sign": lambda client: client.predict(TASK, STOP),
    "/detect/traffic_sign": lambda client: client.detect(TASK, STOP),
    "/predict/traffic_sign/batch": lambda client: client.predict_batch(TASK, [("a", STOP), ("b", STOP)]),
    "/predict/traffic_sign/feedback": lambda client: client.send_feedback(TASK, STOP, 14),
    "/data/traffic_sign": lambda client: client.data(TASK),
    "/data/traffic_sign/14": lambda client: client.data_pictures(TASK, 14, 1, 64),
}
# What the page reads of each answer; `0` is the first element of a list.
READ = {
    "/tasks": "contract tasks tasks.0.name tasks.0.title tasks.0.classes tasks.0.state tasks.0.version tasks.0.offers",
    "/model/traffic_sign": "version trained_on input_size facts facts.0.key facts.0.title facts.0.title_de "
    "facts.0.short facts.0.in_answer data.name training.parameters training.settings.epochs metrics.held_out "
    "metrics.held_out.accuracy metrics.held_out.accuracy_interval_95 metrics.held_out.errors "
    "metrics.held_out.examples metrics.held_out.per_class.0.errors metrics.verdicts.unsure.errors "
    "metrics.calibration_bins.0.accuracy metrics.confusions.0.count metrics.mistakes.0.group "
    "metrics.refusal.mirrored.pictures",
    "/model/traffic_sign/labels": "0.index 0.name 0.name_de 0.description 0.description_de 0.confused_with 0.facts",
    "/predict/traffic_sign": "class_index class_name probability verdict alternatives alternatives.0.class_index "
    "alternatives.0.probability model model.version",
    "/detect/traffic_sign": "width height objects objects.0.box objects.1.box.3 objects.0.score objects.0.verdict "
    "objects.1.class_index objects.0.alternatives.0.probability model.version",
    "/predict/traffic_sign/batch": "results results.0.prediction results.0.prediction.verdict "
    "results.1.problem results.1.problem.type results.1.problem.detail",
    "/predict/traffic_sign/feedback": "stored",
    "/data/traffic_sign": "name citation licence examples tracks classes classes.0.class_index sides.edges "
    "sides.counts frames_per_track",
    "/data/traffic_sign/14": "pictures pictures.0.size pictures.0.thumbnail pictures.0.track",
}
OPTIONAL = {
    "/tasks": "tasks.0.title_de tasks.0.detail tasks.0.progress",
    "/predict/traffic_sign": "truncated thumbnail heatmap",
    "/detect/traffic_sign": "truncated capped preview",
}
MEMBERS = [(path, place) for path, places in READ.items() for place in places.split()]


def ask_for(path: str, reply: Reply) -> object:
    """Return what the client makes of a server that answers every request with this reply."""
    with server(lambda *_: reply) as url:
        return ASK[path](Client(url, timeout_s=PATIENCE_S))


def changed(path: str, place: str, change: Callable[[Any, Any], None]) -> Any:
    """Return the complete answer of a route, one member of which is changed by a function of its owner and key."""
    answer = copy.deepcopy(answers()[path])
    *way, last = [int(name) if name.isdigit() else name for name in place.split(".")]
    owner = answer
    for name in way:
        owner = owner[name]
    change(owner, last)
    return answer


@pytest.mark.parametrize("path", ASK)
def test_complete_answers_are_accepted(path: str) -> None:
    ask_for(path, Reply(answers()[path]))


@pytest.mark.parametrize(("path", "place"), MEMBERS)
def test_answer_without_a_required_member_is_not_taken_for_the_service(path: str, place: str) -> None:
    answer = changed(path, place, lambda owner, name: owner.__delitem__(name))
    with pytest.raises(UnexpectedServer, match="not the prediction service"):
        ask_for(path, Reply(answer))


@pytest.mark.parametrize(
    ("path", "place"), [*MEMBERS, *((path, place) for path, places in OPTIONAL.items() for place in places.split())]
)
def test_answer_with_a_member_of_another_type_is_not_taken_for_the_service(path: str, place: str) -> None:
    answer = changed(path, place, lambda owner, name: owner.__setitem__(name, {"another": ["type"]}))
    with pytest.raises(UnexpectedServer, match="not the prediction service"):
        ask_for(path, Reply(answer))


@pytest.mark.parametrize("path", ASK)
@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>"),
        Reply(b""),
        Reply(b"\xff"),
        Reply([[]]),
        Reply({}),
        Reply("ready"),
        Reply(None),
        Reply({"status": "ok"}),
        Reply({"error": "gateway"}, 502),
        Reply(b"<h1>Bad Gateway</h1>", 502),
        Reply([], 503, {"Retry-After": "0"}),
        Reply({"error": "not found"}, 404),
        Reply({}, 429, {"Retry-After": "0"}),
        Reply({"type": 1, "detail": "No."}, 400),
    ],
    ids=lambda reply: f"{reply.status} {reply.content().decode(errors='replace')}",
)
def test_answer_of_another_server_is_not_taken_for_the_service(path: str, reply: Reply) -> None:
    with pytest.raises(UnexpectedServer, match="not the prediction service"):
        ask_for(path, reply)


def test_batch_with_too_few_results_is_not_taken_for_the_service() -> None:
    with pytest.raises(UnexpectedServer):
        ask_for(
            "/predict/traffic_sign/batch", Reply({"results": answers()["/predict/traffic_sign/batch"]["results"][:1]})
        )


@pytest.mark.parametrize("box", [(0, 0, 600, 300), (0, 0, 600, 299), (1, 0, 600, 300)])
def test_picture_is_whole_if_its_only_box_is_the_whole_picture(box: tuple[int, int, int, int]) -> None:
    for objects, whole in (([found(box)], box == (0, 0, 600, 300)), ([found(box), found(box)], False), ([], False)):
        with server(lambda *_, objects=objects: Reply(scene(*objects))) as url:
            assert Client(url, timeout_s=PATIENCE_S).detect(TASK, STOP).is_whole == whole


@pytest.mark.parametrize("picture", [STOP, "https://example.com/scene.jpg"], ids=["bytes", "URL"])
def test_photo_is_sent_once_with_the_options_for_all_its_signs(picture: bytes | str) -> None:
    asked: list[tuple[str, bytes]] = []

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        asked.append((request.path, body))
        return Reply(answers()["/detect/traffic_sign"])

    with server(answer) as url:
        signs = Client(url, timeout_s=PATIENCE_S).detect(TASK, picture)
    assert [(found.box, found.class_index) for found in signs.objects] == [
        ((20, 50, 220, 250), 14), ((380, 50, 580, 250), 13)
    ]  # fmt: skip
    [(path, body)] = asked
    assert path.startswith("/detect/traffic_sign?")
    assert body == picture if isinstance(picture, bytes) else json.loads(body) == {"url": picture}


@pytest.mark.parametrize("bug", [KeyError("x"), TypeError("x"), AttributeError("x"), ValueError("x"), IndexError("x")])
@pytest.mark.parametrize(
    ("function", "path", "reply"),
    [
        ("read_answer", "/tasks", Reply(ready())),
        ("_result", "/predict/traffic_sign/batch", Reply(answers()["/predict/traffic_sign/batch"])),
        ("_error_of", "/predict/traffic_sign", Reply(problem("too_large"), 413)),
        ("_box", "/predict/traffic_sign", Reply(answers()["/predict/traffic_sign"])),
    ],
)
def test_bug_of_the_page_is_not_taken_for_an_unexpected_server(
    monkeypatch: pytest.MonkeyPatch, bug: Exception, function: str, path: str, reply: Reply
) -> None:
    def fail(*_: object) -> None:
        raise bug

    monkeypatch.setattr(f"ui.client.{function}", fail)
    with pytest.raises(type(bug)) as caught:
        ask_for(path, reply)
    assert caught.value is bug


# Servers that do not answer


def test_closed_port_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="Nothing answers at http://127") as caught:
        Client(f"http://127.0.0.1:{free_port()}", timeout_s=PATIENCE_S).service()
    assert not isinstance(caught.value, TimedOut)


def test_server_that_never_answers_is_silent() -> None:
    with silent_server() as url, pytest.raises(TimedOut, match=r"did not answer within 0\.2 s"):
        Client(url, timeout_s=0.2).service()


@contextmanager
def stopping(headers: bytes) -> Iterator[str]:
    """Run a server that sends the start of an answer and then stops."""
    over = threading.Event()

    def answer(request: BaseHTTPRequestHandler, _: bytes) -> Reply:
        request.wfile.write(headers)
        over.wait(PATIENCE_S)
        return Reply()

    with server(answer) as url:
        try:
            yield url
        finally:
            over.set()


def test_server_that_stops_in_the_middle_of_an_answer_is_silent() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with stopping(half) as url, pytest.raises(TimedOut):
        Client(url, timeout_s=0.2).service()


@pytest.mark.parametrize("kind", ["engine_failed", "engine_timeout"])
def test_service_without_its_inference_server_is_not_ready(kind: str) -> None:
    """The page then shows the service's words, and itself again as soon as it answers."""
    answer = Reply(problem(kind), KINDS[kind].status)
    with server(lambda *_: answer) as url, pytest.raises(NotReady):
        Client(url, timeout_s=PATIENCE_S).predict(TASK, STOP)


@pytest.mark.parametrize("kind", ["not_counted", "too_many_connections"])
def test_overloaded_service_is_busy(kind: str) -> None:
    answer = Reply(problem(kind), KINDS[kind].status)
    with server(lambda *_: answer) as url, pytest.raises(Busy):
        Client(url, timeout_s=PATIENCE_S).predict(TASK, STOP)
