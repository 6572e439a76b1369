"""The page's client against the real service, and against what is not the service or an older or newer one."""

import base64
import dataclasses
import io
import threading
from collections.abc import Iterator
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
    Reply,
    passing_on,
    path_of,
    problem,
    ready,
    server,
    silent_server,
    start_service,
    training,
)
from ui.client import (
    Busy,
    Client,
    Newer,
    NotAllowed,
    NotReady,
    Older,
    Refused,
    ServiceError,
    Silent,
    Stranger,
    Unreachable,
)

STOP = encoded(drawing())


@pytest.fixture
def client(service: str) -> Client:
    return Client(service, timeout_s=10)


def two_signs() -> bytes:
    """Return a picture with a stop sign at its left and a yield sign at its right, each of 96 by 96 pixels."""
    both = Image.new("RGB", (192, 96))
    both.paste(drawing(14), (0, 0))
    both.paste(drawing(13), (96, 0))
    return encoded(both)


def test_the_service_says_which_classifier_and_contract_it_has_and_what_it_offers(client: Client) -> None:
    state = client.state()
    assert state.version == read_artifact(SHIPPED)[0].version
    assert state.contract == "1.1"
    assert state.offers == {"feedback"}


def test_what_is_switched_on_and_off_is_known(other_service: tuple[str, Path]) -> None:
    assert Client(other_service[0], timeout_s=10).state().offers == {"urls"}


def test_the_labels_are_those_of_the_task(client: Client) -> None:
    theirs, ours = client.labels(), read_artifact(SHIPPED)[0].labels
    assert [vars(label) for label in theirs] == [vars(label) for label in ours]


def test_the_card_is_that_of_the_artifact(client: Client) -> None:
    card = client.card()
    assert (card["version"], card["trained_on"]) == (read_artifact(SHIPPED)[0].version, "photographs")


def test_a_prediction_arrives_as_a_value(client: Client) -> None:
    prediction = client.predict(STOP)
    assert (prediction.class_index, prediction.class_name, prediction.sign_number) == (14, "Stop", "206")
    assert prediction.version == client.state().version
    assert len(prediction.alternatives) == 5
    assert prediction.alternatives[0].probability == prediction.probability


def test_a_prediction_brings_where_the_classifier_looked_and_what_it_saw(client: Client) -> None:
    prediction = client.predict(STOP)
    assert prediction.heatmap
    values = [value for row in prediction.heatmap for value in row]
    assert 0 <= min(values) < max(values) <= 1
    with Image.open(io.BytesIO(base64.b64decode(prediction.thumbnail))) as seen:
        assert seen.format == "PNG"
        assert [seen.height, seen.width] == client.card()["input_size"]


@pytest.mark.parametrize(("box", "class_index"), [((0, 0, 96, 96), 14), ((96, 0, 192, 96), 13)])
def test_only_the_part_in_the_box_is_recognised(
    client: Client, box: tuple[int, int, int, int], class_index: int
) -> None:
    assert client.predict(two_signs(), box).class_index == class_index


def test_a_box_outside_of_the_picture_is_refused(client: Client) -> None:
    with pytest.raises(Refused) as caught:
        client.predict(STOP, (90, 90, 100, 100))
    assert caught.value.kind == "bad_request"


def test_a_picture_of_16_bits_is_recognised(client: Client) -> None:
    assert client.predict(awkward_pictures()["16-bit grey PNG"]).class_index == 14


