"""The leaderboard of a comparison: its entries, their figures in one table, and mistakes that they share.

An entry is an architecture with its initial weights, trained once for each seed. `model.training.compare` writes the
artifacts.
"""

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
from data.training_settings import RESIDUAL, Training
from model.artifact import CARD_FILE, Card, read_artifact
from model.errors import ArtifactError, TrainingError

COMPARISON = STORE / "comparison"
RANDOM = "random"
NEWER_SETTINGS = {  # defaults of the settings that the first cards lack
    field.name: field.default for field in dataclasses.fields(Training) if field.default is not dataclasses.MISSING
}
OWN_SETTINGS = ("network", "weights", "widths", "seed")  # settings that may differ within a comparison

Shares = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry of the leaderboard: an architecture with its initial weights.

    Attributes:
        name: the architecture as written on the command line, such as "residual:16,32,64,128".
        weights: the initial weights: "random", "imagenet" or the name of a file.
        cards: cards of the trained classifiers, at least one, in the order of their seeds.
    """

    name: str
    weights: str
    cards: tuple[Card, ...]

    @property
    def title(self) -> str:
        """The name, followed by "=" and the initial weights unless they are random."""
        return self.name if self.weights == RANDOM else f"{self.name}={self.weights}"

    @property
    def accuracies(self) -> list[float]:
        """Accuracy on held-out examples for each seed, in [0, 1]."""
        return [card.metrics["held_out"]["accuracy"] for card in self.cards]

    @property
    def accuracy_range(self) -> tuple[float, float]:
        """Mean ± standard deviation over seeds; for a single seed, the 95% interval over groups."""
        if len(self.cards) == 1:
            low, high = self.cards[0].metrics["held_out"]["accuracy_interval_95"]
            return low, high
        mean, deviation = float(np.mean(self.accuracies)), float(np.std(self.accuracies, ddof=1))
        return mean - deviation, mean + deviation


@dataclasses.dataclass(frozen=True)
class Row:
    """The figures of one entry, averaged over seeds.

    Attributes:
        network: name of the architecture.
        weights: the initial weights.
        seeds: number of seeds.
        accuracy: on held-out examples, in [0, 1].
        accuracy_sd: standard deviation of the accuracy over seeds; None for a single seed.
        errors: number of wrong predictions.
        examples: number of held-out examples.
        calibration_error: expected calibration error, in [0, 1].
        corrupted_accuracy: mean accuracy over corruptions and severities, in [0, 1].
        parameters: number of parameters.
        multiply_adds: number of multiply-adds of one inference.
        minutes: training time.
        milliseconds: time of one inference with LiteRT and 8-bit weights on one core.
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
class SharedGroup:
    """A held-out group in which several entries make mistakes.

    Attributes:
        seed: seed of the split.
        group: name of the group.
        class_index: class of the group.
        wrong: number of misclassified pictures for each entry; None for entries that were not trained with this seed.
    """

    seed: int
    group: str
    class_index: int
    wrong: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class SharedPicture:
    """A held-out picture that several entries misclassify.

    Attributes:
        seed: seed of the split.
        row: index among the examples held out with this seed.
        group: name of its group.
        class_index: its true class.
        predicted: predicted class by the title of the entry.
    """

    seed: int
    row: int
    group: str
    class_index: int
    predicted: Mapping[str, int]


