"""Networks saved with 16-bit kernels."""

import dataclasses
from pathlib import Path

import keras
import numpy as np

from data.task import Task
from model.training.compact import save_compact
from model.training.network import build_network


def test_file_is_about_half_as_large_and_gives_the_same_answers(task: Task, tmp_path: Path) -> None:
    settings = dataclasses.replace(task.preset("cpu"), widths=(8, 16, 32))
    network = build_network((32, 32), 5, settings)
    network.save(tmp_path / "whole.keras")
    save_compact(network, tmp_path / "compact.keras")
    loaded = keras.models.load_model(tmp_path / "compact.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(loaded.predict_on_batch(pixels), network.predict_on_batch(pixels), rtol=0.01, atol=0.01)
    assert {weight.dtype for weight in loaded.weights} == {"float32"}
    for mine, theirs in zip(network.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=5e-4, atol=1e-7)
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["compact"] < 0.7 * sizes["whole"]
