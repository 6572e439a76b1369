"""How fast the page is for a person: `python -m bench.page`, with the real service and a real Chromium.

Each figure is the time until something is seen, in a browser that has never been on the page before: from opening the
address until the title, from choosing a file until the sign's name, and, for a thousand pictures in an archive, until
the table, and in between how long another visitor waits for an answer.
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
    """Measure, and print a table; return 1 if there is no browser."""
    executable = find_chromium()
    if executable is None:
        print("error: no Chromium on this machine", file=sys.stderr)
        return 1
    with start_service(workers=2) as service, start_page(service) as url, start_browser(executable) as browser:
        first = _paint(browser, url)  # the first visitor's, who waits for what Streamlit imports
        paints = [_paint(browser, url) for _ in range(ROUNDS)]
        page = browser.new_page()
        go(page, url)
        answers = [_answer(page, index) for index in range(ROUNDS)]
        many, meanwhile = _classify_many(browser, url, page)
    print("| what a person waits for | median | slowest |")
    print("|---|---|---|")
    print(f"| the title, the first visitor after the start | {first:.2f} s | |")
    print(f"| the title | {statistics.median(paints):.2f} s | {max(paints):.2f} s |")
    print(f"| the answer to a picture of 100 KB | {statistics.median(answers):.2f} s | {max(answers):.2f} s |")
    print(f"| the table of {MANY:,} pictures in an archive | {many:.1f} s | |")
    print(f"| another visitor's answer meanwhile | {statistics.median(meanwhile):.2f} s | {max(meanwhile):.2f} s |")
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


def _answer(page: Page, index: int) -> float:
    """Choose one of two pictures in turn, so that what is waited for was not there before."""
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
        meanwhile.append(_answer(other, len(meanwhile)))
    seconds = time.perf_counter() - began
    page.close()
    return seconds, meanwhile


if __name__ == "__main__":
    sys.exit(main())
