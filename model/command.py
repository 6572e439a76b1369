"""Integer options and exit statuses, shared by the commands that read or write artifacts."""

import argparse
import sys
from collections.abc import Callable

from data.errors import DataError
from model.errors import ModelError


def run(work: Callable[[], int], *, resumes: bool = True) -> int:
    """Run a command and report expected errors as one line on standard error.

    Args:
        work: the command; returns the exit status.
        resumes: whether the same command resumes after an interrupt.

    Returns:
        The exit status: what `work` returns, 1 after an error, 130 after an interrupt.
    """
    try:
        return work()
    except (DataError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: package {error.name} is not installed; run `make install`", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        advice = "; run the same command again to resume after the last complete epoch" if resumes else ""
        print(f"\nstopped{advice}", file=sys.stderr)
        return 130


def integer_at_least(minimum: int) -> Callable[[str], int]:
    """Return an argparse type for integers of at least `minimum`."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} must be an integer ≥ {minimum}")
        return int(text)

    return parse
