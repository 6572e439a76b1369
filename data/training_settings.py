"""Training settings: hyperparameters of a run and limits of the distortions."""

from dataclasses import dataclass

IMAGENET = "imagenet"  # weights that keras.applications downloads
RESIDUAL, PLAIN = "residual", "plain"  # our own networks; other names come from keras.applications


@dataclass(frozen=True)
class Training:
    """The settings of one training run. Task files call such a set a preset.

    Attributes:
        network: `RESIDUAL`, `PLAIN` or the name of a network in keras.applications; see `model.training.backbones`.
        weights: initial weights: "" for random ones, `IMAGENET`, or a path that `model.training.backbones` can load.
        widths: channels of the stem and of each stage; used by the residual network only.
        teacher: folder of an artifact to distil from, or "" for none.
        distillation: weight of the teacher in the loss, in [0, 1].
        epochs: number of epochs.
        batch_size: examples per step.
        learning_rate: peak value, reached after the warm-up and followed by a cosine decay to 0.
        warmup: fraction of all steps in which the learning rate rises, in [0, 1).
        weight_decay: of AdamW; not applied to batch normalisation and biases.
        label_smoothing: in [0, 1).
        ema_momentum: of the exponential moving average of the weights, in [0, 1); reduced in short runs.
        dropout: fraction of the channels dropped before the last layer, in [0, 1).
        class_balance: exponent p; an example of a class with n examples has a weight proportional to n ** p. 0 gives
            all examples equal weights.
        weaker_from: fraction of the epochs after which the distortions are halved, in [0, 1].
        validation: fraction of each class's groups that is held out, in [0, 1); 0 trains on everything.
        frames: maximum number of examples per group, evenly spaced; 0 for all.
        outliers: number of outliers as a fraction of the training examples; 0 for none.
        seed: seed of the split, the initial weights, the order of the examples and the distortions.
        drawings: drawn examples per class, for tasks that can draw their own data set.
        frozen_epochs: first epochs, in which a network of keras.applications keeps its initial weights and only the
            last layer learns, at `frozen_learning_rate`; 0 for none.
        frozen_learning_rate: peak value in these epochs.
        learns_from: name of the network's first layer that learns in the other epochs; "" for all layers.
        prototypes: largest number of prototypes of a class, to which a picture must be similar to be recognised.
    """

    network: str
    weights: str
    widths: tuple[int, ...]
    teacher: str
    distillation: float
    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float
    weight_decay: float
    label_smoothing: float
    ema_momentum: float
    dropout: float
    class_balance: float
    weaker_from: float
    validation: float
    frames: int
    outliers: float
    seed: int
    drawings: int
    frozen_epochs: int = 0
    frozen_learning_rate: float = 0.0
    learns_from: str = ""
    prototypes: int = 1


@dataclass(frozen=True)
class DetectorTraining:
    """The settings of the training of a detector.

    Attributes:
        widths: channels at strides 2, 4, 8, 16 and 32.
        blocks: residual blocks at strides 8, 16 and 32.
        head: channels of the layer before the outputs.
        crop: side of the training crops in pixels; a multiple of 32.
        sizes: smallest and largest side of a sign in a crop, in pixels.
        epochs: number of epochs.
        crops: number of crops per epoch.
        batch_size: crops per step.
        learning_rate: peak value, reached after the warm-up and followed by a cosine decay to 0.
        warmup: fraction of all steps in which the learning rate rises, in [0, 1).
        weight_decay: of AdamW; not applied to batch normalisation and biases.
        ema_momentum: of the exponential moving average of the weights, in [0, 1).
        pasted: mean number of classification examples pasted into a crop; 0 for none.
        drawn: share of these that are drawings, in [0, 1].
        folds: number of folds that the groups of scenes are dealt to, in turn; 0 trains on everything.
        fold: the fold that is held out, from 0 on.
        seed: seed of the initial weights and the crops.
    """

    widths: tuple[int, int, int, int, int]
    blocks: tuple[int, int, int]
    head: int
    crop: int
    sizes: tuple[float, float]
    epochs: int
    crops: int
    batch_size: int
    learning_rate: float
    warmup: float
    weight_decay: float
    ema_momentum: float
    pasted: float
    drawn: float
    folds: int
    fold: int
    seed: int


@dataclass(frozen=True)
class Distortions:
    """Limits of the random distortions, which training draws again for every picture in every epoch.

    Angles are in degrees and lengths are fractions of the side of the crop; everything else is a factor or a
    probability. The defaults are wider than the ranges published for GTSRB (Sermanet & LeCun 2011; Cireşan et al.
    2012).

    Attributes:
        rotation_deg: standard deviation of the rotation, truncated at 2.5 standard deviations.
        margin: smallest and largest margin of the crop around the box, on each side, as a fraction of the box.
        aspect: largest logarithm of the stretch along an axis.
        shift: largest shift of the crop, as a fraction of the box.
        shear_deg: largest shear.
        perspective: largest change of the depth across the crop.
        resolution: smallest and largest fraction of the resolution that remains.
        resolution_probability: how often the resolution is reduced.
        blur: longest motion blur along an axis.
        blur_probability: how often motion blur is applied.
        noise: largest standard deviation of the noise, as a fraction of the full range.
        noise_probability: how often noise is added.
        saturation: smallest and largest factor.
        tint: largest relative change of each channel; small, because colour distinguishes classes.
        contrast: smallest and largest factor around the mean.
        gamma: smallest and largest exponent.
        brightness: smallest and largest factor.
        shadow: smallest and largest fraction of the light that remains in a shadow.
        shadow_probability: how often a shadow covers half of the picture.
        erase: smallest and largest side of a patch that is replaced by a random colour.
        erase_probability: how often a patch is erased.
        mirror_probability: how often the picture is mirrored left to right; 0 where that changes a class.
        flip_probability: how often it is turned upside down in a mirror; 0 where that changes a class.
        jpeg: lowest and highest JPEG quality.
        jpeg_probability: how often a picture is compressed.
    """

    rotation_deg: float = 8.0
    margin: tuple[float, float] = (-0.03, 0.28)
    aspect: float = 0.08
    shift: float = 0.10
    shear_deg: float = 8.0
    perspective: float = 0.12
    resolution: tuple[float, float] = (0.30, 1.0)
    resolution_probability: float = 0.35
    blur: float = 0.12
    blur_probability: float = 0.30
    noise: float = 0.09
    noise_probability: float = 0.30
    saturation: tuple[float, float] = (0.4, 1.6)
    tint: float = 0.10
    contrast: tuple[float, float] = (0.5, 1.6)
    gamma: tuple[float, float] = (0.65, 1.55)
    brightness: tuple[float, float] = (0.3, 1.8)
    shadow: tuple[float, float] = (0.3, 0.8)
    shadow_probability: float = 0.20
    erase: tuple[float, float] = (0.15, 0.45)
    erase_probability: float = 0.30
    mirror_probability: float = 0.0
    flip_probability: float = 0.0
    jpeg: tuple[float, float] = (12.0, 80.0)
    jpeg_probability: float = 0.30
