"""Benchmark of the data augmentation as a share of a training step: `python -m bench.augmentation [PRESET]`.

Whole training steps and the augmentation alone are timed alternately on the same pictures, with the network, batch
size and precision of the preset.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from data.task import DEFAULT_TASK, load_task
from model.training.environment import prepare_tensorflow

ROUNDS = 12
WARM_UP = 2


def main(arguments: list[str]) -> int:
    """Print the share with its quartiles and the time of a step; return the exit status."""
    prepare_tensorflow()  # as for a training, before the import
    import tensorflow as tf

    from model.training.phases import plan_phases
    from model.training.train import build_model, choose_precision, compile_phase

    task = load_task(DEFAULT_TASK)
    settings = task.preset(arguments[0] if arguments else "cpu")
    model, augment = build_model(task, settings, choose_precision())
    compile_phase(model, settings, plan_phases(settings)[-1], steps=100, has_teacher=False)
    class_index = np.arange(settings.batch_size) % len(task.labels)
    pixels = np.random.default_rng(0).integers(0, 256, (len(class_index), *task.input_size, 3), np.uint8)
    boxes = np.tile(np.array([task.data.default_box], np.float32), (len(pixels), 1))
    targets = np.eye(len(task.labels), dtype=np.float32)[class_index]
    distort = tf.function(lambda *batch: augment(*batch, training=True))
    batch = {"pixels": pixels, "boxes": boxes}
    steps, shares = [], []
    for number in range(WARM_UP + ROUNDS):
        whole = _seconds(lambda: model.train_on_batch(batch, targets))
        alone = _seconds(lambda: distort(pixels, boxes))
        if number >= WARM_UP:
            steps.append(whole)
            shares.append(alone / whole)
    low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75])
    print(f"augmentation takes {middle:.1%} of a step (quartiles {low:.1%} to {high:.1%})")
    print(f"a step of {settings.batch_size} pictures takes {np.median(steps) * 1000:.0f} ms, {choose_precision()}")
    return 0


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
