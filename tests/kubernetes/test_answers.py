"""The service and the page answer, and what that costs."""

import pytest
import requests

from tests.conftest import ROOT
from tests.kubernetes.cluster import PAGE, SERVICE, TF_SERVING, run_python
from tests.kubernetes.conftest import Under
from tests.kubernetes.usage import read_usage

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("steady")]

MIB = 2**20


def test_service_and_page_answer(service_url: str, page_url: str) -> None:
    assert requests.get(f"{service_url}/readyz", timeout=30).status_code == 200
    page = requests.get(page_url, timeout=30)
    assert page.status_code == 200
    assert "<title>" in page.text
    smoke = (ROOT / "tests" / "system" / "smoke.py").read_text(encoding="utf-8")
    printed = run_python(f"deployment/{PAGE}", smoke, "PAGE_URL=http://127.0.0.1:8501")
    assert "page: ok" in printed


def test_calm_pods_lose_nothing(steady: str, under: Under) -> None:
    names = [SERVICE, TF_SERVING] if "tf-serving" in steady else [SERVICE]
    with under("none", lossless=True) as run:
        before = {name: read_usage(name) for name in names}
        answered = sum(tally.answered for tally in run.tallies.values())
        run.wait_for_answers(600)
        for name in names:
            after = read_usage(name)
            count = sum(tally.answered for tally in run.tallies.values()) - answered
            each_ms = 1000 * (after.cpu_s - before[name].cpu_s) / count
            run.notes.append(f"{name}: {each_ms:.1f} ms of CPU per request, {after.memory / MIB:.0f} MiB")
