"""Write an artifact with an untrained network: `python -m tests.faults.untrained FOLDER WIDTH… [--task TASK]`.

It answers nothing useful, but takes as long as its widths make it. Runs in a process of its own because of TensorFlow.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from data.pictures import Pictures
from data.task import load_task
from model.artifact import read_artifact, write_artifact
from model.training.export import to_litert
from model.training.inference_graph import serving_network
from model.training.network import build_network
from tests.conftest import SHIPPED


def main(folder: Path, widths: tuple[int, ...], task_name: str) -> None:
    task = load_task(task_name)
    settings = dataclasses.replace(task.preset("quick"), widths=widths)
    class_index = np.arange(len(task.labels))
    pixels = np.random.default_rng(0).integers(0, 256, (len(class_index), *task.input_size, 3), np.uint8)
    network = build_network(task.input_size, len(class_index), settings)
    card = dataclasses.replace(
        read_artifact(SHIPPED)[0],
        task=task.name,
        title=task.title,
        version="-".join(map(str, widths)),
        input_size=task.input_size,
        facts=task.facts,
        labels=task.labels,
    )
    write_artifact(folder, card, to_litert(serving_network(network, Pictures(pixels), class_index)), network.save)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("widths", type=int, nargs="+")
    parser.add_argument("--task", default="traffic_sign")
    options = parser.parse_args()
    main(options.folder, tuple(options.widths), options.task)
