"""Photos with several signs, in a real Chromium; a proxy finds the signs, and the real service classifies them."""

from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import (
    badge,
    go,
    new_page,
    serious_problems,
    settle,
    shows_sign,
    start_page,
    upload,
)
from tests.conftest import drawing, encoded, start_service, wait_until
from tests.conftest import scene as drawn_scene
from tests.ui.conftest import PATIENCE_S, Answer, Reply, passing_on, path_of, server
from ui.contract import Box

SIZE = (900, 600)
BOXES: tuple[Box, ...] = ((60, 100, 260, 300), (500, 80, 540, 120), (502, 122, 538, 158), (840, 400, 880, 440))
NAMES = ("Sign 1: Stop", "Sign 2: Yield", "Sign 3: Roundabout mandatory", "Sign 4: not recognised")
OFFERS = ["detect", "feedback"]
GREEN, GREY = "rgb(26, 127, 55)", "rgb(92, 92, 92)"


def photo(grain: float = 20) -> bytes:
    """Return a photo of a wall with a large sign on the left, two small ones on a pole, and nothing in the last box."""
    wall = Image.effect_noise(SIZE, grain).convert("RGB")
    for (left, top, right, _), class_index in zip(BOXES, (14, 13, 40), strict=False):
        wall.paste(drawing(class_index, right - left), (left, top))
    return encoded(wall)


def finding(service: str, boxes: Sequence[Box]) -> Answer:
    """Return a proxy to a real service that finds signs in the same boxes of every photo, and classifies them."""

    def with_detector(path: str, answer: Any) -> Any:
        if path != "/tasks":
            return answer
        return {**answer, "tasks": [{**task, "offers": OFFERS} for task in answer["tasks"]]}

    real = passing_on(service, with_detector)

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        if path_of(request) != "/detect/traffic_sign":
            return real(request, body)
        objects = []
        for box in boxes:
            reply = requests.post(
                f"{service}/predict/traffic_sign", body, headers={"Content-Type": "application/octet-stream"},
                params={"explain": "true", "thumbnail": "true", "box": ",".join(map(str, box))}, timeout=PATIENCE_S,
            )  # fmt: skip
            objects.append({"box": box, "score": 0.9, **reply.json()})
        width, height = SIZE
        return Reply({"width": width, "height": height, "objects": objects, "model": {"version": "v"}})

    return answer


@pytest.fixture(scope="module")
def scene_url(service: str) -> Iterator[str]:
    """The page with a service that finds four signs."""
    with server(finding(service, BOXES)) as url, start_page(url) as page_url:
        yield page_url


@pytest.fixture
def scene(browser: Browser, scene_url: str) -> Iterator[Page]:
    """The page that shows the photo."""
    page = new_page(browser, viewport={"width": 1280, "height": 1150})
    go(page, scene_url)
    upload(page, "photo.png", photo())
    shows_sign(page, "Stop")
    yield page
    page.close()


def sign(page: Page, name: str) -> Locator:
    """Return the box of a sign in the photo."""
    return page.locator("figure").get_by_role("button", name=name, exact=True)


def is_chosen(page: Page, name: str) -> None:
    """Wait until this sign is the chosen one, in the photo as well as in the list."""
    expect(sign(page, name)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("figure [aria-pressed=true]")).to_have_count(1)
    expect(page.get_by_role("radio", name=name.removeprefix("Sign "), exact=True)).to_be_checked()
    settle(page)


# Left, top, right and bottom of elements as shares of the photo.
SHARES = """elements => elements.map(element => {
    const area = element.getBoundingClientRect();
    const photo = element.closest("figure").querySelector("img").getBoundingClientRect();
    return [(area.left - photo.left) / photo.width, (area.top - photo.top) / photo.height,
        (area.right - photo.left) / photo.width, (area.bottom - photo.top) / photo.height];
})"""


def test_boxes_are_where_the_signs_are_in_the_colours_of_their_verdicts(scene: Page) -> None:
    expect(scene.get_by_role("img", name="The picture photo.png")).to_be_visible()
    shown = scene.locator("figure .object").evaluate_all(SHARES)
    width, height = SIZE
    for found, (left, top, right, bottom) in zip(shown, BOXES, strict=True):
        assert found == pytest.approx([left / width, top / height, right / width, bottom / height], abs=0.002)
    assert [sign(scene, name).count() for name in NAMES] == [1] * 4
    expect(sign(scene, NAMES[0])).to_have_css("border-top-color", GREEN)
    expect(sign(scene, NAMES[0])).to_have_css("border-top-width", "2px")
    expect(sign(scene, NAMES[3])).to_have_css("border-top-color", GREY)
    expect(sign(scene, NAMES[3])).to_have_css("border-top-width", "1px")
    assert scene.locator("figure .number").all_inner_texts() == ["1", "2", "3", "4"]


