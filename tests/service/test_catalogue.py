"""The catalogue of tasks, and how it loads classifiers, without a server."""

import shutil
import threading
from pathlib import Path

import pytest

from model.artifact import CARD_FILE
from model.engine import Engine, LiteRt
from service import readiness
from service.catalogue import Catalogue
from service.inference import SLOW_S, WarmRecogniser
from service.metrics import Metrics
from service.settings import Settings
from tests.conftest import SHIPPED, wait_until


def catalogue(folder: Path, store: Path) -> Catalogue:
    settings = Settings(tasks="traffic_sign", artifact=folder, store=store)
    return Catalogue.of(settings, "2.0", Metrics(settings.served), LiteRt())


def test_classifier_is_slow_if_an_inference_takes_long() -> None:
    warm = WarmRecogniser.load(SHIPPED, LiteRt())
    assert warm.inference_s > 0
    assert not WarmRecogniser(warm.recogniser, SLOW_S).is_slow
    assert WarmRecogniser(warm.recogniser, 2 * SLOW_S).is_slow


def test_new_artifact_is_loaded_once_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "artifact"))
    served = catalogue(folder, tmp_path).first.readiness
    first = served.load()
    began, may_end, loaded = threading.Event(), threading.Event(), []

    def load(path: Path, _: Engine) -> WarmRecogniser:
        loaded.append(path)
        began.set()
        assert may_end.wait(30)
        return WarmRecogniser(first.recogniser, first.inference_s)

    monkeypatch.setattr(WarmRecogniser, "load", load)
    monkeypatch.setattr(readiness, "LOOK_INTERVAL_S", 0.0)
    (folder / CARD_FILE).touch()
    assert served.in_use() is first
    assert began.wait(30)
    assert served.in_use() is first
    may_end.set()
    wait_until(lambda: served.in_use() is not first)
    assert served.in_use() is not first
    assert loaded == [folder]
