"""Our classifier behind LitServe."""

import base64
from typing import Any

import litserve

from bench.peers.common import PORT, classifier, summary
from data.images import decode


class Api(litserve.LitAPI):
    """Decodes and classifies one picture for each request."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the classifier in the worker process."""
        self.classifier = classifier()

    async def decode_request(self, request: dict[str, str]) -> bytes:
        """Decode the base64 picture: LitServe accepts only JSON and forms."""
        return base64.b64decode(request["image"])

    async def predict(self, payload: bytes) -> dict[str, Any]:
        """Classify a picture."""
        return summary(self.classifier.classify(decode(payload, self.classifier.card.input_size)))

    async def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return the answer unchanged."""
        return output


if __name__ == "__main__":
    api = Api(api_path="/predict_traffic_sign", enable_async=True)
    litserve.LitServer(api, accelerator="cpu").run(host="127.0.0.1", port=PORT, generate_client_file=False)
