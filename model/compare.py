"""Train several networks on the same tracks with the same budget, and put their figures into one table.

`python -m model.compare --data PATH NETWORK…`, where a network is a name, what it is to be sized by after a colon and
the weights it begins with after an equals sign: residual:16,32,64,128, plain, MobileNetV2:0.35=FILE or
ResNet50=imagenet. Each becomes an artifact in the output folder, so `python -m model.evaluate` works on it. What is
there already is not trained again, and a stopped training goes on.
"""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DataError
from data.source import STORE, Source, open_source
from data.task import Task, Training, load_task
from model.artifact import CARD_FILE, Card, read_artifact
from model.errors import ModelError, TrainingError
from model.progress import Reporter, training_folder, training_lock

OWN_WIDTHS = "residual:"
TABLE_FILE = "comparison.json"
NETWORKS = ("residual:32,64,128,256", "residual:16,32,64,128", "plain", "MobileNetV2:0.35")


@dataclasses.dataclass(frozen=True)
class Row:
    """The figures of one network, the mean over seeds where there are several.

    Accuracies are fractions, `accuracy_sd` the standard deviation over seeds, NaN for one; `minutes` is the training
    time, `milliseconds` that of one inference through LiteRT with 8-bit weights on one core.
    """

    network: str
    weights: str
    seeds: int
    accuracy: float
    accuracy_sd: float
    errors: float
    examples: float
    calibration_error: float
    corrupted_accuracy: float
    parameters: int
    multiply_adds: int
    minutes: float
    milliseconds: float


def parse_network(text: str, settings: Training) -> Training:
    """Return the settings for a network as it is named on the command line.

    Raises:
        TrainingError: the widths are no numbers.
    """
    name, _, weights = text.partition("=")
    if name.startswith(OWN_WIDTHS):
        widths = name.removeprefix(OWN_WIDTHS).split(",")
        if not all(width.isdigit() for width in widths):
            raise TrainingError(f"{text!r}: the widths of a residual network are whole numbers with commas between")
        return dataclasses.replace(settings, network="residual", widths=tuple(map(int, widths)))
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
    """Train every network with each of the settings, which differ in their seed, and return one row for each.

    Raises:
        DataError, TrainingError: see `model.build.build_artifact`.
        OSError: the output cannot be written.
    """
    rows = []
    for network in networks:
        cards = []
        for each in settings:
            folder = output / f"{re.sub(r'[^A-Za-z0-9.,]+', '-', Path(network).name)}-seed{each.seed}"
            cards.append(_card(task, source, parse_network(network, each), folder, store, command))
        rows.append(_row(network, cards))
        (output / TABLE_FILE).write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    return rows


def _card(task: Task, source: Source, settings: Training, folder: Path, store: Path, command: str) -> Card:
    if (folder / CARD_FILE).exists():
        card = read_artifact(folder)[0]
        if json.dumps(card.training["settings"]) == json.dumps(dataclasses.asdict(settings)):
            return card
        raise TrainingError(
            f"{folder} holds a network that was trained otherwise; remove it or choose another --output"
        )
    from model.build import build_artifact  # TensorFlow takes seconds to import

    work = training_folder(store, task.name)
    with training_lock(work):
        reporter = Reporter(work)
        reporter.say(f"{settings.network}, seed {settings.seed}")
        return build_artifact(task, "comparison", settings, source, store, folder, command, reporter)


def _row(network: str, cards: list[Card]) -> Row:
    def mean(figure: Any) -> float:
        return float(np.mean([figure(card) for card in cards]))

    accuracies = [card.metrics["held_out"]["accuracy"] for card in cards]
    settings = cards[0].training["settings"]
    return Row(
        network=network.partition("=")[0],
        weights=Path(settings["weights"]).stem or "random",
        seeds=len(cards),
        accuracy=float(np.mean(accuracies)),
        accuracy_sd=float(np.std(accuracies, ddof=1)) if len(cards) > 1 else float("nan"),
        errors=mean(lambda card: card.metrics["held_out"]["errors"]),
        examples=mean(lambda card: card.metrics["held_out"]["examples"]),
        calibration_error=mean(lambda card: card.metrics["expected_calibration_error"]),
        corrupted_accuracy=mean(lambda card: card.metrics["accuracy_under_corruption"]["mean"]),
        parameters=cards[0].training["parameters"],
        multiply_adds=cards[0].training["multiply_adds"],
        minutes=mean(lambda card: card.training["duration_s"]) / 60,
        milliseconds=mean(lambda card: card.metrics["milliseconds_per_image"]),
    )


def render_table(rows: list[Row]) -> str:
    """Return the rows as a table in Markdown, the most accurate first."""
    lines = [
        "| network | begins with | accuracy | errors | corrupted | parameters | multiply-adds | training | per image |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row.accuracy):
        deviation = f" ± {row.accuracy_sd:.2%}" if row.seeds > 1 else ""
        cells = (
            row.network,
            row.weights,
            f"{row.accuracy:.2%}{deviation}",
            f"{row.errors:,.0f} of {row.examples:,.0f}",
            f"{row.corrupted_accuracy:.1%}",
            f"{row.parameters / 1e6:.2f} M",
            f"{row.multiply_adds / 1e6:.0f} M",
            f"{row.minutes:.1f} min",
            f"{row.milliseconds:.2f} ms",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m model.compare", description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=f"(default: {' '.join(NETWORKS)})")
    parser.add_argument("--data", type=Path, required=True, help="folder or archive of the data set")
    parser.add_argument("--task", default="traffic_sign", help="a file in data/tasks (default: %(default)s)")
    parser.add_argument("--preset", default="cpu", help="what else a training needs to know (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="of each training (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=6, help="of each track, 0 for all (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="each holds out other tracks (default: 0)")
    parser.add_argument("--output", type=Path, default=STORE / "comparison", help="(default: data/store/comparison)")
    parser.add_argument("--store", type=Path, default=STORE, help="where decoded pictures are kept")
    options = parser.parse_args(arguments)
    try:
        task = load_task(options.task)
        if options.preset not in task.training:
            raise ModelError(f"there is no preset {options.preset!r}; known: {', '.join(task.training)}")
        settings = [
            dataclasses.replace(task.training[options.preset], epochs=options.epochs, frames=options.frames, seed=seed)
            for seed in options.seeds
        ]
        source = open_source(options.data, task)
        options.output.mkdir(parents=True, exist_ok=True)
        command = f"python -m model.compare --data PATH --epochs {options.epochs} --frames {options.frames}"
        rows = compare(task, source, options.networks, settings, options.output, options.store, command)
    except (DataError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(render_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
