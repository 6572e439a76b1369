"""Artifacts with a detector: writing, reading and what keeps it."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.artifact import (
    CARD_FILE,
    DETECTOR_FILE,
    DETECTOR_NETWORK_FILE,
    FORMAT_VERSION,
    INFERENCE_FILE,
    NETWORK_FILE,
    add_detector,
    add_detector_metrics,
    add_metrics,
    read_artifact,
    read_models,
    update_labels,
    write_artifact,
)
from model.errors import ArtifactError
from tests.conftest import SHIPPED
from tests.red_detector import CARD_PART

PART = {**CARD_PART, "min_score": 0.4, "min_unsure_score": 0.6, "metrics": {"ap50": 0.9}}
FILES = {CARD_FILE, INFERENCE_FILE, NETWORK_FILE, DETECTOR_FILE, DETECTOR_NETWORK_FILE}


def network(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The shipped classifier, in the format before detectors."""
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    card = json.loads((folder / CARD_FILE).read_text())
    card["format_version"] = 4
    card["files"] = {name: card["files"][name] for name in (INFERENCE_FILE, NETWORK_FILE)}
    card.pop("detector", None)
    (folder / CARD_FILE).write_text(json.dumps(card))
    for name in (DETECTOR_FILE, DETECTOR_NETWORK_FILE):
        (folder / name).unlink(missing_ok=True)
    return folder


@pytest.fixture
def artifact(plain: Path) -> Path:
    """The shipped classifier with files in place of a detector."""
    add_detector(plain, b"detector", network(b"its network"), PART)
    return plain


def test_format_4_is_read_as_an_artifact_without_a_detector(plain: Path) -> None:
    models = read_models(plain)
    assert models.card.format_version == FORMAT_VERSION
    assert models.card.detector is None
    assert models.detector is None


def test_added_detector_is_read_and_the_classifier_stays(plain: Path) -> None:
    before = read_models(plain)
    written = add_detector(plain, b"detector", network(b"its network"), PART)
    after = read_models(plain)
    assert (after.card, after.classifier, after.detector) == (written, before.classifier, b"detector")
    assert after.card.detector == PART
    assert (plain / DETECTOR_NETWORK_FILE).read_bytes() == b"its network"
    assert {path.name for path in plain.iterdir()} == set(after.card.files) | {CARD_FILE} == FILES
    assert list(plain.parent.iterdir()) == [plain]


def test_detector_is_replaced(artifact: Path) -> None:
    add_detector(artifact, b"another", network(b"its network"), {**PART, "min_score": 0.5})
    models = read_models(artifact)
    assert models.detector == b"another"
    assert models.card.detector is not None
    assert models.card.detector["min_score"] == 0.5


def test_metrics_labels_and_a_new_classifier_keep_the_detector(artifact: Path) -> None:
    def assert_kept() -> None:
        models = read_models(artifact)
        assert (models.card.detector, models.detector) == (PART, b"detector")

    add_metrics(artifact, "test", {"accuracy": 1.0})
    assert_kept()
    update_labels(artifact)
    assert_kept()
    card, inference = read_artifact(SHIPPED)
    write_artifact(artifact, card, inference, network(b"new network"))
    assert_kept()
    assert (artifact / NETWORK_FILE).read_bytes() == b"new network"


def test_figures_measured_with_another_classifier_are_dropped(artifact: Path) -> None:
    add_detector_metrics(artifact, "one", {"photos": 2})
    card, inference = read_artifact(SHIPPED)
    renamed = dataclasses.replace(card, version="another")
    written = write_artifact(artifact, renamed, inference, network(b"network"))
    assert written.detector == {**PART, "metrics": {}}
    assert read_models(artifact).detector == b"detector"


def test_figures_of_an_evaluation_are_added_to_the_detector(artifact: Path) -> None:
    add_detector_metrics(artifact, "one", {"photos": 2})
    add_detector_metrics(artifact, "another", {"photos": 3})
    card, _ = read_artifact(artifact)
    assert card.detector == {**PART, "evaluations": {"one": {"photos": 2}, "another": {"photos": 3}}}


def test_figures_of_a_missing_detector_are_refused(plain: Path) -> None:
    with pytest.raises(ArtifactError, match="has no detector"):
        add_detector_metrics(plain, "one", {})


def test_artifact_in_a_new_folder_has_no_detector(artifact: Path, tmp_path: Path) -> None:
    card, inference = read_artifact(artifact)
    written = write_artifact(tmp_path / "other", card, inference, network(b"network"))
    assert written.detector is None
    assert read_models(tmp_path / "other").detector is None


@pytest.mark.parametrize("name", [DETECTOR_FILE, DETECTOR_NETWORK_FILE])
def test_damaged_or_missing_detector_is_named(artifact: Path, name: str) -> None:
    (artifact / name).write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=f"{name} is damaged"):
        read_models(artifact)
    (artifact / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name}: cannot be read"):
        read_artifact(artifact)


def test_new_classifier_does_not_fail_because_of_a_damaged_detector(
    artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card, inference = read_artifact(artifact)
    (artifact / DETECTOR_FILE).write_bytes(b"damaged")
    assert write_artifact(artifact, card, inference, network(b"network")).detector is None
    assert "the detector is damaged and not kept" in caplog.text
    assert read_models(artifact).detector is None


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"version": "1", "margin": 0.1},
        {"version": "1", "min_score": 0.4},
        {**PART, "version": 1},
        {**PART, "min_score": 2},
        {**PART, "min_unsure_score": 0.3},
        {**PART, "margin": 0.5},
    ],
)
def test_detector_without_valid_thresholds_is_refused(plain: Path, part: dict[str, Any]) -> None:
    before = read_models(plain)
    with pytest.raises(ArtifactError, match="incomplete card"):
        add_detector(plain, b"detector", network(b"its network"), part)
    assert read_models(plain) == before


def test_artifact_survives_a_detector_that_cannot_be_written(artifact: Path) -> None:
    def no_space(_: Path) -> None:
        raise OSError("no space left on device")

    before = read_models(artifact)
    with pytest.raises(OSError, match="no space"):
        add_detector(artifact, b"another", no_space, PART)
    assert read_models(artifact) == before
    assert list(artifact.parent.iterdir()) == [artifact]
