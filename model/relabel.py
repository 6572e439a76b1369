"""Update the labels of an artifact from its task file: `python -m model.relabel ARTIFACT`.

Class names, descriptions and facts can be corrected this way without retraining; the network is unchanged.
"""

import sys
from pathlib import Path

from model.artifact import update_labels
from model.command import run


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m model.relabel ARTIFACT", file=sys.stderr)
        return 2

    def relabel() -> int:
        card = update_labels(Path(arguments[0]))
        print(f"{arguments[0]}: {len(card.labels)} labels of task {card.task!r}, format {card.format_version}")
        return 0

    return run(relabel)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
