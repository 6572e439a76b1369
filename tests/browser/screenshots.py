"""Take the pictures of the README: `python -m tests.browser.screenshots docs`."""

import sys
from pathlib import Path

from data.errors import DataError
from data.task import load_task
from tests.browser.conftest import find_chromium, find_photograph, start_browser, start_page
from tests.conftest import start_service


def take_screenshots(folder: Path, executable: str) -> None:
    """Show a real photograph to the page and write what a person sees into the folder.

    Raises:
        SourceError: there is no real data set to take a photograph from.
    """
    photograph = find_photograph(load_task("traffic_sign"), 14)
    with start_service() as service, start_page(service) as url, start_browser(executable) as browser:
        page = browser.new_page(viewport={"width": 900, "height": 1100})
        page.goto(url)
        page.locator("input[type=file]").set_input_files(
            {"name": "photo.png", "mimeType": "image/png", "buffer": photograph}
        )
        page.get_by_role("heading", name="Stop", exact=True).wait_for()
        page.get_by_role("progressbar").nth(4).wait_for()
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / "page.png")


if __name__ == "__main__":
    chromium = find_chromium()
    if chromium is None:
        sys.exit("error: no Chromium on this machine")
    try:
        take_screenshots(Path(sys.argv[1]), chromium)
    except DataError as error:
        sys.exit(f"error: {error}")
