"""Metrics of all workers, for Prometheus.

The master creates one table in shared memory before it forks, and each worker adds to a row of its own. So there are no
locks between processes and no files, and the counts of a worker outlive it.
"""

import mmap
import threading
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from model.prediction import Prediction
from model.progress import TrainingState
from service.paths import routes_of
from service.stages import STAGES, Stages

STATUSES: Final = (
    *("200", "201", "204", "206", "304", "308"),
    *("400", "401", "403", "404", "405", "408", "413", "414", "415", "416", "422", "429", "431"),
    *("500", "501", "503", "507", "other"),
)
VERDICTS: Final = ("confident", "unsure", "not_recognised")
SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
OUTCOMES: Final = ("answered", "failed", "timeout")  # of calls to the inference server
PROBABILITIES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
MAX_CLASSES: Final = 256
SPARE_ROWS: Final = 64  # for workers that overlap with their successors

Series = tuple[str, ...]
Totals = np.ndarray[tuple[int], np.dtype[np.float64]]


def _histogram(name: str, bounds: tuple[float, ...]) -> list[Series]:
    return [*((name, str(bound)) for bound in bounds), (name, "+Inf"), (name, "sum")]


# The columns of the table: first those of the process, then those of each task, then the answers of each route.
_PROCESS_SERIES: Final[list[Series]] = [
    ("waiting",),
    ("rejected",),
    ("worker_deaths",),
    ("ended",),
]
_TASK_SERIES: Final[list[Series]] = [
    *(series for name in (*STAGES, *OUTCOMES) for series in _histogram(name, SECONDS)),
    *_histogram("probability", PROBABILITIES),
    *(("verdict", verdict) for verdict in VERDICTS),
    *(("class", str(index)) for index in range(MAX_CLASSES)),
    ("ready",),
]
_COLUMN: Final = {series: column for column, series in enumerate(_PROCESS_SERIES)}
_WAITING: Final = _COLUMN["waiting",]
_OTHER: Final = "other", ""  # route and task of everything else
_BOUNDS: Final = dict.fromkeys((*STAGES, *OUTCOMES), SECONDS) | {"probability": PROBABILITIES}


@dataclass(frozen=True)
class TaskState:
    """The state of a task at the time of a scrape: version of its classifier, if any, and its training, if any."""

    version: str | None = None
    training: TrainingState | None = None


class Metrics:
    """A table of counts, shared by all processes that are forked after it was created.

    Args:
        tasks: names of the tasks that are served, at least one.
        workers: number of processes that count at the same time.
    """

    def __init__(self, tasks: Collection[str], workers: int = 1) -> None:
        routes = routes_of(list(tasks))
        names = list(dict.fromkeys([_OTHER, *((route.name, route.task) for route in routes.values())]))
        first_answer = len(_PROCESS_SERIES) + len(tasks) * len(_TASK_SERIES)
        rows, columns = workers + SPARE_ROWS, first_answer + len(names) * len(STATUSES)
        memory = mmap.mmap(-1, rows * columns * 8)
        self._table = np.frombuffer(memory, np.float64).reshape(rows, columns)
        self._row: Any = memoryview(self._table[0])  # writing its items is faster than with numpy
        self._lock = threading.Lock()  # between the threads of a process
        self._tasks = {
            task: TaskMetrics(self, len(_PROCESS_SERIES) + number * len(_TASK_SERIES))
            for number, task in enumerate(tasks)
        }
        self._answers = {
            name: {status: first_answer + number * len(STATUSES) + place for place, status in enumerate(STATUSES)}
            for number, name in enumerate(names)
        }
        self._answers_by_path = {path: self._answers[route.name, route.task] for path, route in routes.items()}

    @property
    def rows(self) -> int:
        """Number of processes that can count at the same time."""
        return len(self._table)

    def of(self, task: str) -> "TaskMetrics":
        """Return the metrics of a task."""
        return self._tasks[task]

    def take_row(self, row: int) -> None:
        """Count in this row from now on; no other live process may use it."""
        self._row = memoryview(self._table[row])

    def count_request(self, path: str, status: int) -> None:
        """Count an answer."""
        columns = self._answers_by_path.get(path) or self._answers[_OTHER]
        self.add([(columns.get(str(status)) or columns["other"], 1.0)])

    def set_waiting(self, count: int) -> None:
        """Set the number of requests that are waiting in this process."""
        self._row[_WAITING] = count

    def count_rejected(self) -> None:
        """Count a request that was rejected because too many were waiting."""
        self.add([(_COLUMN["rejected",], 1.0)])

    def end_row(self) -> None:
        """Record that this process exits normally."""
        self._row[_COLUMN["ended",]] = 1

    def close_row(self, row: int) -> None:
        """Free a row; count a worker death unless its process exited normally."""
        if not self._table[row, _COLUMN["ended",]]:
            self.add([(_COLUMN["worker_deaths",], 1.0)])
        self._table[row, [_COLUMN["ended",], _WAITING, *(task.column["ready",] for task in self._tasks.values())]] = 0

    def add(self, amounts: list[tuple[int, float]]) -> None:
        """Add amounts to columns of this process."""
        with self._lock:
            for column, amount in amounts:
                self._row[column] += amount

    def set(self, column: int, value: float) -> None:
        """Set a column of this process."""
        self._row[column] = value

    def render(self, states: Mapping[str, TaskState]) -> bytes:
        """Return everything in Prometheus' text format, with the states of the tasks."""
        return generate_latest(_Scrape(self._families(states)))

    def _families(self, states: Mapping[str, TaskState]) -> Iterator[Metric]:
        """Yield everything, summed over the workers."""
        totals = self._table.sum(axis=0)
        yield self._requests(totals)
        yield from _process_families(totals)
        yield from _task_families({task: _TaskTotals(totals, each.column) for task, each in self._tasks.items()})
        model = GaugeMetricFamily("sign_model", "The classifier in use.", labels=("task", "version"))
        epochs = GaugeMetricFamily("sign_training_epochs", "Finished epochs.", labels=("task",))
        wanted = GaugeMetricFamily("sign_training_epochs_wanted", "All epochs.", labels=("task",))
        for task, state in states.items():
            if state.version is not None:
                model.add_metric((task, state.version), 1)
            if state.training is not None:
                epochs.add_metric((task,), state.training.epoch or 0)
                wanted.add_metric((task,), state.training.epochs or 0)
        yield model
        yield from (family for family in (epochs, wanted) if family.samples)

    def _requests(self, totals: Totals) -> Metric:
        requests = CounterMetricFamily(
            "sign_requests", "Answers by route and status.", labels=("route", "status", "task")
        )
        for (route, task), columns in self._answers.items():
            for status, column in columns.items():
                if count := float(totals[column]):
                    requests.add_metric((route, status, task), count)
        return requests


