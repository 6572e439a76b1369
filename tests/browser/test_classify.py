"""The page for one picture, in a real Chromium with the real service."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Dialog, Page, Playwright, expect

from tests.browser.conftest import badge, go, launch, new_page, settle, shows_sign, start_page, upload
from tests.conftest import drawing, encoded, start_service, wait_until
from tests.ui.conftest import shipped_labels

STOP = encoded(drawing())
LABELS = shipped_labels()


def test_photo_from_the_real_data_set_is_recognised(page: Page, photograph: bytes) -> None:
    upload(page, "photo.png", photograph)
    shows_sign(page, "Stop")
    expect(badge(page, "Confident")).to_be_visible()


def test_answer_has_names_facts_description_and_candidates(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    facts = LABELS[14].facts
    for words in ("Halt. Vorfahrt gewähren", "Come to a full stop", "Where it ends:", facts["ends"]):
        expect(page.get_by_text(words).first).to_be_visible()
    for words in ("Sign 206", facts["category"], "Class 14"):
        expect(badge(page, words)).to_be_visible()
    expect(page.get_by_role("img", name="Drawing of the sign Stop").first).to_be_visible()
    expect(page.get_by_role("img", name="The picture sign.png")).to_be_visible()
    candidates = page.locator("ol.bars li")
    expect(candidates).to_have_count(5)
    expect(candidates.first).to_contain_text("Stop")
    expect(candidates.first).to_contain_text("%")


def test_pasted_picture_is_recognised(page: Page) -> None:
    # The page takes the event once its code has been loaded, which may be after everything is visible.
    page.wait_for_function(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
            const paste = { clipboardData: transfer, bubbles: true, cancelable: true };
            return !document.dispatchEvent(new ClipboardEvent("paste", paste));
        }""",
        arg=list(STOP),
    )
    shows_sign(page, "Stop")
    expect(page.get_by_text("pasted.png").first).to_be_visible()


def test_sample_is_recognised_and_has_a_url(page: Page) -> None:
    page.get_by_role("radio", name="Roundabout").click()
    shows_sign(page, "Roundabout mandatory")
    expect(page).to_have_url(re.compile("sample=roundabout"))


