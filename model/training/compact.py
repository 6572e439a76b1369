"""Save a network in half the space: kernels with 16 bits, everything else with 32."""

import io
import zipfile
from pathlib import Path
from typing import Any, Final

import h5py
import keras
import numpy as np

WEIGHTS: Final = "model.weights.h5"  # name that Keras gives the weights in a .keras file


def save_compact(network: keras.Model, path: Path) -> None:
    """Save a network as a `.keras` file whose kernels are rounded to 16 bits; Keras loads them as 32 bits.

    The rounding is at most 0.05% of a weight, a tenth of that of 8-bit weights.

    Args:
        network: the network, in float32.
        path: of the file, with the suffix `.keras`.

    Raises:
        OSError: it cannot be written.
    """
    network.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[WEIGHTS] = _compact(contents[WEIGHTS])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def _compact(content: bytes) -> bytes:
    """Return a copy of an HDF5 file, with kernels in float16."""
    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(buffer, "w") as target:

        def copy(name: str, item: Any) -> None:
            copied = target.require_group(name) if isinstance(item, h5py.Group) else _copy(target, name, item)
            copied.attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    return buffer.getvalue()


def _copy(target: h5py.File, name: str, item: h5py.Dataset) -> h5py.Dataset:
    values = item[()]
    is_kernel = values.dtype == np.float32 and values.ndim > 1
    return target.create_dataset(name, data=values.astype(np.float16) if is_kernel else values)
