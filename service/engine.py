"""The engine that the settings ask for."""

from model.engine import Engine, LiteRt
from service.settings import Settings


def create_engine(settings: Settings) -> Engine:
    """Return the engine that runs the networks: TensorFlow Serving if there is an address, else LiteRT.

    Raises:
        OSError: the file with the certificates cannot be read.
    """
    if not settings.tf_serving:
        return LiteRt()
    from model.tf_serving.client import TensorFlowServing  # here: without it, no process has to load gRPC

    authority = settings.tf_serving_ca.read_bytes() if settings.tf_serving_ca else None
    return TensorFlowServing(settings.tf_serving, settings.tf_serving_timeout_s, authority)
