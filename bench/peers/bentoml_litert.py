"""Our classifier as a BentoML service."""

from pathlib import Path
from typing import Any

import bentoml

from bench.peers.common import classifier, summary
from data.images import decode


@bentoml.service(workers=1)
class Signs:
    """Decodes and classifies one picture for each request."""

    def __init__(self) -> None:
        self.classifier = classifier()

    @bentoml.api(route="/predict_traffic_sign")
    def predict(self, image: Path, /) -> dict[str, Any]:
        """Classify the picture in the body."""
        return summary(self.classifier.classify(decode(image.read_bytes(), self.classifier.card.input_size)))
