"""Make the classifier: find or fetch the data, train, evaluate and write the artifact.

Does nothing if a good artifact is there. May be stopped at any time; the same command goes on where it was.
"""

import argparse
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import DataError, SourceError
from data.feedback import feedback_folder
from data.source import DRAWN, STORE, Source, download, find_source, open_feedback, open_source
from data.task import DEFAULT_TASK, Task, load_task
from model.artifact import ARTIFACTS, CARD_FILE, Card, read_artifact
from model.command import run, whole_number_from
from model.errors import ModelError
from model.progress import TrainingState, training_folder, training_lock, write_state

if TYPE_CHECKING:
    from model.training.reporter import Reporter

DRAWN_SEED = 0


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    options = _parse(arguments)

    def work() -> int:
        task = load_task(options.task)
        folder = options.artifact or ARTIFACTS / task.name
        if not (folder / CARD_FILE).exists() or options.retrain:
            print(_summary(_train(task, options, folder)))
            if options.artifact:
                print(f"It is in {folder}; SERVICE_ARTIFACT={folder} make run serves it.")
            return 0
        card, _ = read_artifact(folder)
        chosen = options.data or options.preset or options.all_of or options.teacher or options.with_feedback
        if chosen or options.seed is not None:
            raise ModelError(f"there is a classifier, version {card.version}; add --retrain to make another one")
        if options.download:
            _download(task, options)
        print(f"{_summary(card)}\nNothing to do; --retrain makes a new one.")
        return 0

    return run(work)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="init.py", description=__doc__)
    parser.add_argument("--task", default=DEFAULT_TASK, help="a folder in data/tasks (default: %(default)s)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", metavar="PATH", help=f"a folder or archive, or '{DRAWN}' for drawn signs")
    source.add_argument("--download", action="store_true", help="fetch the data set into the store first")
    parser.add_argument("--retrain", action="store_true", help="train although there is a classifier")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--preset", help="a training of the task file (default: cpu; drawn for drawn signs)")
    how.add_argument(
        "--all-of", type=Path, metavar="ARTIFACT", help="train as this measured classifier was, now on all examples"
    )
    parser.add_argument(
        "--seed", type=whole_number_from(0), help="hold out other examples and begin otherwise (default: the preset's)"
    )
    parser.add_argument("--teacher", metavar="ARTIFACT", help="a classifier to learn from besides the labels")
    parser.add_argument("--with-feedback", action="store_true", help="learn from the pictures that people named, too")
    parser.add_argument("--artifact", type=Path, help="where the classifier goes (default: model/artifacts/TASK)")
    parser.add_argument("--store", type=Path, default=STORE, help="where data is kept (default: data/store)")
    return parser.parse_args(arguments)


def _train(task: Task, options: argparse.Namespace, folder: Path) -> Card:
    measured = read_artifact(options.all_of)[0] if options.all_of else None
    preset = measured.training["preset"] if measured else options.preset
    preset = preset or ("drawn" if options.data == DRAWN else "cpu")
    settings = task.preset(preset)
    if measured and options.seed is not None:
        raise ModelError("--all-of takes the seed of the measured classifier; leave --seed out")
    seed = measured.training["settings"]["seed"] if measured else options.seed
    if seed is not None:
        settings = replace(settings, seed=seed)
    if options.teacher:
        settings = replace(settings, teacher=options.teacher)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # only errors: what TensorFlow says otherwise is for its makers
    work = training_folder(options.store, task.name)
    with training_lock(work):
        write_state(work, TrainingState("prepare"))  # not what an earlier training left there
        try:
            from model.training.build import Recipe, build_artifact
            from model.training.reporter import Reporter

            reporter = Reporter(work)
            source = _source(task, settings.drawings, options, reporter)
            feedback = open_feedback(feedback_folder(options.store, task.name), task) if options.with_feedback else None
            recipe = Recipe(task, preset, settings, _command(options), measured, feedback)
            card = build_artifact(recipe, source, options.store, folder, reporter)
        except (DataError, ModelError, OSError, ModuleNotFoundError) as error:
            write_state(work, TrainingState("failed", message=str(error)))
            raise
        write_state(work, TrainingState("done"))
    return card


def _source(task: Task, drawings: int, options: argparse.Namespace, reporter: "Reporter") -> Source:
    if options.data == DRAWN:
        extension = task.load_extension()
        if extension is None:
            raise SourceError(f"the task {task.name} has no drawings; use --data PATH")
        reporter.stage("prepare", f"drawing {drawings} pictures of each sign; the result will know drawings only")
        extension.write_examples(options.store / DRAWN, drawings, DRAWN_SEED)
        return open_source(options.store / DRAWN, task)
    if options.data:
        return open_source(Path(options.data), task)
    if options.download:
        reporter.stage("download", f"fetching {task.data.name} into {options.store}")
        _download(task, options)
    return find_source(task, options.store)


def _download(task: Task, options: argparse.Namespace) -> None:
    download(task, options.store, progress=sys.stderr.isatty())


def _command(options: argparse.Namespace) -> str:
    """Return the command for the card, without paths of this machine."""
    words = ["python", "init.py"]
    if options.task != DEFAULT_TASK:
        words += ["--task", options.task]
    if options.data:
        words += ["--data", DRAWN if options.data == DRAWN else "PATH"]
    if options.download:
        words += ["--download"]
    if options.preset:
        words += ["--preset", options.preset]
    if options.all_of:
        words += ["--all-of", "MEASURED"]
    if options.seed is not None:
        words += ["--seed", str(options.seed)]
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
    whose = f"{card.metrics['measured_on']}, made in the same way, had " if "measured_on" in card.metrics else ""
    return (
        f"{card.title}, version {card.version}, trained on {card.trained_on}: {whose}"
        f"{held_out['accuracy']:.2%} on held-out examples ({held_out['errors']} errors of {held_out['examples']:,}; "
        f"95 % interval {low:.2%} to {high:.2%})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
