"""What can go wrong with a classifier, as a tree to catch at any level.

ModelError
├── ArtifactError    an artifact is missing, damaged or of another format
├── EvaluationError  there is nothing that a classifier may be measured on
└── TrainingError    training cannot start or go on
    └── BusyError    another process trains the same classifier

Every message says what was expected and what came, in words for a person.
"""


class ModelError(Exception):
    """Anything wrong with a classifier or its training."""


class ArtifactError(ModelError):
    """An artifact is missing, damaged, or was written by another version."""


class EvaluationError(ModelError):
    """A classifier would be measured on what it was trained on."""


class TrainingError(ModelError):
    """Training cannot start or go on."""


class BusyError(TrainingError):
    """Another process is training the same classifier."""
