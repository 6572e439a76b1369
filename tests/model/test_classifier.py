"""The shipped classifier, and reading and writing of artifacts."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data.errors import ImageError
from data.task import Task
from data.tasks.traffic_sign.drawing.samples import SAMPLES
from model.artifact import CARD_FILE, INFERENCE_FILE, read_artifact, write_artifact
from model.classifier import Classifier
from model.errors import ArtifactError
from tests.conftest import ROOT, SHIPPED, awkward_pictures, drawing, encoded


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(SHIPPED)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))


def test_shipped_classifier_is_trained_on_photographs_and_states_how(task: Task) -> None:
    card = read_artifact(SHIPPED)[0]
    held_out = card.metrics["held_out"]
    assert card.trained_on == "photographs"
    assert card.labels == task.labels
    assert held_out["accuracy"] >= 0.99
    assert held_out["groups"] >= 43
    assert held_out["accuracy_interval_95"][0] <= held_out["accuracy"] <= held_out["accuracy_interval_95"][1]
    assert card.training["command"].startswith("python init.py")


@pytest.mark.parametrize(("name", "class_index"), [(name, sample[0]) for name, sample in SAMPLES.items()])
def test_shipped_classifier_recognises_the_page_samples(classifier: Classifier, name: str, class_index: int) -> None:
    [prediction] = classifier.predict([(ROOT / "ui/static/traffic_sign/samples" / f"{name}.png").read_bytes()])
    assert prediction.class_index == class_index


def test_prediction_lists_the_most_probable_classes_first(classifier: Classifier) -> None:
    [prediction] = classifier.predict([encoded(drawing())])
    top = prediction.top(5)
    assert len(top) == 5
    assert top[0] == (prediction.labels[prediction.class_index], prediction.probability)
    assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_signs_have_higher_similarity_and_energy_than_noise(classifier: Classifier) -> None:
    signs = np.stack([np.asarray(drawing(index, size=48)) for index in range(43)])
    noise = np.random.default_rng(0).integers(0, 256, signs.shape).astype(np.uint8)
    assert np.median(classifier.run(signs).similarity) > classifier.run(noise).similarity.max()
    assert np.median(classifier.run(signs).energy) > classifier.run(noise).energy.max()


def test_pictures_of_another_size_are_rejected(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="a picture must have shape"):
        classifier.run(np.zeros((1, 96, 96, 3), np.uint8))


def test_predictions_are_in_the_order_of_the_pictures(classifier: Classifier) -> None:
    payloads = [encoded(drawing(class_index)) for class_index in (14, 13, 12)]
    together = [prediction.class_index for prediction in classifier.predict(payloads)]
    assert together == [classifier.predict([payload])[0].class_index for payload in payloads]
    assert classifier.predict([]) == []


def test_unreadable_picture_raises_an_error(classifier: Classifier) -> None:
    with pytest.raises(ImageError):
        classifier.predict([b"no picture"])


def test_concurrent_predictions_equal_sequential_ones(classifier: Classifier) -> None:
    payloads = list(awkward_pictures().values()) * 10
    alone = [classifier.predict([payload])[0].probabilities for payload in payloads]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda payload: classifier.predict([payload])[0].probabilities, payloads))
    assert np.array_equal(alone, together)


def test_serving_imports_neither_tensorflow_nor_keras_nor_scikit_learn() -> None:
    code = (
        "import sys; from service.settings import Settings; from service.app import create_app;"
        "create_app(Settings());"
        "print(sorted({'tensorflow', 'keras', 'sklearn'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_old_artifact_survives_a_failed_write(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, inference = read_artifact(artifact)

    def no_space(_: Path) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_artifact(artifact, card, inference, no_space)
    rename = Path.rename

    def rename_old_only(path: Path, target: Path) -> Path:
        if target == artifact and not path.name.endswith(".previous"):
            raise OSError("the second rename fails")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_old_only)
    with pytest.raises(OSError, match="second rename"):
        write_artifact(artifact, card, inference, lambda path: path.write_bytes(b"network"))
    assert read_artifact(artifact)[0] == card
    assert list(artifact.parent.iterdir()) == [artifact]


def test_new_artifact_replaces_the_old_one(artifact: Path) -> None:
    card, inference = read_artifact(artifact)
    written = write_artifact(artifact, card, inference, lambda path: path.write_bytes(b"network"))
    assert read_artifact(artifact) == (written, inference)
    assert list(artifact.parent.iterdir()) == [artifact]


def test_missing_artifact_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no classifier"):
        Classifier.load(tmp_path)


def test_damaged_model_is_detected_by_its_digest(artifact: Path) -> None:
    content = bytearray((artifact / INFERENCE_FILE).read_bytes())
    content[1000] ^= 1
    (artifact / INFERENCE_FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.tflite is damaged"):
        Classifier.load(artifact)


def test_missing_model_file_is_named(artifact: Path) -> None:
    (artifact / INFERENCE_FILE).unlink()
    with pytest.raises(ArtifactError, match=r"model\.tflite: cannot be read"):
        Classifier.load(artifact)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format_version": 99}, "unknown format 99"),
        ({"decoder_version": 99}, "decoder 99"),
        ({"labels": []}, "the card expects"),
        ({"calibration": {}}, "incomplete card"),
        ({"surprise": 1}, "incomplete card"),
        ({"files": {}}, "incomplete card"),
        ({"metrics": {}}, "incomplete card"),
    ],
)
def test_unsupported_or_incomplete_card_is_rejected(artifact: Path, change: dict[str, object], reason: str) -> None:
    card = json.loads((artifact / CARD_FILE).read_text())
    (artifact / CARD_FILE).write_text(json.dumps(card | change))
    with pytest.raises(ArtifactError, match=reason):
        Classifier.load(artifact)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_file_that_is_not_a_card_is_rejected(artifact: Path, text: str) -> None:
    (artifact / CARD_FILE).write_text(text)
    with pytest.raises(ArtifactError, match=r"card\.json: (cannot be read|unknown format)"):
        Classifier.load(artifact)
