"""Faults of clients, machines and people, injected into a real gunicorn under real load."""

import contextlib
import dataclasses
import itertools
import os
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from PIL import Image

from model.artifact import read_artifact, write_artifact
from tests.conftest import SHIPPED, Log, drawing, encoded, scene, start_process, wait_until
from tests.data.test_images import png_header
from tests.faults.client import Tally, load, message

Ledger = list[tuple[str, Tally, str]]

STOP = encoded(drawing(size=48))
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM", "AVIF", "HEIF")
REFUSED = "the new classifier cannot be used"
GROWTH_MB = 40  # that Pillow, threads and the allocator may keep after 10,000 damaged pictures
PANORAMAS_MB = 700  # that a worker may need for several pictures of 64 megapixels; up to 570 was measured
RAW = {"Content-Type": "application/octet-stream"}
JUMPING_CLOCK = """
import pathlib, time
_now, _offset = time.time, pathlib.Path(__file__).with_name("offset")
time.time = lambda: _now() + float(_offset.read_text() or 0)
"""


def children(process: "subprocess.Popen[str]") -> list[int]:
    """Return the process IDs of gunicorn's workers."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def metric(url: str, name: str) -> float:
    lines = requests.get(f"{url}/metrics", timeout=60).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def flip_bits(data: bytearray, fewer_than: int, rng: np.random.Generator) -> None:
    """Flip some bits, at least one."""
    for position in rng.integers(0, len(data), rng.integers(1, fewer_than)):
        data[position] ^= 1 << rng.integers(8)


def growth_mb(worker: int, send: Callable[[bytes], int], payloads: Iterable[bytes], count: int, tally: Tally) -> float:
    """Send payloads and count the statuses; return by how much a worker's memory grew after the first fifth."""
    for number, payload in enumerate(itertools.islice(payloads, count)):
        tally.statuses[send(payload)] += 1
        if number == count // 5:
            before = resident_mb(worker)
    return resident_mb(worker) - before


def mutated(seed: int) -> Iterator[bytes]:
    """Yield damaged pictures endlessly: flipped bits, cut ends, and the header of one format on another."""
    rng = np.random.default_rng(seed)
    pictures = [encoded(drawing(index, 48, index), kind) for kind in FORMATS for index in (1, 14, 38)]
    for turn in itertools.count():
        picture = bytearray(pictures[rng.integers(len(pictures))])
        if turn % 3 == 0:
            flip_bits(picture, 30, rng)
        elif turn % 3 == 1:
            del picture[rng.integers(len(picture)) :]
        else:
            other = pictures[rng.integers(len(pictures))]
            cut = rng.integers(1, 64)
            picture[:cut] = other[:cut]
        yield bytes(picture)


def test_damaged_pictures_kill_no_worker(full: bool, ledger: Ledger) -> None:
    count = 10_000 if full else 700
    tally = Tally()
    with start_process(workers=1) as (url, process), requests.Session() as session:
        [worker] = children(process)

        def send(payload: bytes) -> int:
            return session.post(f"{url}/predict_traffic_sign", data=payload, headers=RAW, timeout=30).status_code

        growth = growth_mb(worker, send, mutated(0), count, tally)
        assert children(process) == [worker]
        assert metric(url, "sign_worker_deaths_total") == 0
    assert set(tally.statuses) <= {200, 400, 422}
    assert growth < GROWTH_MB
    ledger.append((f"{count:,} damaged pictures", tally, f"memory grew by {growth:.0f} MB, no worker lost"))


def mutated_scenes(seed: int) -> Iterator[bytes]:
    """Yield damaged photos with signs endlessly, of the formats and in the ways of `mutated`."""
    rng = np.random.default_rng(seed)
    photos = [encoded(scene((14, 20, 20), (17, 130, 90), size=(240, 200)), kind) for kind in FORMATS]
    for turn in itertools.count():
        photo = bytearray(photos[rng.integers(len(photos))])
        if turn % 2:
            flip_bits(photo, 6, rng)
        else:
            del photo[rng.integers(len(photo)) :]
        yield bytes(photo)


