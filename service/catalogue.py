"""The catalogue of tasks that the service offers, with the objects that serve each of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from data.task import Task
from model.engine import Engine
from model.progress import training_folder
from service.inventory import Inventory
from service.metrics import Metrics, TaskMetrics
from service.problems import Problem
from service.readiness import Readiness
from service.settings import Settings, TaskSettings


@dataclass(frozen=True)
class Served:
    """A task that is served, and the objects that answer requests about it."""

    task: Task
    readiness: Readiness
    inventory: Inventory
    metrics: TaskMetrics


class Catalogue(Mapping[str, Served]):
    """Maps the names of tasks to the objects that serve them.

    Args:
        served: at least one task, each once.
    """

    def __init__(self, served: Iterable[Served]) -> None:
        self._served = {each.task.name: each for each in served}

    @classmethod
    def of(cls, settings: Settings, contract: str, metrics: Metrics, engine: Engine) -> "Catalogue":
        """Return the catalogue of the tasks in the settings; no classifier is loaded yet.

        Args:
            settings: of the service.
            contract: version of the HTTP contract.
            metrics: counts for all tasks.
            engine: runs the networks of all tasks.
        """
        return cls(_create_served(each, settings, contract, metrics, engine) for each in settings.served.values())

    @property
    def first(self) -> Served:
        """The task of the routes that name none."""
        return next(iter(self._served.values()))

    def find(self, name: str) -> Served:
        """Return a task.

        Raises:
            Problem: it is not served.
        """
        try:
            return self._served[name]
        except KeyError:
            detail = f"This service has no task {name!r}; it has {', '.join(self._served)}."
            raise Problem("not_found", detail) from None

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)


def _create_served(each: TaskSettings, settings: Settings, contract: str, metrics: Metrics, engine: Engine) -> Served:
    task, store = each.task, settings.store_folder
    counts = metrics.of(task.name)
    readiness = Readiness(task.name, each.artifact, training_folder(store, task.name), contract, counts, engine)
    return Served(task, readiness, Inventory(task, each.data, store), counts)