def name_entry(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return an entry's name and initial weights for the settings of a training.

    Args:
        settings: a preset or the settings in a card; `weights` may be a path, or a file name with a digest.
    """
    name = settings["network"]
    if name == RESIDUAL:
        name = f"{RESIDUAL}:{','.join(map(str, settings['widths']))}"
    return name, Path(settings["weights"]).stem or RANDOM


def read_cards(folder: Path) -> dict[Path, Card]:
    """Return the card of each artifact in a folder, by the artifact's path.

    Raises:
        ArtifactError: an artifact is damaged or in an unsupported format.
    """
    paths = sorted(path.parent for path in folder.glob(f"*/{CARD_FILE}"))
    # Hidden folders are artifacts that are still being written.
    return {path: read_artifact(path)[0] for path in paths if not path.name.startswith(".")}


def read_comparison(folder: Path) -> list[Entry]:
    """Return the entries of a comparison, most accurate first.

    Args:
        folder: contains the artifacts.

    Raises:
        ArtifactError: there are no artifacts, or one is damaged or in an unsupported format.
        TrainingError: the artifacts are not comparable: their data or training settings differ.
    """
    cards = read_cards(folder)
    if not cards:
        raise ArtifactError(
            f"{folder}: there is no comparison; "
            f"create one with `python -m model.training.compare --data PATH --output {folder}`"
        )
    first, *others = cards
    for path in others:
        differing = differing_settings(cards[first].training["settings"], cards[path].training["settings"])
        if cards[path].data["fingerprint"] != cards[first].data["fingerprint"]:
            differing = ["data", *differing]
        if differing:
            raise TrainingError(f"{path} is not comparable with {first}: {', '.join(differing)} differ")
    found: dict[tuple[str, str], list[Card]] = defaultdict(list)
    for path, card in cards.items():
        same_entry = found[name_entry(card.training["settings"])]
        settings = card.training["settings"]
        if same_entry and differing_settings(same_entry[0].training["settings"], settings, free=("seed",)):
            raise TrainingError(f"{path}: its initial weights have the same name as those of another seed, but differ")
        same_entry.append(card)
    entries = [
        Entry(name, weights, tuple(sorted(cards, key=_seed))) for (name, weights), cards in sorted(found.items())
    ]
    return sorted(entries, key=lambda entry: -float(np.mean(entry.accuracies)))


def differing_settings(
    one: Mapping[str, Any], other: Mapping[str, Any], free: Sequence[str] = OWN_SETTINGS
) -> list[str]:
    """Return the names of the settings in which two trainings differ, except those in `free`.

    A setting that a card lacks is newer than the card; it then had the value that is now its default.
    """
    one, other = {**NEWER_SETTINGS, **one}, {**NEWER_SETTINGS, **other}
    names = sorted({*one, *other} - set(free))
    return [name for name in names if json.dumps(one.get(name)) != json.dumps(other.get(name))]


def summarise(entry: Entry) -> Row:
    """Return the figures of an entry, averaged over its seeds."""

    def mean(*path: str) -> float:
        values: list[Any] = [card.metrics for card in entry.cards]
        for name in path:
            values = [value[name] for value in values]
        return float(np.mean(values))

    accuracies = entry.accuracies
    training = [card.training for card in entry.cards]
    return Row(
        network=entry.name,
        weights=entry.weights,
        seeds=len(entry.cards),
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
    """Return the rows as a Markdown table, most accurate first."""
    lines = [
        "| network | weights | accuracy | errors | corrupted | parameters | multiply-adds | training | per picture |",
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


def class_errors(entries: Sequence[Entry]) -> Shares:
    """Return the error rate over all seeds, shape (classes, entries), in [0, 1]; NaN for classes without examples."""
    tables = [[card.metrics["held_out"]["per_class"] for card in entry.cards] for entry in entries]
    errors = [np.sum([[row["errors"] for row in rows] for rows in each], axis=0) for each in tables]
    examples = [np.sum([[row["examples"] for row in rows] for rows in each], axis=0) for each in tables]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.array(errors) / np.array(examples)).T


def corrupted_accuracies(entries: Sequence[Entry]) -> dict[str, Shares]:
    """Return the accuracy by corruption, each of shape (entries, severities), averaged over seeds."""
    tables = [[card.metrics["accuracy_under_corruption"] for card in entry.cards] for entry in entries]
    names = [name for name in tables[0][0] if name not in {"examples", "mean"}]
    return {name: np.array([np.mean([table[name] for table in each], axis=0) for each in tables]) for name in names}


def partly_listed(entries: Sequence[Entry]) -> list[str]:
    """Return the titles of the entries with more mistakes than their cards list individually."""
    return [
        entry.title
        for entry in entries
        if any(len(card.metrics["mistakes"]) < card.metrics["held_out"]["errors"] for card in entry.cards)
    ]


def find_shared_groups(entries: Sequence[Entry]) -> list[SharedGroup]:
    """Return the groups in which at least two entries make mistakes, those of most entries and pictures first.

    Cards list only the most confident mistakes, so the counts of `partly_listed` entries are too low.
    """
    trained = {(card_seed, column) for column, entry in enumerate(entries) for card_seed in map(_seed, entry.cards)}
    counts: dict[tuple[int, str, int], list[int]] = defaultdict(lambda: [0] * len(entries))
    for column, seed, mistake in _mistakes(entries):
        counts[seed, mistake["group"], mistake["class_index"]][column] += 1
    shared = [
        SharedGroup(*key, tuple(count if (key[0], column) in trained else None for column, count in enumerate(row)))
        for key, row in counts.items()
        if np.count_nonzero(row) > 1
    ]
    return sorted(
        shared, key=lambda group: (-sum(map(bool, group.wrong)), -sum(filter(None, group.wrong)), group.group)
    )


def find_shared_pictures(entries: Sequence[Entry]) -> list[SharedPicture]:
    """Return the pictures that at least two entries misclassify, those of most entries first.

    Cards list only the most confident mistakes, so pictures of `partly_listed` entries may be missing.
    """
    found: dict[tuple[int, int, str, int], dict[str, int]] = defaultdict(dict)
    for column, seed, mistake in _mistakes(entries):
        key = (seed, mistake["row"], mistake["group"], mistake["class_index"])
        found[key][entries[column].title] = mistake["predicted"]
    shared = [SharedPicture(*key, predicted) for key, predicted in found.items() if len(predicted) > 1]
    return sorted(shared, key=lambda picture: (-len(picture.predicted), picture.seed, picture.row))


def render_pictures(pictures: Sequence[SharedPicture], task: Task) -> str:
    """Return pictures that several entries misclassify as a Markdown table with class names."""
    if not pictures:
        return "none"
    lines = ["| seed | picture | group | true class | predicted |", "|---|---|---|---|---|"]
    for picture in pictures:
        titles_by_class: dict[int, list[str]] = defaultdict(list)
        for title, predicted in picture.predicted.items():
            titles_by_class[predicted].append(title)
        predictions = [f"{task.labels[index].name} ({'; '.join(titles)})" for index, titles in titles_by_class.items()]
        cells = (
            picture.seed,
            picture.row,
            picture.group,
            task.labels[picture.class_index].name,
            ", ".join(predictions),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def count_confusions(entries: Sequence[Entry]) -> dict[tuple[int, int], list[int]]:
    """Return each entry's number of confusions by (true class, predicted class), most frequent first."""
    counts: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * len(entries))
    for column, entry in enumerate(entries):
        for card in entry.cards:
            for cell in card.metrics["confusions"]:
                counts[cell["class_index"], cell["predicted"]][column] += cell["count"]
    return dict(sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0])))


def _mistakes(entries: Sequence[Entry]) -> list[tuple[int, int, dict[str, Any]]]:
    return [
        (column, _seed(card), mistake)
        for column, entry in enumerate(entries)
        for card in entry.cards
        for mistake in card.metrics["mistakes"]
    ]


def _seed(card: Card) -> int:
    seed: int = card.training["settings"]["seed"]
    return seed
