"""Compare the service with the bare work, its predecessor and other ways to serve the same classifier.

Everything runs on loopback, one system at a time, in several rounds, and every answer is checked. Machines are noisy,
so compare ratios within one run, and the CPU time of all processes of a system per request.
"""

import argparse
import json
import os
import pickle  # for the predecessor only, which took and gave pickles
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from bench.peers.common import ARTIFACT, CONVERTED, engine
from bench.peers.common import classifier as load_classifier
from bench.steady import steady
from bench.systems import BARE, PEERS, PREDECESSOR, ROOT, SERVICE, Running, load, started, tf_serving
from data.images import decode, encode
from data.source import open_source
from data.task import load_task
from model.classifier import Classifier
from service.inference import WarmRecogniser

SIGN: Final = 14
TYPICAL: Final = 5000  # bytes per picture
PICTURES: Final = 16
CONNECTIONS: Final = (1, 8, 32)
BATCH: Final = 64
FIRST_PORT: Final = 9700
SHARE: Final = 0.7  # of the saturating load, at which latencies are measured
FLASK: Final = PEERS[0]


def main(arguments: list[str]) -> int:
    """Run the comparison, print the tables and write `bench/results/serve.json` or one with a suffix."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each measurement")
    parser.add_argument("--data", type=Path, help="data set to take photos of stop signs from (default: drawn ones)")
    parser.add_argument("--artifact", type=Path, default=ARTIFACT, help="classifier to serve (default: %(default)s)")
    parser.add_argument("--short", action="store_true", help="only the service, the bare work and Flask")
    parser.add_argument(
        "--tf-serving",
        action="store_true",
        help="the same three, which ask a server in place of TensorFlow Serving; that server's time does not count",
    )
    options = parser.parse_args(arguments)
    if not shutil.which("wrk"):
        sys.exit("error: wrk is not installed; on Debian and Ubuntu, install the package wrk")
    # Every process that is started reads these.
    os.environ["BENCH_ARTIFACT"] = os.environ["SERVICE_ARTIFACT"] = str(options.artifact.resolve())
    with ExitStack() as stack:
        if options.tf_serving:
            os.environ["SERVICE_TF_SERVING"] = stack.enter_context(tf_serving(options.artifact))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        classifier = load_classifier(options.artifact)
        pictures = _write_pictures(folder, options.data, classifier)
        short = options.short or options.tf_serving
        results = _compare(pictures, classifier, options.artifact, options.rounds, options.seconds, short=short)
    kind = "-tf-serving" if options.tf_serving else "-short" if options.short else ""
    target = ROOT / "bench" / "results" / f"serve{kind}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(_table(results))
    return 0


@dataclass(frozen=True)
class Pictures:
    """Files of pictures, and the class in which the classifier puts all of them."""

    paths: list[Path]
    class_index: int

    @property
    def expected(self) -> str:
        """The Lua pattern that every answer must match."""
        return f'"class_index": ?{self.class_index}%D'


def _write_pictures(folder: Path, data: Path | None, classifier: Classifier) -> Pictures:
    """Write PNG files of stop signs of about `TYPICAL` bytes.

    An untrained classifier may take them for something else, but it takes all of them for the same.
    """
    candidates = _photographs(data, classifier) if data else _drawings(classifier)
    if not candidates:
        sys.exit(f"error: {data} has no stop signs of a suitable size")
    classes = [prediction.class_index for prediction in classifier.predict(candidates)]
    [(class_index, _)] = Counter(classes).most_common(1)
    known = [payload for payload, each in zip(candidates, classes, strict=True) if each == class_index]
    chosen = sorted(known, key=lambda payload: abs(len(payload) - TYPICAL))[:PICTURES]
    paths = [folder / f"{number}.png" for number in range(len(chosen))]
    for path, payload in zip(paths, chosen, strict=True):
        path.write_bytes(payload)
    return Pictures(paths, class_index)


def _drawings(classifier: Classifier) -> list[bytes]:
    extension = load_task(classifier.card.task).load_extension()
    if extension is None:
        sys.exit("error: this task has no drawings; use --data PATH")
    return [encode(extension.draw_example(SIGN, seed, 44)) for seed in range(8 * PICTURES)]


def _photographs(data: Path, classifier: Classifier) -> list[bytes]:
    source = open_source(data, load_task(classifier.card.task))
    signs = [example for example in source.examples if example.class_index == SIGN and 36 <= max(example.size) <= 50]
    return [encode(decode(source.read(example), example.size)) for example in signs]


def _compare(
    pictures: Pictures, classifier: Classifier, artifact: Path, rounds: int, seconds: float, *, short: bool
) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    systems = [BARE, SERVICE, *(PEERS[:1] if short else PEERS)]
    payload = pictures.paths[0].read_bytes()
    if not short:
        _convert(artifact, classifier.card.version)
    results: dict[str, Any] = {
        "machine": _machine(),
        "cores": cores,
        "bytes": _mean_size(pictures.paths),
        "classifier": classifier.card.version,
        "inference_ms": 1000 * WarmRecogniser.load(artifact, engine()).inference_s,
        "systems": {},
    }
    ports = iter(range(FIRST_PORT, FIRST_PORT + 100))
    with ExitStack() as stack:
        alive = {each.name: stack.enter_context(started(each, payload, next(ports))) for each in systems}
        for running in alive.values():
            load(running, pictures.paths, pictures.expected, 8, min(1.0, seconds))  # warm up
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in alive}
        for number in range(rounds):
            for name in list(alive)[:: -1 if number % 2 else 1]:
                measured[name].append(_measure(alive[name], pictures, seconds))
                _tell(f"round {number + 1} of {rounds}: {name}")
        for name, running in alive.items():
            results["systems"][name] = {
                **_medians(measured[name]),
                "rss_mb": running.rss_mb(),
                "start_s": running.start_s,
            }
        service = alive[SERVICE.name]
        ratios = [_batch_ratio(service, pictures, classifier) for _ in range(2 * rounds)]
        peak = results["systems"][SERVICE.name]["connections"]["32"]["requests_per_s"]
        latencies = [steady(service.url, pictures.paths, SHARE * peak, seconds, seed) for seed in range(rounds)]
        layouts = [(1, cores), (cores, 1)] if short else [(1, 1), (1, cores), (cores, 1), (cores, cores)]
        results["requests_per_s"] = _throughput(alive[FLASK.name], layouts, pictures, ports, rounds, seconds)
    ours = results["systems"][SERVICE.name]
    ours["efficiency"] = statistics.median(
        bare["cpu_us"] / own["cpu_us"] for bare, own in zip(measured[BARE.name], measured[SERVICE.name], strict=True)
    )
    ours["fairness"] = statistics.median(
        each["connections"]["32"]["p99_ms"] / each["connections"]["32"]["p50_ms"] for each in measured[SERVICE.name]
    )
    ours["batch_ratio"] = statistics.median(ratios)
    ours["p50_ms_at_70_%"], ours["p99_ms_at_70_%"] = (
        statistics.median(column) for column in zip(*latencies, strict=True)
    )
    if not short:
        results["systems"][PREDECESSOR.name] = _measure_predecessor(pictures.paths[0], next(ports), cores, seconds)
    return results


def _layout(workers: int, threads: int) -> str:
    return f"{workers} × {threads}"


def _throughput(
    flask: Running,
    layouts: list[tuple[int, int]],
    pictures: Pictures,
    ports: Iterator[int],
    rounds: int,
    seconds: float,
) -> dict[str, float]:
    """Return requests per second at 32 connections for the service's workers × inference threads, and for Flask."""
    payload = pictures.paths[0].read_bytes()
    with ExitStack() as stack:
        alive = {FLASK.name: flask}
        for workers, threads in dict.fromkeys(layouts):
            running = started(SERVICE, payload, next(ports), workers, inference_threads=threads)
            alive[_layout(workers, threads)] = stack.enter_context(running)
        seen: dict[str, list[float]] = {name: [] for name in alive}
        for number in range(rounds):
            for name in list(alive)[:: -1 if number % 2 else 1]:
                seen[name].append(load(alive[name], pictures.paths, pictures.expected, 32, seconds).per_s)
                _tell(f"throughput, round {number + 1} of {rounds}: {name}")
    return {name: statistics.median(each) for name, each in seen.items()}


