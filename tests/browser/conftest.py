"""A real browser and the real page. Everything waits for conditions, for as long as a slow machine may need."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

from data.errors import SourceError
from data.source import find_source, open_source
from data.task import Task
from tests.conftest import ROOT, free_port, running, wait_for

PATIENCE_MS = 180_000  # a slow machine with other work needs a minute for the first page
expect.set_options(timeout=PATIENCE_MS)
STYLED = "getComputedStyle(document.querySelector('.block-container')).maxWidth == '1152px'"  # set by style.css
AXE = ROOT / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, or None if it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def launch(playwright: Playwright, executable: str, flags: Sequence[str] = ()) -> Browser:
    """Start a headless Chromium; it runs until its Playwright ends."""
    return playwright.chromium.launch(executable_path=executable, args=[*CHROMIUM_FLAGS, *flags])


@contextmanager
def start_browser(executable: str) -> Iterator[Browser]:
    """Run a headless Chromium."""
    with sync_playwright() as playwright:
        yield launch(playwright, executable)


def new_page(browser: Browser, **options: Any) -> Page:
    """Open a tab; `options` are those of Playwright."""
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE_MS)
    return page


def go(page: Page, url: str) -> None:
    """Open a URL and wait until the page is complete, including its style sheet."""
    page.goto(url)
    expect(page.get_by_text(re.compile("(Pictures are sent only|Bilder gehen nur)"))).to_be_visible()
    settle(page)
    page.wait_for_function(STYLED)
    page.wait_for_load_state("networkidle")


def settle(page: Page) -> None:
    """Wait until Streamlit is idle, so that nothing on the page is left from the previous run."""
    expect(page.locator("[data-test-script-state=notRunning]")).to_be_attached()


def upload(page: Page, name: str, content: bytes) -> None:
    """Choose a file in the page's file input."""
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def shows_sign(page: Page, name: str) -> None:
    """Wait until the page shows this sign and is idle."""
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    settle(page)


def badge(page: Page, words: str) -> Locator:
    """Return the badge with these words."""
    return page.locator(".stMarkdownBadge", has_text=words)


def serious_problems(page: Page, axe: Path) -> list[tuple[str, str, str]]:
    """Return the serious accessibility problems that axe-core finds: rule, element and explanation."""
    page.add_script_tag(path=axe)
    findings = page.evaluate("async () => (await axe.run()).violations")
    return [
        (finding["id"], node["html"][:200], node["failureSummary"][:300])
        for finding in findings
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]


@contextmanager
def start_page(service: str, api_key: str = "") -> Iterator[str]:
    """Run the page as users do, with a service at this address; yield the page's address."""
    port = free_port()
    command = [sys.executable, "-m", "ui", "--server.port", str(port)]
    with running(command, {"UI_SERVICE_URL": service, "UI_API_KEY": api_key, "UI_TIMEOUT_S": "60"}) as process:
        wait_for(f"http://localhost:{port}/_stcore/health", process)
        yield f"http://localhost:{port}"


def find_photograph(task: Task, class_index: int) -> bytes:
    """Return a photo from the data set in the variable GTSRB, or else from the one in data/store.

    Raises:
        SourceError: there is no data set.
    """
    location = os.environ.get("GTSRB")
    source = open_source(Path(location), task) if location else find_source(task)
    return source.read([example for example in source.examples if example.class_index == class_index][-1])


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium() -> str:
    executable = find_chromium()
    if executable is None:
        pytest.skip("Chromium is not installed. On Debian and Ubuntu: sudo apt-get install chromium")
    return executable


@pytest.fixture(scope="session")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    browser = launch(playwright, chromium)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def page_url(service: str) -> Iterator[str]:
    with start_page(service) as url:
        yield url


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    page = new_page(browser, viewport={"width": 1000, "height": 1150})
    go(page, page_url)
    yield page
    page.close()


@pytest.fixture(scope="session")
def axe() -> Path:
    if not AXE.exists():
        pytest.skip("axe-core is not installed. `make test-browser` installs it if npm is available.")
    return AXE


@pytest.fixture
def photograph(task: Task) -> bytes:
    """A photo of a stop sign from the real data set, if it is available."""
    try:
        return find_photograph(task, 14)
    except SourceError as error:
        pytest.skip(f"Put the real data set into data/store, or set GTSRB to its path: {error}")
