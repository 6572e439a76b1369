"""Checkpoints of a training run, one folder per epoch, written atomically."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from model.errors import TrainingError

STATE_FILE, VARIABLES_FILE = "state.json", "variables.npz"


def save_checkpoint(folder: Path, model: keras.Model, epoch: int, state: dict[str, Any]) -> None:
    """Save all variables of a compiled model and its optimizer, replacing earlier checkpoints.

    Args:
        folder: folder of the run's checkpoints; created if necessary.
        model: the compiled model.
        epoch: number of finished epochs.
        state: other state to save, in JSON types.

    Raises:
        OSError: the disk is full or not writable; the earlier checkpoint is unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".new"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    # Not Keras' HDF5 format: the HDF5 library may crash if the disk is full.
    arrays = {str(number): keras.ops.convert_to_numpy(v) for number, v in enumerate(_variables(model))}
    with (temporary / VARIABLES_FILE).open("wb") as file:
        np.savez(file, **arrays)
    (temporary / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
    earlier = _epochs(folder)
    temporary.rename(folder / f"epoch-{epoch:04d}")
    for path in earlier:
        shutil.rmtree(path)


def load_checkpoint(folder: Path, model: keras.Model) -> dict[str, Any] | None:
    """Restore the variables of a compiled model and its optimizer from the last checkpoint.

    Returns:
        The saved state, or None if there is no checkpoint.

    Raises:
        TrainingError: the checkpoint is damaged or belongs to another network.
    """
    epochs = _epochs(folder)
    if not epochs:
        return None
    path = epochs[-1]
    try:
        state: dict[str, Any] = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        with np.load(path / VARIABLES_FILE) as arrays:
            variables = _variables(model)
            if len(arrays.files) != len(variables):
                raise ValueError(f"{len(arrays.files)} variables, but the network has {len(variables)}")
            for number, variable in enumerate(variables):
                variable.assign(arrays[str(number)])
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{path}: cannot resume from this checkpoint: {error}; remove it to start over") from error
    return state


def count_epochs(folder: Path) -> int:
    """Return the number of finished epochs in the last checkpoint, 0 if there is none."""
    return max((int(path.name.removeprefix("epoch-")) for path in _epochs(folder)), default=0)


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*"))


def _variables(model: keras.Model) -> list[Any]:
    model.optimizer.build(model.trainable_variables)  # no effect if already built
    return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
