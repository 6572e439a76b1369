"""Transfer learning in two phases: first only the last layer learns, then some or all layers of the network do too."""

from dataclasses import dataclass

import keras

from data.training_settings import Training
from model.errors import TrainingError

FEATURES = "features"  # the layer that ends the network's initial part; see `model.training.network`


@dataclass(frozen=True)
class Phase:
    """Successive epochs with one optimizer.

    Attributes:
        begin: number of epochs before this phase.
        end: number of epochs after it.
        learning_rate: peak value.
        frozen: whether only the layers after the features learn.
    """

    begin: int
    end: int
    learning_rate: float
    frozen: bool


def plan_phases(settings: Training) -> list[Phase]:
    """Return the phases of a training, one or two.

    Raises:
        TrainingError: a network would be frozen that has random weights, or for more epochs than there are.
    """
    frozen, epochs = settings.frozen_epochs, settings.epochs
    if not settings.weights and (frozen or settings.learns_from):
        raise TrainingError("frozen_epochs and learns_from need initial weights; set weights")
    if frozen > epochs:
        raise TrainingError(f"frozen_epochs, {frozen}, must not exceed epochs, {epochs}")
    phases = [
        Phase(0, frozen, settings.frozen_learning_rate, frozen=True),
        Phase(frozen, epochs, settings.learning_rate, frozen=False),
    ]
    return [phase for phase in phases if phase.begin < phase.end]


def choose_layers(network: keras.Model, settings: Training, phase: Phase) -> None:
    """Let those layers of a network learn that do so in a phase.

    If there are frozen epochs, batch normalisation keeps its parameters and statistics in the other epochs too: the
    batches of a small data set would only make them worse.

    Args:
        network: made by `model.training.network.build_network`.
        settings: uses `frozen_epochs` and `learns_from`.
        phase: the phase.

    Raises:
        TrainingError: the network has no layer of that name.
    """
    if not (settings.frozen_epochs or settings.learns_from):
        return
    names = [layer.name for layer in network.layers]
    if settings.learns_from and settings.learns_from not in names:
        raise TrainingError(f"{settings.network} has no layer {settings.learns_from!r}, which learns_from names")
    features = names.index(FEATURES)
    first = features if phase.frozen else names.index(settings.learns_from) if settings.learns_from else 0
    for place, layer in enumerate(network.layers):
        is_normalisation = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = place >= (features if is_normalisation and settings.frozen_epochs else first)
