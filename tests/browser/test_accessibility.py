"""Obstacles for people with disabilities, as far as axe-core finds them, and what needs no mouse."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import go, shows_sign
from tests.conftest import ROOT

AXE = ROOT / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PATHS = (
    "/?sample=stop",
    "/?sample=stop&lang=de",
    "/batch",
    "/signs?sign=14",
    "/data",
    "/model",
    "/service",
)


@pytest.fixture(scope="module")
def axe() -> Path:
    if not AXE.exists():
        pytest.skip("axe-core is not installed; `make test-browser` does it where there is npm")
    return AXE


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_there_are_no_serious_obstacles(
    browser: Browser, page_url: str, axe: Path, path: str, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(color_scheme=scheme)
    go(page, page_url + path)
    page.add_script_tag(path=axe)
    findings = page.evaluate("async () => (await axe.run()).violations")
    page.close()
    serious = [
        (finding["id"], node["html"][:200], node["failureSummary"][:300])
        for finding in findings
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]
    assert serious == []


def test_a_sample_can_be_chosen_with_the_keyboard_alone(page: Page) -> None:
    def press_until(key: str, words: str) -> None:
        for _ in range(40):
            if page.evaluate("document.activeElement.innerText.trim()") == words:
                return
            page.keyboard.press(key)
        pytest.fail(f"{key} does not lead to {words}")

    press_until("Tab", "End of limits")
    press_until("ArrowRight", "Stop")
    page.keyboard.press("Space")
    shows_sign(page, "Stop")


def test_every_picture_has_words(page: Page, page_url: str) -> None:
    for path in ("/?sample=stop", "/signs?sign=14"):
        go(page, page_url + path)
        expect(page.locator("img").first).to_be_visible()
        without = page.locator("img:not([alt])").count()
        assert without == 0
