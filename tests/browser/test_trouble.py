"""The page while the service is down, restarted, training, or in need of an API key."""

import re
from pathlib import Path

import psutil
from playwright.sync_api import Browser, expect

from model.progress import TrainingState, training_folder, training_lock, write_state
from tests.browser.conftest import go, new_page, shows_sign, start_page, upload
from tests.conftest import drawing, encoded, free_port, start_process, start_service


def test_page_continues_when_the_service_starts(browser: Browser) -> None:
    port = free_port()
    with start_page(f"http://127.0.0.1:{port}") as url:
        page = new_page(browser)
        go(page, f"{url}/?sample=stop")
        expect(page.get_by_text("The prediction service is not available")).to_be_visible()
        with start_service(port=port):
            shows_sign(page, "Stop")
        page.close()


def test_page_survives_restarts_of_the_service(browser: Browser) -> None:
    port = free_port()
    with start_page(f"http://127.0.0.1:{port}") as url:
        page = new_page(browser)
        with start_process(port=port) as (_, process):
            go(page, url)
            upload(page, "sign.png", encoded(drawing()))
            shows_sign(page, "Stop")
            for each in [process, *psutil.Process(process.pid).children()]:
                each.kill()
            process.wait()
            page.get_by_role("radio", name="Roundabout").click()
            expect(page.get_by_text("The prediction service is not available")).to_be_visible()
        with start_process(port=port) as (_, process):
            shows_sign(page, "Roundabout mandatory")
            page.get_by_role("link", name="Service").click()
            expect(page.get_by_text("Responses since start")).to_be_visible()
            process.terminate()
            process.wait()
            expect(page.get_by_text("The prediction service is not available")).to_be_visible()
        with start_service(port=port):
            expect(page.get_by_text("Responses since start")).to_be_visible()
        page.close()


def test_first_training_is_shown_live(browser: Browser, tmp_path: Path) -> None:
    training = training_folder(tmp_path, "traffic_sign")
    history = tuple({"epoch": e, "loss": 2 / e, "validation_accuracy": 1 - 0.5 / e} for e in (1, 2, 3))
    with (
        start_service(status=503, artifact=tmp_path / "artifact", store=tmp_path, train="false") as service,
        training_lock(training),
        start_page(service) as url,
    ):
        seen = TrainingState("train", epoch=3, epochs=40, loss=0.66, validation_accuracy=0.83, remaining_s=600.0)
        write_state(training, TrainingState("prepare"))
        page = new_page(browser)
        go(page, url)
        expect(page.get_by_role("heading", name="The classifier is being trained")).to_be_visible()
        write_state(training, TrainingState(**{**seen.to_json(), "history": history}))
        expect(page.get_by_text("Epoch 4 of 40")).to_be_visible()
        expect(page.get_by_text("83.0%")).to_be_visible()
        expect(page.get_by_text("10 min")).to_be_visible()
        expect(page.locator("[data-testid=stVegaLiteChart]")).to_have_count(2)
        page.close()


def test_missing_api_key_is_explained(browser: Browser) -> None:
    with start_service(api_keys="secret") as service, start_page(service) as url:
        page = new_page(browser)
        go(page, f"{url}/?sample=stop")
        expect(page.get_by_text("UI_API_KEY")).to_be_visible()
        page.close()
    with start_service(api_keys="secret") as service, start_page(service, api_key="secret") as url:
        page = new_page(browser)
        go(page, f"{url}/?sample=stop")
        shows_sign(page, "Stop")
        page.close()


def test_page_retries_after_a_rate_limit(browser: Browser) -> None:
    with start_service(rate_limit="2/second") as service, start_page(service) as url:
        page = new_page(browser)
        go(page, url)
        for name in ("Stop", "Yield", "Roundabout", "Road work", "Priority road"):
            page.get_by_role("radio", name=name).click()
        expect(page.get_by_role("heading", name=re.compile("Priority road"))).to_be_visible()
        page.close()
