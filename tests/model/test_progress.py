"""Progress and the lock, as several processes see them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import BusyError
from model.progress import Progress, is_training, read_progress, training_lock, write_progress


def test_progress_is_read_as_it_was_written(tmp_path: Path) -> None:
    progress = Progress("train", epoch=3, epochs=30, loss=0.5)
    write_progress(tmp_path, progress)
    assert read_progress(tmp_path) == progress


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"stage": "train", "colour": "red"}'])
def test_damaged_progress_is_no_progress(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.json").write_text(text)
    assert read_progress(tmp_path) is None


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
