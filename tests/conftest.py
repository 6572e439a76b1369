"""Shared fixtures and functions: tasks, pictures, and real services on free ports."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from data.task import DEFAULT_TASK, Task, load_task, read_task
from data.tasks.traffic_sign.drawing.render import draw_example, write_drawn
from model.artifact import ARTIFACTS, CARD_FILE

ROOT = Path(__file__).parents[1]
SHIPPED = ARTIFACTS / "traffic_sign"
START_TIMEOUT_S = 300.0  # guards against hanging only: a slow machine with a busy neighbour needs minutes
COMMAND = [sys.executable, "-m", "gunicorn", "-c", "service/gunicorn.conf.py"]
COMPARED = ("plain", "residual:8,16")

Start = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def shapes() -> Task:
    """A task with class folders, but without facts and without an extension."""
    return read_task(Path(__file__).with_name("shapes.toml"))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Class folders for the task `shapes`."""
    return write_pictures(tmp_path / "pictures")


def write_pictures(folder: Path) -> Path:
    """Write class folders for the task `shapes`."""
    for name, class_index in (("round", 17), ("triangular", 13)):
        (folder / name).mkdir(parents=True)
        for seed in range(8):
            (folder / name / f"{seed}.png").write_bytes(encoded(drawing(class_index, 40, seed)))
    return folder


@pytest.fixture(scope="session")
def task() -> Task:
    return load_task("traffic_sign")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return a picture encoded in a file format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drawing(class_index: int = 14, size: int = 96, seed: int = 2) -> Image.Image:
    """Return a drawing of a sign with camera distortions."""
    return draw_example(class_index, np.random.default_rng(seed), size)[0]


