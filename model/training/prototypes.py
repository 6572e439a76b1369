"""Read the prototypes of an artifact, which only its LiteRT file has."""

from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from model.errors import ArtifactError

SIMILARITY = b"similarity"
VALUES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT8: np.int8}


def read_prototypes(inference: bytes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the mean and the prototypes that `model.training.inference_graph` put into a LiteRT file.

    Args:
        inference: content of the LiteRT file.

    Returns:
        The mean of the embeddings, shape (features,), and the prototypes, shape (n, features). The latter were rounded
        to 8 bits if there are 1,024 or more numbers, so these are the ones that LiteRT compares with.

    Raises:
        ArtifactError: the file has no such similarity.
    """
    try:
        return _read(schema.ModelT.InitFromPackedBuf(inference, 0))
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise ArtifactError(
            f"the LiteRT file has no similarity to prototypes that could be read ({type(error).__name__}: {error})"
        ) from error


def _read(model: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Follow the graph back from the output: maximum, product with the prototypes, …, difference from the mean."""
    [graph], [signature] = model.subgraphs, model.signatureDefs
    made_by = {tensor: operator for operator in graph.operators for tensor in operator.outputs}

    def is_difference(operator: Any) -> bool:
        code = model.operatorCodes[operator.opcodeIndex]
        return bool(max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.SUB)

    def constant(index: int) -> npt.NDArray[np.float32]:
        tensor = graph.tensors[index]
        values = model.buffers[tensor.buffer].data.view(VALUES[tensor.type]).reshape(tensor.shape).astype(np.float32)
        scales = getattr(tensor.quantization, "scale", None)
        return values if scales is None else np.asarray(values * np.asarray(scales, np.float32)[:, None])

    similarity = next(output.tensorIndex for output in signature.outputs if output.name == SIMILARITY)
    product = made_by[made_by[similarity].inputs[0]]
    operator = made_by[product.inputs[0]]
    while not is_difference(operator):
        operator = made_by[operator.inputs[0]]
    return constant(operator.inputs[1]).ravel(), constant(product.inputs[1])
