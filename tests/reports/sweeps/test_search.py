"""A search among more combinations than are looked at: what it finds, and that it can be interrupted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import Study, StudyError, SweepResult, sweep
from reports.sweeps.front import on_front
from reports.sweeps.points import points_of
from reports.sweeps.search import first_points, next_points

DEVICE = "sonos_40nm_tcas2022"
VARY = {"adc_bits": "3..12", "max_rows": "72..1152:72", "bits_per_cell": "1..7"}


def study(**values: Any) -> Study:
    return Study(**{"designs": ("A", "D"), "device": DEVICE, "vary": VARY, "accuracy": "screen", **values})


def costs(point: Any) -> tuple[float, float]:
    """Loss falls with ADC bits and bits a cell and has a valley in rows; energy rises with bits, falls with rows."""
    bits, rows, cell = (point.varied[axis] for axis in ("adc_bits", "max_rows", "bits_per_cell"))
    loss = 0.5 ** (bits - 2) + (rows / 1152 - 0.4) ** 2 / 4 + (0.1 if point.asked == "D" else 0.0) + 0.01 / cell
    return loss, 1.3**bits * (1.0 + 200 / rows) * (8 - cell)


def found_by(points: list[Any], asked: Study) -> SweepResult:
    entries = []
    for point in points:
        loss, energy = costs(point)
        entries.append({
            "name": point.name, "core": point.asked, "varied": point.varied, "network": "digits_cnn", "cost": None,
            "status": "done" if point.cores else "impossible", "reason": "", "accuracy": None,
            "screened": {"loss": loss, "mean": 1 - loss},
            "network_cost": {"energy_gated_uj": energy, "area_mm2": 1.0, "latency_us": 1.0, "cores": 1},
        })  # fmt: skip
    return SweepResult("made up", asked.model_dump(mode="json"), entries, {})


def front_area(points: list[Any]) -> float:
    """Area that points dominate in (loss, log energy), up to the worst corner."""
    values = np.array([(loss, np.log(energy)) for loss, energy in map(costs, points)])
    corner = np.array([1.0, np.log(1.3**12 * 4 * 7)])
    best = values[on_front(values)]
    best = best[np.argsort(best[:, 0])]
    ends = np.append(best[1:, 0], corner[0])
    return float(((ends - best[:, 0]) * (corner[1] - best[:, 1])).sum())


def test_a_search_finds_more_of_the_front_than_chance() -> None:
    pytest.importorskip("optuna")
    asked = study(search=50, objectives=("loss", "network_energy"))
    points = first_points(asked)
    assert len(points) == 12
    while len(points) < 50:
        new = next_points(asked, points, found_by(points, asked))
        assert 0 < len(new) <= 10
        points += new
    assert len({point.name for point in points}) == len(points) == 50
    # As many points by chance, eight times.
    chance = [front_area(first_points(study(search=50, seed=seed), 50)) for seed in range(1, 9)]
    assert front_area(points) > np.mean(chance) + np.std(chance)
    again = first_points(asked)
    assert [point.name for point in again + next_points(asked, again, found_by(again, asked))] == [
        point.name for point in points[:22]
    ]


def test_a_search_keeps_to_constraints() -> None:
    pytest.importorskip("optuna")
    asked = study(search=40, objectives=("loss", "network_energy"), constraints=("network_energy <= 12 uJ",))
    points = first_points(asked)
    early = np.mean([costs(point)[1] <= 12 for point in points])
    while len(points) < 40:
        points += next_points(asked, points, found_by(points, asked))
    assert np.mean([costs(point)[1] <= 12 for point in points[10:]]) > early


def test_a_search_of_less_than_it_may_look_at_is_every_combination() -> None:
    small = study(search=100, vary={"adc_bits": "6..8"})
    assert [point.name for point in first_points(small)] == [
        point.name for point in points_of(study(vary={"adc_bits": "6..8"}))
    ]


def test_a_searched_run_goes_on_and_ends_with_its_number_of_points(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    asked = study(
        designs=("A",), search=4, peripherals="ideal", r_p_hat=0.0, images=20, calibration_images=20,
        vary={"adc_bits": "3..9", "max_rows": [288, 1152], "bits_per_cell": [3, 7]},
    )  # fmt: skip
    result = sweep(asked, tmp_path / "studies.sqlite", name="one", workers=1)
    assert len(result.points) == len({point["name"] for point in result.points}) == 4
    assert {point["status"] for point in result.points} == {"done"}
    assert all(point["screened"] for point in result.points)
    assert sweep(asked, tmp_path / "studies.sqlite", name="two", workers=1).rows == result.rows


def test_what_a_search_needs_is_said() -> None:
    with pytest.raises(StudyError, match="'screen' or 'halving', not 'all'"):
        Study.make({"search": 10})
    many = {axis: list(range(1, 101)) for axis in ("adc_bits", "max_rows", "weight_bits", "bits_per_cell")}
    with pytest.raises(StudyError, match="100000000 combinations are more than 1000000; search = 500"):
        Study.make({"vary": many})
    assert Study.make({"vary": many, "search": 10, "accuracy": "screen"}).search == 10
