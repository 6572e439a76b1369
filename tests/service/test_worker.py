"""The private parts of gunicorn and asyncio that the worker relies on."""

import sys
from importlib.metadata import version

import pytest

from service.worker import GUNICORN, PRIVATE, PYTHON, Private

ADVICE = (
    "service/worker.py relies on private parts of both. Read those listed in PRIVATE in the new version, "
    "run tests/faults and tests/service/test_gate.py, then change the version in service/worker.py."
)


def test_private_parts_were_read_in_the_installed_versions() -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert version("gunicorn") == GUNICORN, ADVICE
    assert python in PYTHON, ADVICE


@pytest.mark.parametrize("part", PRIVATE, ids=lambda part: part.name)
def test_private_part_exists(part: Private) -> None:
    assert hasattr(part.owner, part.name), f"{part.name} is gone ({part.reason}). {ADVICE}"
