"""Write the labels of an artifact anew from its task's file: `python -m model.relabel ARTIFACT`.

What a classifier says of its classes can be corrected without training; the network stays what it is.
"""

import sys
from pathlib import Path

from model.artifact import renew_labels
from model.command import run


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    if len(arguments) != 1:
        print("usage: python -m model.relabel ARTIFACT", file=sys.stderr)
        return 2

    def relabel() -> int:
        card = renew_labels(Path(arguments[0]))
        print(f"{arguments[0]}: {len(card.labels)} labels of the task {card.task!r}, format {card.format_version}")
        return 0

    return run(relabel)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
