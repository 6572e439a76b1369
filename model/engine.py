"""Runs networks: the protocol that every engine follows, and the engine that runs them in this process with LiteRT."""

import threading
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
    def input_shape(self) -> tuple[int | None, ...]:
        """Height, width and channels of the input; None where any size is accepted."""

    def run(self, pixels: Pixels, sized: str = "") -> Outputs:
        """Run the network.

        Args:
            pixels: n pictures, shape (n, height, width, 3), uint8 in [0, 255], of the input's shape.
            sized: a name for inputs that are usually of one size. Engines may keep memory for each.

        Returns:
            Each output by its name; float32, with n rows.

        Raises:
            EngineError: another machine should have run it, and did not.
        """

    def check(self) -> None:
        """Check that the network can be run now.

        Raises:
            EngineError: another machine should run it, and is away or does not have it any more.
        """


class Engine(Protocol):
    """Opens networks."""

    @property
    def is_remote(self) -> bool:
        """Whether a network runs on another machine, for which a thread waits."""

    def open(self, name: str, version: str, model: bytes) -> Network:
        """Open a network.

        Args:
            name: of the network: the task, with the suffix `_detector` for a detector.
            version: of the network, from the card.
            model: the content of its LiteRT file.

        Raises:
            ArtifactError: it cannot run.
            EngineError: another machine should run it, and is away or does not have it.
        """


class LiteRtNetwork:
    """A LiteRT file. Each thread gets its own interpreters, because they are not thread-safe.

    Args:
        model: content of a LiteRT file with the signature `serving_default` and a batch size of 1.

    Raises:
        ArtifactError: it cannot be read.
    """

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._local = threading.local()
        try:
            details = self._runner("").get_input_details()[INPUT]
        except (ValueError, RuntimeError, KeyError) as error:
            raise ArtifactError(f"the network cannot run: {error}") from error
        free = details["shape_signature"] < 0
        self.input_shape = tuple(
            None if is_free else int(side) for side, is_free in zip(details["shape"][1:], free[1:], strict=True)
        )

    def run(self, pixels: Pixels, sized: str = "") -> Outputs:
        """Run the network in the calling thread; see `Network`.

        Each `sized` has an interpreter of its own, which keeps its memory while its pictures are of one size. A new
        size makes a call 50% slower.
        """
        run = self._runner(sized)
        rows: list[Outputs] = [run(**{INPUT: picture[None]}) for picture in pixels]
        return rows[0] if len(rows) == 1 else {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def check(self) -> None:
        """Do nothing: what was loaded can be run."""

    def _runner(self, sized: str) -> Any:
        runners = self._local.__dict__
        if sized not in runners:
            interpreter = Interpreter(model_content=self._model, num_threads=1)
            runners[sized] = interpreter.get_signature_runner(SIGNATURE)
        return runners[sized]


class LiteRt:
    """The engine that runs networks in this process."""

    is_remote = False

    def open(self, name: str, version: str, model: bytes) -> Network:  # noqa: ARG002 — the file is enough
        """Open a network; see `Engine`."""
        return LiteRtNetwork(model)
