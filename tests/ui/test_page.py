"""The page's states, run without a browser against the real service."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from model.progress import Progress, training_folder, training_lock, write_progress
from tests.conftest import ROOT, awkward_pictures, drawing, encoded, free_port, start_service


@pytest.fixture(autouse=True)
def _fresh_connection() -> Iterator[None]:
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def page(url: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("UI_SERVICE_URL", url)
    return AppTest.from_file(str(ROOT / "ui" / "app.py"), default_timeout=30).run()


def texts(app: AppTest) -> str:
    elements = [*app.subheader, *app.markdown, *app.caption, *app.error, *app.info, *app.warning]
    return "\n".join(str(element.value) for element in elements)


def test_sample_shows_name_class_description_probability_and_candidates(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page(service, monkeypatch)
    app.button_group[0].set_value("stop").run()
    assert not app.exception
    assert app.subheader[0].value == "Stop"
    assert "Class 14" in texts(app)
    assert "sign number 206" in texts(app)
    assert "full stop" in texts(app)
    assert app.metric[0].value.endswith("%")


def test_upload_is_answered(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(service, monkeypatch)
    app.file_uploader[0].set_value([("sign.png", encoded(drawing()), "image/png")]).run()
    assert not app.exception
    assert app.subheader[0].value == "Stop"


@pytest.mark.parametrize(("name", "payload"), awkward_pictures().items())
def test_whatever_the_service_reads_the_page_survives(
    service: str, monkeypatch: pytest.MonkeyPatch, name: str, payload: bytes
) -> None:
    app = page(service, monkeypatch)
    app.file_uploader[0].set_value([(f"{name}.png", payload, "image/png")]).run()
    assert not app.exception
    assert app.subheader


def test_wrong_setting_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UI_TIMEOUT", "3")
    app = page("http://127.0.0.1", monkeypatch)
    assert "unknown settings: UI_TIMEOUT" in app.error[0].value


def test_wrong_setting_stops_the_start_with_one_message() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ui"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "UI_TIMEOUT": "3"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: unknown settings: UI_TIMEOUT")


def test_picture_of_no_sign_gets_no_duty(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(service, monkeypatch)
    app.file_uploader[0].set_value([("black.png", encoded(Image.new("RGB", (64, 64))), "image/png")]).run()
    assert app.subheader[0].value == "Not recognised"
    assert not app.metric
    assert "Class " not in texts(app)


def test_refused_picture_is_explained(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(service, monkeypatch)
    app.file_uploader[0].set_value([("sign.png", b"no picture", "image/png")]).run()
    assert not app.exception
    assert "not a picture in a known format" in app.error[0].value


def test_missing_service_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(f"http://127.0.0.1:{free_port()}", monkeypatch)
    assert not app.exception
    assert "The prediction service is not there" in app.error[0].value
    assert "goes on by itself" in app.error[0].value


def test_training_is_shown_with_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_folder(tmp_path, "traffic_sign")
    with (
        start_service(status=503, artifact=tmp_path / "artifact", store=tmp_path, train="false") as url,
        training_lock(training),
    ):
        progress = Progress("train", epoch=3, epochs=30, validation_accuracy=0.876, remaining_s=600.0)
        write_progress(training, progress)
        app = page(url, monkeypatch)
    assert not app.exception
    assert "being made for the first time" in app.info[0].value
    assert [metric.value for metric in app.metric] == ["87.6%", "10 min"]


def test_service_that_cannot_train_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_service(status=503, artifact=tmp_path / "artifact", store=tmp_path, train="false") as url:
        app = page(url, monkeypatch)
    assert "There is no classifier" in app.error[0].value
