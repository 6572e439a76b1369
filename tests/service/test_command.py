"""`python -m service.predict`, without a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, drawing


def predict(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "service.predict", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def stop(tmp_path: Path) -> Path:
    drawing(14).save(tmp_path / "stop.png")
    return tmp_path / "stop.png"


def test_one_line_per_picture(stop: Path) -> None:
    result = predict(stop, stop)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{stop}: Stop (")


def test_json_is_the_answer_of_the_service(stop: Path) -> None:
    answer = json.loads(predict("--json", "--explain", "--top-k", 3, stop).stdout)
    assert answer["file"] == str(stop)
    assert answer["class_index"] == 14
    assert len(answer["alternatives"]) == 3
    assert len(answer["heatmap"]) == 6


def test_picture_that_fails_is_reported_and_the_others_are_answered(stop: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    result = predict(tmp_path / "text.png", tmp_path / "missing.png", stop)
    assert result.returncode == 1
    assert result.stdout.startswith(f"{stop}: Stop (")
    told = [line for line in result.stderr.splitlines() if line.startswith(str(tmp_path))]
    assert len(told) == 2
    assert "No such file" in told[1]


def test_missing_classifier_is_one_message(stop: Path, tmp_path: Path) -> None:
    result = predict(stop, "--artifact", tmp_path / "nowhere")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'nowhere'}: there is no classifier")