@pytest.mark.parametrize(
    ("picture", "kind", "reason"),
    [
        (b"hello", "unreadable_image", "not a picture in a known format"),
        (b"", "nothing_sent", "0 bytes"),
        (bytes(21 * 1024**2), "too_large", "20,971,520 bytes"),
        ("http://127.0.0.1/sign.png", "not_implemented", "does not fetch"),
    ],
    ids=["no picture", "empty", "large", "address"],
)
def test_a_refusal_carries_its_kind_and_the_reason(
    client: Client, picture: bytes | str, kind: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        client.predict(picture)
    assert caught.value.kind == kind


def test_an_address_inside_the_network_is_refused_by_a_service_that_fetches(other_service: tuple[str, Path]) -> None:
    with pytest.raises(Refused) as caught:
        Client(other_service[0], timeout_s=10).predict("http://127.0.0.1/sign.png")
    assert caught.value.kind == "url_refused"


def test_a_batch_is_answered_in_its_order_with_the_reasons_for_the_bad_ones(client: Client) -> None:
    yield_sign = encoded(drawing(13))
    files = [("same", STOP), ("text.png", b"hello"), ("same", yield_sign), ("", b""), ('ä\n".png', STOP)]
    results = client.predict_batch(files)
    found = [result.prediction and result.prediction.class_index for result in results]
    assert found == [14, None, 13, None, 14]
    assert [result.kind for result in results] == ["", "unreadable_image", "", "nothing_sent", ""]
    assert "not a picture in a known format" in results[1].reason
    assert results[0].prediction
    assert results[0].prediction.thumbnail


def test_the_picture_lands_in_the_store_under_the_class_that_was_named(tmp_path: Path) -> None:
    with start_service(store=tmp_path) as url:
        client = Client(url, timeout_s=10)
        client.send_feedback(STOP, 17)
        client.send_feedback(two_signs(), None, (96, 0, 192, 96))
    named, none = sorted((tmp_path / "feedback").rglob("*.png"))
    assert (named.parent.name, named.read_bytes()) == ("00017", STOP)
    assert none.parent.name == "none"
    with Image.open(none) as part:
        assert part.convert("RGB").tobytes() == drawing(13).tobytes()


def test_a_service_that_keeps_no_pictures_refuses_them(other_service: tuple[str, Path]) -> None:
    url, store = other_service
    with pytest.raises(Refused) as caught:
        Client(url, timeout_s=10).send_feedback(STOP, 14)
    assert caught.value.kind == "not_implemented"
    assert not list(store.rglob("*.png"))


def test_a_service_without_a_data_set_says_how_to_get_one(client: Client) -> None:
    with pytest.raises(Refused, match=r"init\.py") as caught:
        client.data()
    assert caught.value.kind == "no_data"


def test_metrics_count_what_was_asked(client: Client) -> None:
    client.predict(STOP)
    assert 'sign_requests_total{route="/predict_traffic_sign",status="200"}' in client.metrics()


def test_metrics_of_another_program_are_not_taken_for_those_of_the_service() -> None:
    with server(lambda *_: Reply(b"python_info 1.0\n")) as url, pytest.raises(Stranger):
        Client(url, timeout_s=5).metrics()


def test_several_threads_each_get_their_own_answers(client: Client) -> None:
    wanted = [index for index in (1, 12, 13, 14, 17, 25, 38, 40) for _ in range(5)]
    alone = {index: client.predict(encoded(drawing(index))) for index in set(wanted)}
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda index: client.predict(encoded(drawing(index))), wanted))
    assert [each.class_index for each in found] == [alone[index].class_index for index in wanted]
    assert [each.thumbnail for each in found] == [alone[index].thumbnail for index in wanted]


def test_training_carries_its_progress(untrained: tuple[str, Path]) -> None:
    url, folder = untrained
    history: tuple[FinishedEpoch, ...] = (
        {"epoch": 1, "loss": 1.5, "validation_accuracy": 0.5},
        {"epoch": 2, "loss": 0.7},
    )
    progress = TrainingState("train", epoch=2, epochs=30, loss=0.7, history=history)
    client = Client(url, timeout_s=10)
    with training(folder, progress):
        for ask in (client.state, lambda: client.predict(STOP)):
            with pytest.raises(NotReady) as caught:
                ask()
            assert caught.value.progress == progress.to_json()


def test_a_service_that_cannot_train_has_no_progress(untrained: tuple[str, Path]) -> None:
    with pytest.raises(NotReady, match="none is being trained") as caught:
        Client(untrained[0], timeout_s=10).state()
    assert caught.value.progress is None


def test_a_key_is_wanted_for_predictions_only() -> None:
    with start_service(api_keys="secret") as url:
        stranger, friend = Client(url, timeout_s=10), Client(url, timeout_s=10, api_key="secret")
        assert stranger.state() == friend.state()
        assert len(stranger.labels()) == 43
        assert not stranger.may_predict()
        for ask in (
            lambda: stranger.predict(STOP),
            lambda: stranger.predict_batch([("stop.png", STOP)]),
            lambda: stranger.send_feedback(STOP, 14),
        ):
            with pytest.raises(NotAllowed):
                ask()
        assert friend.may_predict()
        assert friend.predict(STOP).class_index == 14


def counting(replies: list[Reply], asked: list[str]) -> Any:
    """Return one reply after the other, the last one again and again, and note what was asked for."""

    def answer(request: BaseHTTPRequestHandler, _: bytes) -> Reply:
        asked.append(path_of(request))
        return replies[min(len(asked), len(replies)) - 1]

    return answer


TOO_MANY = Reply(problem("too_many", "At most 1 per 1 hour are answered."), 429, {"Retry-After": "0"})


def test_who_is_told_to_come_back_soon_does_so_twice_and_is_answered() -> None:
    asked: list[str] = []
    with server(counting([TOO_MANY, TOO_MANY, Reply(ready())], asked)) as url:
        assert Client(url, timeout_s=5).state().version == "v"
    assert len(asked) == 3


@pytest.mark.parametrize(
    "reply", [TOO_MANY, Reply(problem("too_many_connections", "More than 1000 are open."), 503, {"Retry-After": "0"})]
)
def test_a_service_that_is_busy_for_a_moment_costs_nothing(reply: Reply) -> None:
    asked: list[str] = []
    with server(counting([reply, reply, Reply({"results": []})], asked)) as url:
        assert Client(url, timeout_s=5).predict_batch([]) == []
    assert len(asked) == 3


