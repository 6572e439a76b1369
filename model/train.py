"""Train a network on prepared examples; it may be stopped, and goes on from its last epoch."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from data import numbers, other_signs
from data.images import DECODER_VERSION
from data.numbers import KNOWN, choose_numbers, renumber_some
from data.outliers import draw_numbers, draw_other_signs, draw_scenes, draw_signs, make_outliers
from data.prepare import Prepared
from data.render import DRAWING_VERSION
from data.split import split_by_group, take_some_of_each
from data.task import Task, Training
from model.artifact import read_artifact
from model.augment import Augment, Ranges
from model.checkpoint import load_checkpoint, save_checkpoint
from model.distil import distilled, load_teacher, student_accuracy
from model.network import build_network
from model.progress import FinishedEpoch

AVERAGED = 0.15  # share of all steps that the mean of the weights may span
STATISTICS_BATCHES = 60  # that the statistics of batch normalisation are taken from, or an epoch if that is shorter
WHOLE_SIGN = np.array([[0.1, 0.1, 0.9, 0.9]], np.float32)  # the box of what has none: margins as in GTSRB


@dataclass(frozen=True)
class Epoch:
    """What is known after a part of the training.

    `total` is how many epochs there will be and `history` has the finished ones, over all runs where the training was
    stopped and continued; an accuracy is that of the weights as they are, before averaging. `part` is the share of the
    current epoch that is done, in [0, 1); `remaining_s` is an estimate.
    """

    total: int
    part: float
    history: tuple[FinishedEpoch, ...]
    remaining_s: float | None

    @property
    def number(self) -> int:
        """How many epochs are finished."""
        return len(self.history)

    @property
    def loss(self) -> float | None:
        """That of the last finished epoch, None before the first."""
        return self.history[-1]["loss"] if self.history else None

    @property
    def validation_accuracy(self) -> float | None:
        """That of the last finished epoch, None before the first or if nothing is held out."""
        return self.history[-1].get("validation_accuracy") if self.history else None


@dataclass(frozen=True)
class Trained:
    """A trained network in float32, the examples it saw and those it never saw, and what the training cost.

    `training` and `validation` hold indices into the prepared examples; `duration_s` is wall time, over all runs
    where the training was stopped and continued.
    """

    network: keras.Model
    training: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    precision: str
    duration_s: float


def train(
    task: Task,
    settings: Training,
    prepared: Prepared,
    checkpoint: Path,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train on all groups but those held out for validation, if any are.

    A stopped training goes on after its last whole epoch. `report` is called after each batch and each epoch.

    Args:
        task: gives the input size and the classes.
        settings: one of the task's presets.
        prepared: pixels of the task's input size.
        checkpoint: where the training is kept between epochs; the caller removes it when the result is safe.
        report: called with the state of the training.

    Raises:
        SplitError: a class has one group only.
        TrainingError: the checkpoint cannot be read.
        OSError: the checkpoint cannot be written.
    """
    precision = choose_precision()
    keras.utils.set_random_seed(settings.seed)
    training_rows, validation_rows = divide(prepared, settings)
    training = _Lessons.of_signs(task, prepared, training_rows, settings.class_balance)
    training = training.with_outliers(task, prepared.class_index[training_rows], settings, prepared.outliers)
    held_out = None
    if len(validation_rows):
        validation = _Lessons.of_signs(task, prepared, validation_rows, power=0.0)
        held_out = validation.inputs, validation.targets
    steps = -(-len(training.targets) // settings.batch_size)
    teacher = None
    if settings.teacher:
        groups = np.unique(prepared.groups[validation_rows]).tolist()
        teacher = load_teacher(settings.teacher, task, prepared.origin, groups)
    model, augment = compile_model(task, settings, precision, steps, teacher)
    progress = _Progress(report, settings, steps, augment, checkpoint)
    finished = progress.resume(model)
    model.fit(
        training.inputs,
        training.targets,
        sample_weight=training.weights,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_data=held_out,
        validation_batch_size=settings.batch_size,
        initial_epoch=finished,
        callbacks=[progress],
        verbose=0,
    )
    _estimate_batch_statistics(model, training.inputs, settings.batch_size, settings.seed)
    keras.mixed_precision.set_dtype_policy("float32")
    network = _network(task, settings)
    network.set_weights(model.get_layer("sign_network").get_weights())
    return Trained(network, training_rows, validation_rows, precision, progress.duration_s)


def divide(prepared: Prepared, settings: Training) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of the training and of the validation examples, as every training with these settings has them.

    Raises:
        SplitError: a class has one group only.
    """
    training, validation = np.arange(len(prepared)), np.empty(0, np.int64)
    if settings.validation:
        training, validation = split_by_group(prepared.class_index, prepared.groups, settings.validation, settings.seed)
    if settings.frames:
        training = take_some_of_each(training, prepared.groups[training], settings.frames)
    return training, validation


@dataclass(frozen=True)
class _Lessons:
    """What a network learns from: n pictures and their boxes, targets (n, classes) and weights (n,)."""

    pixels: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]

    @property
    def inputs(self) -> dict[str, npt.NDArray[Any]]:
        return {"pixels": self.pixels, "boxes": self.boxes}

    @classmethod
    def of_signs(cls, task: Task, prepared: Prepared, rows: npt.NDArray[np.int64], power: float) -> "_Lessons":
        """Signs with one-hot targets, each class weighing in proportion to n^(1 + power) with its n examples."""
        class_index = prepared.class_index[rows]
        weights = np.bincount(class_index, minlength=len(task.labels))[class_index].astype(np.float32) ** power
        return cls(
            pixels=prepared.pixels[rows],
            boxes=prepared.boxes[rows],
            targets=np.eye(len(task.labels), dtype=np.float32)[class_index],
            weights=weights / weights.mean(),
        )

    def with_outliers(
        self,
        task: Task,
        class_index: npt.NDArray[np.int64],
        settings: Training,
        found: npt.NDArray[np.uint8] | None,
    ) -> "_Lessons":
        """Add pictures that are none of the classes; the right answer to them is flat (Hendrycks et al. 2019).

        Where some of them are drawn, drawings of the classes are added too: being drawn must not mean being none. The
        same holds for numbers written on photographs. `found` are pictures that need not be made.
        """
        count = round(settings.outliers * len(self.pixels))
        if not count:
            return self
        signs, classes, made = np.empty((0, *task.input_size, 3), np.uint8), np.empty(0, np.int64), []
        if task.outliers.drawn:
            # What is trained on everything has nothing to be measured on, and learns from the signs of the test too.
            everything = not settings.validation
            names = other_signs.TRAINING + other_signs.TESTING if everything else other_signs.TRAINING
            rng = np.random.default_rng(settings.seed)
            drawn, written = (choose_numbers(share, rng, testing=everything) for share in (3 * count // 20,) * 2)
            made = [
                draw_other_signs(task.input_size, names, count // 4, settings.seed),
                draw_numbers(task.input_size, drawn, settings.seed),
                draw_scenes(task.input_size, count // 10, settings.seed),
                renumber_some(self.pixels, self.boxes, class_index, written, settings.seed),
            ]
            signs, classes = self._drawn_signs(task, class_index, count, settings.seed)
        made.append(make_outliers(task, self.pixels, class_index, count - sum(map(len, made)), settings.seed))
        if found is not None:
            made.append(found)
        flat = np.full((sum(map(len, made)), len(task.labels)), 1 / len(task.labels), np.float32)
        targets = np.concatenate([self.targets, flat, np.eye(len(task.labels), dtype=np.float32)[classes]])
        added = len(targets) - len(self.targets)
        return _Lessons(
            pixels=np.concatenate([self.pixels, *made, signs]),
            boxes=np.concatenate([self.boxes, np.tile(WHOLE_SIGN, (added, 1))]),
            targets=targets,
            weights=np.concatenate([self.weights, np.ones(added, np.float32)]),
        )

    def _drawn_signs(
        self, task: Task, class_index: npt.NDArray[np.int64], count: int, seed: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Drawings of the classes and photographs with a number of the classes written on, and what they show."""
        classes = np.arange(count // 3) % len(task.labels)
        digits = [list(KNOWN)[n % len(KNOWN)] for n in range(count // 10)]
        written = renumber_some(self.pixels, self.boxes, class_index, digits, seed + 1)
        known = np.array([KNOWN[number] for number in digits[: len(written)]], np.int64)
        signs = np.concatenate([draw_signs(task.input_size, classes, seed), written])
        return signs, np.concatenate([classes, known])


def choose_precision() -> str:
    """Return the Keras dtype policy that trains fastest here.

    Processors with bfloat16 arithmetic train the same network 2.4 times as fast in it (measured on two cores with
    AVX512-BF16, TensorFlow 2.21); others would emulate it slowly.
    """
    if keras.backend.backend() == "jax":
        import jax

        return "mixed_bfloat16" if jax.default_backend() == "gpu" else "float32"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags.split()) else "float32"


def _network(task: Task, settings: Training) -> keras.Model:
    return build_network(task.input_size, len(task.labels), settings)


def compile_model(
    task: Task, settings: Training, precision: str, steps: int, teacher: keras.Model | None = None
) -> tuple[keras.Model, Augment]:
    """Put distortions, network, loss and optimizer together.

    Args:
        task, settings: what to build.
        precision: a Keras dtype policy; it stays set.
        steps: of one epoch, for the schedule of the learning rate.
        teacher: a network to learn from too.

    Returns:
        A model that is ready to fit and its distortions. It maps pixels and boxes to logits (batch, classes), and with
        a teacher to the student's and the teacher's side by side, (batch, 2 · classes).
    """
    keras.mixed_precision.set_dtype_policy(precision)
    pixels = keras.Input((*task.input_size, 3), dtype="uint8", name="pixels")
    boxes = keras.Input((4,), dtype="float32", name="boxes")
    augment = Augment(seed=settings.seed, name="augment")
    seen = augment(pixels, boxes)
    outputs = _network(task, settings)(seen)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True,
        label_smoothing=settings.label_smoothing,
        reduction=None if teacher else "sum_over_batch_size",
    )
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    if teacher:
        outputs = keras.ops.concatenate([outputs, teacher(seen)], axis=1)
        loss, accuracy = distilled(loss, settings.distillation), student_accuracy()
    model = keras.Model([pixels, boxes], outputs)
    total = settings.epochs * steps
    warmup = round(settings.warmup * total)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            settings.learning_rate / 100, total - warmup, warmup_target=settings.learning_rate, warmup_steps=warmup
        ),
        weight_decay=settings.weight_decay,
        use_ema=True,
        # In a short training the mean must not reach back to the random weights of its beginning.
        ema_momentum=min(settings.ema_momentum, 1 - 1 / max(1.0, AVERAGED * total)),
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=keras.backend.backend() == "jax")
    return model, augment


