"""What commands that train have in common: numbers among their options, and how they end, whatever comes up."""

import argparse
import sys
from collections.abc import Callable

from data.errors import DataError
from model.errors import ModelError


def run(work: Callable[[], int]) -> int:
    """Do the work of a command; return its exit status, or that of what kept it from its end, told in one line."""
    try:
        return work()
    except (DataError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: this needs a package that is not installed ({error.name}): make install", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on after the last whole epoch", file=sys.stderr)
        return 130


def whole_number_from(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers that are not less."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)

    return read
