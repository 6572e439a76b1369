"""The artifact: a folder with everything that serving needs, written and replaced as a whole.

model.tflite      the classification network for inference with LiteRT
model.keras       the same network in Keras format, for distillation and other exports
detector.tflite   the network that finds objects in a photo, for inference; only where the task has one
detector.keras    the same network in Keras format
card.json         metadata, training settings and metrics, with the SHA-256 of the other files
"""

import dataclasses
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import TaskError
from data.images import DECODER_VERSION
from data.label import GERMAN, Fact, Label
from data.task import load_task
from model.calibrate import Calibration
from model.errors import ArtifactError

FORMAT_VERSION = 5
WITHOUT_DETECTOR = 4  # the card does not know detectors; converted on reading
FLAT = 3  # facts are still fields of the labels; converted on reading
UNILINGUAL = 2  # labels in one language only; must be relabelled
READABLE = (UNILINGUAL, FLAT, WITHOUT_DETECTOR, FORMAT_VERSION)
ARTIFACTS = Path(__file__).with_name("artifacts")
CARD_FILE, INFERENCE_FILE, NETWORK_FILE = "card.json", "model.tflite", "model.keras"
DETECTOR_FILE, DETECTOR_NETWORK_FILE = "detector.tflite", "detector.keras"
_CLASSIFIER_FILES = (INFERENCE_FILE, NETWORK_FILE)
_DETECTOR_FILES = (DETECTOR_FILE, DETECTOR_NETWORK_FILE)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """Metadata of an artifact.

    Attributes:
        format_version: format of the card; `read_artifact` converts older ones to `FORMAT_VERSION`.
        task: name of the task.
        title: title of the task.
        version: identifies this classifier: date and first digits of the model's SHA-256.
        trained_on: "photographs" or "drawings".
        input_size: (height, width) in pixels.
        decoder_version: `data.images.DECODER_VERSION` used for training.
        facts: declarations of the labels' facts.
        labels: the classes, in the order of the logits.
        calibration: temperature and verdict thresholds.
        data: the data set and its split, in JSON types.
        training: settings, duration and library versions, in JSON types.
        metrics: evaluation results, in JSON types.
        files: SHA-256 of each other file of the artifact, in hexadecimal.
        detector: settings, metrics and thresholds of the detector, in JSON types, None without a detector; its
            `min_score`, in (0, 1], is the smallest score of an object, and its `min_unsure_score` that of an accepted
            one of which the classifier is unsure; its `margin`, in [0, 0.5),
            is the margin around the object in the classifier's pictures, as a fraction of their sides.
    """

    format_version: int
    task: str
    title: str
    version: str
    trained_on: str
    input_size: tuple[int, int]
    decoder_version: int
    facts: tuple[Fact, ...]
    labels: tuple[Label, ...]
    calibration: Calibration
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    files: Mapping[str, str]
    detector: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the card in JSON types."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Models:
    """The verified content of an artifact for serving.

    Attributes:
        card: the metadata.
        classifier: content of the classifier's LiteRT file.
        detector: content of the detector's LiteRT file; None if the artifact has no detector.
    """

    card: Card
    classifier: bytes
    detector: bytes | None


def read_artifact(folder: Path) -> tuple[Card, bytes]:
    """Read and verify an artifact.

    Returns:
        The card and the content of the classifier's LiteRT file.

    Raises:
        ArtifactError: the artifact is missing or damaged, or its format or decoder version is not supported.
    """
    models = read_models(folder)
    return models.card, models.classifier


def read_models(folder: Path) -> Models:
    """Read and verify an artifact with its detector, if it has one.

    Raises:
        ArtifactError: the artifact is missing or damaged, or its format or decoder version is not supported.
    """
    table = _read_table(folder)
    if table["format_version"] == UNILINGUAL:
        raise ArtifactError(
            f"{folder}: format {UNILINGUAL} is too old; convert it with `python -m model.relabel {folder}`"
        )
    return _verified(folder, table)


