"""How a task is trained: settings of a training run and limits of the distortions."""

from dataclasses import dataclass

RESIDUAL, PLAIN = "residual", "plain"  # our own networks; other names are those of keras.applications


@dataclass(frozen=True)
class Training:
    """The settings of one training run, called a preset in a task file."""

    network: str
    """Name of the network: `RESIDUAL`, `PLAIN` or one of keras.applications, see `model.training.backbones`."""
    weights: str
    """Initial weights: "" for random ones, "imagenet", or the path of an HDF5 file."""
    widths: tuple[int, ...]
    """Channels of the stem and of each stage; used by the residual network only."""
    teacher: str
    """Folder of an artifact to distil from, or "" for none."""
    distillation: float
    """Share of the teacher in the loss, in [0, 1]."""
    epochs: int
    """Number of epochs."""
    batch_size: int
    """Examples per step."""
    learning_rate: float
    """Peak, reached after the warm-up and followed by a cosine decay to 0."""
    warmup: float
    """Share of all steps in which the learning rate rises, in [0, 1)."""
    weight_decay: float
    """Of AdamW; not applied to batch normalisation and biases."""
    label_smoothing: float
    """In [0, 1)."""
    ema_momentum: float
    """Of the exponential moving average of the weights, in [0, 1); lowered in short runs."""
    dropout: float
    """Share of the channels dropped before the last layer, in [0, 1)."""
    class_balance: float
    """An example of a class with n examples is weighted in proportion to n to this power; 0 for equal weights."""
    weaker_from: float
    """Share of the epochs after which the distortions have half their strength, in [0, 1]."""
    validation: float
    """Share of each class's groups that is held out, in [0, 1); 0 trains on everything."""
    frames: int
    """Examples used of each group, evenly spaced; 0 for all."""
    outliers: float
    """Number of outliers as a share of the training examples; 0 for none."""
    seed: int
    """Decides the split, the initial weights, the order and the distortions."""
    drawings: int
    """Drawn examples of each class, where a task draws its own data set."""


@dataclass(frozen=True)
class Distortions:
    """Limits of the random distortions that training applies to every picture anew.

    Angles are in degrees, lengths are fractions of the side of the crop, the rest are factors and probabilities. The
    defaults are wider than those published for GTSRB (Sermanet & LeCun 2011; Cireşan et al. 2012).
    """

    rotation_deg: float = 8.0
    """Standard deviation, truncated at 2.5 of them."""
    margin: tuple[float, float] = (-0.03, 0.28)
    """Of the crop around the box, on each side, as a fraction of the box."""
    aspect: float = 0.08
    """Largest logarithm of the stretch along an axis."""
    shift: float = 0.10
    """Largest shift of the crop, as a fraction of the box."""
    shear_deg: float = 8.0
    """Largest shear."""
    perspective: float = 0.12
    """Largest change of the depth across the crop."""
    resolution: tuple[float, float] = (0.30, 1.0)
    """Share of the resolution that is left."""
    resolution_probability: float = 0.35
    """How often resolution is lost."""
    blur: float = 0.12
    """Longest motion blur along an axis."""
    blur_probability: float = 0.30
    """How often there is any."""
    noise: float = 0.09
    """Largest standard deviation of the noise, in units of the full range."""
    noise_probability: float = 0.30
    """How often there is any."""
    saturation: tuple[float, float] = (0.4, 1.6)
    """Factor."""
    tint: float = 0.10
    """Largest change of each channel; the hue changes little, since colour tells classes apart."""
    contrast: tuple[float, float] = (0.5, 1.6)
    """Factor around the mean."""
    gamma: tuple[float, float] = (0.65, 1.55)
    """Exponent."""
    brightness: tuple[float, float] = (0.3, 1.8)
    """Factor."""
    shadow: tuple[float, float] = (0.3, 0.8)
    """Share of the light that is left in a shadow."""
    shadow_probability: float = 0.20
    """How often half of the picture lies in shadow."""
    erase: tuple[float, float] = (0.15, 0.45)
    """Side of a patch of random colour."""
    erase_probability: float = 0.30
    """How often there is one."""
    jpeg: tuple[float, float] = (12.0, 80.0)
    """JPEG quality."""
    jpeg_probability: float = 0.30
    """How often a picture is compressed."""
