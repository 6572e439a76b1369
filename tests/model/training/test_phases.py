"""Transfer learning: which layers learn in which epochs, and resuming between them."""

import dataclasses
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from data.prepare import prepare
from data.source import open_source
from data.task import Task
from data.tasks.traffic_sign.drawing.render import write_drawn
from data.training_settings import Training
from model.errors import TrainingError
from model.progress import TrainingState
from model.training.network import build_network
from model.training.phases import choose_layers, plan_phases
from model.training.train import train

KERNEL = ("block_1_expand", "expanded_conv_project", "block_16_project", "class_maps")


@pytest.fixture
def transfer(task: Task, tmp_path: Path) -> Training:
    """Settings that start from weights in a file: two frozen epochs and one in which block 16 learns too."""
    settings = dataclasses.replace(
        task.training["quick"],
        network="MobileNetV2:0.35",
        epochs=3,
        frozen_epochs=2,
        frozen_learning_rate=1e-2,
        learns_from="block_16_expand",
        outliers=0.0,
        batch_size=32,
    )
    path = tmp_path / "weights.h5"
    network = build_network(task.input_size, len(task.labels), dataclasses.replace(settings, frozen_epochs=0))
    with h5py.File(path, "w") as file:
        for layer in network.layers:
            for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
                file[f"{layer.name}/{weight.name}"] = value
    return dataclasses.replace(settings, weights=str(path))


def learning(network: keras.Model) -> set[str]:
    """Return the names of the layers with weights that learn."""
    return {layer.name for layer in network.layers if layer.trainable and layer.weights}


def test_only_the_last_layer_learns_at_first(task: Task, transfer: Training) -> None:
    network = build_network(task.input_size, len(task.labels), transfer)
    frozen, tuned = plan_phases(transfer)
    choose_layers(network, transfer, frozen)
    assert learning(network) == {"class_maps"}
    choose_layers(network, transfer, tuned)
    assert learning(network) == {*("block_16_expand", "block_16_depthwise", "block_16_project", "Conv_1", "class_maps")}
    whole = dataclasses.replace(transfer, learns_from="")
    choose_layers(network, whole, tuned)
    assert {"Conv1", "block_1_expand", "class_maps"} < learning(network)
    assert "bn_Conv1" not in learning(network)
    everything = dataclasses.replace(whole, frozen_epochs=0)
    [only] = plan_phases(everything)
    assert (only.begin, only.end, only.frozen) == (0, 3, False)
    choose_layers(network, everything, only)
    assert "bn_Conv1" in learning(build_network(task.input_size, len(task.labels), everything))


def test_impossible_phases_are_explained(task: Task, transfer: Training) -> None:
    with pytest.raises(TrainingError, match="need initial weights"):
        plan_phases(dataclasses.replace(transfer, weights=""))
    with pytest.raises(TrainingError, match="frozen_epochs, 4, must not exceed epochs, 3"):
        plan_phases(dataclasses.replace(transfer, frozen_epochs=4))
    network = build_network(task.input_size, len(task.labels), transfer)
    unknown = dataclasses.replace(transfer, learns_from="block_99")
    with pytest.raises(TrainingError, match="has no layer 'block_99'"):
        choose_layers(network, unknown, plan_phases(unknown)[1])


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 2])
def test_training_resumes_in_both_phases(task: Task, transfer: Training, tmp_path: Path, stop: int) -> None:
    write_drawn(tmp_path / "drawn", 2, seed=0)
    prepared = prepare(open_source(tmp_path / "drawn", task), task, tmp_path / "cache")
    whole = train(task, transfer, prepared, tmp_path / "whole").network

    def interrupt(state: TrainingState, part: float) -> None:
        if state.epoch == stop and part == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, transfer, prepared, tmp_path / "parts", interrupt)
    resumed = train(task, transfer, prepared, tmp_path / "parts").network
    before = build_network(task.input_size, len(task.labels), transfer)
    for name in KERNEL:
        first, second, third = (each.get_layer(name).get_weights()[0] for each in (before, whole, resumed))
        assert np.array_equal(first, second) == (name in KERNEL[:2])
        np.testing.assert_allclose(second, third, rtol=1e-3, atol=1e-5)
