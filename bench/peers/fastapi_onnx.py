"""The network in onnxruntime behind FastAPI, on uvicorn."""

from typing import Any

import onnxruntime
import uvicorn
from fastapi import FastAPI, Request

from bench.peers.common import CONVERTED, PORT, of_logits
from data.images import decode

app = FastAPI()
_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = 1
_session = onnxruntime.InferenceSession(CONVERTED / "model.onnx", _options)
_input = _session.get_inputs()[0].name


@app.post("/predict_traffic_sign")
async def predict(request: Request) -> dict[str, Any]:
    """Classify the picture in the body."""
    pixels = decode(await request.body(), (48, 48))
    return of_logits(_session.run(None, {_input: pixels[None]})[0][0])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
