"""Shared by the peers: port, classifier, and their short answer."""

import os
from pathlib import Path
from typing import Final

import numpy as np

from data.task import DEFAULT_TASK
from model.artifact import ARTIFACTS, read_artifact
from model.classifier import Classifier
from model.engine import Engine
from model.prediction import Prediction
from service.engine import create_engine
from service.metrics import Metrics
from service.settings import read_settings

PORT: Final = int(os.environ.get("BENCH_PORT", "9700"))
ARTIFACT: Final = Path(os.environ.get("BENCH_ARTIFACT", ARTIFACTS / DEFAULT_TASK))
CONVERTED: Final = Path(os.environ.get("BENCH_CONVERTED", "bench/results/converted"))  # other formats of the network


def engine() -> Engine:
    """Return the engine that the service would use."""
    settings = read_settings()
    return create_engine(settings, Metrics(settings.served))


def classifier(folder: Path = ARTIFACT) -> Classifier:
    """Return our classifier, loaded; the engine is that of the service."""
    card, model = read_artifact(folder)
    return Classifier(card, engine().open(card.task, card.version, model))


def summary(prediction: Prediction) -> dict[str, float | int]:
    """Return class and probability."""
    return {"class_index": prediction.class_index, "probability": prediction.probability}


def of_logits(logits: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> dict[str, float | int]:
    """Return class and probability for the logits of one picture, shape (classes,)."""
    exponentials = np.exp(logits - logits.max())
    return {
        "class_index": int(logits.argmax()),
        "probability": float(exponentials.max() / exponentials.sum()),
    }
