"""Convert an image classifier to what TensorFlow Serving, LiteRT or Keras reads, and compare its answers.

Usage: `python -m model.training.export FILE --to saved_model|litert|keras OUT`. FILE is a `.keras` file, an `.h5` file
of Keras 2 or 3, or the folder of an artifact. The command prints the input size, the range and the classes that it
found. Nothing is written if the result answers differently.

saved_model  for TensorFlow Serving: signature `serving_default`, named input and outputs, any batch size, and requests
             to warm up. Of an artifact: OUT/TASK/VERSION, OUT/TASK_detector/VERSION if it has a detector, and
             OUT/models.config with every network in OUT, for `--model_config_file`. Of a file: OUT/1, or the next
             number, for `--model_base_path=OUT`
litert       a LiteRT file with the same signature, 8-bit weights and a batch size of 1; that of an artifact is copied
keras        a `.keras` file for Keras 3

An artifact is exported with everything that `model.classifier` needs: it maps `pixels` (batch, height, width, 3),
uint8, to `logits` (batch, classes), `similarity` (batch,) in [-1, 1] and, unless its network has none, `class_maps`
(batch, rows, columns, classes), all float32; see `model.training.inference_graph`. Calibration and labels stay in its
card. Its detector maps `pixels`, uint8, with sides that are multiples of 32, to `places`; see
`model.training.detector_network`. Only saved_model includes it. Other networks keep the names of their input and output
layers.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from model.command import run
from model.engine import SIGNATURE
from model.errors import TrainingError
from model.tf_serving.client import version_number
from model.training.network_file import NetworkFile, read_detector, read_network
from model.training.saved_model import input_name, next_version, run_saved_model, write_config, write_saved_model

ROOT = Path(__file__).parents[2]
ROUNDING = 1e-4  # largest difference of an output, as a fraction of its largest value
ROUNDING_8_BIT = 0.25  # the same for 8-bit weights, which change noisy answers most; a wrong graph changes them by 1
FREE_SIDE = 128  # pixels, where a network takes any size
WARMUP_PICTURES = 2

Target = Literal["saved_model", "litert", "keras"]
Answers = dict[str, npt.NDArray[np.float32]]


def to_litert(network: keras.Model) -> bytes:
    """Convert a network to LiteRT with 8-bit weights and a batch size of 1.

    Weights are quantised per channel ahead of time, activations at run time (dynamic-range quantisation). The converter
    requires the TensorFlow backend of Keras; with another backend it runs in a subprocess.

    Args:
        network: maps one tensor, such as `pixels` (batch, height, width, 3), uint8, to a dictionary of outputs.

    Returns:
        The content of a LiteRT file. Its signature `serving_default` maps a tensor of the same name, type and shape,
        but with a batch size of 1, to the same outputs as float32.

    Raises:
        TrainingError: the subprocess failed.
    """
    if keras.backend.backend() == "tensorflow":
        return _convert(network)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "network.keras"), Path(folder, "model.tflite")
        network.save(source)
        command = [sys.executable, "-m", "model.training.export", str(source), "--to", "litert", str(target)]
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        result = subprocess.run(  # noqa: S603 — no shell; fixed arguments
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise TrainingError(f"conversion to LiteRT failed: {result.stderr}")
        return target.read_bytes()


def _convert(network: keras.Model) -> bytes:
    import tensorflow as tf  # imported here because training itself runs on any Keras backend

    [entry] = network.inputs
    single = keras.Input(batch_shape=(1, *entry.shape[1:]), dtype=entry.dtype, name=input_name(network))
    answer = network(single)
    fixed = keras.Model(single, answer if isinstance(answer, dict) else {network.output_names[0]: answer})
    with tempfile.TemporaryDirectory() as folder:
        fixed.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


def export(source: Path, target: Target, out: Path, say: Callable[[str], object] = print) -> list[Path]:
    """Convert a network and compare the answers of the result with those of the original.

    Args:
        source: a `.keras` file, an `.h5` file or the folder of an artifact.
        target: what to write.
        out: the file to write, which is replaced if it exists; of SavedModels, the folder for their folders. A version
            of an artifact's network that is there already is left alone.
        say: reports what was found and how much the answers differ.

    Returns:
        The files or folders that were written.

    Raises:
        ArtifactError: the artifact is missing or damaged.
        TrainingError: the network cannot be read or converted, or the result answers differently.
        OSError: the disk is full or not writable.
    """
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(f"conversion needs TensorFlow: set KERAS_BACKEND=tensorflow, not {keras.backend.backend()}")
    if target == "keras" and out.suffix != ".keras":
        raise TrainingError(f"{out}: the name of a Keras file must end in .keras")
    found = [read_network(source)]
    if target != "saved_model" or not found[0].name:
        return [_export(found[0], target, out if target != "saved_model" else next_version(out), source, say)]
    if detector := read_detector(source):
        found.append(detector)
    paths = {out / each.name / str(version_number(each.version)): each for each in found}
    for path in filter(Path.exists, paths):
        say(f"{path} exists already and was left alone")
    written = [_export(each, target, path, source, say) for path, each in paths.items() if not path.exists()]
    return [*written, write_config(out)]


def _export(found: NetworkFile, target: Target, written: Path, source: Path, say: Callable[[str], object]) -> Path:
    """Convert one network; see `export`."""
    say(f"input: {input_name(found.network)}, {found.size} pixels, {describe_range(found)}")
    say(f"classes: {found.classes}")
    pictures = make_inputs(found)
    answers = run_keras(found.network, pictures)
    if found.inference is not None:
        say("the artifact's LiteRT file against its network:")
        compare(run_litert(found.inference, pictures), answers, ROUNDING_8_BIT, say)
    written.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=written.parent, prefix=f".{written.name}-") as folder:
        new = Path(folder, written.name)
        result = _write(found, target, new, pictures)
        say(f"{written} against {source}:")
        compare(answers, result, ROUNDING_8_BIT if target == "litert" else ROUNDING, say)
        new.replace(written)
    return written


def _write(found: NetworkFile, target: Target, path: Path, pictures: npt.NDArray[Any]) -> Answers:
    """Write the network, read it back and return its answers."""
    if target == "saved_model":
        write_saved_model(found.network, path, pictures[:WARMUP_PICTURES])
        return run_saved_model(path, pictures)
    if target == "litert":
        path.write_bytes(found.inference or to_litert(found.network))
        return run_litert(path.read_bytes(), pictures)
    found.network.save(path)
    return run_keras(keras.models.load_model(path), pictures)


def describe_range(found: NetworkFile) -> str:
    """Return the range of the pixels that a network takes, for people."""
    if found.full_range:
        return "from 0 to 255: the network scales them itself"
    return (
        "range unknown: the network does not scale them; its training did, usually x / 127.5 − 1 (MobileNet, Xception, "
        "Inception), x / 255 (many small networks) or not at all (EfficientNet)"
    )


def make_inputs(found: NetworkFile) -> npt.NDArray[Any]:
    """Return four pictures for a network: two of noise, a disc on a gradient, and stripes.

    Returns:
        Shape (4, height, width, channels), in the network's dtype; from 0 to 255, or from −1 to 1 if the range is
        unknown.
    """
    entry = found.network.inputs[0]
    height, width, channels = (side or FREE_SIDE for side in entry.shape[1:])
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    disc = np.where(np.hypot(rows - 0.5, columns - 0.5) < 0.3, 1.0, rows * columns)
    drawn = np.stack([disc, np.sin(40 * (rows + columns)) / 2 + 0.5])[..., None] * np.linspace(1.0, 0.4, channels)
    noise = np.random.default_rng(0).random((2, height, width, channels))
    pixels = np.round(255 * np.concatenate([noise, drawn]))
    return np.asarray(pixels if found.full_range else pixels / 127.5 - 1, entry.dtype)


def run_keras(network: keras.Model, inputs: npt.NDArray[Any]) -> Answers:
    """Return the outputs of a network for a batch."""
    return {name: np.asarray(value) for name, value in network.predict(inputs, verbose=0).items()}


def run_litert(content: bytes, inputs: npt.NDArray[Any]) -> Answers:
    """Return the outputs of a LiteRT file for a batch."""
    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner(SIGNATURE)
    [name] = runner.get_input_details()
    answers = [runner(**{name: row[None]}) for row in inputs]
    return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}


def compare(before: Answers, after: Answers, tolerance: float, say: Callable[[str], object] = print) -> None:
    """Report the largest difference of each output.

    Args:
        before: the expected outputs by name, shape (batch, …).
        after: the outputs to compare.
        tolerance: largest difference allowed, as a fraction of the output's largest absolute value.
        say: gets a line for each output.

    Raises:
        TrainingError: outputs have other names or shapes, or differ by more.
    """
    shapes = [{name: value.shape for name, value in answers.items()} for answers in (before, after)]
    if shapes[0] != shapes[1]:
        raise TrainingError(f"the outputs must be {shapes[0]}, but are {shapes[1]}; nothing was written")
    differing = []
    for name, expected in before.items():
        difference = float(np.max(np.abs(expected - after[name])))
        largest = float(np.max(np.abs(expected)))
        say(f"  {name}: largest difference {difference:.2g}, of values up to {largest:.3g}")
        if not difference <= tolerance * largest:  # also if it is not a number
            differing.append(f"{name} by {difference:.2g}, where {tolerance * largest:.2g} is rounding")
    if differing:
        raise TrainingError(f"the answers differ: {'; '.join(differing)}; nothing was written")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m model.training.export",
        description=description,
        epilog=details.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="a .keras file, an .h5 file or the folder of an artifact")
    parser.add_argument("--to", required=True, choices=("saved_model", "litert", "keras"), help="what to write")
    parser.add_argument("out", type=Path, help="the file to write; for saved_model, the output folder")
    options = parser.parse_args(arguments)

    def work() -> int:
        for path in export(options.file, options.to, options.out):
            print(f"wrote {path}")
        return 0

    return run(work, resumes=False)


if __name__ == "__main__":
    sys.exit(main())
