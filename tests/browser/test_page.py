"""What a person does on the page, in a real Chromium with the real service."""

from playwright.sync_api import Page, expect

from tests.conftest import drawing, encoded


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
    expect(page.get_by_role("img", name="Your picture").or_(page.get_by_text("Your picture"))).to_be_visible()
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
