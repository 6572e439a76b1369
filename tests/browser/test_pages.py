"""The other pages, in a real Chromium with the real service."""

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from data.tasks.traffic_sign.drawing.render import write_drawn
from tests.browser.conftest import go, new_page, settle, shows_sign, start_page, upload
from tests.conftest import drawing, encoded, start_service
from tests.ui.conftest import shipped_labels
from ui.contract import Label

LABELS = shipped_labels()
# Top and bottom of elements in pixels.
EDGES = "cards => cards.map(card => card.getBoundingClientRect()).map(({top, bottom}) => [top, bottom].map(Math.round))"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def saved(page: Page, button: str) -> bytes:
    """Return the file that a button downloads."""
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_bytes()


def test_batch_with_bad_files_can_be_filtered_and_saved(page: Page) -> None:
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
    expect(page.get_by_role("button", name="Save as CSV")).to_be_visible()
    rows = {row["file"]: row for row in csv.DictReader(io.StringIO(saved(page, "Save as CSV").decode("utf-8-sig")))}
    assert len(rows) == 60
    assert "sign_number" in rows["56.png"]
    for name in good:
        row = rows[name] if int(name[:2]) >= 30 else rows[f"signs.zip/{name}"]
        label = LABELS[int(name[:2]) % 43]
        if row["verdict"] == "confident":
            known = (str(label.index), label.name, label.facts["sign_number"])
            assert (row["class_index"], row["class_name"], row["sign_number"]) == known
    assert sum(row["verdict"] == "confident" for row in rows.values()) > 40
    for name in bad:
        row = rows[f"signs.zip/{name}"]
        assert (row["verdict"], row["class_index"]) == ("failed", "")
        assert len(row["reason"]) > 10
    page.get_by_role("button", name=re.compile("Failed")).click()
    expect(page.get_by_role("button", name=re.compile("Failed"))).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Table of 3 answers").first).to_be_visible()
    expect(page.get_by_text("Why files failed")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="signs.zip/text.png").first).to_be_visible()
    assert [row["verdict"] for row in json.loads(saved(page, "Save as JSON"))] == ["failed"] * 3


def test_file_that_is_not_an_archive_is_explained(page: Page) -> None:
    page.get_by_role("link", name="Many at once").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    upload(page, "signs.zip", b"PK\x03\x04 no archive")
    expect(page.get_by_text("signs.zip")).to_be_visible()
    page.get_by_role("button", name="Recognise all").click()
    expect(page.get_by_text("cannot be read:")).to_be_visible()


def mentions(label: Label, words: str) -> bool:
    """Return whether a text of a label has these words."""
    texts = (label.name, label.name_de, label.description, label.description_de, *label.facts.values())
    return words in " ".join(texts).casefold()


