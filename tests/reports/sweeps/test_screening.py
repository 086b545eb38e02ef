"""Points screened without trials: marked as such, set by trials, and tried where that decides."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from accuracy.screening.screen import FACTORS
from reports import Store, Study, StudyError, SweepResult, sweep
from reports.commands.sweep import _points_to_try
from reports.sweeps.files import write
from reports.sweeps.halving import FEW_TRIALS, in_question
from reports.sweeps.page import render
from reports.sweeps.probe import forecast
from reports.sweeps.selection import accuracy_of, is_screened, select
from reports.sweeps.set_by_trials import IMAGES, LOSS, set_by_trials

DEVICE = "sonos_40nm_tcas2022"
SMALL: dict[str, Any] = {
    "designs": ("A",), "device": DEVICE, "peripherals": "ideal", "r_p_hat": 0.0, "trials": 4, "images": 40,
    "calibration_images": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepResult, Path]:
    store = tmp_path_factory.mktemp("screen") / "studies.sqlite"
    study = Study(**SMALL, vary={"adc_bits": "3,8", "weight_scale": ["layer", "array"]}, accuracy="screen")
    return sweep(study, store, name="screened", workers=1), store


def test_a_screened_run_says_so_everywhere(screened: tuple[SweepResult, Path], tmp_path: Path) -> None:
    result, store = screened
    assert [point["accuracy"] for point in result.points] == [None] * 4
    known, refused = result.points[::2], result.points[1::2]
    assert all(is_screened(point) and point["screened"]["screened"] for point in known)
    assert known[0]["screened"]["loss"] > known[1]["screened"]["loss"]
    assert all(point["screened"] is None and "'array'" in point["reason"] for point in refused)
    assert all(point["network_cost"] for point in result.points)
    study = Study.make(result.study)
    write(result, study, tmp_path)
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["loss_points"] for row in rows] == [""] * 4
    assert [row["trials"] for row in rows] == [""] * 4
    assert float(rows[0]["screened_loss_points_low"]) < float(rows[0]["screened_loss_points"])
    text = " ".join(select(result).choices[0].sentences)
    assert "screened, not tried" in text
    page = render(result)
    assert "2 screened without trials" in page or "all screened without trials" in page
    assert '"screened":true' in page
    with Store(store, create=False) as opened:
        kinds = opened._base.execute("SELECT kind, count(*) FROM evaluations GROUP BY kind").fetchall()
    assert dict(kinds) == {"cost": 4, "screen": 4}


def test_screened_points_are_not_screened_again(screened: tuple[SweepResult, Path], monkeypatch: Any) -> None:
    result, store = screened
    monkeypatch.setattr("reports.sweeps.screening.screened_values", lambda *_: pytest.fail("again"))
    again = sweep(Study.make(result.study), store, name="again", workers=1)
    assert again.rows == result.rows


def made_point(number: int, screened: float | None, tried: float | None, energy: float = 1.0) -> dict[str, Any]:
    changed = 0.0 if screened is None else screened
    means = [1 - float(stats.norm.sf(stats.norm.isf(max(changed, 1e-6)) / factor)) for factor in FACTORS]
    estimate = None if screened is None else {
        "baseline": 1.0, "mean": 1 - screened, "loss": screened, "error": 0.002, "changed": changed, "unsure": False,
        "means_at": means,
    }  # fmt: skip
    trials = None if tried is None else {"loss": tried, "mean": 1 - tried, "std": 0.001, "trials": 10, "images": 400}
    return {
        "name": f"core {number}", "core": "A", "varied": {}, "network": "digits_cnn", "status": "done", "reason": "",
        "accuracy": trials, "screened": estimate, "cost": None,
        "network_cost": {"energy_gated_uj": energy, "area_mm2": 1.0, "latency_us": 2.0, "cores": 4},
    }  # fmt: skip


def test_trials_of_some_points_set_the_others() -> None:
    """Trials that lose what spreads two fifths wider would: the point without trials is moved by as much."""
    losses = [0.01, 0.02, 0.04, 0.03]
    wider = [float(stats.norm.sf(stats.norm.isf(loss) / 1.4)) for loss in losses]
    points = [made_point(number, loss, wider[number] if number < 3 else None) for number, loss in enumerate(losses)]
    draws = {number: {IMAGES: np.full(512, loss)} for number, loss in enumerate(losses)}
    set_by_trials(points, draws, 0)
    own = points[3]["screened"]
    assert own["calibration"]["designs"] == 3
    assert own["calibration"]["factor"] == pytest.approx(1.4, rel=0.12)
    assert own["loss"] == pytest.approx(wider[3], rel=0.15)
    assert draws[3][LOSS].mean() == pytest.approx(own["loss"], abs=4 * own["error"] / np.sqrt(512))
    assert LOSS not in draws[0]
    assert accuracy_of(points[0]) is points[0]["accuracy"]
    assert accuracy_of(points[3]) is own


def test_only_points_in_question_are_tried() -> None:
    """Beaten surely, beyond a limit, or dearer without being surely better: only what is open is tried."""
    points = [
        made_point(0, 0.010, None, 1.0),
        made_point(1, 0.011, None, 1.1),  # close to the first: open
        made_point(2, 0.030, None, 1.2),  # worse and dearer
        made_point(3, 0.200, None, 0.5),  # cheap, but far beyond the limit
        made_point(4, None, None, 2.0),  # could not be screened
        made_point(5, 0.010, None, 9.0),  # breaks the limit of energy
    ]
    generator = np.random.default_rng(0)
    draws = {
        number: {
            **({LOSS: point["screened"]["loss"] + 0.002 * generator.standard_normal(512)} if point["screened"] else {}),
            "energy_gated_uj": np.full(512, point["network_cost"]["energy_gated_uj"]),
        }
        for number, point in enumerate(points)
    }
    study = Study(constraints=("loss <= 5 points", "network_energy <= 5 uJ"), accuracy="halving")
    result = SweepResult("made up", study.model_dump(mode="json"), points, draws)
    assert in_question(result, study) == [0, 1, 4]


def test_halving_tries_what_the_screen_leaves_open(tmp_path: Path) -> None:
    study = Study(**SMALL, vary={"adc_bits": "3,7,8"}, accuracy="halving", constraints=("loss <= 10 points",))
    result = sweep(study, tmp_path / "studies.sqlite", workers=1)
    trials = [point["accuracy"] and point["accuracy"]["trials"] for point in result.points]
    assert set(trials) <= {None, FEW_TRIALS, 4}
    assert trials[0] in (None, FEW_TRIALS)
    assert 4 in trials[1:]
    assert all(point["screened"] for point in result.points)


def test_a_forecast_counts_screens() -> None:
    found = forecast(Study(**SMALL, vary={"adc_bits": "4..8"}, accuracy="screen"))
    assert (found.screens, found.accuracies, found.costs) == (5, 0, 5)


def test_screen_beside_trials_is_refused() -> None:
    assert _points_to_try(None, screen=True) == "screen"
    assert _points_to_try("all", screen=False) == "all"
    with pytest.raises(StudyError, match="leave one out"):
        _points_to_try("all", screen=True)