class TaskMetrics:
    """The counts of one task.

    Args:
        metrics: the table.
        first: the first column of the task.

    Attributes:
        column: maps a series to its column.
    """

    def __init__(self, metrics: Metrics, first: int) -> None:
        self._metrics = metrics
        self.column = {series: first + number for number, series in enumerate(_TASK_SERIES)}
        self._buckets = {name: self.column[name, str(bounds[0])] for name, bounds in _BOUNDS.items()}

    def set_ready(self, *, is_ready: bool) -> None:
        """Record whether this process can predict."""
        self._metrics.set(self.column["ready",], is_ready)

    def count_call(self, outcome: str, seconds: float) -> None:
        """Count a call to the inference server; `outcome` is one of `OUTCOMES`."""
        self._metrics.add(self._observed(outcome, seconds))

    def count_answer(self, predictions: Sequence[Prediction], stages: Stages) -> None:
        """Count the predictions in the answer for a picture, and the duration of its stages."""
        amounts: list[tuple[int, float]] = []
        for prediction in predictions:
            amounts += (
                (self.column["class", str(min(prediction.class_index, MAX_CLASSES - 1))], 1.0),
                (self.column["verdict", prediction.verdict], 1.0),
                *self._observed("probability", prediction.probability),
            )
        for name, seconds in stages.seconds:
            amounts += self._observed(name, seconds)
        self._metrics.add(amounts)

    def _observed(self, name: str, value: float) -> list[tuple[int, float]]:
        """Return what a value adds to the columns of a histogram."""
        first, bounds = self._buckets[name], _BOUNDS[name]
        return [(first + bisect_left(bounds, value), 1.0), (first + len(bounds) + 1, value)]


class _Scrape(Collector):
    """Metric families as prometheus_client expects them."""

    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Return the families."""
        return self._families


@dataclass(frozen=True)
class _TaskTotals:
    """The columns of a task, summed over the workers."""

    totals: Totals
    column: Mapping[Series, int]

    def total(self, *series: str) -> float:
        return float(self.totals[self.column[series]])

    def buckets(self, name: str) -> list[tuple[str, float]]:
        names = [*map(str, _BOUNDS[name]), "+Inf"]
        return list(zip(names, np.cumsum([self.total(name, bound) for bound in names]).tolist(), strict=True))


def _process_families(totals: Totals) -> Iterator[Metric]:
    def total(*series: str) -> float:
        return float(totals[_COLUMN[series]])

    yield GaugeMetricFamily("sign_requests_waiting", "Requests that wait for an answer.", value=total("waiting"))
    yield CounterMetricFamily(
        "sign_requests_rejected", "Requests rejected because too many were waiting.", value=total("rejected")
    )
    yield CounterMetricFamily("sign_worker_deaths", "Workers that did not exit normally.", value=total("worker_deaths"))


def _task_families(tasks: Mapping[str, _TaskTotals]) -> Iterator[Metric]:
    seconds = HistogramMetricFamily("sign_stage_seconds", "Duration of each stage.", labels=("task", "stage"))
    probability = HistogramMetricFamily("sign_probability", "Probability of each answer.", labels=("task",))
    verdicts = CounterMetricFamily("sign_verdicts", "Answers by verdict.", labels=("task", "verdict"))
    classes = CounterMetricFamily("sign_classes", "Answers by most probable class.", labels=("task", "class_index"))
    calls = HistogramMetricFamily(
        "sign_engine_seconds", "Duration of each call to TensorFlow Serving.", labels=("task", "outcome")
    )
    ready = GaugeMetricFamily(
        "sign_workers_ready",
        "Workers that have a classifier, which TensorFlow Serving can run now if it is used.",
        labels=("task",),
    )
    for task, each in tasks.items():
        for stage in STAGES:
            seconds.add_metric((task, stage), each.buckets(stage), each.total(stage, "sum"))
        probability.add_metric((task,), each.buckets("probability"), each.total("probability", "sum"))
        for verdict in VERDICTS:
            verdicts.add_metric((task, verdict), each.total("verdict", verdict))
        for index in range(MAX_CLASSES):
            if count := each.total("class", str(index)):
                classes.add_metric((task, str(index)), count)
        for outcome in OUTCOMES:
            buckets = each.buckets(outcome)
            if buckets[-1][1]:
                calls.add_metric((task, outcome), buckets, each.total(outcome, "sum"))
        ready.add_metric((task,), each.total("ready"))
    yield from (seconds, probability, verdicts, classes, ready)
    if calls.samples:
        yield calls


shared: Metrics | None = None  # created by gunicorn's master for its workers
