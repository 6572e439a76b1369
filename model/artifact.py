"""The artifact: a folder with everything that serving needs, whole or not there.

model.tflite   inference
model.keras    the same network, to continue training or to export
card.json      what it is, how it was made and how good it is, with the SHA-256 of the other files
"""

import dataclasses
import hashlib
import json
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

FORMAT_VERSION = 4
FLAT = 3  # the format before facts: what are facts now are fields of the labels; still read
UNILINGUAL = 2  # older: labels in one language; must be relabelled
ARTIFACTS = Path(__file__).with_name("artifacts")
CARD_FILE, INFERENCE_FILE, NETWORK_FILE = "card.json", "model.tflite", "model.keras"


@dataclass(frozen=True)
class Card:
    """What an artifact says of itself.

    `version` names this classifier; `input_size` is (height, width); `decoder_version` is that of `data.images` by
    which it was trained; `data`, `training` and `metrics` are facts for people, in JSON types; `files` maps each
    file beside the card to its SHA-256 in hexadecimal.
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

    def to_json(self) -> dict[str, Any]:
        """Return the card in JSON types."""
        return dataclasses.asdict(self)


def read_artifact(folder: Path) -> tuple[Card, bytes]:
    """Read and verify an artifact: its card, and the LiteRT model whose digest the card has.

    Raises:
        ArtifactError: nothing there, a digest that does not match, or a format or decoder this version does not know.
    """
    table = _read_table(folder)
    if table["format_version"] == UNILINGUAL:
        raise ArtifactError(
            f"{folder}: is of format {UNILINGUAL}; `python -m model.relabel {folder}` makes it format {FORMAT_VERSION}"
        )
    return _verified(folder, table)


def renew_labels(folder: Path) -> Card:
    """Write the labels of an artifact, of this format or the one before, anew from its task's file.

    Returns:
        The card as written.

    Raises:
        ArtifactError: there is no good artifact, or its classes are not those of the task.
        TaskError: its task is not known.
        OSError: the folder cannot be written to; the card stays as it was.
    """
    table = _read_table(folder)
    try:
        task = load_task(table["task"])
        labels = task.labels
        theirs = [label["name"] for label in table["labels"]]
    except (KeyError, TypeError) as error:
        raise _incomplete(folder, error) from error
    ours = [label.name for label in labels]
    if theirs != ours:
        differing = [f"{one!r} is now {other!r}" for one, other in zip(theirs, ours, strict=False) if one != other]
        number = f"{len(theirs)} classes, but the task has {len(ours)}"
        raise ArtifactError(f"{folder}: cannot be relabelled: {'; '.join(differing) or number}")
    table = {**table, "format_version": FORMAT_VERSION, **_described(task.facts, labels)}
    card, _ = _verified(folder, table)
    _write_card(folder, card)
    return card


def _read_table(folder: Path) -> dict[str, Any]:
    """Return the card of an artifact, of this format or the one before, as it was read."""
    path = folder / CARD_FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{folder}: there is no classifier (no {CARD_FILE})") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    if not isinstance(table, dict) or table.get("format_version") not in (UNILINGUAL, FLAT, FORMAT_VERSION):
        found = table.get("format_version") if isinstance(table, dict) else type(table).__name__
        raise ArtifactError(f"{path}: format {found!r} is not known; this program reads format {FORMAT_VERSION}")
    return table


def _verified(folder: Path, table: dict[str, Any]) -> tuple[Card, bytes]:
    """Return the card that a table of this format holds, and the LiteRT model; both model files are verified."""
    path = folder / CARD_FILE
    try:
        card = _card(table)
    except (KeyError, TypeError, ValueError) as error:
        raise _incomplete(folder, error) from error
    if card.decoder_version != DECODER_VERSION:
        raise ArtifactError(
            f"{path}: was trained with decoder {card.decoder_version}, this program has decoder {DECODER_VERSION}"
        )
    contents = {name: _read(folder / name) for name in (INFERENCE_FILE, NETWORK_FILE)}
    for name, content in contents.items():
        if _digest(content) != card.files[name]:
            raise ArtifactError(f"{folder / name}: is damaged: its SHA-256 is not the one in {CARD_FILE}")
    return card, contents[INFERENCE_FILE]


def write_artifact(folder: Path, card: Card, inference: bytes, save_network: Callable[[Path], object]) -> Card:
    """Write a whole artifact and put it in the place of the one that is there, if any.

    Everything is written to a temporary folder on the same file system first. Between the two renames a reader may
    find no artifact for a moment, but never half of one.

    Args:
        folder: where the artifact belongs.
        card: what to say of it; its `files` are filled in here.
        inference: the LiteRT model.
        save_network: writes the Keras network to the path it is given.

    Returns:
        The card as written.

    Raises:
        OSError: the disk is full or not writable; what was there before is still there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    previous = temporary.with_suffix(".previous")
    try:
        temporary.chmod(0o755)
        (temporary / INFERENCE_FILE).write_bytes(inference)
        save_network(temporary / NETWORK_FILE)
        files = {name: _digest((temporary / name).read_bytes()) for name in (INFERENCE_FILE, NETWORK_FILE)}
        card = dataclasses.replace(card, files=files)
        (temporary / CARD_FILE).write_text(_text(card), encoding="utf-8")
        if folder.exists():
            folder.rename(previous)
        temporary.rename(folder)
    except BaseException:
        if previous.exists() and not folder.exists():
            previous.rename(folder)
        shutil.rmtree(temporary, ignore_errors=True)  # the first error counts
        raise
    if previous.exists():
        shutil.rmtree(previous)
    return card


