"""Compare the service with the bare work, with its predecessor and with other ways to serve the same classifier.

Everything runs on loopback and in turn, several rounds of it; the answers are checked. Machines are noisy, so what
counts is the processor time of all processes of a system for one request, and ratios within one run.
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
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import requests

from bench.peers.common import ARTIFACT, CONVERTED
from bench.steady import steady
from bench.systems import BARE, PEERS, PREDECESSOR, ROOT, SERVICE, Running, load, started
from data.images import decode, encode
from data.source import open_source
from data.task import load_task
from model.classifier import Classifier

SIGN: Final = 14
EXPECTED: Final = f'"class_index": ?{SIGN}%D'  # a pattern of Lua
TYPICAL: Final = 5000  # bytes of a picture
PICTURES: Final = 16
CONNECTIONS: Final = (1, 8, 32)
BATCH: Final = 64
FIRST_PORT: Final = 9700
SHARE: Final = 0.7  # of the saturating load, at which the latencies are measured


def main(arguments: list[str]) -> int:
    """Run the comparison, print the table and write `bench/results/serve.json`, or `serve-short.json`."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--data", type=Path, help="a data set to take real stop signs from; drawn ones otherwise")
    parser.add_argument("--short", action="store_true", help="the service, the bare work and Flask only")
    options = parser.parse_args(arguments)
    if not shutil.which("wrk"):
        sys.exit("error: wrk is needed; Debian and Ubuntu have it as a package")
    with tempfile.TemporaryDirectory() as folder:
        bodies = _write_pictures(Path(folder), options.data)
        results = _compare(bodies, options.rounds, options.seconds, short=options.short)
    target = ROOT / "bench" / "results" / ("serve-short.json" if options.short else "serve.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(_table(results))
    return 0


def _write_pictures(folder: Path, data: Path | None) -> list[Path]:
    """Write PNG files of stop signs of about `TYPICAL` bytes, all of which the classifier knows."""
    classifier = Classifier.load(ARTIFACT)
    candidates = _photographs(data, classifier) if data else _drawings(classifier)
    known = [payload for payload in candidates if classifier.predict([payload])[0].class_index == SIGN]
    chosen = sorted(known, key=lambda payload: abs(len(payload) - TYPICAL))[:PICTURES]
    paths = [folder / f"{number}.png" for number in range(len(chosen))]
    for path, payload in zip(paths, chosen, strict=True):
        path.write_bytes(payload)
    return paths


def _drawings(classifier: Classifier) -> list[bytes]:
    extension = load_task(classifier.card.task).load_extension()
    if extension is None:
        sys.exit("error: this task has no drawings; --data PATH gives photographs")
    return [encode(extension.draw_example(SIGN, seed, 44)) for seed in range(8 * PICTURES)]


def _photographs(data: Path, classifier: Classifier) -> list[bytes]:
    source = open_source(data, load_task(classifier.card.task))
    signs = [example for example in source.examples if example.class_index == SIGN and 36 <= max(example.size) <= 50]
    return [encode(decode(source.read(example), example.size)) for example in signs]


def _compare(bodies: list[Path], rounds: int, seconds: float, *, short: bool) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    systems = [BARE, SERVICE, *(PEERS[:1] if short else PEERS)]
    payload = bodies[0].read_bytes()
    if not short:
        _convert()
    results: dict[str, Any] = {"machine": _machine(), "cores": cores, "bytes": _mean_size(bodies), "systems": {}}
    with ExitStack() as stack:
        ports = iter(range(FIRST_PORT, FIRST_PORT + 100))
        alive = [stack.enter_context(started(system, payload, next(ports))) for system in systems]
        for running in alive:
            load(running, bodies, EXPECTED, 8, min(1.0, seconds))  # warm
        measured: dict[str, list[dict[str, Any]]] = {running.system.name: [] for running in alive}
        for number in range(rounds):
            for running in alive[:: -1 if number % 2 else 1]:
                measured[running.system.name].append(_measure(running, bodies, seconds))
                _tell(f"round {number + 1} of {rounds}: {running.system.name}")
        for running in alive:
            results["systems"][running.system.name] = {
                **_medians(measured[running.system.name]),
                "rss_mb": running.rss_mb(),
                "start_s": running.start_s,
            }
        service = alive[1]
        ratios = [_batch_ratio(service, bodies) for _ in range(2 * rounds)]
        peak = results["systems"][SERVICE.name]["connections"]["32"]["requests_per_s"]
        latencies = [steady(service.url, bodies, SHARE * peak, seconds, seed) for seed in range(rounds)]
    ours = results["systems"][SERVICE.name]
    ours["efficiency"] = statistics.median(
        bare["cpu_us"] / own["cpu_us"] for bare, own in zip(measured[BARE.name], measured[SERVICE.name], strict=True)
    )
    ours["batch_ratio"] = statistics.median(ratios)
    ours["p50_ms_at_70_%"], ours["p99_ms_at_70_%"] = (
        statistics.median(column) for column in zip(*latencies, strict=True)
    )
    with started(SERVICE, payload, next(ports), workers=cores) as running:
        many = [load(running, bodies, EXPECTED, 32, seconds).per_s for _ in range(rounds)]
    ours["requests_per_s_all_cores"] = statistics.median(many)
    if not short:
        results["systems"][PREDECESSOR.name] = _measure_predecessor(bodies[0], next(ports), cores, seconds)
    return results


def _measure(running: Running, bodies: list[Path], seconds: float) -> dict[str, Any]:
    loads = {str(count): load(running, bodies, EXPECTED, count, seconds) for count in CONNECTIONS}
    total = sum(each.requests for each in loads.values())
    return {
        "cpu_us": sum(each.cpu_us * each.requests for each in loads.values()) / total,
        "connections": {
            count: {"requests_per_s": each.per_s, "p50_ms": each.p50_ms, "p99_ms": each.p99_ms}
            for count, each in loads.items()
        },
    }


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over the rounds, and how far apart the processor times were."""
    times = [each["cpu_us"] for each in rounds]
    connections = {
        count: {
            name: statistics.median(each["connections"][count][name] for each in rounds)
            for name in ("requests_per_s", "p50_ms", "p99_ms")
        }
        for count in map(str, CONNECTIONS)
    }
    return {"cpu_us": statistics.median(times), "cpu_us_range": [min(times), max(times)], "connections": connections}


def _batch_ratio(service: Running, bodies: list[Path]) -> float:
    """Return images a second of a batch over those of a bare loop of decoding and inference."""
    payloads = [bodies[number % len(bodies)].read_bytes() for number in range(BATCH)]
    files = [("image", (f"{number}.png", payload)) for number, payload in enumerate(payloads)]
    request = requests.Request("POST", f"{service.url}/batch", files=files).prepare()
    classifier = Classifier.load(ARTIFACT)
    classifier.predict(payloads)
    with requests.Session() as session:
        _check_batch(session.send(request))
        batch_s = _typical(lambda: session.send(request))
    return _typical(lambda: classifier.predict(payloads)) / batch_s


def _check_batch(response: requests.Response) -> None:
    if not response.ok or [each["prediction"]["class_index"] for each in response.json()["results"]] != [SIGN] * BATCH:
        raise RuntimeError("a batch was answered wrongly")


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


def _convert() -> None:
    """Write the network as ONNX and as a SavedModel, for the peers that take these."""
    version, done = Classifier.load(ARTIFACT).card.version, CONVERTED / "version"
    if done.exists() and done.read_text(encoding="utf-8") == version:
        return
    import keras

    CONVERTED.mkdir(parents=True, exist_ok=True)
    network = keras.models.load_model(ARTIFACT / "model.keras")
    network.export(CONVERTED / "saved_model", format="tf_saved_model", verbose=False)
    network.export(CONVERTED / "model.onnx", format="onnx", verbose=False)
    done.write_text(version, encoding="utf-8")


def _mean_size(bodies: list[Path]) -> int:
    return round(statistics.mean(path.stat().st_size for path in bodies))


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
        "CPU µs a request",
        *(f"requests/s, p50/p99 ms at {n}" for n in CONNECTIONS),
        "MB",
        "start s",
    )
    machine = f"{results['machine']}, {results['cores']} cores; PNG files of {results['bytes']:,} bytes"
    lines = [machine, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [_row(name, row) for name, row in results["systems"].items() if "connections" in row]
    ours = results["systems"][SERVICE.name]
    p50, p99 = ours["p50_ms_at_70_%"], ours["p99_ms_at_70_%"]
    lines += [
        "",
        f"efficiency (CPU of the bare work over CPU of the service): {ours['efficiency']:.2f}",
        f"batch of {BATCH} against the bare loop: {ours['batch_ratio']:.2f} of its images a second",
        f"at {SHARE:.0%} of the saturating load: p50 {p50:.2f} ms, p99 {p99:.2f} ms, {p99 / p50:.1f} times as long",
        f"all {results['cores']} cores: {ours['requests_per_s_all_cores']:,.0f} requests/s",
    ]
    if PREDECESSOR.name in results["systems"]:
        old = results["systems"][PREDECESSOR.name]["requests_per_s_all_cores"]
        ratio = ours["requests_per_s_all_cores"] / old
        lines.append(f"predecessor, all cores: {old:.2f} requests/s; the service answers {ratio:,.0f} times as many")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
