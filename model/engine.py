"""Runs networks: the protocol that every engine follows, and the engine that runs them in this process with LiteRT."""

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from data.images import Pixels
from model.errors import ArtifactError

SIGNATURE = "serving_default"  # of every network, in LiteRT files and in SavedModels
INPUT = "pixels"  # name of the only input of every network

Outputs = dict[str, npt.NDArray[np.float32]]


def detector_name(task: str) -> str:
    """Return the name of the detection network of a task; that of the classification network is the task's."""
    return f"{task}_detector"


class Network(Protocol):
    """A network that can be run. Thread-safe."""

    @property
    def is_remote(self) -> bool:
        """Whether an inference server runs it, so that a call takes time but hardly any processor time."""

    def read_input_shape(self) -> tuple[int | None, ...]:
        """Return height, width and channels of the input; None where any size is accepted.

        Raises:
            ArtifactError: it does not take pixels.
            EngineError: the inference server failed or timed out.
        """

    def run(self, pixels: Pixels, outputs: Sequence[str], memory_key: str = "") -> Outputs:
        """Run the network.

        Args:
            pixels: n pictures, shape (n, height, width, 3), uint8 in [0, 255], of the input's shape.
            outputs: names of the outputs that are needed, all of them if it is empty.
            memory_key: a name for inputs that are usually of one size. Engines may keep memory for each.

        Returns:
            At least these outputs, by their names; float32, with n rows.

        Raises:
            EngineError: the inference server failed or timed out.
        """

    async def run_async(self, pixels: Pixels, outputs: Sequence[str]) -> Outputs:
        """Run the network as `run` does; the event loop goes on meanwhile if an inference server runs it."""

    def check(self) -> None:
        """Check that the network can be run now.

        Raises:
            EngineError: the inference server is unavailable, or has not loaded this version of the network.
        """


class Engine(Protocol):
    """Opens networks."""

    def open(self, name: str, version: str, model: bytes) -> Network:
        """Open a network; an inference server is not asked yet.

        Args:
            name: of the network: the task, with the suffix `_detector` for a detector.
            version: of the network, from the card.
            model: the content of its LiteRT file.

        Raises:
            ArtifactError: it cannot run.
        """


class LiteRtNetwork:
    """A LiteRT file. Each thread gets its own interpreters, because they are not thread-safe.

    Args:
        model: content of a LiteRT file with the signature `serving_default` and a batch size of 1.

    Raises:
        ArtifactError: it cannot be read.
    """

    is_remote = False

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._local = threading.local()
        try:
            details = self._runner("").get_input_details()[INPUT]
        except (ValueError, RuntimeError, KeyError) as error:
            raise ArtifactError(f"the network cannot run: {error}") from error
        self._input_shape = tuple(None if side < 0 else int(side) for side in details["shape_signature"][1:])

    def read_input_shape(self) -> tuple[int | None, ...]:
        """Return the shape of the input; see `Network`."""
        return self._input_shape

    def run(self, pixels: Pixels, outputs: Sequence[str], memory_key: str = "") -> Outputs:  # noqa: ARG002
        """Run the network in the calling thread; see `Network`. All outputs are returned: they cost nothing.

        Each `memory_key` has an interpreter of its own, which keeps its memory while its pictures are of one size. A
        new size makes a call 50% slower.
        """
        run = self._runner(memory_key)
        rows: list[Outputs] = [run(**{INPUT: picture[None]}) for picture in pixels]
        return rows[0] if len(rows) == 1 else {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    async def run_async(self, pixels: Pixels, outputs: Sequence[str]) -> Outputs:
        """Run the network in the thread of the event loop, which waits; see `Network`."""
        return self.run(pixels, outputs)

    def check(self) -> None:
        """Do nothing: what was loaded can be run."""

    def _runner(self, memory_key: str) -> Any:
        runners = self._local.__dict__
        if memory_key not in runners:
            interpreter = Interpreter(model_content=self._model, num_threads=1)
            runners[memory_key] = interpreter.get_signature_runner(SIGNATURE)
        return runners[memory_key]


class LiteRt:
    """The engine that runs networks in this process."""

    def open(self, name: str, version: str, model: bytes) -> Network:  # noqa: ARG002 — the file is enough
        """Open a network; see `Engine`."""
        return LiteRtNetwork(model)
