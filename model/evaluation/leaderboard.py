"""What the folder of a comparison says: its networks, their figures in one table, and what several get wrong."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.source import STORE
from data.task import Task
from data.training_settings import RESIDUAL
from model.artifact import CARD_FILE, Card, read_artifact
from model.errors import ArtifactError, TrainingError

COMPARISON = STORE / "comparison"
RANDOM = "random"
OWN_SETTINGS = ("network", "weights", "widths", "seed")  # in what the trainings of one comparison differ

Shares = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a comparison.

    `name` is what the command calls it, `weights` what it began with: "random", "imagenet" or a file's name; `cards`
    are those of its trainings, in the order of their seeds, one at least.
    """

    name: str
    weights: str
    cards: tuple[Card, ...]

    @property
    def title(self) -> str:
        """The name, and what it began with if that was not random."""
        return self.name if self.weights == RANDOM else f"{self.name}={self.weights}"

    @property
    def accuracies(self) -> list[float]:
        """The accuracy on held-out examples for each seed, in [0, 1]."""
        return [card.metrics["held_out"]["accuracy"] for card in self.cards]

    @property
    def accuracy_range(self) -> tuple[float, float]:
        """Mean ± standard deviation over seeds; of a single seed, the card's 95 % interval over groups."""
        if len(self.cards) == 1:
            low, high = self.cards[0].metrics["held_out"]["accuracy_interval_95"]
            return low, high
        mean, deviation = float(np.mean(self.accuracies)), float(np.std(self.accuracies, ddof=1))
        return mean - deviation, mean + deviation


@dataclasses.dataclass(frozen=True)
class Row:
    """The figures of one network, the mean over seeds where there are several.

    Accuracies are fractions, `accuracy_sd` the standard deviation over seeds, None for one; `minutes` is the training
    time, `milliseconds` that of one inference through LiteRT with 8-bit weights on one core.
    """

    network: str
    weights: str
    seeds: int
    accuracy: float
    accuracy_sd: float | None
    errors: float
    examples: float
    calibration_error: float
    corrupted_accuracy: float
    parameters: int
    multiply_adds: int
    minutes: float
    milliseconds: float


@dataclasses.dataclass(frozen=True)
class SharedTrack:
    """A held-out group in which several networks err; `wrong` counts the pictures for each network.

    A network that was not trained with this seed has None there: it has not been asked.
    """

    seed: int
    group: str
    class_index: int
    wrong: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class SharedPicture:
    """A held-out picture that several networks get wrong; `predicted` has their answers by the network's title.

    `row` counts the examples that are held out with this seed.
    """

    seed: int
    row: int
    group: str
    class_index: int
    predicted: Mapping[str, int]


