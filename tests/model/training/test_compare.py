"""`python -m model.training.compare` on drawn signs, and the leaderboard read from its output."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.task import Task
from data.tasks.traffic_sign.drawing.render import write_drawn
from model.artifact import read_artifact
from model.errors import ArtifactError, TrainingError
from model.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from model.evaluation.leaderboard import (
    Entry,
    class_errors,
    corrupted_accuracies,
    count_confusions,
    find_shared_groups,
    find_shared_pictures,
    partly_listed,
    read_comparison,
    render_pictures,
)
from tests.conftest import COMPARED, Comparison, compare

SEEDS = (0, 1)


def states(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}


def entries_with(comparison: Comparison, *mistakes: list[tuple[int, int]]) -> list[Entry]:
    """Return one entry with seed 0 for each list of mistakes (row, predicted class); two rows form a group."""
    card = read_artifact(comparison.output / "plain-seed0")[0]
    listed = [
        [
            {"row": row, "group": f"track {row // 2}", "class_index": 14, "predicted": predicted, "probability": 0.9}
            for row, predicted in each
        ]
        for each in mistakes
    ]
    held_out = card.metrics["held_out"]
    return [
        Entry(
            f"network {number}",
            "random",
            (
                dataclasses.replace(
                    card,
                    metrics={**card.metrics, "mistakes": each, "held_out": {**held_out, "errors": len(each)}},
                ),
            ),
        )
        for number, each in enumerate(listed)
    ]


def test_table_and_file_have_a_row_for_each_network_with_mean_and_standard_deviation(comparison: Comparison) -> None:
    rows = json.loads((comparison.output / "comparison.json").read_text())
    assert {row["network"] for row in rows} == set(COMPARED)
    for row in rows:
        folder = row["network"].replace(":", "-")
        cards = [read_artifact(comparison.output / f"{folder}-seed{seed}")[0] for seed in SEEDS]
        accuracies = [card.metrics["held_out"]["accuracy"] for card in cards]
        assert row["seeds"] == 2
        assert row["accuracy"] == pytest.approx(np.mean(accuracies))
        assert row["accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
        assert row["parameters"] == cards[0].training["parameters"]
        assert f"| {row['network']} | random | {row['accuracy']:.2%} ± {row['accuracy_sd']:.2%}" in comparison.printed


def test_card_contains_the_command_without_local_paths(comparison: Comparison) -> None:
    text = (comparison.output / "residual-8,16-seed1" / "card.json").read_text()
    assert json.loads(text)["training"]["command"] == (
        "python -m model.training.compare --preset quick --epochs 1 --frames 0 --batch-size 64 "
        "--seeds 1 --data PATH residual:8,16"
    )
    assert str(comparison.data) not in text


def test_second_run_trains_nothing_and_keeps_the_rows_of_other_networks(comparison: Comparison, tmp_path: Path) -> None:
    output = Path(shutil.copytree(comparison.output, tmp_path / "output"))
    before, table = states(output), (output / "comparison.json").read_text()
    result = compare("--output", output, "--store", tmp_path, "--frames", 0, "--data", comparison.data, "plain")
    assert result.returncode == 0, result.stderr
    assert (states(output), (output / "comparison.json").read_text()) == (before, table)
    assert result.stdout == comparison.printed
    assert "epoch" not in result.stderr


def test_single_seed_has_no_deviation_and_strict_json(comparison: Comparison, tmp_path: Path) -> None:
    shutil.copytree(comparison.output / "plain-seed0", tmp_path / "plain-seed0")
    result = compare("--output", tmp_path, "--store", tmp_path, "--frames", 0, "--data", comparison.data, "plain")
    assert result.returncode == 0, result.stderr
    [row] = json.loads((tmp_path / "comparison.json").read_text(), parse_constant=pytest.fail)
    assert (row["seeds"], row["accuracy_sd"]) == (1, None)
    assert "±" not in result.stdout


@pytest.mark.parametrize("network", COMPARED)
def test_artifact_with_other_settings_is_named_and_kept(comparison: Comparison, network: str) -> None:
    before = states(comparison.output)
    options = ("--output", comparison.output, "--store", comparison.store, "--frames", 1, "--data", comparison.data)
    result = compare(*options, network)
    assert result.returncode == 1
    assert "plain-seed0 was trained with different settings (frames)" in result.stderr
    assert states(comparison.output) == before


def test_artifact_from_other_data_is_named_and_kept(comparison: Comparison, tmp_path: Path) -> None:
    write_drawn(tmp_path / "other", 2, seed=2)
    before = states(comparison.output)
    options = ("--output", comparison.output, "--store", tmp_path, "--frames", 0, "--data", tmp_path / "other")
    result = compare(*options, "plain")
    assert result.returncode == 1
    assert "plain-seed0 was trained with different settings (data)" in result.stderr
    assert states(comparison.output) == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["plain", "LeNet"], "unknown network 'LeNet'"),
        (["plain", "applications:2"], "unknown network 'applications:2'"),
        (
            ["plain", "MobileNetV2:wide"],
            "'MobileNetV2:wide': the width multiplier after the colon must be a positive number",
        ),
        (["plain", "residual:8,wide"], "'residual:8,wide': the widths of a residual network must be comma-separated"),
        (["plain", "residual:8,0"], "'residual:8,0': the widths of a residual network must be comma-separated"),
        (["plain=imagenet"], "'plain=imagenet': only networks of keras.applications accept initial weights"),
        (["MobileNetV2=nowhere.h5"], "file nowhere.h5 does not exist"),
        (["--preset", "huge"], "there is no preset 'huge'; known: cpu"),
        (["--data", "/nowhere"], "/nowhere: there is no such folder"),
    ],
)
def test_invalid_arguments_are_reported_before_training_starts(
    comparison: Comparison, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    result = compare("--output", tmp_path / "output", "--store", tmp_path, "--data", comparison.data, *arguments)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("card.json"))


def test_entries_are_sorted_by_accuracy(comparison: Comparison) -> None:
    entries = read_comparison(comparison.output)
    means = [float(np.mean(entry.accuracies)) for entry in entries]
    assert means == sorted(means, reverse=True)
    for entry in entries:
        assert tuple(card.training["settings"]["seed"] for card in entry.cards) == SEEDS
        low, high = entry.accuracy_range
        assert low <= np.mean(entry.accuracies) <= high
    errors = class_errors(entries)
    assert errors.shape == (43, 2)
    assert errors.mean(axis=0) == pytest.approx([1 - mean for mean in means], abs=1e-4)  # one example of each class
    table = corrupted_accuracies(entries)
    assert set(table) == set(CORRUPTIONS)
    assert all(values.shape == (2, len(SEVERITIES)) for values in table.values())
    wrong = np.sum(list(count_confusions(entries).values()), axis=0)
    assert wrong.tolist() == [sum(card.metrics["held_out"]["errors"] for card in each.cards) for each in entries]


def test_folder_without_artifacts_is_not_a_comparison(tmp_path: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"there is no comparison; create one with `python -m model.training.compare"
    ):
        read_comparison(tmp_path / "nothing")


def test_artifacts_with_different_budgets_are_not_comparable(comparison: Comparison, tmp_path: Path) -> None:
    output = Path(shutil.copytree(comparison.output, tmp_path / "output"))
    path = output / "residual-8,16-seed0" / "card.json"
    table = json.loads(path.read_text())
    table["training"]["settings"]["epochs"] = 2
    path.write_text(json.dumps(table))
    with pytest.raises(TrainingError, match=r"residual-8,16-seed0 is not comparable with .*plain-seed0: epochs differ"):
        read_comparison(output)


def test_shared_mistakes_are_found_by_group_and_by_picture(comparison: Comparison, task: Task) -> None:
    entries = entries_with(comparison, [(0, 1), (2, 1), (4, 1)], [(0, 1), (3, 1)], [(0, 2)])
    groups = find_shared_groups(entries)
    assert [(group.group, group.wrong) for group in groups] == [("track 0", (1, 1, 1)), ("track 1", (1, 1, 0))]
    [picture] = find_shared_pictures(entries)
    assert (picture.row, list(picture.predicted.values())) == (0, [1, 1, 2])
    stop, thirty, fifty = (task.labels[index].name for index in (14, 1, 2))
    answers = f"{thirty} (network 0; network 1), {fifty} (network 2)"
    assert f"| 0 | 0 | track 0 | {stop} | {answers} |" in render_pictures([picture], task)


def test_entry_that_was_not_trained_with_a_seed_is_not_counted_as_correct(comparison: Comparison) -> None:
    first, second, third = entries_with(comparison, [(0, 1)], [(0, 1)], [])
    [card] = third.cards
    settings = {**card.training["settings"], "seed": 7}
    other = dataclasses.replace(card, training={**card.training, "settings": settings})
    [group] = find_shared_groups([first, second, dataclasses.replace(third, cards=(other,))])
    assert group.wrong == (1, 1, None)


def test_entries_with_unlisted_mistakes_are_named(comparison: Comparison) -> None:
    whole, part = entries_with(comparison, [(0, 1)], [(0, 1)])
    [card] = part.cards
    held_out = {**card.metrics["held_out"], "errors": 2}
    part = dataclasses.replace(part, cards=(dataclasses.replace(card, metrics={**card.metrics, "held_out": held_out}),))
    assert partly_listed([whole, part]) == ["network 1"]
