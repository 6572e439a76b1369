"""What a person does on the page, in a real Chromium with the real service."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import start_page
from tests.conftest import drawing, encoded, free_port, start_service


def upload(page: Page, name: str, content: bytes) -> None:
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def test_photograph_from_the_real_data_set_is_recognised(page: Page, photograph: bytes) -> None:
    upload(page, "photo.png", photograph)
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()
    expect(page.get_by_text("Class 14 · sign number 206")).to_be_visible()
    expect(page.get_by_text("Confident")).to_be_visible()


def test_uploaded_drawing_shows_picture_name_duty_and_candidates(page: Page) -> None:
    upload(page, "sign.png", encoded(drawing()))
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()
    expect(page.get_by_text("Come to a full stop")).to_be_visible()
    expect(page.get_by_text("Probability", exact=True)).to_be_visible()
    expect(page.get_by_text("The picture")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(5)


def test_click_on_a_sample_is_answered(page: Page) -> None:
    page.get_by_role("radio", name="roundabout").click()
    expect(page.get_by_role("heading", name="Roundabout mandatory")).to_be_visible()


def test_file_that_is_no_picture_is_explained_and_another_works(page: Page) -> None:
    upload(page, "sign.png", b"hello")
    expect(page.get_by_text("not a picture in a known format")).to_be_visible()
    upload(page, "better.png", encoded(drawing()))
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()


def test_whichever_was_chosen_last_is_shown(page: Page) -> None:
    upload(page, "sign.png", encoded(drawing()))
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()
    page.get_by_role("radio", name="yield").click()
    expect(page.get_by_role("heading", name="Yield")).to_be_visible()
    upload(page, "sign.png", encoded(drawing()))
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()


def test_refused_file_takes_the_place_of_the_answer_before(page: Page) -> None:
    upload(page, "sign.png", encoded(drawing()))
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()
    upload(page, "large.png", bytes(25_000_000))
    expect(page.get_by_text("20,971,520 bytes")).to_be_visible()
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_hidden()


def test_page_goes_on_by_itself_when_the_service_is_back(browser: Browser) -> None:
    port = free_port()
    with start_page(f"http://127.0.0.1:{port}") as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.get_by_text("The prediction service is not there")).to_be_visible()
        with start_service(port=port):
            page.get_by_role("radio", name="stop").click()
            expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()
        page.close()


def test_page_loads_nothing_from_elsewhere(browser: Browser, page_url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_url)
    page.get_by_role("radio", name="stop").click()
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_visible()
    page.close()
    assert asked
    assert [url for url in asked if not url.startswith((page_url, "data:", "blob:"))] == []