def add_metrics(folder: Path, name: str, figures: Mapping[str, Any]) -> None:
    """Write figures into the card of an artifact, under a name in `metrics.evaluations`; those of that name go.

    Raises:
        ArtifactError: there is no good artifact.
        OSError: the folder cannot be written to; the card stays as it was.
    """
    card, _ = read_artifact(folder)
    evaluations = {**card.metrics.get("evaluations", {}), name: figures}
    card = dataclasses.replace(card, metrics={**card.metrics, "evaluations": evaluations})
    _write_card(folder, card)


def _write_card(folder: Path, card: Card) -> None:
    """Put a card in the place of the one that is there; a reader sees the one or the other."""
    temporary = folder / f".{CARD_FILE}"
    temporary.write_text(_text(card), encoding="utf-8")
    temporary.replace(folder / CARD_FILE)


def _incomplete(folder: Path, error: Exception) -> ArtifactError:
    return ArtifactError(f"{folder / CARD_FILE}: is not a complete card: {type(error).__name__}: {error}")


def _text(card: Card) -> str:
    return json.dumps(card.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _described(facts: tuple[Fact, ...], labels: tuple[Label, ...]) -> dict[str, Any]:
    return {"facts": [dataclasses.asdict(fact) for fact in facts], "labels": [dataclasses.asdict(x) for x in labels]}


def _with_facts(table: dict[str, Any]) -> dict[str, Any]:
    """Return a card of the format `FLAT` in the present format: fields of a label that are unknown now are facts.

    Their titles and properties come from the task if it still declares them.
    """
    try:
        declared = {fact.key: fact for fact in load_task(table["task"]).facts}
    except TaskError:  # a card of a task that is not here is complete all the same
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
    return {**table, "format_version": FORMAT_VERSION, "facts": facts, "labels": labels}


def _card(table: dict[str, Any]) -> Card:
    if table["format_version"] == FLAT:
        table = _with_facts(table)
    facts = tuple(Fact(**fact) for fact in table["facts"])
    labels = tuple(Label.from_table(label) for label in table["labels"])
    height, width = table["input_size"]
    calibration = Calibration(**table["calibration"])
    if set(table["files"]) != {INFERENCE_FILE, NETWORK_FILE}:
        raise ValueError(f"files are {sorted(table['files'])}")
    if not {"examples", "errors", "accuracy", "accuracy_interval_95"} <= set(table["metrics"]["held_out"]):
        raise ValueError("metrics.held_out lacks figures")
    if not {"name", "fingerprint", "groups_held_out"} <= set(table["data"]) or "settings" not in table["training"]:
        raise ValueError("data or training lacks facts")
    return Card(
        **{**table, "input_size": (height, width), "facts": facts, "labels": labels, "calibration": calibration}
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