def require_task(folder: Path, card: Card, task_name: str) -> None:
    """Check that the card of the artifact in a folder is for a task.

    Raises:
        ArtifactError: it is for another one.
    """
    if card.task != task_name:
        raise ArtifactError(f"{folder}: this classifier is for the task {card.task!r}, not {task_name!r}")


def update_labels(folder: Path) -> Card:
    """Replace the labels and facts in an artifact's card by those of its task file, converting older formats.

    Returns:
        The card as written.

    Raises:
        ArtifactError: the artifact is missing or damaged, or its class names differ from those of the task.
        TaskError: the task is unknown.
        OSError: the folder is not writable; the card is unchanged.
    """
    table = _read_table(folder)
    try:
        task = load_task(table["task"])
        labels = task.labels
        old = [label["name"] for label in table["labels"]]
    except (KeyError, TypeError) as error:
        raise _incomplete(folder, error) from error
    new = [label.name for label in labels]
    if old != new:
        differing = [f"{one!r} is now {other!r}" for one, other in zip(old, new, strict=False) if one != other]
        number = f"{len(old)} classes, but the task has {len(new)}"
        raise ArtifactError(f"{folder}: cannot be relabelled: {'; '.join(differing) or number}; retrain instead")
    changes = {"format_version": FORMAT_VERSION, "detector": table.get("detector")}
    table = {**table, **changes, **_labels_to_json(task.facts, labels)}
    card = _verified(folder, table).card
    _write_card(folder, card)
    return card


def _read_table(folder: Path) -> dict[str, Any]:
    """Return an artifact's card as JSON values, in any known format."""
    path = folder / CARD_FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder}: there is no classifier (no {CARD_FILE})") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    if not isinstance(table, dict) or table.get("format_version") not in READABLE:
        found = table.get("format_version") if isinstance(table, dict) else type(table).__name__
        raise ArtifactError(f"{path}: unknown format {found!r}; this program reads format {FORMAT_VERSION}")
    return table


def _verified(folder: Path, table: dict[str, Any]) -> Models:
    """Parse a card in a readable format and verify the other files."""
    path = folder / CARD_FILE
    try:
        card = _card(table)
    except (KeyError, TypeError, ValueError) as error:
        raise _incomplete(folder, error) from error
    if card.decoder_version != DECODER_VERSION:
        raise ArtifactError(
            f"{path}: trained with decoder {card.decoder_version}, but this program uses {DECODER_VERSION}; retrain it"
        )
    contents = {name: _read(folder / name) for name in card.files}
    for name, content in contents.items():
        if _digest(content) != card.files[name]:
            raise ArtifactError(f"{folder / name} is damaged: its SHA-256 differs from the one in {CARD_FILE}")
    return Models(card, contents[INFERENCE_FILE], contents.get(DETECTOR_FILE))


def write_artifact(folder: Path, card: Card, inference: bytes, save_network: Callable[[Path], object]) -> Card:
    """Write a complete artifact, replacing any existing one, whose detector is kept.

    The detector's figures are dropped if the classifier's version changes, since they were measured with both together.
    Its thresholds stay: they were chosen for the detector alone.

    Args:
        folder: folder of the artifact.
        card: its metadata; `files` and `detector` are filled in here.
        inference: content of the classifier's LiteRT file.
        save_network: called with a path, writes the classifier's Keras network there.

    Returns:
        The card as written.

    Raises:
        OSError: the disk is full or not writable; an existing artifact is unchanged.
    """

    def fill(new: Path) -> Card:
        (new / INFERENCE_FILE).write_bytes(inference)
        save_network(new / NETWORK_FILE)
        return dataclasses.replace(card, detector=_copy_detector(folder, new, card.version))

    return _replace(folder, fill)


