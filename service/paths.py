"""The paths of the routes that answer pictures, and the task that each of them means."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from data.task import DEFAULT_TASK

Action = Literal["predict", "batch", "feedback", "detect"]

ACTIONS: Final[dict[str, Action]] = {
    "/predict/{task}": "predict",
    "/predict/{task}/batch": "batch",
    "/predict/{task}/feedback": "feedback",
    "/detect/{task}": "detect",
}
FIRST: Final = "/predict"  # of the first task
# The paths from before there were several tasks.
OLD_PREDICT, OLD_DETECT = f"/predict_{DEFAULT_TASK}", f"/detect_{DEFAULT_TASK}"
OLD_BATCH, OLD_FEEDBACK = f"{OLD_PREDICT}/batch", f"{OLD_PREDICT}/feedback"
_OLD_ACTIONS: Final[dict[str, Action]] = {
    OLD_PREDICT: "predict",
    OLD_BATCH: "batch",
    OLD_FEEDBACK: "feedback",
    OLD_DETECT: "detect",
}


class Route(NamedTuple):
    """A route that answers pictures: its name in the contract, the task, and what it does."""

    name: str
    task: str
    action: Action


def routes_of(tasks: Sequence[str]) -> dict[str, Route]:
    """Return the routes of the tasks that are served, by path.

    Args:
        tasks: at least one name.
    """
    routes = {FIRST: Route(FIRST, tasks[0], "predict")}
    for task in tasks:
        routes |= {name.format(task=task): Route(name, task, action) for name, action in ACTIONS.items()}
    if DEFAULT_TASK in tasks:
        routes |= {name: Route(name, DEFAULT_TASK, action) for name, action in _OLD_ACTIONS.items()}
    return routes


def is_guarded(path: str) -> bool:
    """Whether a request for this path needs a key and a slot, and counts against the rate limit.

    Health, cards and metrics are open. A prefix guards too much rather than too little: tasks that are not served, and
    misspellings, which get 404.
    """
    return path.startswith(("/predict", "/detect"))
