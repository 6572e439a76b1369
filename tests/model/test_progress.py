"""Progress and the lock, as several processes see them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import BusyError
from model.progress import (
    FinishedEpoch,
    TrainingState,
    is_training,
    read_state,
    training_lock,
    write_state,
)
from model.training.reporter import Reporter

HISTORY = (
    FinishedEpoch(epoch=1, loss=2.5, validation_accuracy=0.25),
    FinishedEpoch(epoch=2, loss=0.5, validation_accuracy=0.75),
)


@pytest.mark.parametrize("history", [(), HISTORY])
def test_progress_is_read_as_it_was_written(tmp_path: Path, history: tuple[FinishedEpoch, ...]) -> None:
    progress = TrainingState("train", epoch=2, epochs=30, loss=0.5, history=history)
    write_state(tmp_path, progress)
    assert read_state(tmp_path) == progress


def test_answers_have_a_list_of_epochs_or_none() -> None:
    assert TrainingState("train", history=HISTORY).to_json() == {"stage": "train", "history": list(HISTORY)}
    assert TrainingState("prepare").to_json() == {"stage": "prepare"}


def test_epochs_stay_to_be_seen_in_the_stages_after_the_training(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path)
    reporter.train(TrainingState("train", epoch=2, epochs=2, history=HISTORY), part=0.0)
    reporter.stage("evaluate", "evaluating")
    assert read_state(tmp_path) == TrainingState("evaluate", history=HISTORY)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"stage": "train", "colour": "red"}', '{"stage": "train", "history": 5}']
)
def test_damaged_progress_is_no_progress(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.json").write_text(text)
    assert read_state(tmp_path) is None


def test_one_at_a_time_may_train_and_others_see_it(tmp_path: Path) -> None:
    assert not is_training(tmp_path)
    with training_lock(tmp_path):
        assert is_training(tmp_path)
        with pytest.raises(BusyError), training_lock(tmp_path):
            pytest.fail("two trainings at once")
    assert not is_training(tmp_path)


def test_asking_does_not_look_like_training(tmp_path: Path) -> None:
    with training_lock(tmp_path):
        pass
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: is_training(tmp_path), range(4000)))
