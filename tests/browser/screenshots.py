"""Take the pictures of the README: `python -m tests.browser.screenshots docs`."""

import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from data.errors import DataError
from data.task import Task, load_task
from tests.browser.conftest import find_chromium, find_photograph, go, shows_sign, start_browser, start_page, upload
from tests.conftest import encoded, start_service


def take_screenshots(folder: Path, executable: str) -> None:
    """Show real photographs to the page and write what a person sees into the folder.

    Raises:
        SourceError: there is no real data set to take photographs from.
    """
    task = load_task("traffic_sign")
    folder.mkdir(parents=True, exist_ok=True)
    with start_service() as service, start_page(service) as url, start_browser(executable) as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        go(page, url)
        upload(page, "photo.png", find_photograph(task, 14))
        shows_sign(page, "Stop")
        page.get_by_text("Why?", exact=True).click()
        page.locator("figure canvas").wait_for()
        _save(page, folder / "page.png")
        page.close()

        page = browser.new_page(viewport={"width": 1200, "height": 880})
        go(page, f"{url}/batch")
        _classify_many(page, task)
        _save(page, folder / "batch.png")
        page.close()

        phone = browser.new_page(viewport={"width": 360, "height": 780}, device_scale_factor=2, color_scheme="dark")
        go(phone, f"{url}/signs?sign=40&lang=de")
        phone.get_by_role("img").first.wait_for()
        _save(phone, folder / "phone.png")
        phone.close()


def _classify_many(page: Page, task: Task) -> None:
    """Give the page some photographs, and two files that show no sign."""
    files = {f"{index:02}.png": find_photograph(task, index) for index in (1, 13, 17, 25, 38)}
    files |= {"noise.png": encoded(Image.effect_noise((64, 64), 80)), "notes.txt": b"no picture"}
    for name, content in files.items():
        upload(page, name, content)
        expect(page.get_by_text(name).first).to_be_visible()
    page.get_by_role("button", name="Recognise all").click()
    page.get_by_label(f"Table of {len(files)} answers").first.wait_for()


def _save(page: Page, path: Path) -> None:
    """Write what is seen when nothing moves any more."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)
    page.screenshot(path=path)


if __name__ == "__main__":
    chromium = find_chromium()
    if chromium is None:
        sys.exit("error: no Chromium on this machine")
    try:
        take_screenshots(Path(sys.argv[1]), chromium)
    except DataError as error:
        sys.exit(f"error: {error}")
