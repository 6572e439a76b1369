"""Train several networks on the same groups with the same budget and compare them in a table.

Usage: `python -m model.training.compare --data PATH NETWORK…`. A network is NAME[:SIZE][=WEIGHTS], for example
residual:16,32,64,128, plain, MobileNetV2:0.35=FILE or ResNet50=imagenet. Each one becomes an artifact in the output
folder, which `python -m model.evaluation` can read. Existing artifacts are not trained again, and an interrupted
training resumes. The table has a row for every network in the folder, including those of earlier commands, so all of
them must have the same data and budget; other requests are rejected.
"""

import argparse
import dataclasses
import json
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from data.source import STORE, Source, find_source, open_source
from data.task import DEFAULT_TASK, Task, load_task
from data.training_settings import PLAIN, RESIDUAL, Training
from model.artifact import CARD_FILE
from model.command import integer_at_least, run
from model.errors import TrainingError
from model.evaluation.leaderboard import (
    COMPARISON,
    RANDOM,
    Row,
    differing_settings,
    name_entry,
    read_cards,
    read_comparison,
    render_table,
    summarise,
)
from model.progress import training_folder, training_lock
from model.training.environment import prepare_tensorflow
from model.training.reporter import Reporter

TABLE_FILE = "comparison.json"
NETWORKS = ("residual:32,64,128,256", "residual:16,32,64,128", "plain", "MobileNetV2:0.35")


def parse_network(text: str, settings: Training) -> Training:
    """Return the settings for a network: those of the budget, except what only another network can do.

    Args:
        text: the network as NAME[:SIZE][=WEIGHTS].
        settings: the budget and all other settings.

    Raises:
        TrainingError: the widths are invalid, the file of weights is missing, or the network takes no weights.
    """
    name, _, weights = text.partition("=")
    kind, colon, sizes = name.partition(":")
    if kind in (RESIDUAL, PLAIN) and weights:
        raise TrainingError(f"{text!r}: only networks of keras.applications accept initial weights")
    if weights and weights != "imagenet" and not Path(weights).is_file():
        raise TrainingError(f"{text!r}: file {weights} does not exist")
    if kind == RESIDUAL and colon:
        widths = sizes.split(",")
        if not all(re.fullmatch("[1-9][0-9]*", width) for width in widths):
            raise TrainingError(f"{text!r}: the widths of a residual network must be comma-separated positive integers")
        settings = dataclasses.replace(settings, widths=tuple(map(int, widths)))
        name = RESIDUAL
    if not weights:  # nothing to keep
        settings = dataclasses.replace(settings, frozen_epochs=0)
    if name != settings.network or not weights:  # another network has no layer of that name
        settings = dataclasses.replace(settings, learns_from="")
    return dataclasses.replace(settings, network=name, weights=weights)


def compare(
    task: Task,
    source: Source,
    networks: Sequence[str],
    settings: Sequence[Training],
    output: Path,
    store: Path,
    command: str,
) -> list[Row]:
    """Train every network once with each of the settings, which differ in their seed.

    All networks are built once before the first training, to find mistakes early. The table is written after each
    training.

    Args:
        task: the task.
        source: the examples.
        networks: the networks as NAME[:SIZE][=WEIGHTS].
        settings: the budget, once for each seed.
        output: folder for the artifacts and the table; existing artifacts are kept and included in the table.
        store: see `model.training.build.build_artifact`.
        command: start of the command recorded in the cards; the seed and the network are appended.

    Returns:
        A row for each entry in the folder.

    Raises:
        DataError: see `model.training.build.build_artifact`.
        ArtifactError: the folder contains an artifact that is damaged or in an unsupported format.
        TrainingError: a network cannot be built, or the folder contains one with other data or settings.
        OSError: the output folder is not writable.
    """
    trainings = [parse_network(network, each) for network in networks for each in settings]
    wanted: dict[Path, Training] = {}
    for each in trainings:
        if wanted.setdefault(output / _folder_name(each), each) != each:
            raise TrainingError(
                f"two weight files for {each.network} have the same name; rename one of them: {each.weights}"
            )
    from model.training.network import build_network  # Keras takes seconds to import
    from model.training.train import describe_settings

    for each in trainings:
        build_network(task.input_size, len(task.labels), each)
    for folder, card in read_cards(output).items():
        found = card.training["settings"]
        if folder in wanted:
            differing = differing_settings(describe_settings(wanted[folder]), found, free=())
        else:
            differing = differing_settings(describe_settings(trainings[0]), found)
        if card.data["fingerprint"] != source.fingerprint:
            differing = ["data", *differing]
        if differing:
            raise TrainingError(
                f"{folder} was trained with different settings ({', '.join(differing)}); remove it or choose "
                "another --output"
            )
    # TensorFlow warns about repeated retracing, because each training creates new functions.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    missing = {folder: each for folder, each in wanted.items() if not (folder / CARD_FILE).exists()}
    for folder, each in missing.items():
        _train(task, source, each, folder, store, command)
        _write_table(output)
    return _write_table(output)


