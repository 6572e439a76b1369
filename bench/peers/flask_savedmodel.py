"""The network as a SavedModel in a Flask application, on gunicorn."""

from typing import Any

import tensorflow as tf
from flask import Flask, request

from bench.peers.common import CONVERTED, of_logits
from data.images import decode

app = Flask(__name__)
_model = tf.saved_model.load(str(CONVERTED / "saved_model"))


@app.post("/predict_traffic_sign")
def predict() -> dict[str, Any]:
    """Classify the picture in the body."""
    pixels = decode(request.get_data(), (48, 48))
    return of_logits(_model.serve(pixels[None]).numpy()[0])
