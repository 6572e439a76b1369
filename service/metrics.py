"""What the service counts, over all its workers, for Prometheus.

The master makes one table before it forks; it lies in memory that all share, and each worker adds to a row of its own.
So nothing is locked between processes, nothing is written to files, and what a worker has counted outlives it.
"""

import mmap
import threading
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from model.prediction import Prediction
from model.progress import TrainingState
from service.stages import STAGES, Stages

ROUTES: Final = ("/predict_traffic_sign", "/predict_traffic_sign/batch", "/predict_traffic_sign/feedback", "other")
STATUSES: Final = (
    *("200", "201", "204", "206", "304", "308"),
    *("400", "401", "403", "404", "405", "408", "413", "414", "415", "416", "422", "429", "431"),
    *("500", "501", "503", "507", "other"),
)
VERDICTS: Final = ("confident", "unsure", "not_recognised")
SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
PROBABILITIES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
MAX_CLASSES: Final = 256
SPARE_ROWS: Final = 64  # for workers that live at the same time as their successors


def _histogram(name: str, bounds: tuple[float, ...]) -> list[tuple[str, str]]:
    return [(name, str(bound)) for bound in bounds] + [(name, "+Inf"), (name, "sum")]


_SERIES: Final = [
    *(("requests", route, status) for route in ROUTES for status in STATUSES),
    *(series for stage in STAGES for series in _histogram(stage, SECONDS)),
    *_histogram("probability", PROBABILITIES),
    *(("verdict", verdict) for verdict in VERDICTS),
    *(("class", str(index)) for index in range(MAX_CLASSES)),
    ("ready",),
    ("waiting",),
    ("rejected",),
    ("worker_deaths",),
    ("ended",),
]
_COLUMN: Final = {series: column for column, series in enumerate(_SERIES)}
_WAITING: Final = _COLUMN["waiting",]
_BUCKETS: Final = {name: _COLUMN[name, str(SECONDS[0])] for name in STAGES} | {
    "probability": _COLUMN["probability", str(PROBABILITIES[0])]
}  # the first of each histogram


def _observed(name: str, bounds: tuple[float, ...], value: float) -> list[tuple[int, float]]:
    """Return what a value adds to the columns of a histogram."""
    first = _BUCKETS[name]
    return [(first + bisect_left(bounds, value), 1.0), (first + len(bounds) + 1, value)]


