"""The predecessor: for each request, unpickle an array, load the model, predict, pickle the answer."""

import pickle  # trusted here: the benchmark sends it

import keras
from flask import Flask, request

from bench.peers.common import ARTIFACT

app = Flask(__name__)


@app.post("/predict_traffic_sign")
def predict() -> bytes:
    """Classify the pickled array in the body, shape (1, height, width, 3), uint8."""
    pixels = pickle.loads(request.get_data())  # noqa: S301
    network = keras.models.load_model(ARTIFACT / "model.keras")
    return pickle.dumps(network.predict(pixels, verbose=0))
