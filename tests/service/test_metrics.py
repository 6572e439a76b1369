"""The metrics of a real gunicorn with several workers."""

import json
import os
import re

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from model.calibrate import Verdict
from model.prediction import Prediction
from model.progress import TrainingState
from service.metrics import Metrics, TaskState
from service.stages import Stages
from tests.conftest import ROOT, drawing, encoded, start_service

STOP = encoded(drawing())


def read(text: str) -> dict[tuple[str, str], float]:
    """Return the samples by name and values of their labels, in the order of the labels' names."""
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, " ".join(sample.labels.values())): sample.value for sample in samples}


def test_every_worker_reports_the_sum_over_all_workers() -> None:
    with start_service(workers=2) as service:
        for payload, times in ((STOP, 30), (b"no picture", 5)):
            for _ in range(times):  # a new connection each time, so that both workers get some
                headers = {"Content-Type": "image/png"}
                requests.post(f"{service}/predict_traffic_sign", data=payload, headers=headers, timeout=60)
        files = [("image", ("stop.png", STOP))] * 3
        requests.post(f"{service}/predict_traffic_sign/batch", files=files, timeout=60)
        for _ in range(4):
            samples = read(requests.get(f"{service}/metrics", timeout=60).text)
            assert samples["sign_requests_total", "/predict_traffic_sign 200 traffic_sign"] == 30
            assert samples["sign_requests_total", "/predict_traffic_sign 422 traffic_sign"] == 5
            assert samples["sign_requests_total", "/predict_traffic_sign/batch 200 traffic_sign"] == 1
            assert samples["sign_classes_total", "14 traffic_sign"] == 33
            assert sum(value for (name, _), value in samples.items() if name == "sign_verdicts_total") == 33
            for stage in ("decode", "infer", "encode"):
                assert samples["sign_stage_seconds_count", f"{stage} traffic_sign"] == 33
                assert 0 < samples["sign_stage_seconds_sum", f"{stage} traffic_sign"] < 33
        assert any(name == "sign_model" for name, _ in samples)


def prediction(probability: float, verdict: Verdict) -> Prediction:
    probabilities = np.zeros(43, np.float32)
    probabilities[14] = probability
    return Prediction((), probabilities, verdict)


def test_counts_of_a_worker_outlive_it() -> None:
    metrics = Metrics(["traffic_sign", "other"], workers=2)
    child = os.fork()
    if not child:
        try:
            metrics.take_row(1)
            metrics.of("traffic_sign").count_answer([prediction(0.97, "confident")], Stages())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    metrics.of("traffic_sign").count_answer([prediction(0.55, "unsure")], Stages())
    samples = read(metrics.render({}).decode())
    assert samples["sign_classes_total", "14 traffic_sign"] == 2
    assert samples["sign_probability_count", "traffic_sign"] == 2
    assert samples["sign_probability_sum", "traffic_sign"] == pytest.approx(0.97 + 0.55)
    assert samples["sign_probability_bucket", "0.6 traffic_sign"] == 1
    assert samples["sign_probability_bucket", "+Inf traffic_sign"] == 2
    assert samples["sign_probability_count", "other"] == 0


def test_tasks_are_counted_separately() -> None:
    metrics = Metrics(["one", "two"])
    metrics.of("one").set_ready(is_ready=True)
    for _ in range(3):
        metrics.of("two").count_answer([prediction(0.97, "confident")], Stages())
    samples = read(metrics.render({"two": TaskState("v1", TrainingState("train", epoch=1, epochs=2))}).decode())
    assert (samples["sign_workers_ready", "one"], samples["sign_workers_ready", "two"]) == (1, 0)
    assert ("sign_classes_total", "14 one") not in samples
    assert samples["sign_classes_total", "14 two"] == 3
    assert samples["sign_verdicts_total", "two confident"] == 3
    assert samples["sign_model", "two v1"] == 1
    assert samples["sign_training_epochs", "two"] == 1


def test_dashboard_queries_only_existing_metrics() -> None:
    dashboard = json.loads((ROOT / "service" / "monitoring" / "grafana.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = set(re.findall(r"sign_\w+", " ".join(queries)))
    metrics = Metrics(["a"])
    metrics.count_request("/predict_traffic_sign", 200)
    metrics.of("a").count_answer([prediction(0.97, "confident")], Stages())
    metrics.of("a").count_call("answered", 0.01)
    state = TaskState("b", TrainingState("train", epoch=1, epochs=2))
    counted = {name for name, _ in read(metrics.render({"a": state}).decode())}
    assert asked <= counted
    assert len(asked) >= 10
