"""The state file and the training lock, as other processes see them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import BusyError
from model.progress import (
    FinishedEpoch,
    TrainingState,
    is_training,
    is_waiting,
    read_state,
    training_lock,
    waiting_to_train,
    write_state,
)
from model.training.reporter import Reporter

HISTORY = (
    FinishedEpoch(epoch=1, loss=2.5, validation_accuracy=0.25),
    FinishedEpoch(epoch=2, loss=0.5, validation_accuracy=0.75),
)


@pytest.mark.parametrize("history", [(), HISTORY])
def test_state_is_read_as_it_was_written(tmp_path: Path, history: tuple[FinishedEpoch, ...]) -> None:
    state = TrainingState("train", epoch=2, epochs=30, loss=0.5, history=history)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state


def test_json_contains_only_fields_with_a_value() -> None:
    assert TrainingState("train", history=HISTORY).to_json() == {"stage": "train", "history": list(HISTORY)}
    assert TrainingState("prepare").to_json() == {"stage": "prepare"}


def test_stages_after_training_keep_the_history(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path)
    reporter.train(TrainingState("train", epoch=2, epochs=2, history=HISTORY), part=0.0)
    reporter.stage("evaluate", "evaluating")
    assert read_state(tmp_path) == TrainingState("evaluate", history=HISTORY)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"stage": "train", "colour": "red"}', '{"stage": "train", "history": 5}']
)
def test_damaged_state_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.json").write_text(text)
    assert read_state(tmp_path) is None


def test_lock_is_exclusive_and_visible(tmp_path: Path) -> None:
    assert not is_training(tmp_path)
    with training_lock(tmp_path):
        assert is_training(tmp_path)
        with pytest.raises(BusyError), training_lock(tmp_path):
            pytest.fail("two processes hold the lock")
    assert not is_training(tmp_path)


def test_training_that_waits_is_visible_until_it_is_over(tmp_path: Path) -> None:
    assert not is_waiting(tmp_path)
    with waiting_to_train(tmp_path):
        assert is_waiting(tmp_path)
        assert not is_training(tmp_path)
        with waiting_to_train(tmp_path), training_lock(tmp_path):
            assert is_waiting(tmp_path)
            assert is_training(tmp_path)
    assert not is_waiting(tmp_path)


def test_concurrent_checks_do_not_look_like_training(tmp_path: Path) -> None:
    with training_lock(tmp_path):
        pass
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: is_training(tmp_path), range(4000)))