def scene(*signs: tuple[int, int, int], size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Return a grey picture with drawn signs of 90 pixels, each given as class index, left and top.

    The detector of `red_artifact` finds stop signs (14) and no entry signs (17) in it, 12 pixels right of `left`.
    """
    picture = Image.new("RGB", size, (128, 128, 128))
    for class_index, left, top in signs:
        picture.paste(drawing(class_index, 90), (left, top))
    return picture


def awkward_pictures() -> dict[str, bytes]:
    """Return eight pictures of a stop sign in formats that decoders treat differently, by description."""
    image = drawing()
    transparent = image.convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize(image.size))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° for display
    grey16 = np.asarray(image.convert("L")).astype(np.uint16) * 257
    return {
        "palette PNG": encoded(image.quantize(64)),
        "transparent PNG": encoded(transparent),
        "16-bit grey PNG": encoded(Image.fromarray(grey16)),
        "CMYK JPEG": encoded(image.convert("CMYK"), "JPEG"),
        "turned JPEG": encoded(image.rotate(90), "JPEG", exif=exif),
        "animated GIF": encoded(image, "GIF", save_all=True, append_images=[image.rotate(180)]),
        "large JPEG": encoded(image.resize((1600, 900)), "JPEG"),
        "grey WebP": encoded(image.convert("L"), "WEBP", lossless=True),
    }


def free_port() -> int:
    """Return a free port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(url: str, process: "subprocess.Popen[str]", status: int = 200) -> None:
    """Wait until a server responds with this status; fail if it exits or times out."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the server exited with status {process.returncode}")
        try:
            if requests.get(url, timeout=60).status_code == status:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.05)
    pytest.fail(f"{url} did not respond with {status} within {START_TIMEOUT_S:g} s")


def wait_until(condition: Callable[[], bool], timeout_s: float = START_TIMEOUT_S, pause_s: float = 0.02) -> None:
    """Wait until a condition is true, with a pause between checks; fail on timeout."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(pause_s)


@contextmanager
def running(
    command: list[str], environment: dict[str, str], stdout: int | None = None
) -> "Iterator[subprocess.Popen[str]]":
    """Run a server for the duration of the block; `stdout` as for `subprocess.Popen`."""
    variables = {**os.environ, **environment}
    with subprocess.Popen(command, cwd=ROOT, env=variables, text=True, stdout=stdout) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def start_process(status: int = 200, **settings: object) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the service, wait until /readyz has this status, and yield its URL and the gunicorn master process.

    It serves the default task only, unless the settings name others.

    Args:
        status: expected HTTP status of /readyz.
        settings: settings of the service in lower case; names in upper case are other environment variables.
    """
    port = settings.pop("port", free_port())
    environment = {"SERVICE_PORT": str(port), "SERVICE_WORKERS": "1", "SERVICE_TASKS": DEFAULT_TASK}
    with running(COMMAND, {**environment, **_variables(settings)}) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz", process, status)
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def start_service(status: int = 200, **settings: object) -> Iterator[str]:
    """Run the service like `start_process`, and yield its URL."""
    with start_process(status, **settings) as (url, _):
        yield url


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {name if name.isupper() else f"SERVICE_{name.upper()}": str(value) for name, value in settings.items()}


class Log:
    """The log of a service with two workers; can wait for an entry from both."""

    def __init__(self, url: str, capfd: pytest.CaptureFixture[str]) -> None:
        self._url, self._capfd, self._text = url, capfd, ""

    def wait_for_both(self, words: str) -> None:
        """Wait for two new lines with these words; a worker checks for changes only when it handles a request."""

        def written() -> bool:
            # A new connection each time, because either worker may accept it.
            requests.get(f"{self._url}/readyz", timeout=60).raise_for_status()
            self._text += self._capfd.readouterr().err
            return self._text.count(words) >= 2

        wait_until(written)
        self._text = ""


def run_service(**settings: object) -> "subprocess.CompletedProcess[str]":
    """Run a service with settings as in `start_process`, which is expected to exit by itself."""
    environment = _variables(settings)
    return subprocess.run(
        COMMAND,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks of the shipped artifact for TensorFlow Serving. Do not change them."""
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "model.training.export", str(SHIPPED), "--to", "saved_model", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@contextmanager
def start_tf_serving(models: Path, port: int = 0, **options: object) -> "Iterator[tuple[int, subprocess.Popen[str]]]":
    """Run `tests.tf_serving` with these options on a port, by default any free one; yield the port and the process."""
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "tests.tf_serving", str(models), str(port), *flags]
    with running(command, {"TF_CPP_MIN_LOG_LEVEL": "3"}, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield int(process.stdout.readline()), process


@contextmanager
def run_tf_serving(models: Path, port: int = 0, **options: object) -> Iterator[int]:
    """Run `tests.tf_serving` like `start_tf_serving`, and yield its port."""
    with start_tf_serving(models, port, **options) as (used, _):
        yield used


@pytest.fixture(scope="session")
def red_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped classifier with a detector for what is red; see `tests.red_detector`. Do not change it."""
    return write_red_artifact(tmp_path_factory.mktemp("red") / "artifact")


def write_red_artifact(folder: Path, *arguments: str) -> Path:
    """Run `tests.red_detector` in a process of its own; return the folder."""
    command = [sys.executable, "-m", "tests.red_detector", str(folder), *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def bare_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped classifier without its detector. Do not change it."""
    folder = tmp_path_factory.mktemp("bare") / "artifact"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("detector.*"))
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    card["files"] = {name: digest for name, digest in card["files"].items() if not name.startswith("detector")}
    (folder / CARD_FILE).write_text(json.dumps({**card, "detector": None}), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def bare_service(bare_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real service whose classifier has no detector."""
    with start_service(store=tmp_path_factory.mktemp("store"), SERVICE_ARTIFACT=bare_artifact) as url:
        yield url


@dataclass(frozen=True)
class Comparison:
    """A run of `python -m model.training.compare`: its data, output folder, store and standard output."""

    data: Path
    output: Path
    store: Path
    printed: str


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two small networks, each trained for one epoch on drawn signs with two seeds."""
    folder = tmp_path_factory.mktemp("comparison")
    data, output, store = folder / "signs", folder / "output", folder / "store"
    write_drawn(data, 2, seed=1)
    result = compare("--data", data, "--output", output, "--store", store, "--seeds", 0, 1, "--frames", 0, *COMPARED)
    assert result.returncode == 0, result.stderr
    return Comparison(data, output, store, result.stdout)


def compare(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run `python -m model.training.compare` for one epoch; put networks last, not after a multi-value option."""
    command = [
        sys.executable,
        "-m",
        "model.training.compare",
        "--preset",
        "quick",
        "--epochs",
        "1",
        *map(str, arguments),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real service with the shipped classifier and an empty store."""
    with start_service(store=tmp_path_factory.mktemp("store")) as url:
        yield url
