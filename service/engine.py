"""The engine that the settings ask for."""

from model.engine import Engine, LiteRt, detector_name
from service.metrics import Metrics
from service.settings import Settings


def create_engine(settings: Settings, metrics: Metrics) -> Engine:
    """Return the engine that runs the networks: TensorFlow Serving if there is an address, else LiteRT.

    Args:
        settings: of the service.
        metrics: counts the calls to TensorFlow Serving.

    Raises:
        OSError: the file with the certificates cannot be read.
    """
    if not settings.tf_serving:
        return LiteRt()
    from model.tf_serving.client import TensorFlowServing  # here: without it, no process has to load gRPC

    authority = settings.tf_serving_ca.read_bytes() if settings.tf_serving_ca else None
    counts = {name: metrics.of(task) for task in settings.served for name in (task, detector_name(task))}

    def count(network: str, outcome: str, seconds: float) -> None:
        counts[network].count_call(outcome, seconds)

    return TensorFlowServing(settings.tf_serving, settings.tf_serving_timeout_s, authority, count)
