"""Asks TensorFlow Serving to run networks, when they are run and not before.

The version of a network that the card states is in every request. So a server with other weights refuses, and labels
and weights cannot disagree.
"""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import grpc
import numpy as np
import numpy.typing as npt

from data.images import Pixels
from model.engine import INPUT, SIGNATURE, Network, Outputs
from model.errors import ArtifactError, EngineError, EngineTimeoutError
from model.tf_serving import api_pb2 as api
from model.waiting import current

MAX_MESSAGE: Final = 64 * 2**20  # bytes; a part of 32 pictures of 224 × 224 pixels has 5 MB, a photo up to 6 MB
STATUS_S: Final = 2.0  # deadline for the state of a network, which needs no inference
PREDICT: Final = "/tensorflow.serving.PredictionService/Predict"
METADATA: Final = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS: Final = "/tensorflow.serving.ModelService/GetModelStatus"
POLICY: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],  # over all addresses that the name resolves to
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {  # one retry, mostly on another address if there is one; Predict changes nothing
                "maxAttempts": 2,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
OPTIONS: Final = [
    ("grpc.service_config", json.dumps(POLICY)),
    ("grpc.enable_retries", 1),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE),  # by default, calls above 256 KiB are not repeated
    # A server that vanished without closing its connection is noticed 25 s after the last sign of it.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # The defaults are two minutes and 30 s; a server that comes back, or one more, should be used at once.
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]

# Takes the name of a network, how its run ended (answered, failed, timeout), and how long it took in seconds.
Observe = Callable[[str, str, float], None]

_log = logging.getLogger(__name__)


class TensorFlowServing:
    """The engine that asks TensorFlow Serving by gRPC. To be created after a fork, not before.

    Args:
        address: host and port. All addresses of the host take turns.
        timeout_s: time limit for all runs of networks for a picture together, in seconds, including retries.
        authority: certificates in PEM format that must have signed the server's; None for a connection without TLS.
        observe: called after each run of a network; see `Observe`.
    """

    def __init__(
        self, address: str, timeout_s: float, authority: bytes | None = None, observe: Observe = lambda *_: None
    ) -> None:
        self._target, self._timeout_s, self._observe = f"dns:///{address}", timeout_s, observe
        self._credentials = None if authority is None else grpc.ssl_channel_credentials(authority)
        self._channel = self._connect(grpc)

    @cached_property
    def _async_channel(self) -> Any:
        """The channel of the event loop that uses it first; both channels share their connections."""
        return self._connect(grpc.aio)

    def _connect(self, library: Any) -> Any:
        if self._credentials is None:
            return library.insecure_channel(self._target, OPTIONS)
        return library.secure_channel(self._target, self._credentials, OPTIONS)

    def open(self, name: str, version: str, model: bytes) -> Network:  # noqa: ARG002 — the server has its own file
        """Open a network; see `model.engine.Engine`."""
        return ServedNetwork(
            self._channel, lambda: self._async_channel, name, version_number(version), self._timeout_s, self._observe
        )


