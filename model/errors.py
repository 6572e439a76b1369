"""Errors about classifiers and training, as a tree to catch at any level.

ModelError
├── ArtifactError    an artifact is missing, damaged or in an unsupported format
├── EngineError      the inference server failed
│   └── EngineTimeoutError  it did not answer in time
├── EvaluationError  there is nothing valid to evaluate a classifier on
└── TrainingError    training cannot start or continue
    └── BusyError    another process is training the same classifier

Every message states the expected and the actual value in plain language.
"""


class ModelError(Exception):
    """Base class of all errors about classifiers and training."""


class ArtifactError(ModelError):
    """An artifact is missing, damaged, or was written by another version."""


class EngineError(ModelError):
    """The inference server is unavailable, has not loaded the network, or refused to run it."""


class EngineTimeoutError(EngineError):
    """The inference server did not answer in time."""


class EvaluationError(ModelError):
    """The examples for an evaluation are missing, ambiguous, or were used for training."""


class TrainingError(ModelError):
    """Training cannot start or continue."""


class BusyError(TrainingError):
    """Another process is training the same classifier."""
