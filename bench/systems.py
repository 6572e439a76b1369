"""The systems that are compared: how to start each, and how much CPU time and memory it uses."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import requests

from data.task import DEFAULT_TASK

ROOT: Final = Path(__file__).parents[1]
ROUTE: Final = "/predict_traffic_sign"
START_S: Final = 120.0
GUNICORN: Final = ("-m", "gunicorn", "--no-control-socket", "--log-level", "warning")
JSON: Final = "application/json"
PICKLE: Final = "application/octet-stream"
BENTO: Final = "bench.peers.bentoml_litert:Signs"


@dataclass(frozen=True)
class System:
    """A way to serve the classifier.

    `arguments` are the arguments of Python, with the placeholders `{port}` and `{workers}`; `content_type` is the type
    of the request body.
    """

    name: str
    arguments: tuple[str, ...]
    content_type: str = "image/png"

    def body(self, payload: bytes) -> bytes:
        """Return the request body for a picture."""
        if self.content_type == JSON:
            return json.dumps({"image": base64.b64encode(payload).decode()}).encode()
        return payload

    def file(self, picture: Path) -> Path:
        """Return a file with the request body for a picture."""
        path = picture if self.content_type != JSON else picture.with_suffix(".json")
        if not path.exists():
            path.write_bytes(self.body(picture.read_bytes()))
        return path


def _gunicorn(module: str, kind: str, *more: str) -> tuple[str, ...]:
    return *GUNICORN, "-b", "127.0.0.1:{port}", "-w", "{workers}", "-k", kind, *more, f"bench.peers.{module}:app"


SERVICE: Final = System("service", ("-m", "gunicorn", "-c", "service/gunicorn.conf.py"))
BARE: Final = System("bare work", ("-m", "bench.peers.bare"))
PREDECESSOR: Final = System("predecessor", _gunicorn("predecessor", "sync", "-t", "120"), PICKLE)
PEERS: Final = (
    System("Flask", _gunicorn("flask_litert", "gthread", "--threads", "4")),
    System("FastAPI + onnxruntime", ("-m", "bench.peers.fastapi_onnx")),
    System("Flask + SavedModel", _gunicorn("flask_savedmodel", "gthread", "--threads", "4")),
    System("LitServe", ("-m", "bench.peers.litserve_litert"), JSON),
    System("BentoML", ("-m", "bentoml", "serve", "-p", "{port}", "--host", "127.0.0.1", BENTO)),
)


@dataclass(frozen=True)
class Running:
    """A running system. `start_s` is the time from its start to its first answer."""

    system: System
    process: psutil.Popen
    url: str
    start_s: float

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu_s(self) -> float:
        """Return the CPU time that all its processes have used, in seconds."""
        times = [process.cpu_times() for process in self._family()]
        return float(sum(each.user + each.system for each in times))

    def rss_mb(self) -> float:
        """Return the resident memory of its largest process, in megabytes (10⁶ bytes)."""
        return float(max(process.memory_info().rss for process in self._family()) / 1e6)


@contextmanager
def started(
    system: System, payload: bytes, port: int, workers: int = 1, *, inference_threads: int = 0
) -> Iterator[Running]:
    """Start a system, wait for its first answer to `payload`, and stop it at the end of the block.

    Args:
        system: what to start.
        payload: bytes of a picture.
        port: port on loopback to listen on.
        workers: worker processes.
        inference_threads: inference threads per process of the service; 0 for its default.

    Raises:
        RuntimeError: the system ends, or does not answer within `START_S`.
    """
    command = [word.format(port=port, workers=workers) for word in system.arguments]
    ours = {"SERVICE_PORT": str(port), "SERVICE_WORKERS": str(workers), "SERVICE_LOG_FORMAT": "text"}
    ours["SERVICE_TASKS"] = DEFAULT_TASK  # the others serve one classifier, too
    if inference_threads:
        ours["SERVICE_INFERENCE_THREADS"] = str(inference_threads)
    environment = {**os.environ, **ours, "BENCH_PORT": str(port), "TF_CPP_MIN_LOG_LEVEL": "3"}
    log = ROOT / "bench" / "results" / f"{system.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with log.open("wb") as output:
        process = psutil.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}{ROUTE}"
    try:
        _await_answer(process, system, url, payload, began, log)
        yield Running(system, process, url, time.perf_counter() - began)
    finally:
        children = process.children(recursive=True)
        process.terminate()
        _, alive = psutil.wait_procs([process, *children], timeout=10)
        for left in alive:
            left.kill()


@contextmanager
def tf_serving(artifact: Path) -> Iterator[str]:
    """Run a server in place of TensorFlow Serving with the networks of an artifact; yield its address."""
    models = ROOT / "bench" / "results" / "models"
    export = [sys.executable, "-m", "model.training.export", str(artifact), "--to", "saved_model", str(models)]
    subprocess.run(export, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "tests.tf_serving", str(models), "0"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the server has no output")
            yield f"localhost:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def _await_answer(process: psutil.Popen, system: System, url: str, payload: bytes, began: float, log: Path) -> None:
    while time.perf_counter() - began < START_S:
        if process.poll() is not None:
            break
        try:
            if requests.post(
                url, data=system.body(payload), headers={"Content-Type": system.content_type}, timeout=60
            ).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.005)
    raise RuntimeError(f"{url} does not answer; see {log}")


@dataclass(frozen=True)
class Load:
    """What the load generator measured: answers per second, their latencies, and the CPU time of the system."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def load(running: Running, bodies: Sequence[Path], expected: str, connections: int, seconds: float) -> Load:
    """Load a system with wrk; every connection sends its next request when it has received the answer.

    Raises:
        RuntimeError: an answer was wrong or missing.
    """
    script, system = str(ROOT / "bench" / "post.lua"), running.system
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", script]
    command = [*wrk, running.url, "--", system.content_type, expected, *(str(system.file(path)) for path in bodies)]
    before = running.cpu_s()
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu_s = running.cpu_s() - before
    seen = json.loads(printed.strip().splitlines()[-1])
    if seen["wrong"] or seen["failed"]:
        raise RuntimeError(f"{system.name}: {seen['wrong']} wrong answers, {seen['failed']} failures")
    count = seen["requests"]
    return Load(count, count / seen["seconds"], seen["p50_ms"], seen["p99_ms"], 1e6 * cpu_s / count)
