"""Train a detector on scenes; an interrupted training resumes after its last complete epoch."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from data.compose import COMPOSER_VERSION, Composer, Cutout, cut_out
from data.errors import ImageError, SourceError
from data.feedback_photos import DecodedPhoto, PhotoSource
from data.images import DECODER_VERSION, Pixels, decode
from data.scenes import SceneSource
from data.source import Source
from data.split import sample_evenly
from data.task import Task
from data.training_settings import DetectorTraining
from model.training.detector_network import build_detector
from model.training.detector_targets import detection_loss, make_targets
from model.training.monitor import Monitor, ProgressCallback
from model.training.optimizer import build_optimizer
from model.training.train import choose_precision, estimate_batch_statistics

FRAMES = 4  # photographs per group that can be pasted; the frames of a track differ little
DRAWING_SIDE = 128  # pixels
MAX_GRADIENT = 10.0  # norm of the gradient of a weight
STATISTICS_BATCHES = 60  # for estimating the statistics of batch normalisation


@dataclass(frozen=True)
class TrainedDetector:
    """The result of a training.

    Attributes:
        network: the trained network, in float32.
        held_out: indices of the scenes that were held out, shape (n,).
        duration_s: wall time of all epochs, including those before an interruption.
    """

    network: keras.Model
    held_out: npt.NDArray[np.int64]
    duration_s: float


def train_detector(
    settings: DetectorTraining,
    source: SceneSource,
    pixels: Pixels,
    cutouts: tuple[Sequence[Cutout], Sequence[Cutout]],
    checkpoint: Path,
    on_progress: ProgressCallback = lambda _state, _part: None,
    feedback: Sequence[DecodedPhoto] = (),
) -> TrainedDetector:
    """Train a network on all groups of scenes except those held out.

    Args:
        settings: the settings of the training.
        source: the scenes.
        pixels: the scenes decoded, shape (n, height, width, 3), uint8.
        cutouts: photographs and drawings to paste; see `load_cutouts`.
        checkpoint: folder for checkpoints. If it contains one, training resumes from there.
        on_progress: called after each batch and each epoch with the state and the finished share of the current epoch.
        feedback: photos from users, which are further scenes for training; outside of their boxes nothing is known.

    Raises:
        TrainingError: the checkpoint cannot be read.
        OSError: the checkpoint cannot be written.
    """
    keras.utils.set_random_seed(settings.seed)
    training, held_out = split_scenes(source, settings)
    photos = dict(enumerate(feedback, start=len(pixels)))
    composer = Composer(
        [*pixels, *(photo.pixels for photo in feedback)],
        {int(row): source.scenes[row].boxes for row in training} | {row: photo.signs for row, photo in photos.items()},
        *cutouts,
        settings,
        {row: photo.others for row, photo in photos.items()},
    )
    steps = settings.crops // settings.batch_size
    keras.mixed_precision.set_dtype_policy(choose_precision())
    model = _compile(settings, steps)
    crops = _Crops(composer, settings, steps)
    monitor = Monitor(checkpoint, settings.epochs, steps, on_progress, crops.begin)
    finished = monitor.resume(model)
    model.fit(crops, epochs=settings.epochs, initial_epoch=finished, callbacks=[monitor], verbose=0, shuffle=False)
    estimate_batch_statistics(model, [crops[step][0] for step in range(min(STATISTICS_BATCHES, steps))])
    keras.mixed_precision.set_dtype_policy("float32")
    network = build_detector(settings)
    network.set_weights(model.get_weights())
    return TrainedDetector(network, held_out, monitor.duration_s)


def split_scenes(
    source: SceneSource, settings: DetectorTraining
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the indices of the training scenes and of those held out; they depend only on the arguments."""
    everything = np.arange(len(source.scenes))
    held_out = source.select_fold(settings.fold, settings.folds) if settings.folds else everything[:0]
    return np.setdiff1d(everything, held_out), held_out


def load_cutouts(task: Task, examples: Source | None) -> tuple[list[Cutout], list[Cutout]]:
    """Return photographs of classification examples, and drawings by the task's extension, to paste into scenes.

    Raises:
        SourceError: a picture cannot be read.
    """
    extension = task.load_extension()
    drawn = [extension.draw_label(label.index, DRAWING_SIDE) for label in task.labels] if extension else []
    whole = 0, 0, DRAWING_SIDE, DRAWING_SIDE
    drawings = [Cutout(_copy(each[..., :3]), whole, _copy(each[..., 3]), drawn=True) for each in drawn]
    if examples is None:
        return [], drawings
    disc = np.zeros((DRAWING_SIDE, DRAWING_SIDE), np.uint8)
    y, x = np.mgrid[-1 : 1 : DRAWING_SIDE * 1j, -1 : 1 : DRAWING_SIDE * 1j]
    disc[x**2 + y**2 <= 1] = 255
    groups = np.array([example.group for example in examples.examples])
    photos = []
    for row in sample_evenly(np.arange(len(groups)), groups, FRAMES):
        example = examples.examples[row]
        shape = drawings[example.class_index].mask if drawings else disc
        try:
            photos.append(cut_out(decode(examples.read(example), example.size), example.box, shape))
        except ImageError as error:
            raise SourceError(f"{examples.name_of(example)}: {error}") from error
    return photos, drawings


def detector_key(
    settings: DetectorTraining,
    source: SceneSource,
    cutouts: tuple[Sequence[Cutout], Sequence[Cutout]],
    feedback: PhotoSource | None = None,
) -> str:
    """Return a digest of everything that determines the result, so that only an identical training resumes.

    Args:
        settings, source, cutouts: as for `train_detector`.
        feedback: photos from users.

    Returns:
        16 hexadecimal digits.
    """
    pasted = hashlib.sha256()
    for cutout in itertools.chain(*cutouts):
        pasted.update(f"{cutout.pixels.shape} {cutout.box} {cutout.drawn}".encode())
        pasted.update(cutout.pixels.tobytes())
        pasted.update(cutout.mask.tobytes())
    facts = [
        dataclasses.asdict(settings),
        source.fingerprint,
        pasted.hexdigest(),
        feedback.fingerprint if feedback else "",
        [COMPOSER_VERSION, MAX_GRADIENT, STATISTICS_BATCHES],
        [DECODER_VERSION, choose_precision(), keras.backend.backend(), keras.__version__],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _copy(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels)


class _Crops(keras.utils.PyDataset):
    """The crops of the current epoch, in batches; the same seed and epoch always give the same crops."""

    def __init__(self, composer: Composer, settings: DetectorTraining, steps: int) -> None:
        super().__init__(workers=1)
        self._composer, self._settings, self._steps = composer, settings, steps
        self._epoch = 0

    def begin(self, epoch: int) -> None:
        """Move on to the crops of another epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> tuple[Pixels, npt.NDArray[np.float32]]:
        seeds = [
            (self._settings.seed, self._epoch, step * self._settings.batch_size + number)
            for number in range(self._settings.batch_size)
        ]
        crops = [self._composer.crop(seed) for seed in seeds]
        return np.stack([crop.pixels for crop in crops]), np.stack([make_targets(crop) for crop in crops])


def _compile(settings: DetectorTraining, steps: int) -> keras.Model:
    model = build_detector(settings)
    optimizer = build_optimizer(settings, steps, settings.ema_momentum, MAX_GRADIENT)
    model.compile(optimizer, detection_loss, jit_compile=keras.backend.backend() == "jax")
    return model
