"""Split examples into training and validation sets, keeping each group (such as one physical sign) together."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupShuffleSplit

from data.errors import SplitError
from data.images import Indices
from data.source import FEEDBACK


def split_by_group(
    class_index: Indices, groups: npt.NDArray[np.str_], fraction: float, seed: int
) -> tuple[Indices, Indices]:
    """Hold out a fraction of each class's groups, but at least one group per class.

    Feedback (groups that start with `FEEDBACK`) is never held out and does not affect which groups are: users must not
    be able to influence what is measured.

    Args:
        class_index: shape (n,).
        groups: shape (n,); a group must not span several classes.
        fraction: fraction of each class's groups to hold out, in (0, 1).
        seed: the same seed gives the same split.

    Returns:
        Indices of the training examples and of the validation examples, both sorted; together they are 0 to n - 1.

    Raises:
        SplitError: a class has fewer than two groups.
    """
    measurable = ~np.char.startswith(groups, f"{FEEDBACK}/")
    validation = []
    for index in np.unique(class_index):
        members = np.flatnonzero((class_index == index) & measurable)
        count = len(np.unique(groups[members]))
        if count < 2:
            raise SplitError(
                f"class {index} has {count} group(s); at least two are needed, one for training, one for validation"
            )
        splitter = GroupShuffleSplit(
            n_splits=1, test_size=min(max(1, round(fraction * count)), count - 1), random_state=seed
        )
        _, chosen = next(splitter.split(members, groups=groups[members]))
        validation.append(members[chosen])
    held_out = np.sort(np.concatenate(validation))
    return np.setdiff1d(np.arange(len(class_index)), held_out), held_out


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
