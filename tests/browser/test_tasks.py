"""A walk through every task that is shipped, in a real Chromium with the real service."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from data.task import list_tasks, load_task
from model.artifact import ARTIFACTS, CARD_FILE, read_artifact
from tests.browser.conftest import go, new_page, settle, start_page, upload
from tests.conftest import drawing, encoded, start_service

SHIPPED = [name for name in list_tasks() if (ARTIFACTS / name / CARD_FILE).exists()]


@pytest.fixture(scope="module")
def tasks_url() -> Iterator[str]:
    """The page of a service with all tasks that are shipped."""
    with start_service(tasks=",".join(SHIPPED)) as service, start_page(service) as url:
        yield url


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    page = new_page(browser, viewport={"width": 1000, "height": 1150})
    yield page
    page.close()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_page_is_about_the_chosen_task(tab: Page, tasks_url: str, name: str) -> None:
    task, (card, _) = load_task(name), read_artifact(ARTIFACTS / name)
    go(tab, f"{tasks_url}/?task={name}")
    upload(tab, "photo.png", encoded(drawing(14, 128)))
    expect(tab.locator("ol.bars li")).to_have_count(min(5, len(task.labels)))
    for page, words in (
        ("classes", f"{len(task.labels)} of {len(task.labels)}"),
        ("model", card.version),
        ("data", task.data.name),
        ("service", f"/predict/{name}"),
    ):
        go(tab, f"{tasks_url}/{page}?task={name}")
        expect(tab.get_by_text(words).first).to_be_visible()


@pytest.mark.skipif(len(SHIPPED) < 2, reason="only one task is shipped")
def test_choice_is_kept_from_page_to_page_and_in_the_address(tab: Page, tasks_url: str) -> None:
    go(tab, tasks_url)
    other = load_task(SHIPPED[0] if SHIPPED[0] != "traffic_sign" else SHIPPED[1])
    tab.get_by_role("combobox").first.click()
    tab.get_by_role("option", name=other.title).click()
    settle(tab)
    tab.wait_for_url(f"**task={other.name}**")
    tab.get_by_role("link", name="Classes").click()
    expect(tab.get_by_text(f"{len(other.labels)} of {len(other.labels)} classes")).to_be_visible()
