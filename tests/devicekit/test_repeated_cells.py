"""Cells programmed more than once: balanced analysis of variance, dense restricted likelihood, simulation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special

import devicekit
from devicekit.statistics.repeated_cells import CellMeans, TwoLevels, fit_two_levels, shared_deviation

SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases" / "measurements"


def drawn(
    rng: np.random.Generator, cycles: np.ndarray, cell: float, cycle: float
) -> tuple[CellMeans, list[np.ndarray]]:
    rows = [100.0 + cell * rng.normal() + cycle * rng.normal(size=int(m)) for m in cycles]
    within = sum(float(np.sum((row - row.mean()) ** 2)) for row in rows)
    return CellMeans(np.array([row.mean() for row in rows]), cycles.astype(float), within), rows


def total_interval(fit: TwoLevels) -> tuple[float, float]:
    low, high = fit.total * np.sqrt(fit.dof / special.chdtri(fit.dof, np.array([0.025, 0.975])))
    return float(low), float(high)


def test_equal_numbers_are_the_balanced_analysis_of_variance() -> None:
    cells, cycles = 12, 10
    means, rows = drawn(np.random.default_rng(0), np.full(cells, cycles), 15.0, 5.0)
    fit = fit_two_levels(means)
    between = cycles * means.mean.var(ddof=1)
    within = sum(row.var(ddof=1) for row in rows) / cells
    assert fit.cycle == pytest.approx(np.sqrt(within), rel=1e-6)
    assert fit.cell == pytest.approx(np.sqrt((between - within) / cycles), rel=1e-6)
    assert fit.mean == pytest.approx(means.mean.mean(), rel=1e-12)
    assert fit.mean_stderr == pytest.approx(means.mean.std(ddof=1) / np.sqrt(cells), rel=1e-6)
    # Satterthwaite: the variance of a weighted sum of the two mean squares.
    variance = (2 * between**2 / (cells - 1) + (cycles - 1) ** 2 * 2 * within**2 / (cells * (cycles - 1))) / cycles**2
    assert fit.dof == pytest.approx(2 * fit.total**4 / variance, rel=1e-5)
    assert fit.dof < 15, "twelve cells, however often they are programmed"


def test_cells_that_do_not_differ_have_no_variance_between_them() -> None:
    means, rows = drawn(np.random.default_rng(1), np.full(20, 4), 0.0, 5.0)
    assert 4 * means.mean.var(ddof=1) < np.mean([row.var(ddof=1) for row in rows])
    fit = fit_two_levels(means)
    assert fit.cell == fit.cell_interval[0] == 0.0
    assert fit.cell_interval[1] > 0
    # All 79 degrees of freedom speak of the one variance there is.
    assert fit.cycle == pytest.approx(np.concatenate(rows).std(ddof=1), rel=1e-6)


def test_unequal_numbers_are_the_maximum_of_the_dense_restricted_likelihood() -> None:
    rng = np.random.default_rng(2)
    cycles = np.array([1, 2, 2, 3, 5, 8, 4, 1])
    means, rows = drawn(rng, cycles, 8.0, 5.0)
    y = np.concatenate(rows)
    which = np.repeat(np.arange(len(cycles)), cycles)
    same = (which[:, None] == which[None, :]).astype(float)
    ones = np.ones((len(y), 1))

    def deviance(logs: np.ndarray) -> float:
        covariance = np.exp(logs[0]) * same + np.exp(logs[1]) * np.eye(len(y))
        inverse = np.linalg.inv(covariance)
        information = float((ones.T @ inverse @ ones)[0, 0])
        mean = float((ones.T @ inverse @ y)[0]) / information
        return float(np.linalg.slogdet(covariance)[1] + np.log(information) + (y - mean) @ inverse @ (y - mean))

    found = optimize.minimize(
        deviance, np.log([64.0, 25.0]), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11}
    )
    fit = fit_two_levels(means)
    assert fit.cell == pytest.approx(np.exp(found.x[0] / 2), rel=1e-4)
    assert fit.cycle == pytest.approx(np.exp(found.x[1] / 2), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "most", "cell", "cycle"),
    [(12, 10, 15.0, 5.0), (40, 5, 10.0, 10.0), (12, 3, 5.0, 15.0), (6, 4, 15.0, 5.0)],
)
def test_intervals_of_both_levels_cover(cells: int, most: int, cell: float, cycle: float) -> None:
    rng = np.random.default_rng(0)
    fits = [fit_two_levels(drawn(rng, rng.integers(2, most + 1, cells), cell, cycle)[0]) for _ in range(500)]
    covered = {
        "cell": [fit.cell_interval[0] <= cell <= fit.cell_interval[1] for fit in fits],
        "cycle": [fit.cycle_interval[0] <= cycle <= fit.cycle_interval[1] for fit in fits],
        "total": [low <= np.hypot(cell, cycle) <= high for low, high in map(total_interval, fits)],
    }
    for name, inside in covered.items():
        assert 0.90 < np.mean(inside) < 0.99, name
    assert np.mean([fit.total**2 for fit in fits]) == pytest.approx(cell**2 + cycle**2, rel=0.05)


def made(rng: np.random.Generator, common: bool, cells: int = 12, cycles: int = 10) -> pd.DataFrame:
    rows = []
    own = 15.0 * rng.normal(size=cells)
    for target in (100, 200, 400, 600, 800):
        deviation = own if common else 15.0 * rng.normal(size=cells)
        for index in range(cells):
            rows += [(index, cycle, target, target + deviation[index] + 5.0 * rng.normal()) for cycle in range(cycles)]
    return pd.DataFrame(rows, columns=["cell", "cycle", "target (nA)", "current (nA)"])


def fit(table: pd.DataFrame, folder: Path) -> devicekit.DeviceFit:
    path = folder / "cycled.csv"
    path.write_text(table.to_csv(index=False))
    return devicekit.fit_device(devicekit.read_measurements(path), "state_independent")


def test_both_levels_are_reported_and_the_cell_has_their_sum(tmp_path: Path) -> None:
    result = fit(made(np.random.default_rng(2), common=True), tmp_path)
    table = result.table
    assert table["n"].tolist() == [12] * 5
    assert np.all((table["cell_sigma_low"] < 15e-9) & (table["cell_sigma_high"] > 15e-9))
    assert table["cycle_sigma"].to_numpy() == pytest.approx(np.full(5, 5e-9), rel=0.2)
    assert table["sigma"].to_numpy() == pytest.approx(np.hypot(table["cell_sigma"], table["cycle_sigma"]).to_numpy())
    text = result.summary()
    assert "Cell to cell and cycle to cycle" in text
    assert "60 cells" in text
    alpha = result.parameters["alpha"]
    # Five states of the same twelve cells are twelve cells: 1 / sqrt(2 * 12), not a fifth of the variance of that.
    assert alpha.stderr / alpha.value == pytest.approx(0.2, abs=0.04)
    assert any("measured on the same cells" in note for note in result.notes)


@pytest.mark.slow
@pytest.mark.parametrize("common", [True, False])
def test_the_error_of_a_law_is_that_of_the_cells_behind_it(common: bool, tmp_path: Path) -> None:
    pulls = []
    for seed in range(200):
        alpha = fit(made(np.random.default_rng(seed), common), tmp_path).parameters["alpha"]
        pulls.append(np.log(alpha.value / (2 * np.hypot(15, 5) / 800)) * alpha.value / alpha.stderr)
    assert 0.75 < np.std(pulls) < 1.3
    assert abs(np.mean(pulls)) < 0.5


def test_deviations_that_do_not_repeat_share_nothing() -> None:
    rng = np.random.default_rng(4)
    cell = np.tile(np.arange(40), 3)
    state = np.repeat(np.arange(3), 40)
    alone = shared_deviation(state, cell, rng.normal(size=120), 3)
    assert np.array_equal(alone, np.eye(3))
    z = np.tile(rng.normal(size=40), 3)
    together = shared_deviation(state, cell, z + 0.1 * rng.normal(size=120), 3)
    assert together.min() > 0.95


def test_cycles_without_cells_are_said(tmp_path: Path) -> None:
    result = fit(made(np.random.default_rng(5), common=False).drop(columns="cell"), tmp_path)
    assert any("does not say of which cells" in note for note in result.notes)


def test_dies_are_compared_by_cells_not_by_cycles(tmp_path: Path) -> None:
    table = made(np.random.default_rng(6), common=False, cells=24)
    table["die"] = table["cell"] % 4
    parts = fit(table, tmp_path).components
    assert parts is not None
    assert parts.die == 0.0, "cycles of a cell are no independent cells of its die"


def test_the_shared_case_tells_both_levels_apart() -> None:
    if not SHARED.is_dir():
        pytest.skip("no shared data: set it beside the checkout")
    result = devicekit.fit_device(devicekit.read_measurements(SHARED / "cycle_and_cell.csv"))
    assert result.table["cell_sigma"].to_numpy() * 1e9 == pytest.approx(np.full(5, 15.0), abs=1.5)
    assert result.table["cycle_sigma"].to_numpy() * 1e9 == pytest.approx(np.full(5, 5.0), abs=0.7)
    assert (result.table["sigma_stderr"] / result.table["sigma"]).to_numpy() == pytest.approx(np.full(5, 0.2), abs=0.03)
