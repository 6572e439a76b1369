"""A server that answers like TensorFlow Serving: real gRPC, real SavedModels in TensorFlow; for tests only.

Usage: `python -m tests.tf_serving MODELS PORT`; a port of 0 means any free one, which is printed. MODELS is what
`model.training.export` writes; every version is loaded, as its models.config says. It refuses what TensorFlow Serving
refuses: an unknown model or version, another signature, a wrong name, type or shape of the input.
"""

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf

from model.tf_serving import api_pb2 as api
from model.tf_serving.client import METADATA, PREDICT, STATUS

DTYPES: dict[int, np.dtype[Any]] = {api.DT_FLOAT: np.dtype("<f4"), api.DT_UINT8: np.dtype("u1")}
NAMES = {tf.float32: api.DT_FLOAT, tf.uint8: api.DT_UINT8}


class Server:
    """Answers the three methods.

    Args:
        models: folder with NAME/VERSION folders.
        slow_s: seconds to wait before a network runs.
        failures: number of first requests for a network that fail with UNAVAILABLE, as if the server were stopping.
        log: file that gets a line with name and version for each answer of a network; None for no file.
    """

    def __init__(self, models: Path, slow_s: float = 0.0, failures: int = 0, log: Path | None = None) -> None:
        self._slow_s, self._failures, self._log = slow_s, failures, log
        self._lock = threading.Lock()
        self._models = {
            (folder.parent.name, int(folder.name)): tf.saved_model.load(str(folder))
            for folder in sorted(models.glob("*/*"))
            if folder.name.isdecimal()
        }

    def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run a network."""
        version, signature = self._find(request.model_spec, context)
        with self._lock:
            fails, self._failures = self._failures > 0, max(0, self._failures - 1)
        if fails:
            context.abort(grpc.StatusCode.UNAVAILABLE, "told to fail")
        time.sleep(self._slow_s)
        [(name, spec)] = signature.structured_input_signature[1].items()
        if set(request.inputs) != {name}:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"input must be {name}, not {set(request.inputs)}")
        tensor = request.inputs[name]
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        if tensor.dtype != NAMES[spec.dtype] or not spec.shape.is_compatible_with(shape):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"input must be {spec}, not {shape} of type {tensor.dtype}")
        pixels = np.frombuffer(tensor.tensor_content, DTYPES[tensor.dtype]).reshape(shape)
        outputs = {key: value.numpy() for key, value in signature(**{name: tf.constant(pixels)}).items()}
        wanted = request.output_filter or outputs
        model = api.ModelSpec(name=request.model_spec.name, version={"value": version})
        if self._log:
            with self._lock, self._log.open("a", encoding="utf-8") as log:
                log.write(f"{model.name} {version}\n")
        return api.PredictResponse(model_spec=model, outputs={key: _encode(outputs[key]) for key in wanted})

    def status(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say that a version is available."""
        version, _ = self._find(request.model_spec, context)
        available = api.ModelVersionStatus(version=version, state=api.ModelVersionStatus.AVAILABLE)
        return api.GetModelStatusResponse(model_version_status=[available])

    def metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Describe the signature of a network."""
        _, signature = self._find(request.model_spec, context)
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "metadata_field must be signature_def")
        described = api.SignatureDef(
            inputs={name: _describe(spec) for name, spec in signature.structured_input_signature[1].items()},
            outputs={name: _describe(spec) for name, spec in signature.structured_outputs.items()},
        )
        response = api.GetModelMetadataResponse(model_spec=request.model_spec)
        response.metadata["signature_def"].Pack(api.SignatureDefMap(signature_def={"serving_default": described}))
        return response

    def _find(self, spec: Any, context: grpc.ServicerContext) -> tuple[int, Any]:
        versions = [version for name, version in self._models if name == spec.name]
        version = spec.version.value if spec.HasField("version") else max(versions, default=0)
        if version not in versions:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {spec.name}")
        signatures = self._models[spec.name, version].signatures
        name = spec.signature_name or "serving_default"
        if name not in signatures:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return version, signatures[name]


def _describe(spec: Any) -> Any:
    dims = [{"size": -1 if side is None else side} for side in spec.shape.as_list()]
    return api.TensorInfo(name=spec.name, dtype=NAMES[spec.dtype], tensor_shape={"dim": dims})


def _encode(values: Any) -> Any:
    """Return an array as TensorFlow Serving does by default: each value in a field of its own."""
    dims = [{"size": side} for side in values.shape]
    return api.TensorProto(dtype=api.DT_FLOAT, tensor_shape={"dim": dims}, float_val=values.ravel().tolist())


def start(server: Server, address: str, credentials: grpc.ServerCredentials | None = None) -> tuple[grpc.Server, int]:
    """Start to answer; return the gRPC server and its port.

    Args:
        server: answers.
        address: IP address and port, which may be 0.
        credentials: for TLS; None for a server without it.
    """
    methods: dict[str, tuple[Any, Any]] = {
        PREDICT: (server.predict, api.PredictRequest),
        METADATA: (server.metadata, api.GetModelMetadataRequest),
        STATUS: (server.status, api.GetModelStatusRequest),
    }

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # gRPC has no types
        def service(self, details: Any) -> Any:
            method, request = methods[details.method]
            return grpc.unary_unary_rpc_method_handler(
                method, request.FromString, lambda message: message.SerializeToString()
            )

    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_connection_age_ms", 30_000),  # as deploy/tf-serving/Dockerfile sets it
        ("grpc.max_connection_age_grace_ms", 10_000),
    ]
    running = grpc.server(ThreadPoolExecutor(8), (Handler(),), options=options)
    port = running.add_secure_port(address, credentials) if credentials else running.add_insecure_port(address)
    running.start()
    return running, port


def main(arguments: list[str]) -> None:
    """Answer until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.tf_serving", description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="127.0.0.1", help="IP address to listen on (default: %(default)s)")
    parser.add_argument("--slow-s", type=float, default=0.0, help="delay of every answer of a network, in seconds")
    parser.add_argument("--failures", type=int, default=0, help="first requests for a network, which fail")
    parser.add_argument("--log", type=Path, help="file that gets a line for each answer of a network")
    parser.add_argument("--certificate", type=Path, help="PEM file, for TLS; needs --key")
    parser.add_argument("--key", type=Path, help="PEM file with the key of the certificate")
    options = parser.parse_args(arguments)
    credentials = None
    if options.certificate:
        pair = options.key.read_bytes(), options.certificate.read_bytes()
        credentials = grpc.ssl_server_credentials([pair])
    server = Server(options.models, options.slow_s, options.failures, options.log)
    host = f"[{options.host}]" if ":" in options.host else options.host
    running, port = start(server, f"{host}:{options.port}", credentials)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    running.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1:])