def test_url_of_a_sample_shows_its_answer(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/?sample=yield&lang=de")
    shows_sign(page, "Vorfahrt gewähren")
    expect(badge(page, "Sicher")).to_be_visible()


def test_similar_signs_are_shown_side_by_side(page: Page) -> None:
    page.get_by_role("radio", name="Speed limit 30").click()
    shows_sign(page, "Speed limit (30km/h)")
    expect(page.get_by_role("heading", name="Easily confused with")).to_be_visible()
    for index in LABELS[1].confused_with:
        expect(page.get_by_role("img", name=f"Drawing of the sign {LABELS[index].name}")).to_be_visible()


def test_last_choice_is_shown(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    page.get_by_role("radio", name="Yield").click()
    shows_sign(page, "Yield")
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    expect(page).not_to_have_url(re.compile("sample="))


def test_file_that_is_not_a_picture_is_explained(page: Page) -> None:
    upload(page, "sign.png", b"hello")
    expect(page.get_by_text("This picture cannot be read")).to_be_visible()
    expect(page.get_by_text("not a picture in a known format")).to_be_visible()
    expect(page.get_by_text("Why?", exact=True)).to_have_count(0)
    upload(page, "better.png", STOP)
    shows_sign(page, "Stop")


def test_rejection_replaces_the_previous_answer(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    upload(page, "large.png", bytes(25_000_000))
    expect(page.get_by_text("This picture is too large")).to_be_visible()
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_hidden()


def test_picture_without_sign_has_no_description(page: Page) -> None:
    upload(page, "black.png", encoded(Image.new("RGB", (64, 64))))
    expect(page.get_by_role("heading", name="No sign recognised")).to_be_visible()
    expect(badge(page, "None of the known signs")).to_be_visible()
    expect(page.get_by_text("Where it ends:")).to_be_hidden()


def test_heatmap_covers_the_picture(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    expect(page.locator("figure canvas")).to_have_count(0)
    page.get_by_text("Why?", exact=True).click()
    heatmap = page.locator("figure canvas")
    expect(heatmap).to_be_visible()
    wait_until(lambda: page.locator("figure img").bounding_box() == heatmap.bounding_box())
    shades = heatmap.evaluate("c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size")
    assert shades > 10


def wide_photo(stop: int = 200) -> bytes:
    """Return a photo of a wall with a stop sign of this side on the left and a yield sign on the right."""
    wall = Image.effect_noise((600, 300), 30).convert("RGB")
    wall.paste(drawing(14, stop), (20, 10))
    wall.paste(drawing(13, 200), (380, 50))
    return encoded(wall)


def test_only_the_crop_box_is_recognised(page: Page) -> None:
    upload(page, "both.png", wide_photo())
    photo, box = page.locator("figure img"), page.locator(".box")
    expect(photo).to_be_visible()
    page.get_by_text("Crop", exact=True).click()

    def draw(left: float, top: float, right: float, bottom: float) -> None:
        expect(box).to_have_count(1)  # since then, the picture can be drawn on
        photo.hover(trial=True)  # waits until it does not move
        area = photo.bounding_box()
        assert area
        x, y, width, height = area["x"], area["y"], area["width"], area["height"]
        page.mouse.move(x + left * width, y + top * height)
        page.mouse.down()
        page.mouse.move(x + right * width, y + bottom * height, steps=4)
        page.mouse.up()

    draw(0.03, 0.02, 0.37, 0.71)
    shows_sign(page, "Stop")
    draw(0.97, 0.84, 0.63, 0.15)
    shows_sign(page, "Yield")
    page.get_by_role("link", name="Signs").click()
    expect(page.get_by_role("heading", name="The signs")).to_be_visible()
    page.get_by_role("link", name="Recognise").click()
    shows_sign(page, "Yield")  # the box is kept
    upload(page, "both again.png", wide_photo(stop=280))  # whose answer is the larger sign
    expect(page.get_by_role("heading", name="Yield", exact=True)).to_be_hidden()  # the box belongs to the other picture
    expect(page.get_by_role("img", name="The picture both again.png")).to_be_visible()
    settle(page)
    draw(0.97, 0.84, 0.63, 0.15)
    shows_sign(page, "Yield")
    settle(page)
    box.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="Yield", exact=True)).to_be_hidden()


@pytest.fixture
def camera_page(playwright: Playwright, chromium: str, page_url: str, tmp_path: Path) -> Iterator[Page]:
    """The page in a browser with a camera that shows a stop sign."""
    film = tmp_path / "stop.mjpeg"
    film.write_bytes(encoded(drawing(size=480).resize((640, 480)), "JPEG") * 5)
    flags = [
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]  # fmt: skip
    browser = launch(playwright, chromium, flags)
    page = new_page(browser)
    go(page, page_url)
    yield page
    browser.close()


def test_camera_picture_is_recognised(camera_page: Page) -> None:
    camera_page.get_by_text("Camera", exact=True).click()
    shoot = camera_page.get_by_role("button", name="Take Photo")
    expect(shoot).to_be_enabled()
    shoot.click()
    shows_sign(camera_page, "Stop")


def test_file_input_replaces_a_missing_camera(page: Page) -> None:
    page.get_by_text("Camera", exact=True).click()
    expect(page.get_by_text("No camera is available")).to_be_visible()
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")


def test_web_addresses_are_optional_and_private_ones_are_rejected(browser: Browser, page: Page) -> None:
    expect(page.get_by_text("Web address")).to_have_count(0)
    with start_service(allow_urls="true") as service, start_page(service) as url:
        other = new_page(browser)
        go(other, url)
        other.get_by_text("Web address").click()
        other.get_by_label("Address of a picture").fill("http://127.0.0.1/sign.png")
        other.get_by_role("button", name="Fetch and recognise").click()
        expect(other.get_by_text("This address is not allowed")).to_be_visible()
        other.close()


def test_feedback_is_stored_only_with_consent(browser: Browser, tmp_path: Path) -> None:
    kept = tmp_path / "feedback"
    with start_service(store=tmp_path) as service, start_page(service) as url:
        page = new_page(browser, viewport={"width": 1000, "height": 1600})
        go(page, url)
        upload(page, "sign.png", STOP)
        shows_sign(page, "Stop")
        page.get_by_text("This is wrong").click()
        which = page.get_by_role("combobox", name="Which sign is it really?")

        def is_chosen() -> bool:  # Streamlit closes the list when the layout around it changes
            which.fill("")
            which.press_sequentially("No entry")
            which.press("Enter")
            which.press("Tab")
            return which.input_value() == "No entry"

        wait_until(is_chosen)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Nothing was sent")).to_be_visible()
        assert not kept.exists()
        page.get_by_text("I agree that the operator").click()
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Thank you")).to_be_visible()
        page.close()
    [file] = kept.rglob("*.png")
    assert (file.parent.name, file.read_bytes()) == ("00017", STOP)


def test_read_aloud_uses_the_language_of_the_page(page: Page, page_url: str) -> None:
    page.add_init_script("window.said = []; speechSynthesis.speak = (words) => said.push([words.lang, words.text]);")
    go(page, f"{page_url}/?sample=stop&lang=de")
    page.get_by_role("button", name="Vorlesen").click()
    [[language, words]] = page.evaluate("window.said")
    assert language == "de-DE"
    assert words.startswith("Halt. Vorfahrt gewähren.")


def test_html_in_names_and_exif_is_not_interpreted(page: Page) -> None:
    name = "<img src=x onerror=alert(1)>**bold** [link](javascript:alert(2)).jpg"
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(3)</script>"
    content = io.BytesIO()
    drawing().save(content, "JPEG", exif=exif)
    alerts: list[str] = []

    def note(dialog: Dialog) -> None:
        alerts.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    upload(page, name, content.getvalue())
    shows_sign(page, "Stop")
    go(page, page.url)
    upload(page, name, content.getvalue())
    shows_sign(page, "Stop")
    page.get_by_role("link", name="Service").click()
    expect(page.get_by_role("heading", name="The service behind this page")).to_be_visible()
    expect(page.get_by_text("--data-binary '@<img src=x")).to_have_count(2)  # examples to predict and to detect
    assert page.locator("img[src='x']").count() == 0
    assert alerts == []
