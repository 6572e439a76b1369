"""The private parts of gunicorn and asyncio that the worker relies on."""

import http.client
import sys
from importlib.metadata import version
from urllib.parse import urlsplit

import pytest

from service.worker import GUNICORN, PRIVATE, PYTHON, Private
from tests.conftest import start_process, wait_until

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


def test_kept_connection_is_closed_with_an_answer_at_shutdown() -> None:
    """A client that keeps its connection loses nothing, without a retry, when the service is replaced."""
    with start_process() as (url, process):
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        answered = []

        def ask() -> bool:
            """Send a request on the connection; return whether the answer says that it was the last one."""
            connection.request("GET", "/healthz")
            with connection.getresponse() as response:
                answered.append((response.status, response.read()))
                return response.getheader("Connection") == "close"

        assert not ask()
        process.terminate()
        wait_until(ask)  # http.client would connect again after such an answer, but it is not asked again
        assert set(answered) == {answered[0]}
        assert answered[0][0] == 200