def describe_settings(settings: Training) -> dict[str, Any]:
    """Return the settings in JSON types, with files named by what is in them and not by where they are.

    Raises:
        ArtifactError: there is no good teacher.
        OSError: the file of weights cannot be read.
    """
    table = dataclasses.asdict(settings)
    if settings.teacher:
        table["teacher"] = read_artifact(Path(settings.teacher))[0].version
    if Path(settings.weights).is_file():
        digest = hashlib.sha256(Path(settings.weights).read_bytes()).hexdigest()
        table["weights"] = f"{Path(settings.weights).name} {digest[:16]}"
    return table


def checkpoint_key(task: Task, settings: Training, prepared: Prepared) -> str:
    """Return a name for a training by all that decides its result: one that was begun otherwise is not continued."""
    facts = [
        describe_settings(settings),
        dataclasses.asdict(Ranges()),
        dataclasses.asdict(task.outliers),
        [DRAWING_VERSION, numbers.VERSION, other_signs.TRAINING, other_signs.TESTING],
        [task.input_size, len(task.labels), sorted(task.data.excluded_groups)],
        [prepared.fingerprint, DECODER_VERSION, choose_precision(), keras.backend.backend(), keras.__version__],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _estimate_batch_statistics(
    model: keras.Model, inputs: dict[str, npt.NDArray[Any]], batch_size: int, seed: int
) -> None:
    """Replace the moving statistics of batch normalisation by those of the averaged weights (Izmailov 2018)."""
    batches = min(STATISTICS_BATCHES, -(-len(inputs["pixels"]) // batch_size))
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    rng = np.random.default_rng(seed)
    for batch in range(batches):
        for layer in layers:
            layer.momentum = 1 - 1 / (batch + 1)  # so that the moving value is the mean over the batches
        rows = rng.integers(0, len(inputs["pixels"]), batch_size)
        model([inputs["pixels"][rows], inputs["boxes"][rows]], training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


class _Progress(keras.callbacks.Callback):
    """Keeps a checkpoint of each epoch, reports, and weakens the augmentation near the end."""

    def __init__(
        self, report: Callable[[Epoch], None], settings: Training, steps: int, augment: Augment, checkpoint: Path
    ) -> None:
        super().__init__()
        self._report, self._settings, self._steps, self._augment = report, settings, steps, augment
        self._checkpoint = checkpoint
        self._history: list[dict[str, float]] = []

    @property
    def duration_s(self) -> float:
        return sum(epoch["duration_s"] for epoch in self._history)

    def resume(self, model: keras.Model) -> int:
        """Go on from the checkpoint, if there is one; return the number of finished epochs."""
        state = load_checkpoint(self._checkpoint, model)
        self._history = state["history"] if state else []
        return len(self._history)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._began = time.monotonic()
        weaker = epoch >= self._settings.weaker_from * self._settings.epochs
        self._augment.strength.assign(0.5 if weaker else 1.0)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        if batch + 1 < self._steps:
            self._tell((batch + 1) / self._steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self._history.append({"duration_s": time.monotonic() - self._began, **figures})
        save_checkpoint(self._checkpoint, self.model, epoch + 1, {"history": self._history})
        self._tell(0.0)  # when the checkpoint is safe: who stops the training now loses nothing

    def _finished(self) -> tuple[FinishedEpoch, ...]:
        finished = []
        for number, figures in enumerate(self._history, 1):
            epoch = FinishedEpoch(epoch=number, loss=figures["loss"])
            if "val_accuracy" in figures:
                epoch["validation_accuracy"] = figures["val_accuracy"]
            finished.append(epoch)
        return tuple(finished)

    def _tell(self, part: float) -> None:
        elapsed = self.duration_s + (time.monotonic() - self._began if part else 0.0)
        progress = len(self._history) + part
        remaining = elapsed / progress * (self._settings.epochs - progress) if progress else None
        self._report(Epoch(self._settings.epochs, part, self._finished(), remaining))
