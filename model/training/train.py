"""Train a network on prepared examples; an interrupted training resumes after its last complete epoch."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from data.images import DECODER_VERSION
from data.prepare import Prepared
from data.split import sample_evenly, split_by_group
from data.task import Task
from data.training_settings import Training
from model.artifact import NETWORK_FILE, read_artifact
from model.training.augment import Augment
from model.training.batches import Batches
from model.training.checkpoint import count_epochs
from model.training.distil import distillation_loss, load_teacher, student_accuracy
from model.training.monitor import Monitor, ProgressCallback
from model.training.network import NETWORK, build_network
from model.training.optimizer import build_optimizer
from model.training.phases import Phase, choose_layers, plan_phases
from model.training.training_set import TrainingSet

AVERAGED = 0.15  # largest time constant of the moving average of the weights, as a share of all steps
STATISTICS_BATCHES = 60  # for estimating the statistics of batch normalisation; at most one epoch


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        network: the trained network, in float32.
        training_rows: indices of the training examples among the prepared ones, shape (n,).
        validation_rows: indices of the held-out examples, shape (m,).
        precision: Keras dtype policy of the training.
        duration_s: wall time of all epochs, including those before an interruption.
    """

    network: keras.Model
    training_rows: npt.NDArray[np.int64]
    validation_rows: npt.NDArray[np.int64]
    precision: str
    duration_s: float


def train(
    task: Task,
    settings: Training,
    prepared: Prepared,
    checkpoint: Path,
    on_progress: ProgressCallback = lambda _state, _part: None,
) -> Trained:
    """Train a network on all groups except those held out for validation.

    Args:
        task: the task; determines the input size, the classes and the distortions.
        settings: the settings of the training, usually a preset.
        prepared: the examples, in the task's input size.
        checkpoint: folder for checkpoints. If it contains one, training resumes from there. The caller removes it
            after saving the result.
        on_progress: called after each batch and each epoch with the state and the finished share of the current epoch.

    Raises:
        SplitError: a class has only one group.
        ArtifactError: the teacher is missing or damaged.
        TrainingError: the checkpoint cannot be read, or the network or the teacher does not fit.
        OSError: the checkpoint cannot be written.
    """
    precision = choose_precision()
    phases = plan_phases(settings)
    keras.utils.set_random_seed(settings.seed)
    training_rows, validation_rows = split_rows(prepared, settings)
    training = TrainingSet.of_examples(task, prepared, training_rows, settings.class_balance)
    training = training.with_outliers(task, prepared.class_index[training_rows], settings, prepared.outliers)
    held_out = None
    if len(validation_rows):
        validation = TrainingSet.of_examples(task, prepared, validation_rows, power=0.0)
        held_out = Batches(validation, settings.batch_size)
    batches = Batches(training, settings.batch_size, settings.seed)
    teacher = None
    if settings.teacher:
        groups = np.unique(prepared.groups[validation_rows]).tolist()
        teacher = load_teacher(settings.teacher, task, prepared.origin, groups)
    model, augment = build_model(task, settings, precision, teacher)

    def begin(epoch: int) -> None:
        batches.begin(epoch)
        augment.strength.assign(0.5 if epoch >= settings.weaker_from * settings.epochs else 1.0)

    monitor = Monitor(checkpoint, settings.epochs, len(batches), on_progress, begin)
    finished = count_epochs(checkpoint)
    for phase in phases:
        if finished <= phase.end:  # else a later phase has begun, and its checkpoint contains this one
            compile_phase(model, settings, phase, len(batches), teacher is not None)
            model.fit(
                batches,
                epochs=phase.end,
                validation_data=held_out,
                initial_epoch=monitor.resume(model) if phase.begin < finished else phase.begin,
                callbacks=[monitor],
                verbose=0,
                shuffle=False,
            )
    estimate_batch_statistics(model, _statistics_batches(training, settings.batch_size, settings.seed))
    keras.mixed_precision.set_dtype_policy("float32")
    network = _network(task, dataclasses.replace(settings, weights=""))
    network.set_weights(model.get_layer(NETWORK).get_weights())
    return Trained(network, training_rows, validation_rows, precision, monitor.duration_s)