def test_damaged_photos_kill_no_worker_that_locates(full: bool, ledger: Ledger, red_artifact: Path) -> None:
    """Half of the pictures are those that are damaged for predictions; half are photos with signs to find."""
    count = 10_000 if full else 300
    tally = Tally()
    pictures = (payload for pair in zip(mutated(1), mutated_scenes(1), strict=True) for payload in pair)
    settings = {"workers": 1, "inference_threads": 1, "artifact": red_artifact}
    with start_process(200, **settings) as (url, process), requests.Session() as session:
        [worker] = children(process)
        found = 0

        def send(payload: bytes) -> int:
            nonlocal found
            answer = session.post(f"{url}/detect/traffic_sign", data=payload, headers=RAW, timeout=30)
            found += answer.status_code == 200 and len(answer.json()["objects"])
            return answer.status_code

        # The detector keeps the memory that its largest photo needed, and damage may make a photo large.
        send(encoded(scene(size=(1632, 1224))))
        growth = growth_mb(worker, send, pictures, count, tally)
        assert children(process) == [worker]
        assert metric(url, "sign_worker_deaths_total") == 0
    assert set(tally.statuses) <= {200, 400, 422}
    assert found > count / 20
    assert growth < GROWTH_MB
    ledger.append((f"{count:,} damaged photos to locate signs in", tally, f"memory grew by {growth:.0f} MB"))


def panoramas() -> dict[str, bytes]:
    """Return pictures with as many pixels as are allowed, by name."""
    wide = Image.new("L", (32_000, 2_000), 128)
    return {
        "PNG": encoded(wide),
        "JPEG": encoded(wide, "JPEG"),
        "coloured PNG": encoded(Image.new("RGB", (16_000, 4_000), (128, 128, 128))),
        "strip": encoded(Image.new("L", (8_000_000, 8), 128)),
    }


@pytest.mark.parametrize("route", ["predict_traffic_sign", "detect/traffic_sign"])
def test_panoramas_need_bounded_memory(ledger: Ledger, red_artifact: Path, route: str) -> None:
    """Several at a time, in both ways in which pictures arrive; one that is decoded takes up to 256 MB as RGBA."""
    tally = Tally()
    with start_process(workers=1, artifact=red_artifact, inference_threads=2) as (url, process):
        [worker] = children(process)
        before = resident_mb(worker)

        def send(payload: bytes, as_form: bool) -> int:
            sent: dict[str, Any] = {"files": {"image": payload}} if as_form else {"data": payload, "headers": RAW}
            return requests.post(f"{url}/{route}", timeout=120, **sent).status_code

        with ThreadPoolExecutor(8) as clients:
            jobs = [clients.submit(send, payload, form) for payload in panoramas().values() for form in (False, True)]
            tally.statuses.update(job.result() for job in jobs)
        peak = peak_mb(worker) - before
        assert children(process) == [worker]
    assert set(tally.statuses) == {200}
    assert peak < PANORAMAS_MB
    ledger.append((f"8 panoramas of 64 megapixels, /{route}", tally, f"at most {peak:.0f} MB more at any time"))


def test_locating_does_not_delay_crops(ledger: Ledger, red_artifact: Path) -> None:
    """While photos wait to be searched, tight crops are answered."""
    photo = encoded(scene((14, 60, 100), size=(1600, 1200)), "BMP")
    with (
        start_process(workers=1, artifact=red_artifact, inference_threads=1) as (url, _),
        load(url, [photo], 8) as photos,
        load(url, [STOP], 1) as crops,
    ):
        wait_until(lambda: photos.statuses[200] >= 16 and crops.statuses[200] >= 16)
    assert set(photos.statuses) == set(crops.statuses) == {200}
    crop, found = (float(np.median(each.latencies_s)) * 1000 for each in (crops, photos))
    assert crop < found / 2
    ledger.append(("8 clients with photos, 1 with crops", photos, f"medians {found:.0f} and {crop:.0f} ms"))