class Metrics(Collector):
    """A table of counts, shared by all processes that are forked after it was made.

    `model` holds labels of the classifier in use, empty as long as there is none; `progress` is that of a training.

    Args:
        workers: how many processes are to count at the same time.
    """

    def __init__(self, workers: int = 1) -> None:
        rows = workers + SPARE_ROWS
        memory = mmap.mmap(-1, rows * len(_SERIES) * 8)
        self._table = np.frombuffer(memory, np.float64).reshape(rows, len(_SERIES))
        self._row: Any = memoryview(self._table[0])  # its items are written faster than numpy's
        self._lock = threading.Lock()  # between the threads of a process
        self.model: dict[str, str] = {}
        self.progress: TrainingState | None = None

    @property
    def rows(self) -> int:
        """How many processes can count at the same time."""
        return len(self._table)

    def take_row(self, row: int) -> None:
        """Count in this row from now on; no other living process may."""
        self._row = memoryview(self._table[row])

    def count_request(self, route: str, status: int) -> None:
        """Count an answer."""
        known = str(status) if str(status) in STATUSES else "other"
        series = "requests", route if route in ROUTES else "other", known
        self._add([(_COLUMN[series], 1.0)])

    def set_ready(self) -> None:
        """Note that this process has a classifier."""
        self._row[_COLUMN["ready",]] = 1

    def set_waiting(self, count: int) -> None:
        """Say how many requests wait in this process."""
        self._row[_WAITING] = count

    def count_rejected(self) -> None:
        """Count a request that found no place to wait."""
        self._add([(_COLUMN["rejected",], 1.0)])

    def end_row(self) -> None:
        """Note that this process ends as it should."""
        self._row[_COLUMN["ended",]] = 1

    def close_row(self, row: int) -> None:
        """Let a row be used anew; count a death if its process left no note of its end."""
        if not self._table[row, _COLUMN["ended",]]:
            self._add([(_COLUMN["worker_deaths",], 1.0)])
        self._table[row, [_COLUMN[name,] for name in ("ended", "ready", "waiting")]] = 0

    def count_answer(self, prediction: Prediction, stages: Stages) -> None:
        """Count an answer about a picture, and how long its stages took."""
        amounts = [
            (_COLUMN["class", str(min(prediction.class_index, MAX_CLASSES - 1))], 1.0),
            (_COLUMN["verdict", prediction.verdict], 1.0),
            *_observed("probability", PROBABILITIES, prediction.probability),
        ]
        for name, seconds in stages.seconds:
            amounts += _observed(name, SECONDS, seconds)
        self._add(amounts)

    def render(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Yield everything, added up over the workers."""
        totals = self._table.sum(axis=0)

        def total(*series: str) -> float:
            return float(totals[_COLUMN[series]])

        requests = CounterMetricFamily("sign_requests", "Answers by route and status.", labels=("route", "status"))
        for route in ROUTES:
            for status in STATUSES:
                if count := total("requests", route, status):
                    requests.add_metric((route, status), count)
        yield requests
        seconds = HistogramMetricFamily("sign_stage_seconds", "Time of each stage of an answer.", labels=("stage",))
        for stage in STAGES:
            seconds.add_metric((stage,), self._buckets(totals, stage, SECONDS), total(stage, "sum"))
        yield seconds
        yield HistogramMetricFamily(
            "sign_probability",
            "Largest calibrated probability of each answer.",
            buckets=self._buckets(totals, "probability", PROBABILITIES),
            sum_value=total("probability", "sum"),
        )
        verdicts = CounterMetricFamily("sign_verdicts", "Answers by verdict.", labels=("verdict",))
        for verdict in VERDICTS:
            verdicts.add_metric((verdict,), total("verdict", verdict))
        yield verdicts
        classes = CounterMetricFamily("sign_classes", "Answers by the most probable class.", labels=("class_index",))
        for index in range(MAX_CLASSES):
            if count := total("class", str(index)):
                classes.add_metric((str(index),), count)
        yield classes
        yield GaugeMetricFamily("sign_workers_ready", "Workers that have a classifier.", value=total("ready"))
        yield GaugeMetricFamily("sign_requests_waiting", "Requests that wait for an answer.", value=total("waiting"))
        yield CounterMetricFamily(
            "sign_requests_rejected", "Requests that found no place to wait.", value=total("rejected")
        )
        yield CounterMetricFamily("sign_worker_deaths", "Workers that ended unasked.", value=total("worker_deaths"))
        model = GaugeMetricFamily("sign_model", "The classifier in use.", labels=tuple(self.model))
        if self.model:
            model.add_metric(tuple(self.model.values()), 1)
        yield model
        if self.progress is not None:
            yield GaugeMetricFamily("sign_training_epochs", "Finished epochs.", value=self.progress.epoch or 0)
            yield GaugeMetricFamily("sign_training_epochs_wanted", "All epochs.", value=self.progress.epochs or 0)

    def _add(self, amounts: list[tuple[int, float]]) -> None:
        """Add amounts to columns of this process."""
        with self._lock:
            for column, amount in amounts:
                self._row[column] += amount

    @staticmethod
    def _buckets(
        totals: "np.ndarray[tuple[int], np.dtype[np.float64]]", name: str, bounds: tuple[float, ...]
    ) -> list[tuple[str, float]]:
        names = [*map(str, bounds), "+Inf"]
        return list(zip(names, np.cumsum([totals[_COLUMN[name, bound]] for bound in names]).tolist(), strict=True))


shared: Metrics | None = None  # what gunicorn's master made for its workers
