"""Trained weights beside the network as given: in the study, the joint table and the page."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from accuracy import networks
from accuracy.networks import NetworkError
from reports.command import build_app
from reports.errors import StudyError
from reports.page import render
from reports.results import StudyResult, Values
from reports.run import compute, write
from reports.study import Study
from reports.table import joint_rows, short_rows
from reports.trained_step import load_trained

STUDY = Study(
    designs=("A",),
    error_scale=4.0,
    trials=3,
    images=60,
    calibration_images=60,
    stage_trials=0,
    peripherals="ideal",
    r_p_hat=0.0,
    trained_scales=(0.5,),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `devicekit train` leaves it: other weights, here held within four root mean squares."""
    state = networks.load("digits_cnn").state_dict()
    for value in state.values():
        if value.dim() > 1:
            size = 4 * float(value.square().mean().sqrt())
            value.clamp_(-size, size)
    given = networks.load("digits_cnn").state_dict()
    assert any(not torch.equal(value, given[key]) for key, value in state.items())
    made = tmp_path_factory.mktemp("trained")
    save_file({key: value.contiguous() for key, value in state.items()}, made / "weights.safetensors")
    return made


def test_both_are_what_each_gives_alone(folder: Path, tmp_path: Path) -> None:
    """On cells of the same deviates: figures of the network as given, and those of a study of the trained weights."""
    steps: list[tuple[int, int]] = []
    study = STUDY.model_copy(update={"trained": folder})
    result = compute(study, tmp_path, lambda done, total, text=None: steps.append((done, total)))
    (design,) = result.designs
    half, own = design["trained"]["comparison"]
    assert (half["error_scale"], own["error_scale"]) == (0.5, 1.0)
    assert own["before"]["per_trial"] == design["accuracy"]["per_trial"]
    alone = compute(STUDY.model_copy(update={"weights": folder / "weights.safetensors"}), tmp_path / "alone")
    assert own["after"]["per_trial"] == alone.designs[0]["accuracy"]["per_trial"]
    assert own["after"]["baseline"] == alone.network["baseline"]
    assert design["trained"]["network_cost"] == alone.designs[0]["network_cost"]
    assert own["gain"] == pytest.approx(own["after"]["mean"] - own["before"]["mean"])
    smaller = compute(STUDY.model_copy(update={"error_scale": 2.0}), tmp_path / "smaller")
    assert half["before"]["per_trial"] == smaller.designs[0]["accuracy"]["per_trial"]
    assert steps[-1][0] <= steps[-1][1]
    assert all(one[0] <= two[0] for one, two in pairwise(steps)), "progress goes on"
    # The whole is written, and found again.
    write(result, study, tmp_path)
    (row,) = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert float(row["accuracy_trained_device_percent"]) == pytest.approx(100 * own["after"]["mean"])
    assert float(row["trained_gain_points"]) == pytest.approx(100 * own["gain"])
    assert Study.load(tmp_path / "study.toml") == study
    again = compute(study, tmp_path)
    assert again.designs[0]["trained"] == json.loads(json.dumps(design["trained"]))


def compared(scale: float, before: float, after: float) -> Values:
    accuracies = [{"baseline": 0.965, "mean": mean, "std": 0.01} for mean in (before, after)]
    return {
        "error_scale": scale,
        "before": accuracies[0],
        "after": accuracies[1],
        "gain": after - before,
        "gain_interval": [after - before - 0.02, after - before + 0.02],
        "recovered": (after - before) / (0.965 - before),
    }


def test_table_and_page_show_both(made_up: StudyResult, open_page: Callable[[Path], Any], tmp_path: Path) -> None:
    trained = {"comparison": [compared(1.0, 0.9, 0.94), compared(2.0, 0.5, 0.8)], "network_cost": {}}
    trained["network_cost"] = made_up.designs[0]["network_cost"]
    designs = [made_up.designs[0] | {"trained": trained}, *made_up.designs[1:2]]
    settings = made_up.settings | {"error_scale": 4.0, "trained": "trained"}
    result = dataclasses.replace(made_up, designs=designs, settings=settings)
    row = joint_rows(result)[0]
    assert row["accuracy_trained_device_percent"] == pytest.approx(94.0)
    assert row["trained_gain_points_low"] == pytest.approx(2.0)
    assert short_rows(result)[0]["Trained (gain)"] == "94.00 (+4.00, +2.00 to +6.00)"
    assert short_rows(result)[1]["Trained (gain)"] == "–"
    (tmp_path / "index.html").write_text(render(result), encoding="utf-8")
    opened = open_page(tmp_path / "index.html")
    assert opened.errors == []
    text = " ".join(opened.run("return document.querySelector('#training-table tbody').innerText").split())
    assert text == (
        "A 4 96.50 → 96.50 90.00 ± 1.00 94.00 ± 1.00 +4.00, +2.00 to +6.00 62 % "
        "A 8 96.50 → 96.50 50.00 ± 1.00 80.00 ± 1.00 +30.00, +28.00 to +32.00 65 %"
    )
    drawn = "return document.getElementById('plot-trained')._fullData.map(t => [t.name, ...t.x, ...t.y])"
    assert opened.run(drawn) == [
        ["A, as given", 4, 8, pytest.approx(90), pytest.approx(50)],
        ["A, trained", 4, 8, pytest.approx(94), pytest.approx(80)],
    ]
    assert "--trained trained" in opened.run("return document.querySelector('#again').innerText")
    assert "trained_gain_points" not in joint_rows(made_up)[0]
    assert 'id="training"' not in render(made_up)


def test_what_does_not_fit_is_refused_in_words(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"`trained_scales`.*above 0"):
        Study.make({"trained_scales": [0.0]})
    with pytest.raises(StudyError, match="an ONNX file holds its own"):
        load_trained(Study(network="net.onnx", trained=folder))
    with pytest.raises(NetworkError, match="nothing"):
        compute(STUDY.model_copy(update={"trained": tmp_path / "nothing"}), tmp_path)
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "weights.safetensors")
    done = CliRunner().invoke(build_app("report"), ["report", "A", "--trained", str(tmp_path), "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "weights.safetensors" in done.stderr
