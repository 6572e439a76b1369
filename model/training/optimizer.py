"""The optimizer of every training: AdamW with a warm-up, a cosine decay and averaged weights."""

import keras

from data.training_settings import DetectorTraining, Training


def build_optimizer(
    settings: Training | DetectorTraining, steps: int, ema_momentum: float, clipnorm: float | None = None
) -> keras.Optimizer:
    """Build the optimizer of a training.

    Args:
        settings: uses `epochs`, `learning_rate`, `warmup` and `weight_decay`.
        steps: number of steps per epoch, for the learning-rate schedule.
        ema_momentum: of the exponential moving average of the weights, in [0, 1).
        clipnorm: largest norm of the gradient of a weight; None for no limit.
    """
    total = settings.epochs * steps
    warmup = round(settings.warmup * total)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            settings.learning_rate / 100, total - warmup, warmup_target=settings.learning_rate, warmup_steps=warmup
        ),
        weight_decay=settings.weight_decay,
        use_ema=True,
        ema_momentum=ema_momentum,
        clipnorm=clipnorm,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
