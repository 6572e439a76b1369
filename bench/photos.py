"""Benchmark whole photos: decoding against Pillow alone, and finding signs in units of one inference of the classifier.

`make bench-photos` saves two drawn streets as JPEG files of two sizes, and measures each step in a process of its own,
so that its memory can be told apart. Times are the fastest of several runs, in CPU time of one thread.
`python -m bench.photos PHOTO…` takes other photos.
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
from typing import Final

import numpy as np
from PIL import Image

from data.images import Picture
from data.task import DEFAULT_TASK
from model.artifact import ARTIFACTS
from model.recogniser import Recogniser, decode_photo

SAMPLES: Final = Path(__file__).parents[1] / "ui/static/traffic_sign/samples"
SIZES: Final = ((1360, 800), (4000, 3000))  # width, height: GTSDB's scenes, and a telephone
RUNS: Final = 5
INFERENCES: Final = 50


def main(arguments: list[str]) -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.photos", description=__doc__)
    streets = [SAMPLES / "country.jpg", SAMPLES / "town.jpg"]
    parser.add_argument("photos", type=Path, nargs="*", metavar="PHOTO", default=streets, help="default: drawn streets")
    options = parser.parse_args(arguments)
    folder = ARTIFACTS / DEFAULT_TASK
    unit = _alone(_inference, folder, b"")[0]
    print(f"one inference of the classifier: {1000 * unit:.2f} ms\n")
    print(
        f"{'photo':<13}{'size':<14}{'Pillow':>9}{'ours':>9}{'ratio':>8}{'search':>10}{'units':>8}{'signs':>7}{'MB':>7}{'MB/Mpx':>8}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        for photo, (width, height) in itertools.product(options.photos, SIZES):
            path = Path(temporary, f"{width}.jpg")
            Image.open(photo).convert("RGB").resize((width, height)).save(path, quality=90)
            payload = path.read_bytes()
            (bare, *_), (ours, *_) = _alone(_pillow, folder, payload), _alone(_decode, folder, payload)
            search, signs, megabytes = _alone(_search, folder, payload)
            print(
                f"{photo.stem[:12]:<13}{f'{width} × {height}':<14}"
                f"{1000 * bare:>6.1f} ms{1000 * ours:>6.1f} ms{ours / bare:>8.2f}"
                f"{1000 * search:>7.0f} ms{search / unit:>8.1f}{signs:>7.0f}{megabytes:>7.0f}"
                f"{megabytes / (width * height / 1e6):>8.1f}"
            )
    return 0


Measured = tuple[float, float, float]  # seconds, signs, megabytes


def _alone(measure: Callable[[Path, bytes], Measured], folder: Path, payload: bytes) -> Measured:
    """Run one measurement in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (folder, payload))


def _inference(folder: Path, _payload: bytes) -> Measured:
    classifier = Recogniser.load(folder).classifier
    pixels = np.zeros((*classifier.card.input_size, 3), np.uint8)
    return _fastest(lambda: classifier.classify(pixels), INFERENCES), 0, 0


def _pillow(_folder: Path, payload: bytes) -> Measured:
    """Decode with Pillow alone to the size that our decoder chooses."""
    size = Picture(payload).decode_photo(2_000_000).pixels.shape[1::-1]

    def decode() -> None:
        image = Image.open(io.BytesIO(payload))
        image.draft("RGB", size)
        image.load()
        if image.size != size:
            image.resize(size, Image.Resampling.BILINEAR)

    return _fastest(decode, RUNS), 0, 0


def _decode(_folder: Path, payload: bytes) -> Measured:
    return _fastest(lambda: decode_photo(Picture(payload)), RUNS), 0, 0


def _search(folder: Path, payload: bytes) -> Measured:
    """Find every sign in a decoded photo; the memory includes decoding."""
    recogniser = Recogniser.load(folder)
    before = _peak()
    photo = decode_photo(Picture(payload))
    objects, _ = recogniser.recognise(photo)
    signs = sum(each.prediction.is_accepted for each in objects)
    return _fastest(lambda: recogniser.recognise(photo), RUNS), signs, _peak() - before


def _fastest(work: Callable[[], object], times: int) -> float:
    work()
    taken = []
    for _ in range(times):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)


def _peak() -> float:
    """Return the largest resident memory of this process so far, in megabytes."""
    # Not `ru_maxrss`: a new process inherits that from its parent.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
