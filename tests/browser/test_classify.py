"""What a person does with one picture, in a real Chromium with the real service."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Dialog, Page, Playwright, expect

from data.task import Task
from tests.browser.conftest import badge, go, launch, settle, shows_sign, start_page, upload
from tests.conftest import drawing, encoded, start_service, wait_until

STOP = encoded(drawing())


def test_photograph_from_the_real_data_set_is_recognised(page: Page, photograph: bytes) -> None:
    upload(page, "photo.png", photograph)
    shows_sign(page, "Stop")
    expect(badge(page, "Confident")).to_be_visible()


def test_uploaded_drawing_shows_sign_names_number_category_duty_end_and_candidates(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    for words in ("Halt. Vorfahrt gewähren", "Sign 206", "Right of way", "Come to a full stop", "Where it ends:"):
        expect(page.get_by_text(words).first).to_be_visible()
    expect(page.get_by_role("img", name="Drawing of the sign Stop").first).to_be_visible()
    expect(page.get_by_role("img", name="The picture sign.png")).to_be_visible()
    candidates = page.locator("ol.bars li")
    expect(candidates).to_have_count(5)
    expect(candidates.first).to_contain_text("Stop")
    expect(candidates.first).to_contain_text("%")


def test_pasted_picture_is_answered(page: Page) -> None:
    page.evaluate(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        list(STOP),
    )
    shows_sign(page, "Stop")
    expect(page.get_by_text("pasted.png").first).to_be_visible()


def test_click_on_a_sample_is_answered_and_has_an_address_of_its_own(page: Page) -> None:
    page.get_by_role("radio", name="Roundabout").click()
    shows_sign(page, "Roundabout mandatory")
    expect(page).to_have_url(re.compile("sample=roundabout"))


def test_address_of_a_sample_is_answered(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/?sample=yield&lang=de")
    shows_sign(page, "Vorfahrt gewähren")
    expect(badge(page, "Sicher")).to_be_visible()


def test_signs_that_are_easily_confused_stand_side_by_side(page: Page, task: Task) -> None:
    page.get_by_role("radio", name="Speed limit 30").click()
    shows_sign(page, "Speed limit (30km/h)")
    expect(page.get_by_role("heading", name="Easily confused with")).to_be_visible()
    for index in task.labels[1].confused_with:
        expect(page.get_by_role("img", name=f"Drawing of the sign {task.labels[index].name}")).to_be_visible()


def test_whichever_was_chosen_last_is_shown(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    page.get_by_role("radio", name="Yield").click()
    shows_sign(page, "Yield")
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    expect(page).not_to_have_url(re.compile("sample="))


def test_file_that_is_no_picture_is_explained_and_another_works(page: Page) -> None:
    upload(page, "sign.png", b"hello")
    expect(page.get_by_text("This picture cannot be read")).to_be_visible()
    expect(page.get_by_text("not a picture in a known format")).to_be_visible()
    upload(page, "better.png", STOP)
    shows_sign(page, "Stop")


def test_refused_file_takes_the_place_of_the_answer_before(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    upload(page, "large.png", bytes(25_000_000))
    expect(page.get_by_text("This picture is too large")).to_be_visible()
    expect(page.get_by_role("heading", name="Stop", exact=True)).to_be_hidden()


def test_picture_of_no_sign_gets_no_duty(page: Page) -> None:
    upload(page, "black.png", encoded(Image.new("RGB", (64, 64))))
    expect(page.get_by_role("heading", name="No sign recognised")).to_be_visible()
    expect(badge(page, "None of the signs it knows")).to_be_visible()
    expect(page.get_by_text("Where it ends:")).to_be_hidden()


def test_the_heat_map_lies_over_the_photo_when_asked_why(page: Page) -> None:
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")
    expect(page.locator("figure canvas")).to_have_count(0)
    page.get_by_text("Why?", exact=True).click()
    heatmap = page.locator("figure canvas")
    expect(heatmap).to_be_visible()
    wait_until(lambda: page.locator("figure img").bounding_box() == heatmap.bounding_box())
    shades = heatmap.evaluate("c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size")
    assert shades > 10


def wide_photo(grain: float = 30) -> bytes:
    """Return a photo of a wall with a stop sign at its left and a yield sign at its right."""
    wall = Image.effect_noise((600, 300), grain).convert("RGB")
    wall.paste(drawing(14, 200), (20, 50))
    wall.paste(drawing(13, 200), (380, 50))
    return encoded(wall)


def test_only_what_is_inside_the_crop_box_is_recognised(page: Page) -> None:
    upload(page, "both.png", wide_photo())
    expect(page.locator("figure img")).to_be_visible()
    page.get_by_text("Crop", exact=True).click()
    box = page.locator(".box")
    expect(box).to_be_attached()

    def draw(left: float, top: float, right: float, bottom: float) -> None:
        photo = page.locator("figure img").bounding_box()
        assert photo
        x, y, width, height = photo["x"], photo["y"], photo["width"], photo["height"]
        page.mouse.move(x + left * width, y + top * height)
        page.mouse.down()
        page.mouse.move(x + right * width, y + bottom * height, steps=4)
        page.mouse.up()

    draw(0.03, 0.15, 0.37, 0.84)
    shows_sign(page, "Stop")
    draw(0.97, 0.84, 0.63, 0.15)
    shows_sign(page, "Yield")
    page.get_by_role("link", name="Signs").click()
    expect(page.get_by_role("heading", name="The signs")).to_be_visible()
    page.get_by_role("link", name="Recognise").click()
    shows_sign(page, "Yield")  # the box is still that
    upload(page, "both again.png", wide_photo(20))
    expect(page.get_by_role("heading", name="Yield", exact=True)).to_be_hidden()  # it was not chosen in this one
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
    """The page in a browser whose camera sees a stop sign."""
    film = tmp_path / "stop.mjpeg"
    film.write_bytes(encoded(drawing(size=480).resize((640, 480)), "JPEG") * 5)
    flags = [
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]  # fmt: skip
    browser = launch(playwright, chromium, flags)
    page = browser.new_page()
    go(page, page_url)
    yield page
    browser.close()


def test_picture_of_the_camera_is_answered(camera_page: Page) -> None:
    camera_page.get_by_text("Camera", exact=True).click()
    shoot = camera_page.get_by_role("button", name="Take Photo")
    expect(shoot).to_be_enabled()
    shoot.click()
    shows_sign(camera_page, "Stop")


def test_without_a_camera_there_is_another_way(page: Page) -> None:
    page.get_by_text("Camera", exact=True).click()
    expect(page.get_by_text("No camera can be used")).to_be_visible()
    upload(page, "sign.png", STOP)
    shows_sign(page, "Stop")


def test_web_address_is_offered_where_the_service_allows_it_and_inner_ones_are_refused(
    browser: Browser, page: Page
) -> None:
    expect(page.get_by_text("Web address")).to_have_count(0)
    with start_service(allow_urls="true") as service, start_page(service) as url:
        other = browser.new_page()
        go(other, url)
        other.get_by_text("Web address").click()
        other.get_by_label("Address of a picture").fill("http://127.0.0.1/sign.png")
        other.get_by_role("button", name="Fetch and recognise").click()
        expect(other.get_by_text("This address is not fetched")).to_be_visible()
        other.close()


def test_wrong_answer_is_kept_with_the_right_class_only_after_agreeing(browser: Browser, tmp_path: Path) -> None:
    kept = tmp_path / "feedback"
    with start_service(store=tmp_path) as service, start_page(service) as url:
        page = browser.new_page(viewport={"width": 1000, "height": 1600})
        go(page, url)
        upload(page, "sign.png", STOP)
        shows_sign(page, "Stop")
        page.get_by_text("This is wrong").click()
        which = page.get_by_role("combobox", name="Which sign is it really?")

        def is_chosen() -> bool:  # Streamlit closes the list when what is around it still moves
            which.fill("")
            which.press_sequentially("No entry")
            which.press("Enter")
            which.press("Tab")
            return which.input_value() == "No entry"

        wait_until(is_chosen)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Nothing was sent")).to_be_visible()
        assert not kept.exists()
        page.get_by_text("I agree that this picture").click()
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Thank you")).to_be_visible()
        page.close()
    [file] = kept.rglob("*.png")
    assert (file.parent.name, file.read_bytes()) == ("00017", STOP)


def test_read_aloud_speaks_name_and_duty_in_the_language_of_the_page(page: Page, page_url: str) -> None:
    page.add_init_script("window.said = []; speechSynthesis.speak = (words) => said.push([words.lang, words.text]);")
    go(page, f"{page_url}/?sample=stop&lang=de")
    page.get_by_role("button", name="Vorlesen").click()
    [[language, words]] = page.evaluate("window.said")
    assert language == "de-DE"
    assert words.startswith("Halt. Vorfahrt gewähren.")


def test_hostile_names_and_exif_are_shown_as_text(page: Page) -> None:
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
    expect(page.get_by_text("--data-binary '@<img src=x")).to_be_visible()
    assert page.locator("img[src='x']").count() == 0
    assert alerts == []