# Whether any two elements overlap.
OVERLAP = """elements => elements.map(element => element.getBoundingClientRect()).some((one, place, all) =>
    all.slice(0, place).some(other =>
        one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom))"""


def test_numbers_do_not_cover_each_other(scene: Page) -> None:
    scene.set_viewport_size({"width": 390, "height": 844})  # where the signs on the pole are less than a number apart
    numbers = scene.locator("figure .number")
    expect(numbers).to_have_count(4)
    wait_until(lambda: not numbers.evaluate_all(OVERLAP))


def test_click_on_a_box_shows_its_sign(scene: Page) -> None:
    is_chosen(scene, NAMES[0])
    sign(scene, NAMES[1]).click()
    shows_sign(scene, "Yield")
    is_chosen(scene, NAMES[1])
    sign(scene, NAMES[3]).click()
    shows_sign(scene, "No sign recognised")
    expect(badge(scene, "None of the known signs")).to_be_visible()
    sign(scene, NAMES[1]).click()
    shows_sign(scene, "Yield")


def test_click_beside_a_small_sign_chooses_it(scene: Page) -> None:
    area = sign(scene, NAMES[3]).bounding_box()
    assert area
    scene.mouse.click(area["x"] - 6, area["y"] + 3)
    shows_sign(scene, "No sign recognised")


def test_arrow_keys_show_one_sign_after_the_other_and_keep_the_focus(scene: Page) -> None:
    sign(scene, NAMES[0]).focus()
    for key, name in (
        ("ArrowRight", NAMES[1]),
        ("ArrowDown", NAMES[2]),
        ("ArrowLeft", NAMES[1]),
        ("ArrowUp", NAMES[0]),
    ):
        scene.keyboard.press(key)
        is_chosen(scene, name)
        expect(sign(scene, name)).to_be_focused()
    scene.keyboard.press("ArrowLeft")
    is_chosen(scene, NAMES[3])
    shows_sign(scene, "No sign recognised")


def test_list_beside_the_photo_chooses_a_sign(scene: Page) -> None:
    scene.get_by_role("radio", name="2: Yield").click()
    shows_sign(scene, "Yield")
    is_chosen(scene, NAMES[1])
    scene.get_by_role("link", name="Signs").click()
    expect(scene.get_by_role("heading", name="The signs")).to_be_visible()
    scene.get_by_role("link", name="Recognise").click()
    shows_sign(scene, "Yield")


def test_small_sign_is_also_shown_enlarged_with_its_heat_map(scene: Page) -> None:
    zoom = scene.locator("figure .zoom")
    expect(zoom).to_have_count(0)  # the first sign is large
    sign(scene, NAMES[1]).click()
    shows_sign(scene, "Yield")
    expect(zoom).to_be_visible()
    scene.get_by_text("Why?", exact=True).click()
    expect(zoom.locator("canvas")).to_be_visible()
    wait_until(lambda: scene.locator(".frame canvas").evaluate(COVERS))


# Whether the heat map covers the chosen sign, perhaps with a margin.
COVERS = """canvas => {
    const [map, sign] = [canvas, canvas.closest("figure").querySelector("[aria-pressed=true]")].map(
        element => element.getBoundingClientRect());
    return map.left < sign.left + 1 && map.top < sign.top + 1 && map.right > sign.right - 1
        && map.bottom > sign.bottom - 1 && map.width < 1.5 * sign.width;
}"""


def test_photo_that_the_browser_cannot_show_has_its_boxes_on_a_preview(browser: Browser, red_artifact: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° for display
    upright = drawn_scene((14, 400, 1500), (17, 1200, 300), size=(1500, 2000))
    heic = encoded(upright.rotate(90, expand=True), "HEIF", quality=90, exif=exif.tobytes())
    with start_service(artifact=red_artifact) as service, start_page(service) as page_url:
        found = requests.post(f"{service}/detect/traffic_sign", heic, timeout=PATIENCE_S).json()["objects"]
        page = new_page(browser, viewport={"width": 1280, "height": 1150})
        go(page, page_url)
        upload(page, "photo.heic", heic)
        numbers = page.locator("figure .number")
        expect(numbers).to_have_text(["1", "2"])
        image = page.get_by_role("img", name="The picture photo.heic")
        assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [1200, 1600]
        shown = page.locator("figure .object").evaluate_all(SHARES)
        for place, sign in zip(shown, found, strict=True):
            left, top, right, bottom = sign["box"]
            assert place == pytest.approx([left / 1500, top / 2000, right / 1500, bottom / 2000], abs=0.002)
        page.get_by_text("Crop", exact=True).click()
        draw_box(page, (390, 1490, 500, 1600), 1500)
        shows_sign(page, "Stop")
        expect(page.locator("figure [aria-pressed=true]")).to_have_count(0)
        page.close()


def draw_box(page: Page, box: Box, width: int) -> None:
    """Draw a box in a photo of this width; both in pixels of the photo."""
    image = page.locator("figure img")
    image.hover(trial=True)
    area = image.bounding_box()
    assert area
    scale = area["width"] / width
    left, top, right, bottom = box
    page.mouse.move(area["x"] + scale * left, area["y"] + scale * top)
    page.mouse.down()
    page.mouse.move(area["x"] + scale * right, area["y"] + scale * bottom, steps=4)
    page.mouse.up()


def test_photo_has_more_room_than_the_answer(scene: Page, page: Page) -> None:
    wide, narrow = (each.locator(".stColumn").first.bounding_box() for each in (scene, page))
    assert wide
    assert narrow
    assert wide["width"] > narrow["width"]


def test_box_can_be_drawn_over_the_signs(scene: Page) -> None:
    scene.get_by_text("Crop", exact=True).click()
    expect(scene.locator(".box")).to_have_count(1)
    expect(sign(scene, NAMES[1])).to_be_disabled()
    draw_box(scene, BOXES[1], SIZE[0])
    shows_sign(scene, "Yield")
    expect(scene.locator("figure [aria-pressed=true]")).to_have_count(0)
    expect(scene.get_by_role("radio", name="1: Stop")).to_have_count(0)
    scene.get_by_text("Crop", exact=True).click()
    shows_sign(scene, "Stop")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "de"])
