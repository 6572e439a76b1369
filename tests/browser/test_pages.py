"""The other pages, in a real Chromium with the real service."""

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, FilePayload, Page, expect

from data.task import Task
from data.tasks.traffic_sign.drawing.render import write_drawn
from tests.browser.conftest import go, settle, shows_sign, start_page, upload
from tests.conftest import drawing, encoded, start_service

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def saved(page: Page, button: str) -> bytes:
    """Return the file that a button saves."""
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_bytes()


def test_batch_of_sixty_with_three_bad_files_is_a_table_that_can_be_saved(page: Page, task: Task) -> None:
    good = {f"{index:02}.png": encoded(drawing(index % 43)) for index in range(57)}
    bad = {"text.png": b"hello", "empty.png": b"", "cut.png": encoded(drawing())[:200]}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in [*list(good.items())[:30], *bad.items(), ("__MACOSX/._00.png", b"")]:
            file.writestr(name, content)
    files: list[FilePayload] = [
        {"name": name, "mimeType": "image/png", "buffer": content} for name, content in list(good.items())[30:]
    ]
    packed: FilePayload = {"name": "signs.zip", "mimeType": "application/zip", "buffer": archive.getvalue()}
    page.get_by_role("link", name="Many at once").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    page.locator("input[type=file]").set_input_files([*files, packed])
    expect(page.get_by_text("signs.zip")).to_be_visible()
    page.get_by_role("button", name="Recognise all").click()
    expect(page.get_by_role("button", name="Save as CSV")).to_be_visible(timeout=30_000)
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(saved(page, "Save as CSV").decode("utf-8-sig")))}
    assert len(rows) == 60
    for name in good:
        row = rows[name] if int(name[:2]) >= 30 else rows[f"signs.zip/{name}"]
        label = task.labels[int(name[:2]) % 43]
        if row["verdict"] == "confident":
            assert (row["class_index"], row["class_name"]) == (str(label.index), label.name)
    assert sum(row["verdict"] == "confident" for row in rows.values()) > 40
    for name in bad:
        row = rows[f"signs.zip/{name}"]
        assert (row["verdict"], row["class_index"]) == ("failed", "")
        assert len(row["reason"]) > 10
    page.get_by_role("button", name=re.compile("Failed")).click()
    expect(page.get_by_role("button", name=re.compile("Failed"))).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Table of 3 answers").first).to_be_visible()
    assert [row["verdict"] for row in json.loads(saved(page, "Save as JSON"))] == ["failed"] * 3


def test_archive_that_is_none_is_explained(page: Page) -> None:
    page.get_by_role("link", name="Many at once").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    upload(page, "signs.zip", b"PK\x03\x04 no archive")
    expect(page.get_by_text("signs.zip")).to_be_visible()
    page.get_by_role("button", name="Recognise all").click()
    expect(page.get_by_text("cannot be read:")).to_be_visible()