def _measure(running: Running, pictures: Pictures, seconds: float) -> dict[str, Any]:
    loads = {str(count): load(running, pictures.paths, pictures.expected, count, seconds) for count in CONNECTIONS}
    total = sum(each.requests for each in loads.values())
    return {
        "cpu_us": sum(each.cpu_us * each.requests for each in loads.values()) / total,
        "connections": {
            count: {"requests_per_s": each.per_s, "p50_ms": each.p50_ms, "p99_ms": each.p99_ms}
            for count, each in loads.items()
        },
    }


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over the rounds, and the range of the CPU times."""
    times = [each["cpu_us"] for each in rounds]
    connections = {
        count: {
            name: statistics.median(each["connections"][count][name] for each in rounds)
            for name in ("requests_per_s", "p50_ms", "p99_ms")
        }
        for count in map(str, CONNECTIONS)
    }
    return {"cpu_us": statistics.median(times), "cpu_us_range": [min(times), max(times)], "connections": connections}


def _batch_ratio(service: Running, pictures: Pictures, classifier: Classifier) -> float:
    """Return pictures per second in a batch divided by those of a bare loop of decoding and inference."""
    payloads = [pictures.paths[number % len(pictures.paths)].read_bytes() for number in range(BATCH)]
    files = [("image", (f"{number}.png", payload)) for number, payload in enumerate(payloads)]
    request = requests.Request("POST", f"{service.url}/batch", files=files).prepare()
    classifier.predict(payloads)
    with requests.Session() as session:
        _check_batch(session.send(request), pictures.class_index)
        batch_s = _typical(lambda: session.send(request))
    return _typical(lambda: classifier.predict(payloads)) / batch_s


def _check_batch(response: requests.Response, class_index: int) -> None:
    if (
        not response.ok
        or [each["prediction"]["class_index"] for each in response.json()["results"]] != [class_index] * BATCH
    ):
        raise RuntimeError("a batch got a wrong answer")


def _typical(work: Callable[[], object], times: int = 10) -> float:
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


def _measure_predecessor(picture: Path, port: int, cores: int, seconds: float) -> dict[str, Any]:
    pixels = decode(picture.read_bytes(), (48, 48))[None]
    body = picture.with_suffix(".pickle")
    body.write_bytes(pickle.dumps(pixels))
    with started(PREDECESSOR, body.read_bytes(), port, workers=cores) as running:
        load(running, [body], "", cores, 1)
        seen = load(running, [body], "", cores, max(5 * seconds, 10))
        return {
            "cpu_us": seen.cpu_us,
            "requests_per_s_all_cores": seen.per_s,
            "rss_mb": running.rss_mb(),
            "start_s": running.start_s,
        }


def _convert(artifact: Path, version: str) -> None:
    """Write the network as ONNX and as a SavedModel for the peers that need these."""
    done = CONVERTED / "version"
    if done.exists() and done.read_text(encoding="utf-8") == version:
        return
    import keras

    CONVERTED.mkdir(parents=True, exist_ok=True)
    network = keras.models.load_model(artifact / "model.keras")
    network.export(CONVERTED / "saved_model", format="tf_saved_model", verbose=False)
    network.export(CONVERTED / "model.onnx", format="onnx", verbose=False)
    done.write_text(version, encoding="utf-8")


def _mean_size(paths: list[Path]) -> int:
    return round(statistics.mean(path.stat().st_size for path in paths))


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return f"{model}, Python {platform.python_version()}"


def _tell(what: str) -> None:
    print(f"\r{what:60}", end="", file=sys.stderr, flush=True)


def _row(name: str, row: dict[str, Any]) -> str:
    low, high = row["cpu_us_range"]
    loads = [f"{x['requests_per_s']:,.0f}, {x['p50_ms']:.2f}/{x['p99_ms']:.2f}" for x in row["connections"].values()]
    cells = [name, f"{row['cpu_us']:.0f} ({low:.0f}–{high:.0f})", *loads, f"{row['rss_mb']:.0f}"]
    return f"| {' | '.join(cells)} | {row['start_s']:.2f} |"


def _table(results: dict[str, Any]) -> str:
    columns = (
        "system, one worker",
        "CPU µs per request",
        *(f"requests/s, p50/p99 ms at {n}" for n in CONNECTIONS),
        "MB",
        "start s",
    )
    machine = f"{results['machine']}, {results['cores']} cores; PNG files of {results['bytes']:,} bytes"
    classifier = f"classifier {results['classifier']}, {results['inference_ms']:.2f} ms per inference"
    lines = [machine, classifier, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [_row(name, row) for name, row in results["systems"].items() if "connections" in row]
    lines += ["", "| workers × inference threads | requests/s at 32 |", "|---|---|"]
    lines += [f"| {name} | {per_s:,.0f} |" for name, per_s in results["requests_per_s"].items()]
    ours = results["systems"][SERVICE.name]
    p50, p99 = ours["p50_ms_at_70_%"], ours["p99_ms_at_70_%"]
    lines += [
        "",
        f"efficiency (CPU time of the bare work divided by that of the service): {ours['efficiency']:.2f}",
        f"fairness (p99 divided by p50 at 32 connections): {ours['fairness']:.2f}",
        f"batch of {BATCH}: {ours['batch_ratio']:.2f} times the pictures per second of the bare loop",
        f"at {SHARE:.0%} of the saturating load: p50 {p50:.2f} ms, p99 {p99:.2f} ms, ratio {p99 / p50:.1f}",
    ]
    if PREDECESSOR.name in results["systems"]:
        old = results["systems"][PREDECESSOR.name]["requests_per_s_all_cores"]
        ratio = results["requests_per_s"][_layout(results["cores"], 1)] / old
        lines.append(f"predecessor, all cores: {old:.2f} requests/s; the service answers {ratio:,.0f} times as many")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