def test_who_has_asked_too_often_hears_it_in_the_words_of_the_service() -> None:
    asked: list[str] = []
    with server(counting([TOO_MANY], asked)) as url, pytest.raises(Busy, match="At most 1 per 1 hour"):
        Client(url, timeout_s=5).predict(STOP)
    assert len(asked) == 3


def test_who_shall_wait_for_an_hour_hears_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.client.LONGEST_PAUSE_S", 0.01)
    reply = dataclasses.replace(TOO_MANY, headers={"Retry-After": "3600"})
    with server(lambda *_: reply) as url, pytest.raises(Busy):
        Client(url, timeout_s=5).state()


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"contract": "1.0"}, Older),
        ({"contract": "0.9"}, Older),
        ({"contract": "2.0"}, Newer),
        ({"contract": "10.0"}, Newer),
        ({"contract": "of marriage"}, Stranger),
        ({"contract": 1.1}, Stranger),
        ({"status": "fine"}, Stranger),
        ({"offers": None}, Stranger),
    ],
)
def test_a_service_of_another_contract_is_known_as_such(members: dict[str, Any], error: type[ServiceError]) -> None:
    with server(lambda *_: Reply(ready(**members))) as url, pytest.raises(error):
        Client(url, timeout_s=5).state()


def test_a_service_that_names_no_contract_is_older() -> None:
    answer = {"status": "ready", "task": "traffic_sign", "version": "v"}
    with server(lambda *_: Reply(answer)) as url, pytest.raises(Older):
        Client(url, timeout_s=5).state()


@pytest.mark.parametrize("contract", ["1.1", "1.2", "1.10"])
def test_a_service_that_offers_more_is_used(contract: str) -> None:
    with server(lambda *_: Reply(ready(contract=contract, offers=["feedback", "telepathy"]))) as url:
        assert Client(url, timeout_s=5).state().offers == {"feedback", "telepathy"}


def with_more(answer: Any) -> Any:
    """Return an answer with additional members at all places where the contract allows some."""
    if isinstance(answer, list):
        return [with_more(each) for each in answer]
    if isinstance(answer, dict):
        return {**{name: with_more(value) for name, value in answer.items()}, "new": {"in": "1.2"}}
    return answer


def test_what_a_newer_service_says_besides_is_ignored(service: str, client: Client) -> None:
    with server(passing_on(service, lambda _, answer: with_more(answer))) as url:
        newer = Client(url, timeout_s=10)
        assert newer.state() == client.state()
        assert newer.labels() == client.labels()
        assert newer.predict(STOP) == client.predict(STOP)
        assert newer.predict_batch([("a", STOP), ("b", b"")]) == client.predict_batch([("a", STOP), ("b", b"")])
        with pytest.raises(Refused, match="0 bytes"):
            newer.predict(b"")


def test_a_label_that_lacks_a_member_of_the_contract_is_none(service: str) -> None:
    def without_end(path: str, answer: Any) -> Any:
        if path == "/model/labels":
            del answer[7]["ends_de"]
        return answer

    with server(passing_on(service, without_end)) as url, pytest.raises(Stranger):
        Client(url, timeout_s=10).labels()


def test_nothing_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="Nothing answers at http://127") as caught:
        Client(f"http://127.0.0.1:{free_port()}", timeout_s=5).state()
    assert not isinstance(caught.value, Silent)


def test_a_server_that_never_answers_is_silent() -> None:
    with silent_server() as url, pytest.raises(Silent, match=r"did not answer within 0\.2 s"):
        Client(url, timeout_s=0.2).state()


@contextmanager
def stopping(headers: bytes) -> Iterator[str]:
    """Run a server that begins an answer and does not go on."""
    over = threading.Event()

    def answer(request: BaseHTTPRequestHandler, _: bytes) -> Reply:
        request.wfile.write(headers)
        over.wait(10)
        return Reply()

    with server(answer) as url:
        try:
            yield url
        finally:
            over.set()


def test_a_server_that_stops_in_the_middle_of_its_answer_is_silent() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with stopping(half) as url, pytest.raises(Silent):
        Client(url, timeout_s=0.2).state()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>"),
        Reply(b""),
        Reply([]),
        Reply({}),
        Reply({"status": "ok"}),
        Reply({"error": "gateway"}, 502),
        Reply(b"<h1>Bad Gateway</h1>", 502),
        Reply([], 503),
        Reply({"error": "not found"}, 404),
        Reply({}, 429, {"Retry-After": "0"}),
    ],
)
def test_another_server_is_not_taken_for_the_service(reply: Reply) -> None:
    with server(lambda *_: reply) as url:
        for ask in (Client(url, timeout_s=5).state, Client(url, timeout_s=5).card):
            with pytest.raises(Stranger, match="not the prediction service"):
                ask()


@pytest.mark.parametrize("kind", ["not_counted", "too_many_connections"])
def test_a_service_that_has_a_classifier_and_no_time_is_busy(kind: str) -> None:
    answer = Reply(problem(kind), KINDS[kind].status)
    with server(lambda *_: answer) as url, pytest.raises(Busy):
        Client(url, timeout_s=5).predict(STOP)
