"""Split examples into training and validation sets, keeping each group (such as one physical sign) together."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupShuffleSplit

from data.errors import SplitError
from data.images import Indices
from data.source import FEEDBACK
from data.task import Task


def split_by_group(
    class_index: Indices, groups: npt.NDArray[np.str_], fraction: float, seed: int
) -> tuple[Indices, Indices]:
    """Hold out a fraction of each class's groups, but at least one group per class.

    Feedback (groups that start with `FEEDBACK`) is never held out and does not affect which groups are: users must not
    be able to influence what is measured.

    Args:
        class_index: shape (n,).
        groups: shape (n,). A group that spans several classes counts for each of them.
        fraction: fraction of each class's groups to hold out, in (0, 1).
        seed: the same seed gives the same split.

    Returns:
        Indices of the training examples and of the validation examples, both sorted; together they are 0 to n - 1.

    Raises:
        SplitError: a class has fewer than two groups, or groups that span classes leave a class none to train on.
    """
    measurable = np.flatnonzero(~np.char.startswith(groups, f"{FEEDBACK}/"))
    groups_of = {
        index: np.unique(groups[measurable[class_index[measurable] == index]]) for index in np.unique(class_index)
    }
    if few := [f"class {index} has {len(names)} group(s)" for index, names in groups_of.items() if len(names) < 2]:
        raise SplitError(f"{', '.join(few)}; at least two are needed, one for training, one for validation")
    held_out: set[str] = set()
    # Small classes first, so that groups that larger classes share with them count for both.
    for index in sorted(groups_of, key=lambda index: len(groups_of[index])):
        names = groups_of[index]
        left = np.array([name for name in names if name not in held_out])
        count = min(max(1, round(fraction * len(names))), len(names) - 1) - (len(names) - len(left))
        if count > 0:
            splitter = GroupShuffleSplit(n_splits=1, test_size=count, random_state=seed)
            _, chosen = next(splitter.split(left, groups=left))
            held_out.update(left[chosen].tolist())
    if whole := [index for index, names in groups_of.items() if held_out.issuperset(names)]:
        raise SplitError(
            f"all groups of class {whole[0]} would be held out, because other classes have them too; use another seed "
            "or hold out less"
        )
    validation = measurable[np.isin(groups[measurable], sorted(held_out))]
    return np.setdiff1d(np.arange(len(class_index)), validation), validation


def require_two_groups(task: Task, class_index: Indices, groups: npt.NDArray[np.str_]) -> None:
    """Check that every class can be split.

    Args:
        task: names the classes.
        class_index: shape (n,).
        groups: shape (n,).

    Raises:
        SplitError: classes have fewer than two groups; all of them are named.
    """
    problems = []
    for label in task.labels:
        members = groups[class_index == label.index]
        if len(members) < 2:
            problems.append(f"class {label.name!r} has {len(members) or 'no'} picture{'' if len(members) else 's'}")
        elif len(np.unique(members)) < 2:
            problems.append(f"all {len(members):,} pictures of class {label.name!r} are of one {task.data.group}")
    if problems:
        raise SplitError(
            f"{'; '.join(problems)}. Each class needs pictures of at least two different {task.data.group}s, one for "
            "training and one to be held out: add some"
        )


def sample_evenly(rows: Indices, keys: npt.NDArray[np.generic], limit: int) -> Indices:
    """Select at most `limit` rows per key, evenly spaced and including the first and the last row of each key.

    Args:
        rows: shape (n,).
        keys: key of each row, such as its class or group, shape (n,).
        limit: at least 1; with 1, only the first row of each key is selected.

    Returns:
        The selected rows in their original order, shape (m,).
    """
    chosen: list[Indices] = []
    for key in np.unique(keys):
        members = np.flatnonzero(keys == key)
        chosen.append(members[np.linspace(0, len(members) - 1, min(len(members), limit)).round().astype(int)])
    selected: Indices = rows[np.sort(np.concatenate(chosen))]
    return selected
