"""The catalogue of tasks that the service offers, with the objects that serve each of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.progress import training_folder
from service.inventory import Inventory
from service.metrics import Metrics, TaskMetrics
from service.readiness import Readiness
from service.settings import Settings


@dataclass(frozen=True)
class Served:
    """A task with the folder of its classifier, and the objects that answer requests about it."""

    task: str
    artifact: Path
    readiness: Readiness
    inventory: Inventory
    metrics: TaskMetrics


class Catalogue(Mapping[str, Served]):
    """Maps the name of a task to the objects that serve it. There is one task.

    Args:
        served: at least one task; the first is the default.
    """

    def __init__(self, served: Iterable[Served]) -> None:
        self._served = {each.task: each for each in served}
        self._default = next(iter(self._served.values()))

    @classmethod
    def of(cls, settings: Settings, contract: str, metrics: Metrics) -> "Catalogue":
        """Return the catalogue of the tasks in the settings; no classifier is loaded yet.

        Args:
            settings: of the service.
            contract: version of the HTTP contract.
            metrics: counts for all tasks.
        """
        return cls(
            _create_served(settings, task, folder, contract, metrics) for task, folder in settings.artifacts.items()
        )

    @property
    def default(self) -> Served:
        """The task of the routes that do not name one."""
        return self._default

    def __getitem__(self, task: str) -> Served:
        return self._served[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)


def _create_served(settings: Settings, task: str, artifact: Path, contract: str, metrics: Metrics) -> Served:
    counts, training = metrics.of(task), training_folder(settings.store_folder, task)
    readiness = Readiness(artifact, training, contract, counts)
    return Served(task, artifact, readiness, Inventory(task, settings.data, settings.store_folder), counts)
