"""Benchmark of the page's response times: `python -m bench.page`, with the real service and a real Chromium.

It measures the time from opening the page to its title in a fresh tab, from choosing a file to the sign's name, and
from starting a batch of a thousand pictures to its table. During the batch it also measures the response times for
another visitor.
"""

import io
import statistics
import sys
import time
import zipfile
from collections.abc import Callable

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import find_chromium, go, shows_sign, start_browser, start_page, upload
from tests.conftest import drawing, encoded, start_service

ROUNDS = 7
MANY = 1000


def main() -> int:
    """Print a table of response times; return the exit status, 1 if there is no browser."""
    executable = find_chromium()
    if executable is None:
        print("error: Chromium is not installed; run `make chromium`", file=sys.stderr)
        return 1
    with start_service(workers=2) as service, start_page(service) as url, start_browser(executable) as browser:
        first = _paint(browser, url)  # includes the imports of Streamlit
        paints = [_paint(browser, url) for _ in range(ROUNDS)]
        page = browser.new_page()
        go(page, url)
        predictions = [_predict(page, index) for index in range(ROUNDS)]
        many, meanwhile = _classify_many(browser, url, page)
    print("| response time | median | slowest |")
    print("|---|---|---|")
    print(f"| title, first visitor after the start | {first:.2f} s | |")
    print(f"| title | {statistics.median(paints):.2f} s | {max(paints):.2f} s |")
    print(f"| prediction for a picture of 100 KB | {statistics.median(predictions):.2f} s | {max(predictions):.2f} s |")
    print(f"| table for {MANY:,} pictures in an archive | {many:.1f} s | |")
    print(f"| another prediction during the batch | {statistics.median(meanwhile):.2f} s | {max(meanwhile):.2f} s |")
    return 0


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def _paint(browser: Browser, url: str) -> float:
    page = browser.new_page()

    def see() -> None:
        page.goto(url, wait_until="commit")
        page.get_by_role("heading", name="Which traffic sign is this?").wait_for()

    seconds = _timed(see)
    page.close()
    return seconds


def _predict(page: Page, index: int) -> float:
    """Time one prediction; alternate between two signs, so that the awaited name is not already on the page."""
    class_index, name = ((14, "Stop"), (13, "Yield"))[index % 2]
    content = encoded(drawing(class_index, 300, seed=index), "PNG")

    def see() -> None:
        upload(page, f"{index}.png", content)
        shows_sign(page, name)

    return _timed(see)


def _classify_many(browser: Browser, url: str, other: Page) -> tuple[float, list[float]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(MANY):
            file.writestr(f"{number:04}.png", encoded(drawing(number % 43, 64, seed=number)))
    page = browser.new_page()
    go(page, f"{url}/batch")
    upload(page, "many.zip", archive.getvalue())
    expect(page.get_by_text("many.zip")).to_be_visible()
    began = time.perf_counter()
    page.get_by_role("button", name="Recognise all").click()
    done = page.get_by_role("button", name="Save as CSV")
    meanwhile: list[float] = []
    while not done.is_visible():
        meanwhile.append(_predict(other, len(meanwhile)))
    seconds = time.perf_counter() - began
    page.close()
    return seconds, meanwhile


if __name__ == "__main__":
    sys.exit(main())