def add_detector(
    folder: Path, inference: bytes, save_network: Callable[[Path], object], card_part: Mapping[str, Any]
) -> Card:
    """Add a detector to an artifact, replacing any that it has.

    Args:
        folder: folder of the artifact.
        inference: content of the detector's LiteRT file.
        save_network: called with a path, writes the detector's Keras network there.
        card_part: the `detector` of the card, in JSON types.

    Returns:
        The card as written.

    Raises:
        ArtifactError: the artifact is missing or damaged, or `card_part` lacks a valid score or `margin`.
        OSError: the disk is full or not writable; the artifact is unchanged.
    """
    card = read_models(folder).card
    try:
        _check_detector(card_part)
    except (KeyError, TypeError, ValueError) as error:
        raise _incomplete(folder, error) from error

    def fill(new: Path) -> Card:
        for name in _CLASSIFIER_FILES:
            shutil.copyfile(folder / name, new / name)
        (new / DETECTOR_FILE).write_bytes(inference)
        save_network(new / DETECTOR_NETWORK_FILE)
        return dataclasses.replace(card, detector=card_part)

    return _replace(folder, fill)


def _replace(folder: Path, fill: Callable[[Path], Card]) -> Card:
    """Replace an artifact as a whole.

    Everything is first written to a temporary folder on the same file system. Between the two renames a reader may
    briefly find no artifact, but never an incomplete one.

    Args:
        folder: folder of the artifact.
        fill: writes all files but the card into an empty folder and returns the card without their digests.

    Returns:
        The card as written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    previous = temporary.with_suffix(".previous")
    try:
        temporary.chmod(0o755)
        card = fill(temporary)
        names = _CLASSIFIER_FILES if card.detector is None else (*_CLASSIFIER_FILES, *_DETECTOR_FILES)
        files = {name: _digest((temporary / name).read_bytes()) for name in names}
        card = dataclasses.replace(card, files=files)
        (temporary / CARD_FILE).write_text(_text(card), encoding="utf-8")
        if folder.exists():
            folder.rename(previous)
        temporary.rename(folder)
    except BaseException:
        if previous.exists() and not folder.exists():
            previous.rename(folder)
        shutil.rmtree(temporary, ignore_errors=True)  # do not hide the first error
        raise
    if previous.exists():
        shutil.rmtree(previous)
    return card


def _copy_detector(folder: Path, new: Path, version: str) -> Mapping[str, Any] | None:
    """Copy the detector of an artifact, if there is one, to another folder with a classifier of this version.

    Returns the detector's part of the card, without figures if the artifact's classifier has another version.
    A new classifier must not fail because of what it replaces, so a damaged detector is dropped with a warning.
    """
    if not (folder / CARD_FILE).exists():
        return None
    try:
        table = _read_table(folder)
        part: Mapping[str, Any] | None = table.get("detector")
        if part is None:
            return None
        _check_detector(part)
        contents = {name: _read(folder / name) for name in _DETECTOR_FILES}
        if any(_digest(content) != table["files"][name] for name, content in contents.items()):
            raise ValueError("a SHA-256 differs from the one in the card")
        if table["version"] != version:
            part = {**{name: value for name, value in part.items() if name != "evaluations"}, "metrics": {}}
    except (ArtifactError, KeyError, TypeError, ValueError) as error:
        _log.warning("%s: the detector is damaged and not kept: %s", folder, error)
        return None
    for name, content in contents.items():
        (new / name).write_bytes(content)
    return part


def add_metrics(folder: Path, name: str, figures: Mapping[str, Any]) -> None:
    """Add figures to an artifact's card as `metrics.evaluations[name]`, replacing any of the same name.

    Args:
        folder: folder of the artifact.
        name: name of the evaluation.
        figures: its results, in JSON types.

    Raises:
        ArtifactError: the artifact is missing or damaged.
        OSError: the folder is not writable; the card is unchanged.
    """
    card, _ = read_artifact(folder)
    _write_card(folder, dataclasses.replace(card, metrics=_with_evaluation(card.metrics, name, figures)))


def add_detector_metrics(folder: Path, name: str, figures: Mapping[str, Any]) -> None:
    """Add figures to an artifact's card as `detector.evaluations[name]`; otherwise like `add_metrics`.

    Raises:
        ArtifactError: the artifact is missing or damaged, or has no detector.
        OSError: the folder is not writable; the card is unchanged.
    """
    card, _ = read_artifact(folder)
    if card.detector is None:
        raise ArtifactError(f"the artifact in {folder} has no detector")
    _write_card(folder, dataclasses.replace(card, detector=_with_evaluation(card.detector, name, figures)))


def _with_evaluation(part: Mapping[str, Any], name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {**part, "evaluations": {**part.get("evaluations", {}), name: figures}}


def _write_card(folder: Path, card: Card) -> None:
    """Replace the card atomically: a reader sees either the old or the new one."""
    temporary = folder / f".{CARD_FILE}"
    temporary.write_text(_text(card), encoding="utf-8")
    temporary.replace(folder / CARD_FILE)


def _incomplete(folder: Path, error: Exception) -> ArtifactError:
    return ArtifactError(f"{folder / CARD_FILE}: incomplete card: {type(error).__name__}: {error}")


def _text(card: Card) -> str:
    return json.dumps(card.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _labels_to_json(facts: tuple[Fact, ...], labels: tuple[Label, ...]) -> dict[str, Any]:
    return {"facts": [dataclasses.asdict(fact) for fact in facts], "labels": [dataclasses.asdict(x) for x in labels]}


def _with_facts(table: dict[str, Any]) -> dict[str, Any]:
    """Convert a card from format `FLAT` to the next one, turning the label fields that no longer exist into facts.

    The declarations of the facts come from the task if it still has them.
    """
    try:
        declared = {fact.key: fact for fact in load_task(table["task"]).facts}
    except TaskError:  # a card remains readable without its task
        declared = {}
    fields = {field.name for field in dataclasses.fields(Label)}
    labels = [
        {
            **{name: value for name, value in label.items() if name in fields},
            "facts": {name: value for name, value in label.items() if name not in fields},
        }
        for label in table["labels"]
    ]
    keys = dict.fromkeys(key for label in labels for key in label["facts"] if not key.endswith(GERMAN))
    unknown = {key: Fact(key, key, key, short=False, in_answer=False) for key in keys if key not in declared}
    facts = [dataclasses.asdict(fact) for fact in (declared | unknown).values() if fact.key in keys]
    return {**table, "format_version": WITHOUT_DETECTOR, "facts": facts, "labels": labels}


def _card(table: dict[str, Any]) -> Card:
    if table["format_version"] == FLAT:
        table = _with_facts(table)
    if table["format_version"] == WITHOUT_DETECTOR:
        table = {**table, "format_version": FORMAT_VERSION, "detector": None}
    facts = tuple(Fact(**fact) for fact in table["facts"])
    labels = tuple(Label.from_table(label) for label in table["labels"])
    height, width = table["input_size"]
    calibration = Calibration(**table["calibration"])
    names = {*_CLASSIFIER_FILES}
    if table["detector"] is not None:
        _check_detector(table["detector"])
        names |= {*_DETECTOR_FILES}
    if set(table["files"]) != names:
        raise ValueError(f"unexpected files {sorted(table['files'])}")
    if not {"examples", "errors", "accuracy", "accuracy_interval_95"} <= set(table["metrics"]["held_out"]):
        raise ValueError("metrics.held_out is incomplete")
    if not {"name", "fingerprint", "groups_held_out"} <= set(table["data"]) or "settings" not in table["training"]:
        raise ValueError("data or training is incomplete")
    return Card(
        **{**table, "input_size": (height, width), "facts": facts, "labels": labels, "calibration": calibration}
    )


def _check_detector(part: Mapping[str, Any]) -> None:
    """Check the detector's part of a card; raises KeyError, TypeError or ValueError."""
    if not isinstance(part["version"], str):
        raise TypeError("detector.version must be a text")
    low, high = part["min_score"], part["min_unsure_score"]
    if not 0 < low <= high <= 1:
        raise ValueError(f"detector.min_score and min_unsure_score must rise from 0 to 1, not {low} and {high}")
    if not 0 <= part["margin"] < 0.5:
        raise ValueError(f"detector.margin must be at least 0 and less than 0.5, not {part['margin']}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
