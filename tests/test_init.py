"""`python init.py` as users run it, on drawn signs."""

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.feedback import FeedbackPhoto, feedback_folder, keep
from data.prepare import prepare
from data.source import open_source
from data.task import Task
from data.tasks.traffic_sign.drawing.render import draw_example, write_drawn
from model.artifact import read_artifact
from model.classifier import Classifier
from model.progress import read_state, training_folder, training_lock
from model.training.train import checkpoint_key
from tests.conftest import ROOT, SHIPPED, drawing, encoded, scene


def command(*arguments: object) -> list[str]:
    return [sys.executable, "init.py", *map(str, arguments)]


def init(*arguments: object, before: Callable[[], None] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run init.py until it exits; `before` runs in its process first."""
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=before)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    """The store of a training on drawn signs that was interrupted after its first epoch, and its arguments."""
    store = tmp_path_factory.mktemp("store")
    arguments = ["--data", "drawn", "--preset", "quick", "--seed", 1]
    arguments += ["--store", store, "--artifact", store / "artifact"]
    # Shells make background processes ignore SIGINT, so restore its default handler.
    with subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 1/2"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "resume after the last complete epoch" in rest
    assert not (store / "artifact").exists()
    return store, arguments


@pytest.fixture(scope="module")
def halfway(interrupted: tuple[Path, list[object]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this store at the time of the interruption."""
    return Path(shutil.copytree(interrupted[0], tmp_path_factory.mktemp("halfway") / "store"))


@pytest.fixture(scope="module")
def finished(interrupted: tuple[Path, list[object]], halfway: Path) -> tuple[Path, str]:  # noqa: ARG001 — must be copied first
    """The same store after running the same command again, and its output."""
    store, arguments = interrupted
    (training_folder(store, "traffic_sign") / "checkpoints" / "another").mkdir()
    result = init(*arguments)
    assert result.returncode == 0, result.stderr
    return store, result.stdout + result.stderr


def test_interrupted_training_resumes_after_its_last_epoch(finished: tuple[Path, str]) -> None:
    assert re.findall(r"epoch (\d)/2", finished[1]) == ["2"]


def test_state_file_has_the_metrics_of_finished_epochs(halfway: Path) -> None:
    progress = read_state(training_folder(halfway, "traffic_sign"))
    assert progress is not None
    [epoch] = progress.history
    assert epoch["epoch"] == 1
    assert epoch["loss"] > 0
    assert 0 <= epoch["validation_accuracy"] <= 1


def test_artifact_is_complete_and_states_that_it_was_trained_on_drawings(finished: tuple[Path, str]) -> None:
    store, output = finished
    card = read_artifact(store / "artifact")[0]
    assert card.trained_on == "drawings"
    assert "trained on drawings" in output
    assert "initial weights" not in output  # this network has random ones
    assert card.training["command"] == "python init.py --data drawn --preset quick --seed 1"
    assert card.training["settings"]["seed"] == 1
    assert card.metrics["held_out"]["examples"] == card.data["images_held_out"] == 86
    assert str(store) not in (store / "artifact" / "card.json").read_text()
    [prediction] = Classifier.load(store / "artifact").predict([encoded(drawing())])
    assert 0 < prediction.probability <= 1


def test_training_on_all_examples_copies_the_figures_of_the_reference(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    store = Path(shutil.copytree(finished[0], tmp_path / "store"))
    options = ("--data", "drawn", "--store", store, "--artifact", tmp_path / "whole", "--retrain")
    result = init(*options, "--all-of", store / "artifact")
    assert result.returncode == 0, result.stderr
    reference, whole = read_artifact(store / "artifact")[0], read_artifact(tmp_path / "whole")[0]
    assert whole.data["images_trained_on"] == whole.data["images"] == reference.data["images"]
    assert whole.metrics == {**reference.metrics, "measured_on": reference.version}
    assert whole.calibration == reference.calibration
    assert whole.training["settings"]["seed"] == reference.training["settings"]["seed"]
    evaluation = [
        sys.executable,
        "-m",
        "model.evaluation",
        str(tmp_path / "whole"),
        "--data",
        str(store / "drawn"),
    ]
    result = subprocess.run(evaluation, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "was trained on all of these examples" in result.stderr
    result = init(*options, "--all-of", tmp_path / "whole")
    assert result.returncode == 1
    assert "cannot be the reference: it held nothing out" in result.stderr
    result = init(*options, "--all-of", SHIPPED)
    assert result.returncode == 1
    assert re.search(r"cannot be the reference: .*'data'.* differ", result.stderr)


def test_unusable_scenes_are_reported_before_the_classifier_is_trained(bare_artifact: Path, tmp_path: Path) -> None:
    write_drawn(tmp_path / "signs", 2, seed=0)
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    (scenes / "00000.ppm").write_bytes(encoded(drawing(14, 160), "PPM"))
    (scenes / "gt.txt").write_text("00000.ppm;10;10;200;100;14")
    options = ("--retrain", "--data", tmp_path / "signs", "--store", tmp_path, "--artifact", tmp_path / "artifact")
    for words, reason in (
        (("--preset", "quick", "--scenes", tmp_path / "nowhere"), "nowhere: there is no such"),
        (("--preset", "quick", "--scenes", scenes), "there is no labelled object to measure the detector on"),
        (("--all-of", bare_artifact, "--scenes", scenes), "cannot be the reference: it has no detector"),
    ):
        result = init(*options, *words)
        assert result.returncode == 1
        assert reason in result.stderr
        assert "epoch" not in result.stderr
        assert not (tmp_path / "artifact").exists()


@pytest.mark.slow
def test_feedback_is_used_for_training_and_never_held_out(finished: tuple[Path, str], tmp_path: Path) -> None:
    store = Path(shutil.copytree(finished[0], tmp_path / "store"))
    plain = read_artifact(store / "artifact")[0]
    folder = feedback_folder(store, "traffic_sign")
    for seed in range(30):
        keep(folder, encoded(drawing(14, seed=seed)), ".png", 14)
    keep(folder, encoded(drawing(3).convert("CMYK"), "JPEG"), ".jpeg", 3)
    keep(folder, encoded(drawing(3, seed=9)), ".png", None)
    held_out = store / "drawn" / f"Train/14/{plain.data['groups_held_out'][28].replace('/', '_')}_00000.png"
    keep(folder, held_out.read_bytes(), ".png", 14)
    options = ("--data", "drawn", "--store", store, "--retrain", "--with-feedback")
    result = init(*options, "--preset", "quick", "--seed", 1, "--artifact", tmp_path / "named")
    assert result.returncode == 0, result.stderr
    assert "ignoring 1 feedback pictures that are also in the data set" in result.stderr
    assert "adding 31 labelled pictures and 1 outliers from feedback" in result.stderr
    named = read_artifact(tmp_path / "named")[0]
    assert named.training["command"].endswith("--with-feedback --retrain")
    assert (named.data["feedback"]["images"], named.data["feedback"]["images_of_no_sign"]) == (31, 1)
    assert "feedback" not in plain.data
    for fact in ("fingerprint", "groups_held_out", "images", "images_trained_on", "images_held_out"):
        assert named.data[fact] == plain.data[fact], fact
    assert named.metrics["held_out"]["examples"] == plain.metrics["held_out"]["examples"]
    assert named.version != plain.version

    result = init(*options, "--artifact", tmp_path / "whole", "--all-of", tmp_path / "named")
    assert result.returncode == 0, result.stderr
    whole = read_artifact(tmp_path / "whole")[0]
    assert whole.metrics["measured_on"] == named.version
    assert whole.data["feedback"] == named.data["feedback"]
    assert whole.data["images_trained_on"] == whole.data["images"]
    result = init(*options, "--artifact", tmp_path / "other", "--all-of", store / "artifact")
    assert result.returncode == 1
    assert "['feedback'] differ" in result.stderr


@pytest.mark.slow
def test_detector_learns_from_photos_of_feedback(tmp_path: Path) -> None:
    write_drawn(tmp_path / "signs", 2, seed=0)
    artifact = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for number in range(0, 125, 25):  # scenes of five drives
        scene((14, 20, 30), size=(160, 128)).save(scenes / f"{number:05d}.ppm")
    (scenes / "gt.txt").write_text("".join(f"{number:05d}.ppm;32;30;109;119;14\n" for number in range(0, 125, 25)))
    options = ["--detector", "--data", tmp_path / "signs", "--scenes", scenes, "--preset", "quick", "--with-feedback"]
    options += ["--store", tmp_path / "store", "--artifact", artifact]
    result = init(*options)
    assert result.returncode == 1
    assert "there is no feedback about a box in a photo" in result.stderr

    photo = FeedbackPhoto(encoded(scene((17, 60, 60))), ".png", (72, 60, 162, 150), located=False)
    keep(feedback_folder(tmp_path / "store", "traffic_sign"), encoded(drawing(17)), ".png", 17, photo)
    result = init(*options)
    assert result.returncode == 0, result.stderr
    assert "adding 1 photos from feedback, with 1 signs and 0 boxes of no sign" in result.stderr
    detector = read_artifact(artifact)[0].detector
    assert detector is not None
    assert "--with-feedback" in detector["training"]["command"]
    assert (detector["data"]["feedback"]["photos"], detector["data"]["scenes"]) == (1, 5)


@pytest.mark.slow
def test_outliers_from_feedback_are_ignored_by_presets_without_outliers(tmp_path: Path) -> None:
    write_drawn(tmp_path / "signs", 2, seed=0)
    keep(feedback_folder(tmp_path, "traffic_sign"), encoded(drawing(3)), ".png", None)
    options = ("--data", tmp_path / "signs", "--preset", "drawn", "--store", tmp_path, "--with-feedback")
    result = init(*options, "--artifact", tmp_path / "artifact")
    assert result.returncode == 0, result.stderr
    assert "ignoring 1 outliers from feedback: this preset trains without outliers" in result.stderr
    feedback = read_artifact(tmp_path / "artifact")[0].data["feedback"]
    assert (feedback["images"], feedback["images_of_no_sign"]) == (0, 0)


@pytest.mark.slow
def test_interrupted_training_does_not_resume_with_different_feedback(halfway: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(halfway, tmp_path / "store"))
    keep(feedback_folder(store, "traffic_sign"), encoded(drawing(14)), ".png", 14)
    options = ("--data", "drawn", "--preset", "quick", "--seed", 1, "--store", store)
    for words, epochs in ((("--with-feedback",), ["1", "2"]), ((), ["2"])):
        result = init(*options, *words, "--artifact", tmp_path / f"artifact{len(words)}")
        assert result.returncode == 0, result.stderr
        assert re.findall(r"epoch (\d)/2", result.stdout + result.stderr) == epochs


@pytest.mark.slow
def test_unusable_feedback_is_named(tmp_path: Path) -> None:
    options = ("--data", "drawn", "--preset", "quick", "--retrain", "--with-feedback", "--store", tmp_path)
    folder = feedback_folder(tmp_path, "traffic_sign")
    result = init(*options, "--artifact", tmp_path / "artifact")
    assert result.returncode == 1
    assert f"{folder}: there is no feedback" in result.stderr
    for payload in (b"no picture", encoded(drawing())[:500]):
        stored = folder / keep(folder, payload, ".png", 14)
        result = init(*options, "--artifact", tmp_path / "artifact")
        assert result.returncode == 1
        assert f"{stored}: " in result.stderr
        assert "Traceback" not in result.stderr
        stored.unlink()
    (folder / "00043").mkdir()
    shutil.copy(ROOT / "ui/static/traffic_sign/samples/stop.png", folder / "00043")
    result = init(*options, "--artifact", tmp_path / "artifact")
    assert result.returncode == 1
    assert "'00043' is neither a class index, 0 to 42" in result.stderr
    assert not (tmp_path / "artifact").exists()


def test_folders_of_pictures_become_a_task_with_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS", str(tmp_path / "tasks"))
    (tmp_path / "tasks").mkdir()
    for class_index in (13, 14):
        folder = tmp_path / "Drawn signs" / f"Kind {class_index}"
        folder.mkdir(parents=True)
        for number in range(8):
            picture, _ = draw_example(class_index, np.random.default_rng(number), 64)
            picture.save(folder / f"{number}.png")
    shutil.copy(folder / "0.png", folder.parent / "Kind 13" / "copy.png")
    options = ("--store", tmp_path / "store", "--artifact", tmp_path / "artifact")
    result = init("--new-task", "my_signs", "--data", tmp_path / "Drawn signs", *options)
    assert result.returncode == 0, result.stderr
    card = read_artifact(tmp_path / "artifact")[0]
    assert (card.task, [label.name for label in card.labels]) == ("my_signs", ["Kind 13", "Kind 14"])
    assert card.data["name"] == "Drawn signs"
    for words in (
        "2 classes, 17 pictures",
        "that it had never seen, it recognises",
        "The same picture is in several classes",
    ):
        assert words in result.stdout
    assert (
        f"TASKS={tmp_path / 'tasks'} SERVICE_TASKS=my_signs SERVICE_ARTIFACT={tmp_path / 'artifact'} make run"
        in result.stdout
    )
    again = init("--new-task", "my_signs", "--data", tmp_path / "Drawn signs", *options)
    assert again.returncode == 1
    assert "already exists; add --retrain" in again.stderr
    (tmp_path / "tasks/my_signs/task.toml").write_text("# changed by hand")
    again = init("--new-task", "my_signs", "--data", tmp_path / "Drawn signs", *options)
    assert again.returncode == 1
    assert "there is a task 'my_signs' already" in again.stderr


def test_new_task_without_data_says_what_is_missing() -> None:
    result = init("--new-task", "my_signs")
    assert result.returncode == 2
    assert "--new-task needs --data PATH" in result.stderr


@pytest.mark.slow
def test_student_is_distilled_from_a_teacher(finished: tuple[Path, str], tmp_path: Path) -> None:
    store = Path(shutil.copytree(finished[0], tmp_path / "store"))
    options = ("--data", "drawn", "--preset", "quick", "--seed", 1, "--store", store, "--retrain")
    result = init(*options, "--artifact", tmp_path / "student", "--teacher", store / "artifact")
    assert result.returncode == 0, result.stderr
    assert re.findall(r"epoch (\d)/2.*validation accuracy", result.stdout + result.stderr) == ["1", "2"]
    training = read_artifact(tmp_path / "student")[0].training
    assert training["command"].endswith("--teacher TEACHER --retrain")
    assert training["settings"]["teacher"] == read_artifact(store / "artifact")[0].version
    card = json.loads((store / "artifact" / "card.json").read_text())
    card["data"]["groups_held_out"].pop()
    (store / "artifact" / "card.json").write_text(json.dumps(card))
    result = init(*options, "--artifact", tmp_path / "student", "--teacher", store / "artifact")
    assert result.returncode == 1
    assert "this teacher was trained on groups that are held out here" in result.stderr
    result = init(*options, "--artifact", tmp_path / "student", "--teacher", store)
    assert result.returncode == 1
    assert f"{store}: there is no classifier" in result.stderr


def test_finished_training_has_the_stage_done_and_no_checkpoints(finished: tuple[Path, str]) -> None:
    folder = training_folder(finished[0], "traffic_sign")
    progress = read_state(folder)
    assert progress is not None
    assert progress.stage == "done"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["another"]


def test_nothing_is_done_if_the_artifact_exists(finished: tuple[Path, str]) -> None:
    card = finished[0] / "artifact" / "card.json"
    before = card.stat().st_mtime_ns
    result = init("--artifact", card.parent, "--store", finished[0])
    assert (result.returncode, card.stat().st_mtime_ns) == (0, before)
    assert "Nothing to do" in result.stdout


@pytest.mark.parametrize("arguments", [("--data", "drawn"), ("--with-feedback",), ("--seed", "0")])
def test_training_options_need_retrain_if_the_classifier_exists(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = init(*arguments, "--store", tmp_path)
    assert result.returncode == 1
    assert "add --retrain" in result.stderr


def test_unreadable_checkpoint_is_named(finished: tuple[Path, str], tmp_path: Path, task: Task) -> None:
    store = Path(shutil.copytree(finished[0], tmp_path / "store"))
    prepared = prepare(open_source(store / "drawn", task), task, store / "cache")
    key = checkpoint_key(task, task.training["quick"], prepared)
    checkpoint = training_folder(store, "traffic_sign") / "checkpoints" / key / "epoch-0001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text('{"history": []}')
    (checkpoint / "variables.npz").write_bytes(b"cut short")
    result = init("--retrain", "--data", "drawn", "--preset", "quick", "--store", store, "--artifact", tmp_path / "a")
    assert result.returncode == 1
    assert f"{checkpoint}: cannot resume from this checkpoint" in result.stderr


def test_error_about_missing_data_lists_the_ways_to_get_it(tmp_path: Path) -> None:
    result = init("--artifact", tmp_path / "artifact", "--store", tmp_path)
    assert result.returncode == 1
    for way in ("--download", "--data PATH", "--data drawn"):
        assert way in result.stderr
    assert "Traceback" not in result.stderr


def test_damaged_artifact_is_reported_and_not_replaced(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    (folder / "model.tflite").write_bytes(b"damaged")
    result = init("--artifact", folder, "--store", tmp_path)
    assert result.returncode == 1
    assert "model.tflite is damaged" in result.stderr


def test_concurrent_training_is_rejected(tmp_path: Path) -> None:
    with training_lock(training_folder(tmp_path, "traffic_sign")):
        result = init("--data", "drawn", "--artifact", tmp_path / "artifact", "--store", tmp_path)
    assert result.returncode == 1
    assert "another process is training" in result.stderr


@pytest.mark.parametrize("decoded", [False, True], ids=["while preparing", "while training"])
def test_full_disk_is_a_one_line_error_and_leaves_no_partial_files(tmp_path: Path, task: Task, decoded: bool) -> None:
    """A file-size limit simulates the full disk: writing beyond it fails with the same kind of error."""

    def limit_file_size() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    write_drawn(tmp_path / "drawn", task.training["quick"].drawings, seed=0)
    if decoded:
        prepare(open_source(tmp_path / "drawn", task), task, tmp_path / "cache")
    result = init(
        *("--data", "drawn", "--preset", "quick", "--artifact", tmp_path / "artifact", "--store", tmp_path),
        before=limit_file_size,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "artifact").exists()
    progress = json.loads((training_folder(tmp_path, "traffic_sign") / "progress.json").read_text())
    assert progress["stage"] == "failed"
    assert not list(tmp_path.rglob("epoch-*"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--task", "dinosaurs"], "there is no task 'dinosaurs'"),
        (["--preset", "huge", "--retrain"], "there is no preset 'huge'; known: cpu"),
        (["--data", "/nowhere", "--retrain"], "/nowhere: there is no such folder"),
    ],
)
def test_invalid_arguments_are_one_line_errors(tmp_path: Path, arguments: list[str], reason: str) -> None:
    result = init(*arguments, "--store", tmp_path)
    assert result.returncode == 1
    assert reason in result.stderr