def test_signs_can_be_searched_filtered_and_looked_at(page: Page, page_url: str, task: Task) -> None:
    bans = sum("überholverbot" in f"{label.name_de} {label.description_de}".lower() for label in task.labels)
    page.get_by_role("link", name="Signs").click()
    expect(page.get_by_text("43 of 43 signs")).to_be_visible()
    page.get_by_label("Search").fill("überholverbot")
    page.get_by_label("Search").press("Enter")
    expect(page.get_by_text(f"{bans} of 43 signs")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Search").press("Enter")
    page.get_by_role("button", name="Danger", exact=True).click()
    expect(page.get_by_text("14 of 43 signs")).to_be_visible()
    page.get_by_role("button", name="Wild animals crossing", exact=True).click()
    shows_sign(page, "Wild animals crossing")
    expect(page).to_have_url(re.compile("sign=31"))
    go(page, f"{page_url}/signs?sign=40&lang=de")
    expect(page.get_by_role("heading", name="Kreisverkehr")).to_be_visible()


def test_a_person_can_test_what_they_know(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/signs")
    page.get_by_text("Test yourself", exact=True).click()
    expect(page.get_by_role("img", name="Drawing of the sign that is asked for")).to_be_visible()
    answers = page.locator("[class*='st-key-answer'] button")
    expect(answers).to_have_count(4)
    chosen = answers.first.inner_text()
    answers.first.click()
    verdict = page.get_by_text(re.compile(r"^(Right\.|No, it is: )"))
    expect(verdict).to_be_visible()
    right = verdict.inner_text() == "Right."
    assert right or not verdict.inner_text().endswith(chosen)
    expect(page.get_by_text(f"{int(right)} right of 1")).to_be_visible()


def test_the_card_is_shown_for_people(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/model")
    for heading in ("Does it know how sure it is?", "Each sign", "Which sign it takes for which", "Bad pictures"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.get_by_text("with 95% certainty the true value lies between")).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")).to_have_count(4)


def test_the_service_page_lists_what_was_recognised_and_how_to_ask(page: Page) -> None:
    upload(page, "it's.png", encoded(drawing()))
    shows_sign(page, "Stop")
    page.get_by_role("link", name="Service").click()
    expect(page.get_by_role("heading", name="Recognised in this session")).to_be_visible()
    expect(page.get_by_text("""--data-binary '@it'"'"'s.png'""")).to_be_visible()
    page.get_by_role("tab", name="Python").click()
    expect(page.get_by_text('Path("it\'s.png").read_bytes()')).to_be_visible()
    [entry] = json.loads(saved(page, "Save as JSON"))
    assert (entry["picture"], entry["class_index"], entry["verdict"]) == ("it's.png", 14, "confident")
    page.get_by_role("button", name="Forget all").click()
    expect(page.get_by_text("Nothing yet")).to_be_visible()


def test_without_a_data_set_the_ways_to_get_one_are_shown(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/data")
    expect(page.get_by_text("needs none to recognise signs")).to_be_visible()
    expect(page.get_by_text("python init.py --download")).to_be_visible()


def test_a_data_set_is_shown_with_pictures(browser: Browser, tmp_path: Path) -> None:
    write_drawn(tmp_path / "signs", 2, seed=1)
    with start_service(store=tmp_path / "store", data=tmp_path / "signs") as service, start_page(service) as url:
        page = browser.new_page()
        go(page, f"{url}/data")
        expect(page.get_by_text("86", exact=True).first).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("^Picture of track")).first).to_be_visible()
        page.close()


def test_the_language_is_kept_from_page_to_page_and_in_the_address(page: Page, page_url: str) -> None:
    page.get_by_role("radio", name="de").click()
    expect(page.get_by_role("heading", name="Welches Verkehrszeichen ist das?")).to_be_visible()
    expect(page).to_have_url(re.compile("lang=de"))
    page.get_by_role("link", name="Klassifikator").click()
    expect(page.get_by_role("heading", name="Wie gut ist der Klassifikator?")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page).to_have_title("Verkehrszeichen erkennen")
    go(page, f"{page_url}/service?lang=de")
    expect(page.get_by_role("heading", name="Der Dienst hinter dieser Seite")).to_be_visible()


def test_the_language_of_the_browser_is_spoken_first(browser: Browser, page_url: str) -> None:
    page = browser.new_page(locale="de-AT")
    go(page, page_url)
    expect(page.get_by_role("heading", name="Welches Verkehrszeichen ist das?")).to_be_visible()
    page.close()


def test_the_page_is_light_or_dark_as_the_system_is(browser: Browser, page_url: str) -> None:
    grounds = []
    for scheme in SCHEMES:
        page = browser.new_page(color_scheme=scheme)
        go(page, page_url)
        colour = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        grounds.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
        page.close()
    assert grounds[0] > 600 > 150 > grounds[1]


def test_nothing_is_cut_off_on_a_phone(browser: Browser, page_url: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True)
    for path in ("/?sample=stop", "/signs?sign=14", "/model", "/service", "/batch", "/data"):
        go(page, page_url + path)
        width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert width <= 360, f"{path} is {width} pixels wide"
    page.close()


def test_the_menu_of_a_phone_goes_away_when_a_page_is_chosen(browser: Browser, page_url: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True)
    go(page, page_url)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Many at once").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    expect(page.get_by_role("link", name="Many at once")).not_to_be_in_viewport()
    page.close()


def test_the_page_loads_nothing_from_elsewhere(browser: Browser, page_url: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/?sample=stop", "/model", "/service"):
        go(page, page_url + path)
    page.close()
    assert asked
    assert [url for url in asked if not url.startswith((page_url, "data:", "blob:"))] == []
