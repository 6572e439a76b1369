"""Training and validation, divided by group so that no physical sign is on both sides."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupShuffleSplit

from data.errors import SplitError
from data.source import FEEDBACK


def split_by_group(
    class_index: npt.NDArray[np.int64], groups: npt.NDArray[np.str_], fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hold out a fraction of each class's groups, one group of each class at least.

    Feedback, whose groups begin with its name, is never held out, nor does it change what is: what people send must not
    decide what is measured.

    Args:
        class_index: shape (n,); groups: shape (n,), each group within one class.
        fraction: share of the groups of each class to hold out, in (0, 1).
        seed: the same seed gives the same split.

    Returns:
        Indices of the training and of the validation examples, both sorted, together 0 to n - 1.

    Raises:
        SplitError: a class has a single group, which cannot stand on both sides.
    """
    measurable = ~np.char.startswith(groups, f"{FEEDBACK}/")
    validation = []
    for index in np.unique(class_index):
        members = np.flatnonzero((class_index == index) & measurable)
        count = len(np.unique(groups[members]))
        if count < 2:
            raise SplitError(f"class {index} has {count} group; two are needed, one to train and one to validate")
        splitter = GroupShuffleSplit(
            n_splits=1, test_size=min(max(1, round(fraction * count)), count - 1), random_state=seed
        )
        _, held_out = next(splitter.split(members, groups=groups[members]))
        validation.append(members[held_out])
    held = np.sort(np.concatenate(validation))
    return np.setdiff1d(np.arange(len(class_index)), held), held


def take_some_of_each(rows: npt.NDArray[np.int64], kinds: npt.NDArray[np.generic], most: int) -> npt.NDArray[np.int64]:
    """Take at most so many rows of each kind, evenly spaced, the first and the last among them.

    Args:
        rows: shape (n,); kinds: shape (n,), what each row belongs to.
        most: at least 1.

    Returns:
        The rows that are taken, in their order.
    """
    chosen: list[npt.NDArray[np.int64]] = []
    for kind in np.unique(kinds):
        members = np.flatnonzero(kinds == kind)
        chosen.append(members[np.linspace(0, len(members) - 1, min(len(members), most)).round().astype(int)])
    taken: npt.NDArray[np.int64] = rows[np.sort(np.concatenate(chosen))]
    return taken