def name_network(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return how the command names the network of these settings, and what it begins with.

    Settings may name a file of weights by its path or, in a card, by its name and digest.
    """
    name = settings["network"]
    if name == RESIDUAL:
        name = f"{RESIDUAL}:{','.join(map(str, settings['widths']))}"
    return name, Path(settings["weights"]).stem or RANDOM


def read_cards(folder: Path) -> dict[Path, Card]:
    """Return the card of each artifact in a folder, by the artifact's path.

    Raises:
        ArtifactError: an artifact is damaged or of another format.
    """
    paths = sorted(path.parent for path in folder.glob(f"*/{CARD_FILE}"))
    # A name with a dot in front is an artifact that is being written.
    return {path: read_artifact(path)[0] for path in paths if not path.name.startswith(".")}


def read_comparison(folder: Path) -> list[Network]:
    """Return the networks whose artifacts lie in a folder, the most accurate first.

    Raises:
        ArtifactError: there are none, or one is damaged or of another format.
        TrainingError: two were trained on other data or with another budget, so that they do not compare.
    """
    cards = read_cards(folder)
    if not cards:
        raise ArtifactError(
            f"{folder}: there is no comparison; "
            f"`python -m model.training.compare --data PATH --output {folder}` makes one"
        )
    first, *others = cards
    for path in others:
        differing = differing_settings(cards[first].training["settings"], cards[path].training["settings"])
        if cards[path].data["fingerprint"] != cards[first].data["fingerprint"]:
            differing = ["data", *differing]
        if differing:
            raise TrainingError(f"{path} does not compare with {first}: {', '.join(differing)} differ")
    found: dict[tuple[str, str], list[Card]] = defaultdict(list)
    for path, card in cards.items():
        alike = found[name_network(card.training["settings"])]
        if alike and differing_settings(alike[0].training["settings"], card.training["settings"], free=("seed",)):
            raise TrainingError(f"{path} begins with other weights of the same name than another seed of it")
        alike.append(card)
    networks = [
        Network(name, weights, tuple(sorted(cards, key=_seed))) for (name, weights), cards in sorted(found.items())
    ]
    return sorted(networks, key=lambda network: -float(np.mean(network.accuracies)))


def differing_settings(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], free: Sequence[str] = OWN_SETTINGS
) -> list[str]:
    """Return the names of the settings in which two trainings differ, without those that are free to."""
    names = sorted({*ours, *theirs} - set(free))
    return [name for name in names if json.dumps(ours.get(name)) != json.dumps(theirs.get(name))]


def summarise(network: Network) -> Row:
    """Return the figures of a network in one row."""

    def mean(*path: str) -> float:
        values: list[Any] = [card.metrics for card in network.cards]
        for name in path:
            values = [value[name] for value in values]
        return float(np.mean(values))

    accuracies = network.accuracies
    training = [card.training for card in network.cards]
    return Row(
        network=network.name,
        weights=network.weights,
        seeds=len(network.cards),
        accuracy=float(np.mean(accuracies)),
        accuracy_sd=float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        errors=mean("held_out", "errors"),
        examples=mean("held_out", "examples"),
        calibration_error=mean("expected_calibration_error"),
        corrupted_accuracy=mean("accuracy_under_corruption", "mean"),
        parameters=training[0]["parameters"],
        multiply_adds=training[0]["multiply_adds"],
        minutes=float(np.mean([each["duration_s"] for each in training])) / 60,
        milliseconds=mean("milliseconds_per_image"),
    )


def render_table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, the most accurate first."""
    lines = [
        "| network | begins with | accuracy | errors | corrupted | parameters | multiply-adds | training | per image |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row.accuracy):
        deviation = "" if row.accuracy_sd is None else f" ± {row.accuracy_sd:.2%} ({row.seeds} seeds)"
        cells = (
            row.network,
            row.weights,
            f"{row.accuracy:.2%}{deviation}",
            f"{row.errors:,.0f} of {row.examples:,.0f}",
            f"{row.corrupted_accuracy:.1%}",
            f"{row.parameters / 1e6:.2f} M",
            f"{row.multiply_adds / 1e6:.1f} M",
            f"{row.minutes:.1f} min",
            f"{row.milliseconds:.2f} ms",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def class_errors(networks: Sequence[Network]) -> Shares:
    """Return the share of wrong answers, shape (classes, networks), over all seeds; NaN where no example is."""
    tables = [[card.metrics["held_out"]["per_class"] for card in network.cards] for network in networks]
    errors = [np.sum([[row["errors"] for row in rows] for rows in each], axis=0) for each in tables]
    examples = [np.sum([[row["examples"] for row in rows] for rows in each], axis=0) for each in tables]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.array(errors) / np.array(examples)).T


def corrupted_accuracies(networks: Sequence[Network]) -> dict[str, Shares]:
    """Return accuracies by corruption, each (networks, severities), the mean over seeds."""
    tables = [[card.metrics["accuracy_under_corruption"] for card in network.cards] for network in networks]
    names = [name for name in tables[0][0] if name not in {"examples", "mean"}]
    return {name: np.array([np.mean([table[name] for table in each], axis=0) for each in tables]) for name in names}


def partly_listed(networks: Sequence[Network]) -> list[str]:
    """Return the titles of the networks that made more mistakes than their cards list one by one."""
    return [
        network.title
        for network in networks
        if any(len(card.metrics["mistakes"]) < card.metrics["held_out"]["errors"] for card in network.cards)
    ]


def find_shared_tracks(networks: Sequence[Network]) -> list[SharedTrack]:
    """Return the groups in which two networks err at least, those of the most networks and pictures first.

    Cards list the most confident mistakes; those of `partly_listed` networks are not all counted.
    """
    asked = {(card_seed, column) for column, network in enumerate(networks) for card_seed in map(_seed, network.cards)}
    counts: dict[tuple[int, str, int], list[int]] = defaultdict(lambda: [0] * len(networks))
    for column, seed, mistake in _mistakes(networks):
        counts[seed, mistake["group"], mistake["class_index"]][column] += 1
    shared = [
        SharedTrack(*key, tuple(count if (key[0], column) in asked else None for column, count in enumerate(row)))
        for key, row in counts.items()
        if np.count_nonzero(row) > 1
    ]
    return sorted(
        shared, key=lambda track: (-sum(map(bool, track.wrong)), -sum(filter(None, track.wrong)), track.group)
    )


def find_shared_pictures(networks: Sequence[Network]) -> list[SharedPicture]:
    """Return the pictures that two networks get wrong at least, those of the most networks first.

    Cards list the most confident mistakes; those of `partly_listed` networks are not all counted.
    """
    found: dict[tuple[int, int, str, int], dict[str, int]] = defaultdict(dict)
    for column, seed, mistake in _mistakes(networks):
        key = (seed, mistake["row"], mistake["group"], mistake["class_index"])
        found[key][networks[column].title] = mistake["predicted"]
    shared = [SharedPicture(*key, predicted) for key, predicted in found.items() if len(predicted) > 1]
    return sorted(shared, key=lambda picture: (-len(picture.predicted), picture.seed, picture.row))


def render_pictures(pictures: Sequence[SharedPicture], task: Task) -> str:
    """Return pictures that several networks get wrong as a table in Markdown, with the names of the classes."""
    if not pictures:
        return "none"
    lines = ["| seed | picture | group | is | taken for |", "|---|---|---|---|---|"]
    for picture in pictures:
        by_answer: dict[int, list[str]] = defaultdict(list)
        for title, answer in picture.predicted.items():
            by_answer[answer].append(title)
        answers = [f"{task.labels[answer].name} ({'; '.join(titles)})" for answer, titles in by_answer.items()]
        cells = (picture.seed, picture.row, picture.group, task.labels[picture.class_index].name, ", ".join(answers))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def count_confusions(networks: Sequence[Network]) -> dict[tuple[int, int], list[int]]:
    """Return how often each network took one class for another, by (class, answer), the most frequent first."""
    counts: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * len(networks))
    for column, network in enumerate(networks):
        for card in network.cards:
            for cell in card.metrics["confusions"]:
                counts[cell["class_index"], cell["predicted"]][column] += cell["count"]
    return dict(sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0])))


def _mistakes(networks: Sequence[Network]) -> list[tuple[int, int, dict[str, Any]]]:
    return [
        (column, _seed(card), mistake)
        for column, network in enumerate(networks)
        for card in network.cards
        for mistake in card.metrics["mistakes"]
    ]


def _seed(card: Card) -> int:
    seed: int = card.training["settings"]["seed"]
    return seed