class ServedNetwork:
    """A network that TensorFlow Serving runs.

    Args:
        channel: to the server.
        async_channel: returns a channel to the server for the event loop, which calls it.
        name: of the network on the server.
        version: its version there.
        timeout_s: time limit for all runs for a picture together, in seconds.
        observe: called after each run.
    """

    is_remote = True

    def __init__(
        self,
        channel: grpc.Channel,
        async_channel: Callable[[], grpc.aio.Channel],
        name: str,
        version: int,
        timeout_s: float,
        observe: Observe,
    ) -> None:
        self._name, self._version, self._timeout_s = name, version, timeout_s
        self._async_channel, self._observe = async_channel, observe
        self._spec = api.ModelSpec(name=name, version={"value": version}, signature_name=SIGNATURE)
        self._predict = _method(channel, PREDICT, api.PredictResponse)
        self._metadata = _method(channel, METADATA, api.GetModelMetadataResponse)
        self._status = _method(channel, STATUS, api.GetModelStatusResponse)

    def run(
        self,
        pixels: Pixels,
        outputs: Sequence[str],
        memory_key: str = "",  # noqa: ARG002 — the server manages its memory
    ) -> Outputs:
        """Run the network on all pictures in one request; see `model.engine.Network`."""
        with self._waiting() as timeout_s:
            return self._read(self._predict(self._request(pixels, outputs), timeout=timeout_s), len(pixels))

    async def run_async(self, pixels: Pixels, outputs: Sequence[str]) -> Outputs:
        """Run the network while the event loop goes on; see `model.engine.Network`."""
        with self._waiting() as timeout_s:
            response = await self._predict_async(self._request(pixels, outputs), timeout=timeout_s)
            return self._read(response, len(pixels))

    @cached_property
    def _predict_async(self) -> Any:
        return _method(self._async_channel(), PREDICT, api.PredictResponse)

    def _request(self, pixels: Pixels, outputs: Sequence[str]) -> api.PredictRequest:
        return api.PredictRequest(model_spec=self._spec, inputs={INPUT: encode(pixels)}, output_filter=outputs)

    def _read(self, response: api.PredictResponse, rows: int) -> Outputs:
        if response.model_spec.version.value != self._version:
            raise EngineError(f"TensorFlow Serving answered with another version of the network {self._name}")
        return {name: decode(tensor, rows) for name, tensor in response.outputs.items()}

    @contextmanager
    def _waiting(self) -> Iterator[float]:
        """Count a run and its time; yield how long it may take."""
        waited, began, outcome = current(), time.perf_counter(), "failed"
        left_s = self._timeout_s - waited.seconds
        if left_s <= 0:
            raise self._timed_out(self._timeout_s)
        try:
            with self._raising(self._timeout_s):
                yield left_s
            outcome = "answered"
        except EngineTimeoutError:
            outcome = "timeout"
            raise
        finally:
            seconds = time.perf_counter() - began
            waited.seconds += seconds
            self._observe(self._name, outcome, seconds)

    def check(self) -> None:
        """Check that the server can run the network now; see `model.engine.Network`."""
        request = api.GetModelStatusRequest(model_spec=api.ModelSpec(name=self._name, version={"value": self._version}))
        with self._raising(STATUS_S):
            response = self._status(request, timeout=STATUS_S)
        states = {each.version: each.state for each in response.model_version_status}
        if states.get(self._version) != api.ModelVersionStatus.AVAILABLE:
            raise EngineError(f"TensorFlow Serving has not loaded version {self._version} of the network {self._name}")

    def read_input_shape(self) -> tuple[int | None, ...]:
        """Return the shape of the input; see `Network`."""
        request = api.GetModelMetadataRequest(model_spec=self._spec, metadata_field=["signature_def"])
        with self._raising(STATUS_S):
            response = self._metadata(request, timeout=STATUS_S)
        signatures = api.SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
        inputs = signatures[SIGNATURE].inputs if SIGNATURE in signatures else {}
        if set(inputs) != {INPUT} or inputs[INPUT].dtype != api.DT_UINT8:
            raise ArtifactError(f"the network {self._name} of TensorFlow Serving does not take {INPUT} of type uint8")
        sides = [dim.size for dim in inputs[INPUT].tensor_shape.dim]
        return tuple(None if side < 0 else side for side in sides[1:])

    @contextmanager
    def _raising(self, timeout_s: float) -> Iterator[None]:
        """Raise errors of gRPC as ours; `timeout_s` is the time limit to name."""
        try:
            yield
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            _log.debug("TensorFlow Serving: %s for the network %s: %s", code.name, self._name, details)
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._timed_out(timeout_s) from error
            if code is grpc.StatusCode.UNAVAILABLE and "verif" in details.lower():  # gRPC has no code for it
                raise EngineError(
                    "TensorFlow Serving has a certificate for another host, or from an authority that is not trusted"
                ) from error
            if code is grpc.StatusCode.UNAVAILABLE:
                raise EngineError("TensorFlow Serving cannot be reached") from error
            if code is grpc.StatusCode.NOT_FOUND:
                raise EngineError(
                    f"TensorFlow Serving does not have version {self._version} of the network {self._name}"
                ) from error
            raise EngineError(f"TensorFlow Serving failed: {code.name}") from error

    @staticmethod
    def _timed_out(timeout_s: float) -> EngineTimeoutError:
        return EngineTimeoutError(f"TensorFlow Serving did not answer within {timeout_s:g} s")


def version_number(version: str) -> int:
    """Return the number that stands for a version of a network in TensorFlow Serving, which knows only numbers.

    Args:
        version: date and eight hexadecimal digits, such as 2026-11-21-20c56d9e.

    Returns:
        The date, followed by the value of the digits with ten decimal places, such as 202611210549809566. Newer
        versions have higher numbers, except among those of one day.

    Raises:
        ArtifactError: the version has another form.
    """
    form = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)-([0-9a-f]{8})", version)
    if form is None:
        raise ArtifactError(f"the version {version!r} is not a date followed by eight hexadecimal digits")
    *date, digits = form.groups()
    return int("".join(date)) * 10**10 + int(digits, 16)


def encode(pixels: Pixels) -> api.TensorProto:
    """Return pixels as a message."""
    shape = api.TensorShapeProto(dim=[{"size": side} for side in pixels.shape])
    return api.TensorProto(dtype=api.DT_UINT8, tensor_shape=shape, tensor_content=pixels.tobytes())


def decode(tensor: api.TensorProto, rows: int) -> npt.NDArray[np.float32]:
    """Return the array in a message; its first dimension must be `rows`.

    Raises:
        EngineError: the message is not such an array of float32.
    """
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype != api.DT_FLOAT or not shape or shape[0] != rows or min(shape) < 0:
        raise EngineError(f"TensorFlow Serving answered with shape {shape} and type {tensor.dtype}")
    size, content = math.prod(shape), tensor.tensor_content
    if size > MAX_MESSAGE // 4 or (content and len(content) != 4 * size):
        raise EngineError(f"TensorFlow Serving answered with {len(content)} bytes for shape {shape}")
    values = np.frombuffer(content, "<f4") if content else np.fromiter(tensor.float_val, np.float32)
    if 0 < len(values) < size:  # the last one stands for all that are missing
        values = np.concatenate([values, np.full(size - len(values), values[-1], np.float32)])
    if len(values) != size:
        raise EngineError(f"TensorFlow Serving answered with {len(values)} values for shape {shape}")
    return values.reshape(shape)


def _method(channel: grpc.Channel, path: str, response: Any) -> Any:
    return channel.unary_unary(path, lambda message: message.SerializeToString(), response.FromString)
