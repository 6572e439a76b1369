"""Train a classifier, and a detector where there are scenes: find the data, train, evaluate and write the artifact.

Does nothing if the artifact already exists. The command can be interrupted at any time; run it again to resume.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.download import download
from data.errors import DataError, SourceError
from data.feedback import feedback_folder
from data.feedback_photos import PhotoSource, open_photos
from data.scenes import SceneSource, find_scenes, open_scenes
from data.source import DRAWN, PHOTOS, STORE, Source, find_source, open_feedback, open_source
from data.task import DEFAULT_TASK, MORE_TASKS, Task, load_task
from data.training_settings import IMAGENET
from model.artifact import ARTIFACTS, CARD_FILE, Card, read_artifact
from model.command import integer_at_least, run
from model.errors import ModelError
from model.evaluation.findings import describe_findings
from model.progress import TrainingState, training_folder, training_lock, write_state
from model.training.environment import prepare_tensorflow

if TYPE_CHECKING:
    from model.training.build_detector import DetectorRecipe
    from model.training.reporter import Reporter

DRAWN_SEED = 0
# The network of new tasks: of those that recognise a picture in 20 ms on one core, the best one whose weights may be
# passed on.
BACKBONE, BACKBONE_WEIGHTS = "EfficientNetLite0", "efficientnet_lite0_imagenet.npz"


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    options = _parse(arguments)

    def work() -> int:
        if options.new_task:
            _create_task(options)
        task = load_task(options.task)
        folder = options.artifact or ARTIFACTS / task.name
        if options.detector:
            print(_detector_summary(_train_detector(task, options, folder)))
            return 0
        if not (folder / CARD_FILE).exists() or options.retrain:
            card = _train(task, options, folder)
            print("\n".join([_summary(card), *([_detector_summary(card)] if card.detector else [])]))
            if options.new_task:
                print("\n".join(describe_findings(card)))
            if options.artifact:
                more = {MORE_TASKS: os.environ.get(MORE_TASKS), "SERVICE_TASKS": task.name}
                named = "" if task.name == DEFAULT_TASK else "".join(f"{key}={more[key]} " for key in more if more[key])
                print(f"Serve it with: {named}SERVICE_ARTIFACT={folder} make run")
            return 0
        card, _ = read_artifact(folder)
        chosen = (
            options.data
            or options.scenes
            or options.preset
            or options.all_of
            or options.teacher
            or options.weights
            or options.outliers
            or options.with_feedback
        )
        if chosen or options.seed is not None:
            raise ModelError(f"classifier {card.version} already exists; add --retrain to replace it")
        if options.download:
            _download(task, options)
        print(f"{_summary(card)}\nNothing to do; use --retrain to train a new one.")
        return 0

    return run(work)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="init.py", description=__doc__)
    parser.add_argument("--task", default=DEFAULT_TASK, help="name of a folder in data/tasks (default: %(default)s)")
    parser.add_argument(
        "--new-task", metavar="NAME", help="write a task file for the class folders in --data, and train its classifier"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", metavar="PATH", help=f"folder or archive, or '{DRAWN}' for drawn pictures")
    source.add_argument("--download", action="store_true", help="download the data set into the store first")
    parser.add_argument("--retrain", action="store_true", help="train even if the classifier exists, and replace it")
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="train without the pictures that cannot be read (class folders)"
    )
    recipe = parser.add_mutually_exclusive_group()
    recipe.add_argument("--preset", help="preset of the task file (default: cpu; with drawn pictures: drawn)")
    parser.add_argument("--scenes", type=Path, metavar="PATH", help="folder or archive of scenes, for the detector")
    parser.add_argument("--detector", action="store_true", help="train only the detector of the existing classifier")
    recipe.add_argument(
        "--all-of",
        type=Path,
        metavar="ARTIFACT",
        help="train like this reference classifier, but on all examples, and copy its figures",
    )
    parser.add_argument(
        "--seed",
        type=integer_at_least(0),
        help="seed of the split, the initial weights and the distortions (default: the preset's)",
    )
    parser.add_argument(
        "--weights",
        metavar="PATH",
        help="initial weights of the preset's backbone: an HDF5, .npz or .keras file, or the folder of a classifier "
        "with the same backbone",
    )
    parser.add_argument(
        "--outliers",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="folders or archives of pictures that show none of the classes, to learn to reject such pictures; a fifth "
        "of them is held out",
    )
    parser.add_argument("--teacher", metavar="ARTIFACT", help="classifier to distil from, in addition to the labels")
    parser.add_argument("--with-feedback", action="store_true", help="also train on feedback from users")
    parser.add_argument("--artifact", type=Path, help="folder for the classifier (default: model/artifacts/TASK)")
    parser.add_argument(
        "--store", type=Path, default=STORE, help="folder for data, caches and checkpoints (default: data/store)"
    )
    options = parser.parse_args(arguments)
    if options.new_task and options.data in (None, DRAWN):
        parser.error("--new-task needs --data PATH, a folder or archive with a folder of pictures for each class")
    return options


def _create_task(options: argparse.Namespace) -> None:
    """Write the file of a new task, and make it the task of this command."""
    from data.files import open_files
    from data.new_task import find_folders, write_task

    location = Path(options.data)
    folders = find_folders(open_files(location))
    weights = Path(options.weights).name if options.weights else BACKBONE_WEIGHTS
    try:
        _find_weights(options.weights or BACKBONE_WEIGHTS, "" if options.weights else BACKBONE, options.store)
        backbone = BACKBONE
    except ModelError:
        if options.weights:
            raise
        print(
            f"note: there are no initial weights {BACKBONE_WEIGHTS} in {options.store}, so a network of our own learns "
            "from random ones; it needs more pictures"
        )
        backbone = ""
    path = write_task(options.new_task, folders, location.stem, backbone, weights)
    print("\n".join([f"wrote {path}", *folders.lines()]))
    options.task = options.new_task


def _train(task: Task, options: argparse.Namespace, folder: Path) -> Card:
    reference = read_artifact(options.all_of)[0] if options.all_of else None
    preset = reference.training["preset"] if reference else options.preset
    preset = preset or ("drawn" if options.data == DRAWN else "cpu")
    settings = task.preset(preset)
    if reference and options.seed is not None:
        raise ModelError("--all-of uses the seed of the reference classifier; omit --seed")
    seed = reference.training["settings"]["seed"] if reference else options.seed
    if seed is not None:
        settings = replace(settings, seed=seed)
    if options.teacher:
        settings = replace(settings, teacher=options.teacher)
    network = "" if options.weights else settings.network  # weights that were named are not replaced by others
    wanted = options.weights or settings.weights
    weights = _find_weights(wanted, network, options.store)
    if weights not in (wanted, str(options.store / wanted)):
        print(
            f"note: there are no initial weights {wanted} in {options.store}; starting from those of "
            f"{Path(weights).name}"
        )
    settings = replace(settings, weights=weights)
    with _training(task, options) as reporter:
        from model.training.build import Recipe, build_artifact
        from model.training.build_detector import build_detector

        source = _source(task, settings.drawings, options, reporter)
        feedback = open_feedback(feedback_folder(options.store, task.name), task) if options.with_feedback else None
        photos, detector = _open_photos(task, options), None
        if options.data != DRAWN:
            # Before the classifier, whose training takes an hour, so that faults in the scenes are reported at once.
            detector = _prepare_detector(task, preset, reference, photos, options, reporter)
        recipe = Recipe(task, preset, settings, _command(options), reference, feedback, tuple(options.outliers))
        card = build_artifact(recipe, source, options.store, folder, reporter)
        if detector:
            card = build_detector(*detector, source, options.store, folder, reporter)
    return card


def _find_weights(weights: str, network: str, store: Path) -> str:
    """Find initial weights.

    Args:
        weights: "", "imagenet" or a path, relative to the working directory or to the store.
        network: if there is no such file, those of an existing classifier with this network will do; "" for none.
        store: the store.

    Returns:
        The weights, or their path.

    Raises:
        ModelError: they were not found.
    """
    path = Path(weights)
    if weights in ("", IMAGENET) or path.exists():
        return weights
    if (store / path).exists():
        return str(store / path)
    for folder in sorted(card.parent for card in ARTIFACTS.glob(f"*/{CARD_FILE}")):
        if network and read_artifact(folder)[0].training["settings"].get("network") == network:
            return str(folder)
    raise ModelError(
        f"there are no initial weights {weights}; put them into {store}, or use those of a classifier with the same "
        "backbone: --weights model/artifacts/TASK"
    )


def _train_detector(task: Task, options: argparse.Namespace, folder: Path) -> Card:
    """Train only the detector of an existing artifact."""
    read_artifact(folder)  # a detector needs a classifier
    if options.data == DRAWN:
        raise ModelError("drawings cannot be pasted as photographs; use --data PATH")
    reference = read_artifact(options.all_of)[0] if options.all_of else None
    with _training(task, options) as reporter:
        from model.training.build_detector import build_detector

        source, photos = _source(task, 0, options, reporter), _open_photos(task, options)
        if photos is not None and not photos.photos:
            raise SourceError(f"{photos.files.location}: there is no feedback about a box in a photo")
        detector = _prepare_detector(task, options.preset or "cpu", reference, photos, options, reporter)
        if detector is None:
            raise SourceError(f"no scenes were found in {options.store}; use --scenes PATH or --download")
        return build_detector(*detector, source, options.store, folder, reporter)


@contextmanager
def _training(task: Task, options: argparse.Namespace) -> Iterator["Reporter"]:
    """Hold the training lock of a task, and record in the state file how the training ends."""
    prepare_tensorflow()
    work = training_folder(options.store, task.name)
    with training_lock(work):
        write_state(work, TrainingState("prepare"))  # replaces the state of an earlier training
        try:
            from model.training.reporter import Reporter

            yield Reporter(work)
        except (DataError, ModelError, OSError, ModuleNotFoundError) as error:
            write_state(work, TrainingState("failed", message=str(error)))
            raise
        write_state(work, TrainingState("done"))


def _prepare_detector(
    task: Task,
    preset: str,
    reference: Card | None,
    photos: PhotoSource | None,
    options: argparse.Namespace,
    reporter: "Reporter",
) -> tuple["DetectorRecipe", SceneSource] | None:
    """Return what the detector is trained with and on, checked; None if the task has none, or there are no scenes."""
    settings = task.detector_preset(preset)
    if settings is None:
        if options.scenes:
            raise SourceError(f"the task {task.name} has no scenes")
        return None
    scenes = open_scenes(options.scenes, task) if options.scenes else find_scenes(task, options.store)
    if scenes is None:
        reporter.say(
            f"note: no scenes were found in {options.store}, so no detector is trained and photos are classified as a "
            "whole; use --scenes PATH or --download"
        )
        return None
    from model.training.build_detector import DetectorRecipe, prepare_scenes

    if reference and not reference.detector:
        raise ModelError(f"classifier {reference.version} cannot be the reference: it has no detector")
    recipe = DetectorRecipe(task, settings, _command(options), reference.detector if reference else None, photos)
    prepare_scenes(recipe, scenes, options.store, reporter)
    return recipe, scenes


def _open_photos(task: Task, options: argparse.Namespace) -> PhotoSource | None:
    """Open the photos from users, if feedback is wanted."""
    return open_photos(feedback_folder(options.store, task.name) / PHOTOS, task) if options.with_feedback else None


def _source(task: Task, drawings: int, options: argparse.Namespace, reporter: "Reporter") -> Source:
    if options.data == DRAWN:
        extension = task.load_extension()
        if extension is None:
            raise SourceError(f"task {task.name} has no drawings; use --data PATH")
        reporter.stage(
            "prepare", f"drawing {drawings} pictures of each class; the classifier will recognise drawings only"
        )
        extension.write_examples(options.store / DRAWN, drawings, DRAWN_SEED)
        return open_source(options.store / DRAWN, task)
    if options.data:
        return open_source(Path(options.data), task, skip_unreadable=options.skip_unreadable)
    if options.download:
        reporter.stage("download", f"downloading {task.data.name} to {options.store}")
        _download(task, options)
    return find_source(task, options.store, skip_unreadable=options.skip_unreadable)


def _download(task: Task, options: argparse.Namespace) -> None:
    download(task, options.store, progress=sys.stderr.isatty())


def _command(options: argparse.Namespace) -> str:
    """Return the command line for the card, with placeholders instead of local paths."""
    words = ["python", "init.py"]
    if options.new_task:
        words += ["--new-task", options.task]
    elif options.task != DEFAULT_TASK:
        words += ["--task", options.task]
    if options.data:
        words += ["--data", DRAWN if options.data == DRAWN else "PATH"]
    if options.scenes:
        words += ["--scenes", "SCENES"]
    if options.detector:
        words += ["--detector"]
    if options.download:
        words += ["--download"]
    if options.skip_unreadable:
        words += ["--skip-unreadable"]
    if options.preset:
        words += ["--preset", options.preset]
    if options.all_of:
        words += ["--all-of", "MEASURED"]
    if options.seed is not None:
        words += ["--seed", str(options.seed)]
    if options.weights:
        words += ["--weights", "WEIGHTS"]
    if options.outliers:
        words += ["--outliers", "OUTLIERS"]
    if options.teacher:
        words += ["--teacher", "TEACHER"]
    if options.with_feedback:
        words += ["--with-feedback"]
    if options.retrain:
        words += ["--retrain"]
    return shlex.join(words)


def _summary(card: Card) -> str:
    held_out = card.metrics["held_out"]
    low, high = held_out["accuracy_interval_95"]
    subject = f"reference classifier {card.metrics['measured_on']} has " if "measured_on" in card.metrics else ""
    return (
        f"{card.title}, version {card.version}, trained on {card.trained_on}: {subject}"
        f"{held_out['accuracy']:.2%} accuracy on held-out examples ({held_out['errors']} errors of "
        f"{held_out['examples']:,}; 95% interval {low:.2%} to {high:.2%})"
    )


def _detector_summary(card: Card) -> str:
    assert card.detector is not None  # noqa: S101 — checked by the callers
    metrics = card.detector["metrics"]
    if not metrics:
        return (
            f"Detector {card.detector['version']} is kept, but its figures are dropped: they were measured with the "
            "replaced classifier"
        )
    subject = f"reference detector {metrics['measured_on']}" if "measured_on" in metrics else "it"
    return (
        f"Detector {card.detector['version']}: on {metrics['scenes']} held-out scenes with {metrics['signs']} signs, "
        f"{subject} finds and names them with an average precision of {metrics['ap50_of_a_named_sign']:.1%}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