def split_rows(prepared: Prepared, settings: Training) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices of the training and validation examples; they depend only on the arguments.

    Raises:
        SplitError: a class has only one group.
    """
    training, validation = np.arange(len(prepared)), np.empty(0, np.int64)
    if settings.validation:
        training, validation = split_by_group(prepared.class_index, prepared.groups, settings.validation, settings.seed)
    if settings.frames:
        training = sample_evenly(training, prepared.groups[training], settings.frames)
    return training, validation


def choose_precision() -> str:
    """Return the Keras dtype policy that trains fastest on this machine.

    CPUs with bfloat16 instructions train 2.4 times as fast with mixed precision (benchmarked on two cores with
    AVX512-BF16 and TensorFlow 2.21); others would emulate it slowly.
    """
    if keras.backend.backend() == "jax":
        import jax

        return "mixed_bfloat16" if jax.default_backend() == "gpu" else "float32"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags.split()) else "float32"


def _network(task: Task, settings: Training) -> keras.Model:
    return build_network(task.input_size, len(task.labels), settings)


def build_model(
    task: Task, settings: Training, precision: str, teacher: keras.Model | None = None
) -> tuple[keras.Model, Augment]:
    """Build the training model: augmentation and network.

    Args:
        task: the task.
        settings: the settings of the training.
        precision: the Keras dtype policy; set globally.
        teacher: a network for distillation.

    Returns:
        The model, to be compiled by `compile_phase`, and its augmentation layer. The model maps pixels and boxes to
        logits (batch, classes); with a teacher, to the concatenated logits of student and teacher, (batch,
        2 · classes).
    """
    keras.mixed_precision.set_dtype_policy(precision)
    pixels = keras.Input((*task.input_size, 3), dtype="uint8", name="pixels")
    boxes = keras.Input((4,), dtype="float32", name="boxes")
    augment = Augment(task.distortions, seed=settings.seed, name="augment")
    seen = augment(pixels, boxes)
    outputs = _network(task, settings)(seen)
    if teacher:
        outputs = keras.ops.concatenate([outputs, teacher(seen)], axis=1)
    return keras.Model([pixels, boxes], outputs), augment


def compile_phase(model: keras.Model, settings: Training, phase: Phase, steps: int, has_teacher: bool) -> None:
    """Give a training model the loss, the optimizer and the layers that learn in a phase.

    Args:
        model: made by `build_model`.
        settings: the settings of the training.
        phase: the phase.
        steps: number of steps per epoch, for the learning-rate schedule.
        has_teacher: whether the model also returns the logits of a teacher.
    """
    choose_layers(model.get_layer(NETWORK), settings, phase)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True,
        label_smoothing=settings.label_smoothing,
        reduction=None if has_teacher else "sum_over_batch_size",
    )
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    if has_teacher:
        loss, accuracy = distillation_loss(loss, settings.distillation), student_accuracy()
    schedule = dataclasses.replace(settings, epochs=phase.end - phase.begin, learning_rate=phase.learning_rate)
    # In a short training the average must not include the initial weights.
    longest = 1 - 1 / max(1.0, AVERAGED * schedule.epochs * steps)
    optimizer = build_optimizer(schedule, steps, min(settings.ema_momentum, longest))
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=keras.backend.backend() == "jax")


def describe_settings(settings: Training) -> dict[str, Any]:
    """Return the settings in JSON types, with a teacher's version and a file's digest instead of paths.

    Raises:
        ArtifactError: the teacher is missing or damaged.
        OSError: the file of weights cannot be read.
    """
    table = dataclasses.asdict(settings)
    if settings.teacher:
        table["teacher"] = read_artifact(Path(settings.teacher))[0].version
    if settings.weights and Path(settings.weights).exists():
        path = Path(settings.weights)
        digest = hashlib.sha256((path / NETWORK_FILE if path.is_dir() else path).read_bytes()).hexdigest()
        table["weights"] = f"{path.name} {digest[:16]}"
    return table


def checkpoint_key(task: Task, settings: Training, prepared: Prepared) -> str:
    """Return a digest of everything that determines the result, so that only an identical training resumes.

    Returns:
        16 hexadecimal digits, used as the name of the checkpoint folder.

    Raises:
        ArtifactError: the teacher is missing or damaged.
        OSError: the file of weights cannot be read.
    """
    extension = task.load_extension()
    facts = [
        describe_settings(settings),
        dataclasses.asdict(task.distortions),
        dataclasses.asdict(task.outliers),
        extension.version if extension else [],
        [task.input_size, len(task.labels), sorted(task.data.excluded_groups), task.data.margin, task.data.duplicates],
        [prepared.fingerprint, DECODER_VERSION, choose_precision(), keras.backend.backend(), keras.__version__],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def estimate_batch_statistics(model: keras.Model, batches: Iterable[Any]) -> None:
    """Re-estimate the statistics of batch normalisation for averaged weights (Izmailov et al. 2018).

    Layers that do not learn keep theirs.

    Args:
        model: the model with the averaged weights.
        batches: inputs of the model.
    """
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    momenta = [layer.momentum for layer in layers]
    for number, batch in enumerate(batches):
        for layer in layers:
            layer.momentum = 1 - 1 / (number + 1)  # makes the moving average the mean over the batches
        model(batch, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _statistics_batches(training: TrainingSet, batch_size: int, seed: int) -> Iterator[list[Any]]:
    """Yield random batches for `estimate_batch_statistics`."""
    rng = np.random.default_rng(seed)
    count = len(training.targets)
    for _ in range(min(STATISTICS_BATCHES, -(-count // batch_size))):
        inputs = training.inputs(rng.integers(0, count, batch_size))
        yield [inputs["pixels"], inputs["boxes"]]