def test_there_are_no_serious_problems(
    browser: Browser, scene_url: str, axe: Path, scheme: Literal["light", "dark"], lang: str
) -> None:
    page = new_page(browser, color_scheme=scheme)
    go(page, f"{scene_url}/?lang={lang}")
    upload(page, "photo.png", photo())
    expect(page.locator("figure .object")).to_have_count(4)
    settle(page)
    assert serious_problems(page, axe) == []
    page.close()


# Pixels from the photo down to the column of the answer.
DISTANCE = """photo => document.querySelector(".stColumn:last-child").getBoundingClientRect().top
    - photo.getBoundingClientRect().bottom"""


def test_phone_shows_the_answer_directly_below_the_photo(browser: Browser, scene_url: str) -> None:
    page = new_page(browser, viewport={"width": 390, "height": 844}, has_touch=True)
    go(page, scene_url)
    samples = page.get_by_role("radiogroup", name="Or try a drawn sample")
    expect(samples).to_be_visible()
    upload(page, "photo.png", photo())
    shows_sign(page, "Stop")
    expect(samples).to_be_hidden()
    assert 0 <= page.locator("figure").evaluate(DISTANCE) <= 32
    width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert width <= 390
    sign(page, NAMES[1]).tap()
    shows_sign(page, "Yield")
    page.get_by_role("button", name="Show samples").tap()
    expect(samples).to_be_visible()
    samples.get_by_role("radio", name="Stop").tap()
    expect(samples).to_be_hidden()
    page.close()


def test_samples_stay_visible_on_a_wide_screen(scene: Page) -> None:
    expect(scene.get_by_role("radio", name="Roundabout", exact=True)).to_be_visible()
    expect(scene.get_by_role("button", name="Show samples")).to_be_hidden()


def test_picture_that_is_one_sign_has_no_box(browser: Browser, service: str) -> None:
    with server(finding(service, [(0, 0, *SIZE)])) as url, start_page(url) as page_url:
        page = new_page(browser)
        go(page, page_url)
        upload(page, "sign.png", encoded(drawing(size=600).resize(SIZE)))
        shows_sign(page, "Stop")
        expect(page.get_by_role("img", name="The picture sign.png")).to_be_visible()
        assert page.locator("figure .object").count() == 0
        page.close()


def test_wrong_box_is_corrected_with_its_part_of_the_photo(browser: Browser, tmp_path: Path) -> None:
    picture = photo()  # of noise, different each time
    with start_service(store=tmp_path) as service, server(finding(service, BOXES)) as url, start_page(url) as page_url:
        page = new_page(browser, viewport={"width": 1280, "height": 1600})
        go(page, page_url)
        upload(page, "photo.png", picture)
        sign(page, NAMES[1]).click()
        shows_sign(page, "Yield")
        page.get_by_text("This is wrong").click()
        expect(page.get_by_text("Was another sign missed")).to_be_visible()
        which = page.get_by_role("combobox", name="Which sign is it really?")

        def is_none() -> bool:  # Streamlit closes the list when the layout around it changes
            which.fill("")
            which.press_sequentially("Not a sign")
            which.press("Enter")
            which.press("Tab")
            return which.input_value().startswith("Not a sign")

        wait_until(is_none)
        page.get_by_text("I agree that the operator").click()
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Thank you")).to_be_visible()
        page.close()
    file, whole = sorted((tmp_path / "feedback").rglob("*.png"))
    assert (file.parent.name, whole.parent.name) == ("none", "photos")
    assert whole.read_bytes() == picture
    with Image.open(file) as part:
        assert part.size == (50, 50)  # with a margin of a tenth
