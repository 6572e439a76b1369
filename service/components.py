"""Objects that the routes share, stored once in the Flask application and read through one typed function."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, current_app

from service.catalogue import Catalogue
from service.inference import InferenceQueue
from service.metrics import Metrics
from service.settings import Settings

_KEY: Final = "service"


@dataclass(frozen=True)
class Components:
    """Objects that the routes share.

    `contract` is the OpenAPI description, `batch_threads` classify batches, `inference` runs what is slow.
    """

    settings: Settings
    contract: dict[str, Any]
    metrics: Metrics
    catalogue: Catalogue
    batch_threads: ThreadPoolExecutor
    inference: InferenceQueue


def store(app: Flask, parts: Components) -> None:
    """Store the components in an application."""
    app.extensions[_KEY] = parts


def components(app: Flask | None = None) -> Components:
    """Return the components of an application, by default of the one that answers the current request."""
    parts: Components = (app or current_app).extensions[_KEY]
    return parts
