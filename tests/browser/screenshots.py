"""Take the screenshots of the README: `python -m tests.browser.screenshots docs`."""

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from data.errors import DataError
from data.task import Task, load_task
from tests.browser.conftest import (
    find_chromium,
    find_photograph,
    go,
    new_page,
    settle,
    start_browser,
    start_page,
    upload,
)
from tests.conftest import encoded, start_service

LOADED = "document.fonts.status == 'loaded' && [...document.images].every(image => image.complete)"


def take_screenshots(folder: Path, executable: str) -> None:
    """Upload real photos to the page and write screenshots into the folder.

    Raises:
        SourceError: there is no real data set to take photos from.
    """
    task = load_task("traffic_sign")
    folder.mkdir(parents=True, exist_ok=True)
    with start_service() as service, start_page(service) as url, start_browser(executable) as browser:
        page = new_page(browser, viewport={"width": 1200, "height": 1000})
        go(page, f"{url}/?sample=town")
        page.locator("figure .object").nth(1).click()
        settle(page)
        page.get_by_text("Why?", exact=True).click()
        page.locator("figure .zoom canvas, figure canvas").first.wait_for()
        _save(page, folder / "page.png")
        page.close()

        page = new_page(browser, viewport={"width": 1200, "height": 880})
        go(page, f"{url}/batch")
        _classify_many(page, task)
        _save(page, folder / "batch.png")
        page.close()

        phone = new_page(browser, viewport={"width": 360, "height": 780}, device_scale_factor=2, color_scheme="dark")
        go(phone, f"{url}/?sample=country&lang=de")
        phone.locator("figure .object").first.wait_for()
        phone.locator("figure").scroll_into_view_if_needed()
        _save(phone, folder / "phone.png")
        phone.close()


def _classify_many(page: Page, task: Task) -> None:
    """Upload some photos, and two files without a sign."""
    files = {f"{index:02}.png": find_photograph(task, index) for index in (1, 13, 17, 25, 38)}
    files |= {"noise.png": encoded(Image.effect_noise((64, 64), 80)), "notes.txt": b"no picture"}
    for name, content in files.items():
        upload(page, name, content)
        expect(page.get_by_text(name).first).to_be_visible()
    page.get_by_role("button", name="Recognise all").click()
    page.get_by_label(f"Table of {len(files)} answers").first.wait_for()


def _save(page: Page, path: Path) -> None:
    """Take a screenshot once everything is loaded and nothing moves."""
    page.mouse.move(0, 0)
    settle(page)
    page.wait_for_load_state("networkidle")
    page.wait_for_function(LOADED)
    page.screenshot(path=path, animations="disabled")


if __name__ == "__main__":
    chromium = find_chromium()
    if chromium is None:
        sys.exit("error: Chromium is not installed")
    try:
        take_screenshots(Path(sys.argv[1]), chromium)
    except DataError as error:
        sys.exit(f"error: {error}")
