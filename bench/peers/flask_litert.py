"""Our classifier in a plain Flask application, on gunicorn's threads."""

import json

from flask import Flask, Response, request

from bench.peers.common import classifier, summary
from data.images import decode

app = Flask(__name__)
_classifier = classifier()


@app.post("/predict_traffic_sign")
def predict() -> Response:
    """Classify the picture in the body."""
    pixels = decode(request.get_data(), _classifier.card.input_size)
    return Response(json.dumps(summary(_classifier.classify(pixels))), content_type="application/json")