def test_signs_can_be_searched_filtered_and_opened(page: Page, page_url: str) -> None:
    bans = sum(mentions(label, "überholverbot") for label in LABELS)
    category = LABELS[31].facts["category"]
    alike = sum(label.facts["category"] == category for label in LABELS)
    page.get_by_role("link", name="Signs").click()
    expect(page.get_by_text("43 of 43 signs")).to_be_visible()
    settle(page)
    edges = page.locator(".st-key-classes_grid > *").evaluate_all(EDGES)
    tops, bottoms = map(set, zip(*edges, strict=True))
    assert len(tops) == len(bottoms) > 3  # the cards of a row have the same height
    page.get_by_label("Search").fill("überholverbot")
    page.get_by_label("Search").press("Enter")
    expect(page.get_by_text(f"{bans} of 43 signs")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Search").press("Enter")
    page.get_by_role("button", name=category, exact=True).click()
    expect(page.get_by_text(f"{alike} of 43 signs")).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Wild animals crossing", exact=True).click()
    shows_sign(page, "Wild animals crossing")
    expect(page).to_have_url(re.compile("class=31"))
    go(page, f"{page_url}/classes?class=40&lang=de")
    expect(page.get_by_role("heading", name="Kreisverkehr")).to_be_visible()


def test_quiz_counts_right_answers(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/classes")
    page.get_by_text("Test yourself", exact=True).click()
    expect(page.get_by_role("img", name="Drawing of the sign in question")).to_be_visible()
    answers = page.locator("[class*='st-key-answer'] button")
    expect(answers).to_have_count(4)
    chosen = answers.first.inner_text()
    answers.first.click()
    verdict = page.get_by_text(re.compile(r"^(Correct\.|No, it is: )"))
    expect(verdict).to_be_visible()
    right = verdict.inner_text() == "Correct."
    assert right or not verdict.inner_text().endswith(chosen)
    expect(page.get_by_text(f"{int(right)} of 1 correct")).to_be_visible()


def test_card_is_shown_with_charts(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/model")
    for heading in ("Is its confidence justified?", "Results per sign", "Which signs are confused?", "Bad pictures"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.get_by_text("95% confidence interval")).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")).to_have_count(4)


def test_service_page_has_history_and_examples(page: Page) -> None:
    upload(page, "it's.png", encoded(drawing()))
    shows_sign(page, "Stop")
    page.get_by_role("link", name="Service").click()
    expect(page.get_by_role("heading", name="Recognised in this session")).to_be_visible()
    curl = page.get_by_text("""--data-binary '@it'"'"'s.png'""")
    expect(curl.filter(has_text="/predict/traffic_sign")).to_be_visible()
    expect(curl.filter(has_text="/detect/traffic_sign")).to_be_visible()
    page.get_by_role("tab", name="Python").click()
    expect(page.get_by_text('Path("it\'s.png").read_bytes()').first).to_be_visible()
    expect(page.get_by_text("for found in answer.json()['objects']")).to_be_visible()
    [entry] = json.loads(saved(page, "Save as JSON"))
    assert (entry["picture"], entry["class_index"], entry["verdict"]) == ("it's.png", 14, "confident")
    page.get_by_role("button", name="Clear history").click()
    expect(page.get_by_text("Nothing yet")).to_be_visible()


def test_missing_data_set_is_explained(page: Page, page_url: str) -> None:
    go(page, f"{page_url}/data")
    expect(page.get_by_text("does not need one to recognise signs")).to_be_visible()
    expect(page.get_by_text("python init.py --download")).to_be_visible()


def test_data_set_is_shown_with_pictures(browser: Browser, tmp_path: Path) -> None:
    write_drawn(tmp_path / "signs", 2, seed=1)
    with start_service(store=tmp_path / "store", data=tmp_path / "signs") as service, start_page(service) as url:
        page = new_page(browser)
        go(page, f"{url}/data")
        expect(page.get_by_text("86", exact=True).first).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("^Picture of track")).first).to_be_visible()
        page.close()


def test_language_is_kept_on_other_pages_and_in_the_url(page: Page, page_url: str) -> None:
    page.get_by_role("radio", name="de").click()
    expect(page.get_by_role("heading", name="Welche Verkehrszeichen sind auf diesem Foto?")).to_be_visible()
    expect(page).to_have_url(re.compile("lang=de"))
    page.get_by_role("link", name="Klassifikator").click()
    expect(page.get_by_role("heading", name="Wie gut ist der Klassifikator?")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page).to_have_title("Verkehrszeichen erkennen")
    go(page, f"{page_url}/service?lang=de")
    expect(page.get_by_role("heading", name="Der Dienst hinter dieser Seite")).to_be_visible()


def test_language_of_the_browser_is_the_default(browser: Browser, page_url: str) -> None:
    page = new_page(browser, locale="de-AT")
    go(page, page_url)
    expect(page.get_by_role("heading", name="Welche Verkehrszeichen sind auf diesem Foto?")).to_be_visible()
    page.close()


def test_page_follows_the_colour_scheme_of_the_system(browser: Browser, page_url: str) -> None:
    grounds = []
    for scheme in SCHEMES:
        page = new_page(browser, color_scheme=scheme)
        go(page, page_url)
        colour = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        grounds.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
        page.close()
    assert grounds[0] > 600 > 150 > grounds[1]


def test_pages_fit_a_phone(browser: Browser, page_url: str) -> None:
    page = new_page(browser, viewport={"width": 360, "height": 740}, has_touch=True)
    for path in ("/?sample=stop", "/classes?class=14", "/model", "/service", "/batch", "/data"):
        go(page, page_url + path)
        width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert width <= 360, f"{path} is {width} pixels wide"
    page.close()


@pytest.mark.parametrize("early", [False, True])
def test_menu_of_a_phone_closes_when_a_page_is_chosen(browser: Browser, page_url: str, early: bool) -> None:
    """Also if it is chosen before the page listens to clicks, as on a slow machine."""
    page = new_page(browser, viewport={"width": 360, "height": 740}, has_touch=True)
    go(page, page_url)
    if early:
        page.evaluate("document.body.addEventListener('click', event => event.stopPropagation())")
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Many at once").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    expect(page.get_by_role("link", name="Many at once")).not_to_be_in_viewport()
    page.close()


def test_page_loads_nothing_from_other_servers(browser: Browser, page_url: str) -> None:
    page = new_page(browser)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/?sample=stop", "/model", "/service"):
        go(page, page_url + path)
    page.close()
    assert asked
    assert [url for url in asked if not url.startswith((page_url, "data:", "blob:"))] == []
