"""Accessibility: problems that axe-core finds, contrast while the page refreshes, and use without a mouse."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS, go, new_page, serious_problems, settle, shows_sign, start_page
from tests.ui.conftest import Answer, Reply, passing_on, path_of, ready, server

PATHS = (
    "/?sample=stop",
    "/?sample=stop&lang=de",
    "/batch",
    "/classes?class=14",
    "/data",
    "/model",
    "/service",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_there_are_no_serious_problems(
    browser: Browser, page_url: str, axe: Path, path: str, scheme: Literal["light", "dark"]
) -> None:
    page = new_page(browser, color_scheme=scheme)
    go(page, page_url + path)
    problems = serious_problems(page, axe)
    page.close()
    assert problems == []


class Gate:
    """Lets the requests for a path through while it is open, and holds them while it is closed."""

    def __init__(self, path: str, answer: Answer) -> None:
        self._path, self._answer = path, answer
        self._opened, self._holding = threading.Event(), threading.Event()
        self._opened.set()

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        if path_of(request) == self._path and not self._opened.is_set():
            self._holding.set()
            self._opened.wait()
        return self._answer(request, body)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Hold the requests until the block ends."""
        self._holding.clear()
        self._opened.clear()
        try:
            yield
        finally:
            self._opened.set()

    def wait_for_request(self) -> None:
        """Wait until a request is held: one that passed before the gate was closed does not count."""
        assert self._holding.wait(PATIENCE_MS / 1000), "no request came"


# Ends Streamlit's transition at once, and returns how opaque the elements are after it.
OPACITIES = """elements => elements.map(element => {
    element.getAnimations().forEach(animation => animation.finish());
    return Number(getComputedStyle(element).opacity);
})"""


def opacities_while_refreshing(page: Page, gate: Gate) -> list[float]:
    """Return the opacities of the elements that wait for the next refresh, once they do."""
    with gate.closed():
        gate.wait_for_request()
        page.wait_for_function("document.querySelectorAll('[data-stale=true]').length > 3")
        waiting = page.locator("[data-stale=true]")
        opacities: list[float] = waiting.evaluate_all(OPACITIES)
    return opacities


def test_live_metrics_do_not_fade_while_they_refresh(browser: Browser, service: str) -> None:
    gate = Gate("/metrics", passing_on(service, lambda _, answer: answer))
    with server(gate) as url, start_page(url) as page_url:
        page = new_page(browser)
        go(page, f"{page_url}/service")
        opacities = opacities_while_refreshing(page, gate)
        page.close()
    assert len(opacities) > 5
    assert set(opacities) == {1}


def test_progress_of_a_training_does_not_fade_while_it_refreshes(browser: Browser) -> None:
    history = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    progress = {"stage": "train", "epoch": 3, "epochs": 40, "loss": 0.3, "history": history}
    gate = Gate("/tasks", lambda *_: Reply(ready(state="training", version=None, progress=progress)))
    with server(gate) as url, start_page(url) as page_url:
        page = new_page(browser)
        go(page, page_url)
        expect(page.get_by_text("Epoch 4 of 40")).to_be_visible()
        opacities = opacities_while_refreshing(page, gate)
        page.close()
    assert len(opacities) > 3
    assert set(opacities) == {1}


def test_previous_answer_fades_while_the_next_one_is_fetched(browser: Browser, service: str) -> None:
    """Only what refreshes itself keeps its colour: after a click, people see that the answer is outdated."""
    gate = Gate("/detect/traffic_sign", passing_on(service, lambda _, answer: answer))
    with server(gate) as url, start_page(url) as page_url:
        page = new_page(browser)
        go(page, f"{page_url}/?sample=stop")
        shows_sign(page, "Stop")
        with gate.closed():
            page.get_by_role("radio", name="Yield").click()
            gate.wait_for_request()
            expect(page.locator("[data-stale=true]").first).to_be_attached()
            assert min(page.locator("[data-stale=true]").evaluate_all(OPACITIES)) < 0.5
        shows_sign(page, "Yield")
        settle(page)
        page.close()


def test_sample_can_be_chosen_with_the_keyboard(page: Page) -> None:
    def press_until(key: str, condition: str) -> None:
        for _ in range(40):
            if page.evaluate(condition):
                return
            focused = page.evaluate_handle("document.activeElement")
            page.keyboard.press(key)
            # The page moves the focus itself, which may take it a while; another key pressed meanwhile is not lost.
            page.wait_for_function("before => document.activeElement !== before", arg=focused)
        pytest.fail(f"{key} does not reach the element for which {condition}")

    press_until("Tab", "!!document.activeElement.closest('.st-key-sample')")
    press_until("ArrowRight", "document.activeElement.innerText.trim() == 'Stop'")
    page.keyboard.press("Space")
    shows_sign(page, "Stop")


def test_every_picture_has_an_alternative_text(page: Page, page_url: str) -> None:
    for path in ("/?sample=stop", "/classes?class=14"):
        go(page, page_url + path)
        expect(page.locator("img").first).to_be_visible()
        without = page.locator("img:not([alt])").count()
        assert without == 0