def bombs() -> dict[str, tuple[str, bytes]]:
    """Return small bodies that would become large, by name, with their content types."""
    flat = zlib.compress(bytes(30_000 * 30_000 // 8), 9)
    chunk = struct.pack(">I", len(flat)) + b"IDAT" + flat + struct.pack(">I", zlib.crc32(b"IDAT" + flat))
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\xf0\x00\x00" + bytes(6)
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n\r\n'
    return {
        "PNG of 900 megapixels": ("image/png", png_header(30_000, 30_000) + chunk),
        "GIF of 4,295 megapixels": ("image/gif", gif),
        "JSON, nested": ("application/json", b"[" * 1_000_000),
        "20,000 parts": ("multipart/form-data; boundary=x", 20_000 * part + b"--x--\r\n"),
        "20 MB of nothing": ("image/png", bytes(20_000_000)),
    }


def test_decompression_bombs_are_rejected(ledger: Ledger) -> None:
    tally = Tally()
    with start_process(workers=1) as (url, process):
        [worker] = children(process)
        for name, (kind, body) in bombs().items():
            before = resident_mb(worker)
            headers = {"Content-Type": kind}
            answer = requests.post(f"{url}/predict_traffic_sign", data=body, headers=headers, timeout=30)
            tally.statuses[answer.status_code] += 1
            assert 400 <= answer.status_code < 500, name
            assert resident_mb(worker) - before < 150, name
        assert children(process) == [worker]
    ledger.append(("bombs", tally, "no worker lost"))


def test_slow_clients_do_not_block_others(full: bool, ledger: Ledger) -> None:
    """Half of them never finish their headers, half never finish their body; others are answered meanwhile."""
    count = 500 if full else 100
    with start_process(workers=1) as (url, _):
        host, port = urlsplit(url).hostname, urlsplit(url).port
        assert port
        request = message(url, STOP)
        slow = [socket.create_connection((host, port), timeout=60) for _ in range(count)]
        for number, connection in enumerate(slow):
            connection.sendall(request[: 40 if number % 2 else len(request) // 2])
        with load(url, [STOP], 4) as tally:
            wait_until(lambda: tally.statuses[200] > 300)
        assert set(tally.statuses) == {200}
        assert tally.lost == 0
        closed = 0
        for connection in slow[1::2]:  # those without headers are disconnected after some seconds
            closed += connection.recv(1) == b""
        assert closed == len(slow[1::2])
        if full:  # those without a body get 408 after half a minute
            answers = [connection.recv(12) for connection in slow[::2]]
            assert set(answers) == {b"HTTP/1.1 408"}
        for connection in slow:
            connection.close()
    worst = max(tally.latencies_s) * 1000
    ledger.append((f"{count} slow clients", tally, f"slowest answer to the others {worst:.0f} ms"))


def test_killed_workers_are_replaced_and_counted(full: bool, ledger: Ledger) -> None:
    kills = 10 if full else 2
    with start_process(workers=2) as (url, process):
        with load(url, [STOP], 8) as tally:
            for number in range(kills):
                answered = tally.statuses[200]
                wait_until(lambda: tally.statuses[200] > answered + 50)  # noqa: B023 — used at once
                victim = children(process)[number % 2]
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda: victim not in (now := children(process)) and len(now) == 2)  # noqa: B023
        deaths = metric(url, "sign_worker_deaths_total")
    assert deaths == kills
    assert set(tally.statuses) == {200}
    assert tally.lost == 0
    ledger.append((f"{kills} workers killed", tally, f"{deaths:.0f} deaths in the metrics"))


def test_damaged_artifact_and_killed_worker_leave_the_others_serving(tmp_path: Path) -> None:
    """The classifier is damaged on disk while in use; then a worker is killed, and its successor cannot load it."""
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    with start_process(workers=2, artifact=folder) as (url, process):
        wait_until(lambda: metric(url, "sign_workers_ready") == 2)
        with (folder / "model.tflite").open("ab") as file:
            file.write(b"x")
        before = children(process)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(now := children(process)) == 2 and before[0] not in now)
        assert metric(url, "sign_workers_ready") == 1
        statuses: Counter[int] = Counter()
        while set(statuses) != {200, 503}:
            headers = {"Content-Type": "image/png"}
            answer = requests.post(f"{url}/predict_traffic_sign", data=STOP, headers=headers, timeout=60)
            statuses[answer.status_code] += 1
            assert sum(statuses.values()) < 500
            if answer.status_code == 503:
                assert "model.tflite is damaged" in answer.json()["detail"]
                assert str(tmp_path) not in answer.text
        assert process.poll() is None


def test_shutdown_loses_nothing(full: bool, ledger: Ledger) -> None:
    total = Tally()
    rounds = 5 if full else 1
    for _ in range(rounds):
        with start_process(workers=2) as (url, process):
            with load(url, [STOP], 8, pause_s=0.002) as tally:
                wait_until(lambda: tally.statuses[200] > 200)
                process.terminate()
                assert process.wait(30) == 0
            total.statuses += tally.statuses
            total.retried += tally.retried
            total.lost += tally.lost
            assert tally.refused > 0  # the load continued after the shutdown
    assert set(total.statuses) == {200}
    assert total.lost == 0
    ledger.append((f"{rounds} × SIGTERM under load", total, "then no more connections"))


def test_reload_loses_nothing(full: bool, ledger: Ledger) -> None:
    reloads = 10 if full else 2
    with start_process(workers=2) as (url, process):
        with load(url, [STOP], 8) as tally:
            for _ in range(reloads):
                before = set(children(process))
                process.send_signal(signal.SIGHUP)
                wait_until(lambda: not before & set(now := children(process)) and len(now) == 2)  # noqa: B023
                answered = tally.statuses[200]
                wait_until(lambda: tally.statuses[200] > answered + 50)  # noqa: B023
        assert metric(url, "sign_worker_deaths_total") == 0
    assert set(tally.statuses) == {200}
    assert tally.lost == tally.refused == 0
    ledger.append((f"{reloads} × SIGHUP under load", tally, "all workers replaced each time"))


def test_artifacts_replaced_under_load(
    full: bool, ledger: Ledger, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every third one is damaged; the previous one then stays in use."""
    replaced = 50 if full else 6
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    card, inference = read_artifact(folder)
    network = (folder / "model.keras").read_bytes()
    with start_process(workers=2, artifact=folder, log_format="text") as (url, _), load(url, [STOP], 4) as tally:
        wait_until(lambda: metric(url, "sign_workers_ready") == 2)
        log = Log(url, capfd)
        for number in range(1, replaced + 1):
            if number % 3 == 0:
                bad = Path(shutil.copytree(folder, tmp_path / f"bad{number}"))
                (bad / "model.tflite").write_bytes(inference[: 1000 * number])
                folder.rename(tmp_path / f"old{number}")
                bad.rename(folder)
                log.wait_for_both(REFUSED)
                assert requests.get(f"{url}/readyz", timeout=60).json()["version"] == f"number-{number - 1}"
            else:
                renamed = dataclasses.replace(card, version=f"number-{number}")
                write_artifact(folder, renamed, inference, lambda path: path.write_bytes(network))
                log.wait_for_both(f"classifier {renamed.version} is in use now")
    assert set(tally.statuses) == {200}
    assert tally.lost == 0
    ledger.append((f"{replaced} artifacts replaced", tally, f"{replaced // 3} damaged ones rejected"))


def test_overload_is_rejected_and_loses_nothing(full: bool, ledger: Ledger) -> None:
    """Ten times as many clients as slots, none of which backs off."""
    slots = 16
    with start_process(workers=1, queue=slots) as (url, _):
        with load(url, [STOP], slots) as calm:
            wait_until(lambda: calm.statuses[200] > 500)
        with load(url, [STOP], 10 * slots) as tally:
            wait_until(lambda: min(tally.statuses[200], tally.statuses[429]) > (5000 if full else 500))
        empty = requests.post(f"{url}/predict_traffic_sign", data=b"", timeout=60)
        assert empty.status_code == 400
        rejected = metric(url, "sign_requests_rejected_total")
    assert set(tally.statuses) == {200, 429}
    assert tally.lost == tally.refused == calm.lost == 0
    assert rejected == tally.statuses[429]
    assert np.median(tally.rejections_s) < np.median(tally.latencies_s)
    usual, pressed = (float(np.quantile(each.latencies_s, 0.99)) * 1000 for each in (calm, tally))
    ledger.append(
        (
            f"{10 * slots} clients for {slots} slots",
            tally,
            f"p99 of those answered {pressed:.0f} ms; {usual:.0f} ms before",
        )
    )


@pytest.mark.parametrize(("speed", "place"), [("fast", "on the event loop"), ("slow", "in threads")])
def test_overload_is_rejected_however_long_an_inference_takes(
    speed: str, place: str, request: pytest.FixtureRequest, ledger: Ledger, capfd: pytest.CaptureFixture[str]
) -> None:
    slots, clients = 4, 20
    artifact = request.getfixturevalue(f"{speed}_artifact")
    with start_process(workers=1, queue=slots, artifact=artifact, log_format="text") as (url, _):
        with load(url, [STOP], clients) as tally:
            wait_until(lambda: min(tally.statuses[200], tally.statuses[429]) > 20)
            assert requests.get(f"{url}/healthz", timeout=60).status_code == 200
            answered = tally.statuses[200]
            wait_until(lambda: tally.statuses[200] > answered + 20)
        rejected = metric(url, "sign_requests_rejected_total")
    assert f"ms per inference, {place}" in capfd.readouterr().err
    assert set(tally.statuses) == {200, 429}
    assert tally.lost == tally.refused == 0
    assert rejected == tally.statuses[429]
    served, rejected = (float(np.median(each)) * 1000 for each in (tally.latencies_s, tally.rejections_s))
    if speed == "slow":  # otherwise the client itself takes longer than an inference
        assert rejected < served / 2
    notes = f"medians: {served:.0f} ms for an answer, {rejected:.0f} ms for a rejection"
    ledger.append((f"{clients} clients for {slots} slots, {speed} classifier", tally, notes))


def test_first_come_is_first_served(slow_artifact: Path) -> None:
    """Requests are sent on open connections one after the other and answered in the same order."""
    with (
        start_process(workers=1, inference_threads=1, artifact=slow_artifact) as (url, _),
        contextlib.ExitStack() as stack,
        selectors.DefaultSelector() as selector,
    ):
        host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
        connections = [stack.enter_context(socket.create_connection((host, port), timeout=30)) for _ in range(12)]
        for number, connection in enumerate(connections):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            selector.register(connection, selectors.EVENT_READ, number)
        for connection in connections:
            connection.sendall(message(url, STOP))
        order: list[int] = []
        while len(order) < len(connections):
            for key, _ in selector.select(timeout=30):
                order.append(key.data)
                selector.unregister(key.fileobj)
    assert order == list(range(len(connections)))


def test_clock_jumps_lose_no_request(ledger: Ledger, tmp_path: Path) -> None:
    """The time of day jumps, as when a clock is set; monotonic time goes on."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING_CLOCK)
    offset = tmp_path / "offset"
    offset.write_text("0")
    with start_process(200, PYTHONPATH=tmp_path, rate_limit="100000/minute", workers=1) as (url, process):
        workers = children(process)
        with load(url, [STOP], 4) as tally:
            for days in (30, -400, 0):
                offset.write_text(str(days * 86400))
                answered = tally.statuses[200]
                wait_until(lambda: tally.statuses[200] > answered + 200)  # noqa: B023
        assert children(process) == workers
    assert set(tally.statuses) == {200}
    assert tally.lost == 0
    ledger.append(("the clock jumps by +30, −430, +400 days", tally, "no worker lost"))
