"""Benchmark whole photos against a bare loop: decoding against Pillow, and finding signs against the network alone.

`make bench-photos` saves two drawn streets as JPEG files of two sizes, and measures each step in a process of its own,
so that its memory can be told apart. Times are the fastest of several runs, in CPU time of one thread. One unit is one
inference of the classifier in the same run. `python -m bench.photos PHOTO…` takes other photos.

The bare loop decodes to the same size, and runs the detection network once at each scale of the photo; it neither
looks closely at supposed signs nor classifies them.
"""

import argparse
import io
import itertools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from data.images import Picture, Pixels
from data.task import DEFAULT_TASK
from model.artifact import ARTIFACTS, read_models
from model.detector import LARGEST, MAX_PIXELS, MULTIPLE, ZOOM_STEP
from model.recogniser import Recogniser, decode_photo

SAMPLES: Final = Path(__file__).parents[1] / "ui/static/traffic_sign/samples"
SIZES: Final = ((1360, 800), (4000, 3000))  # width, height: GTSDB's scenes, and a telephone
RUNS: Final = 5
INFERENCES: Final = 50


class Measured(NamedTuple):
    """CPU seconds of the fastest run, megabytes that the first run needed, and the number of signs it accepted."""

    seconds: float
    megabytes: float
    signs: int = 0


def main(arguments: list[str]) -> int:
    """Print a Markdown table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.photos", description=__doc__)
    streets = [SAMPLES / "country.jpg", SAMPLES / "town.jpg"]
    parser.add_argument("photos", type=Path, nargs="*", metavar="PHOTO", default=streets, help="default: drawn streets")
    options = parser.parse_args(arguments)
    folder = ARTIFACTS / DEFAULT_TASK
    unit = _alone(_classify, folder, b"").seconds
    print(f"one inference of the classifier: {1000 * unit:.2f} ms\n")
    print("| photo | pixels | signs | step | ms | units | ms/Mpx (bare) | ratio | MB/Mpx (bare) |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for photo, (width, height) in itertools.product(options.photos, SIZES):
            path = Path(temporary, f"{width}.jpg")
            Image.open(photo).convert("RGB").resize((width, height)).save(path, quality=90)
            payload = path.read_bytes()
            megapixels = width * height / 1e6
            for step, work, bare_work in (("decode", _decode, _pillow), ("find", _find, _network)):
                ours, bare = _alone(work, folder, payload), _alone(bare_work, folder, payload)
                print(
                    f"| {photo.stem} | {width} × {height} | {ours.signs or ''} | {step} | {1000 * ours.seconds:.0f} "
                    f"| {ours.seconds / unit:.1f} "
                    f"| {1000 * ours.seconds / megapixels:.1f} ({1000 * bare.seconds / megapixels:.1f}) "
                    f"| {ours.seconds / bare.seconds:.2f} "
                    f"| {ours.megabytes / megapixels:.1f} ({bare.megabytes / megapixels:.1f}) |",
                    flush=True,
                )
    return 0


def _alone(measure: Callable[[Path, bytes], Measured], folder: Path, payload: bytes) -> Measured:
    """Run one measurement in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (folder, payload))


def _classify(folder: Path, _payload: bytes) -> Measured:
    classifier = Recogniser.load(folder).classifier
    pixels = np.zeros((*classifier.card.input_size, 3), np.uint8)
    return _measure(lambda: classifier.classify(pixels), INFERENCES)


def _decode(_folder: Path, payload: bytes) -> Measured:
    return _measure(lambda: decode_photo(Picture(payload)))


def _pillow(_folder: Path, payload: bytes) -> Measured:
    return _measure(lambda: _decode_with_pillow(payload))


def _find(folder: Path, payload: bytes) -> Measured:
    """Find every sign in a decoded photo."""
    recogniser, photo = Recogniser.load(folder), decode_photo(Picture(payload))
    measured = _measure(lambda: recogniser.recognise(photo))
    objects, _ = recogniser.recognise(photo)
    return measured._replace(signs=sum(each.prediction.is_accepted for each in objects))


def _network(folder: Path, payload: bytes) -> Measured:
    """Run the detection network at each scale of a decoded photo."""
    pixels, model = _decode_with_pillow(payload), read_models(folder).detector
    runners: list[tuple[Any, Pixels]] = []
    factor = 1
    while not runners or min(pixels.size) > LARGEST * factor / ZOOM_STEP:
        interpreter = Interpreter(model_content=model, num_threads=1)
        scaled = np.asarray(pixels.reduce(factor))
        height, width = (-(-side // MULTIPLE) * MULTIPLE for side in scaled.shape[:2])
        input_ = np.zeros((1, height, width, 3), np.uint8)
        input_[0, : scaled.shape[0], : scaled.shape[1]] = scaled
        runners.append((interpreter.get_signature_runner("serving_default"), input_))
        factor *= ZOOM_STEP
    return _measure(lambda: [run(pixels=scale) for run, scale in runners])


def _decode_with_pillow(payload: bytes) -> Image.Image:
    """Decode a JPEG file to as many pixels as our decoder does, or a few more."""
    image = Image.open(io.BytesIO(payload))
    factor = max(1.0, (image.width * image.height / MAX_PIXELS) ** 0.5)
    size = (round(image.width / factor), round(image.height / factor))
    image.draft("RGB", size)
    image.load()
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def _measure(work: Callable[[], object], runs: int = RUNS) -> Measured:
    """Measure the memory of a first run, then the CPU time of several."""
    before = _peak()
    work()
    megabytes = _peak() - before
    taken = []
    for _ in range(runs):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return Measured(min(taken), megabytes)


def _peak() -> float:
    """Return the largest resident memory of this process so far, in megabytes."""
    # Not `ru_maxrss`: a new process inherits that from its parent.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