def _folder_name(settings: Training) -> str:
    name, weights = name_entry(dataclasses.asdict(settings))
    name = name if weights == RANDOM else f"{name}-{weights}"
    return f"{re.sub(r'[^A-Za-z0-9.,]+', '-', name)}-seed{settings.seed}"


def _train(task: Task, source: Source, settings: Training, folder: Path, store: Path, command: str) -> None:
    from model.training.build import Recipe, build_artifact

    name, weights = name_entry(dataclasses.asdict(settings))
    file = "" if weights == RANDOM else "=imagenet" if weights == "imagenet" else "=FILE"
    work = training_folder(store, task.name)
    with training_lock(work):
        reporter = Reporter(work)
        reporter.say(f"{name}, seed {settings.seed}")
        full_command = f"{command} --seeds {settings.seed} --data PATH {name}{file}"
        build_artifact(Recipe(task, "comparison", settings, full_command), source, store, folder, reporter)


def _write_table(output: Path) -> list[Row]:
    rows = [summarise(entry) for entry in read_comparison(output)]
    (output / TABLE_FILE).write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    return rows


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model.training.compare", description=__doc__)
    parser.add_argument(
        "networks", nargs="*", default=NETWORKS, help=f"NAME[:SIZE][=WEIGHTS] (default: {' '.join(NETWORKS)})"
    )
    parser.add_argument("--data", type=Path, help="folder or archive of the data set (default: the one in data/store)")
    parser.add_argument("--task", default=DEFAULT_TASK, help="name of a folder in data/tasks (default: %(default)s)")
    parser.add_argument(
        "--preset", default="cpu", help="preset of the task file for all other settings (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=integer_at_least(1), default=10, help="epochs of each training (default: %(default)s)"
    )
    parser.add_argument(
        "--frames",
        type=integer_at_least(0),
        default=6,
        help="training pictures of each group, 0 for all (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size", type=integer_at_least(1), default=64, help="examples per step (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=integer_at_least(0), nargs="+", default=[0], help="each holds out other groups (default: 0)"
    )
    parser.add_argument("--output", type=Path, help="folder for the artifacts (default: data/store/comparison/TASK)")
    parser.add_argument(
        "--store", type=Path, default=STORE, help="folder for data, caches and checkpoints (default: data/store)"
    )
    options = parser.parse_args(arguments)
    prepare_tensorflow()

    def work() -> int:
        task = load_task(options.task)
        settings = [
            dataclasses.replace(
                task.preset(options.preset),
                epochs=options.epochs,
                frames=options.frames,
                batch_size=options.batch_size,
                seed=seed,
            )
            for seed in options.seeds
        ]
        source = open_source(options.data, task) if options.data else find_source(task, options.store)
        output = options.output or COMPARISON / task.name
        output.mkdir(parents=True, exist_ok=True)
        command = "python -m model.training.compare"
        command += f" --task {task.name}" if task.name != DEFAULT_TASK else ""
        command += f" --preset {options.preset}"
        command += f" --epochs {options.epochs} --frames {options.frames} --batch-size {options.batch_size}"
        rows = compare(task, source, options.networks, settings, output, options.store, command)
        print(render_table(rows))
        return 0

    return run(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
