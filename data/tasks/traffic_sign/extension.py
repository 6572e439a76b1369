"""Extension of this task: drawings of its signs, and drawn outliers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.extension import DrawnExamples, TaskExtension
from data.images import Boxes, Indices, Pixels
from data.tasks.traffic_sign.drawing import other_signs, plates, render
from data.tasks.traffic_sign.outliers import draw_numbers, draw_other_signs, draw_scenes, draw_signs


class TrafficSigns:
    """Draws German traffic signs; see `data.extension.TaskExtension`."""

    @property
    def version(self) -> list[Any]:
        """Versions of the drawing code, and the names of the signs drawn as outliers."""
        return [render.DRAWING_VERSION, plates.VERSION, other_signs.TRAINING, other_signs.TESTING]

    def draw_label(self, class_index: int, side: int) -> Pixels:
        """Draw a sign seen from the front on a transparent background."""
        return np.asarray(render.draw_sign(class_index, side))

    def draw_example(self, class_index: int, seed: int, side: int) -> Pixels:
        """Draw a sign as in a photo."""
        return np.asarray(render.draw_example(class_index, np.random.default_rng(seed), side)[0])

    def write_examples(self, folder: Path, per_class: int, seed: int) -> None:
        """Write a data set of drawings in the layout of the Kaggle archive."""
        render.write_drawn(folder, per_class, seed)

    def training_examples(
        self,
        size: tuple[int, int],
        pixels: Pixels,
        boxes: Boxes,
        class_index: Indices,
        count: int,
        seed: int,
        *,
        everything: bool,
    ) -> DrawnExamples:
        """Draw other signs, other numbers and empty scenes, and the 43 signs in the same styles."""
        names = other_signs.TRAINING + other_signs.TESTING if everything else other_signs.TRAINING
        rng = np.random.default_rng(seed)
        drawn, written = (
            plates.choose_numbers(share, rng, include_testing=everything) for share in (3 * count // 20,) * 2
        )
        outliers = [
            draw_other_signs(size, names, count // 4, seed),
            draw_numbers(size, drawn, seed),
            draw_scenes(size, count // 10, seed),
            plates.renumber_some(pixels, boxes, class_index, written, seed),
        ]
        signs = np.arange(count // 3) % render.SIGN_COUNT
        digits = [list(plates.KNOWN)[n % len(plates.KNOWN)] for n in range(count // 10)]
        renumbered = plates.renumber_some(pixels, boxes, class_index, digits, seed + 1)
        known = np.array([plates.KNOWN[number] for number in digits[: len(renumbered)]], np.int64)
        return DrawnExamples(
            outliers=np.concatenate(outliers),
            pixels=np.concatenate([draw_signs(size, signs, seed), renumbered]),
            class_index=np.concatenate([signs, known]),
        )

    def test_outliers(
        self, size: tuple[int, int], pixels: Pixels, boxes: Boxes, class_index: Indices, count: int, seed: int
    ) -> Mapping[str, Pixels]:
        """Make the outliers of the evaluation.

        Training with outliers also uses "other limits" (the other limits on German roads) and empty scenes, made from
        different examples. It uses the unseen numbers and signs only if it trains on everything.
        """

        def numbered(digits: Sequence[str]) -> Pixels:
            """Draw half of the numbers and write the other half on examples."""
            wanted = [digits[n % len(digits)] for n in range(count // 2)]
            written = plates.renumber_some(pixels, boxes, class_index, wanted, seed)
            return np.concatenate([draw_numbers(size, wanted, seed), written])

        return {
            "other limits": numbered(plates.OTHER),
            "unseen numbers": numbered(plates.TESTING),
            "unseen other signs": draw_other_signs(size, other_signs.TESTING, count, seed),
            "empty scenes": draw_scenes(size, count, seed),
        }


EXTENSION: TaskExtension = TrafficSigns()
