"""Outlier cells: drawn by the cell, seen by arrays, found in measurements by a mixture of body and tail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import devicekit
from devicekit.cells.tails import TAIL_SHAPES
from devicekit.common.errors import DeviceError
from devicekit.statistics.state_statistics import StateSample, sort_states
from devicekit.statistics.tail_mixture import find_tail, fit_tail

CELL = devicekit.load_device("sonos_40nm_tcas2022")
TARGET = np.full(200_000, 8e-7)


@pytest.mark.parametrize("shape", TAIL_SHAPES)
def test_tail_cells_are_as_many_and_where_they_are_said_to_be(shape: str) -> None:
    tail = devicekit.Tail(0.02, shape, 8.0)  # type: ignore[arg-type]
    without, drawn = CELL.program(TARGET, 3), replace(CELL, tail=tail).program(TARGET, 3)
    other = drawn != without
    assert other.mean() == pytest.approx(0.02, abs=4 * np.sqrt(0.02 / len(TARGET)))
    z = ((drawn - CELL.mean(TARGET)) / CELL.sigma(TARGET))[other]
    expected = {
        "normal": stats.norm(0, 8.0),
        "high": stats.expon(0, 8.0),
        "low": stats.expon(0, 8.0),
        "uniform": stats.uniform(0, CELL.i_max),
    }[shape]
    values = drawn[other] if shape == "uniform" else -z if shape == "low" else z
    assert stats.kstest(values, expected.cdf).pvalue > 1e-3


def test_a_cell_without_tail_is_bitwise_what_it_was() -> None:
    plain = CELL.program(TARGET[:1000], 5)
    z = np.random.default_rng(5).standard_normal(1000)
    assert np.array_equal(plain, CELL.mean(TARGET[:1000]) + CELL.sigma(TARGET[:1000]) * z)
    none = replace(CELL, tail=devicekit.Tail(0.0)).program(TARGET[:1000], 5)
    assert np.array_equal(plain, none)


def test_tail_cells_are_the_same_at_all_times() -> None:
    cell = replace(CELL, tail=devicekit.Tail(0.05, "normal", 6.0))
    later = cell.at(time=86400.0)
    z = [(c.program(TARGET[:500], 1) - c.mean(TARGET[:500])) / c.sigma(TARGET[:500]) for c in (cell, later)]
    np.testing.assert_allclose(z[0], z[1], rtol=1e-9)


def test_a_tail_is_saved_loaded_and_drawn(tmp_path: Path) -> None:
    cell = replace(CELL, name="mine", tail=devicekit.Tail(0.013, "low", 7.5, 0.003))
    again = devicekit.load_device(devicekit.save_device(cell, tmp_path / "mine.toml", "a test"))
    assert again.tail is not None
    assert (again.tail.shape, again.tail.fraction, again.tail.scale) == ("low", 0.013, 7.5)
    assert again.tail.stderr == pytest.approx(0.003, rel=1e-6)
    assert np.array_equal(again.program(TARGET[:1000], 2), cell.program(TARGET[:1000], 2))
    fractions = np.array([cell.draw(seed).tail.fraction for seed in range(2000)])  # type: ignore[union-attr]
    low, high = cell.tail.interval if cell.tail is not None else (0.0, 0.0)
    assert np.mean((fractions > low) & (fractions < high)) == pytest.approx(0.95, abs=0.02)
    assert cell.has_uncertainty


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": 0.7}, "`fraction` of a tail to be a number of at least 0 and below 0.5, but got 0.7"),
        ({"fraction": "1 %"}, "`fraction` of a tail to be a number"),
        ({"fraction": 0.01, "shape": "lower"}, "Unknown tail shape 'lower'. Did you mean 'low'"),
        ({"fraction": 0.01, "scale": 0.0}, "`scale` of a tail to be a finite number of spreads above 0"),
    ],
)
def test_impossible_tails_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        devicekit.Tail(**arguments)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match=r"expected `tail` to be a devicekit\.Tail or None"):
        replace(CELL, tail=0.01)


TARGETS = np.linspace(100.0, 1500.0, 10)
SIGMA = 10 + 20 * TARGETS / 1600


def outliers(seed: int, cells: int, fraction: float, shape: str, scale: float) -> StateSample:
    rng = np.random.default_rng(seed)
    target, sigma = np.repeat(TARGETS, cells), np.repeat(SIGMA, cells)
    uniform = rng.random(len(target))
    tail = devicekit.Tail(fraction, shape, scale)  # type: ignore[arg-type]
    current = target + sigma * tail.redraw(rng.standard_normal(len(target)), uniform)
    return sort_states(target, tail.misplace(current, uniform, 1600.0))


def test_body_and_tail_are_the_maximum_of_the_mixtures_likelihood() -> None:
    rng = np.random.default_rng(1)
    wide = rng.random(600) < 0.04
    values = np.where(wide, 6.0, 1.0) * rng.standard_normal(600)
    fit = fit_tail(sort_states(np.zeros(600), values), "normal", 1.0)

    def deviance(p: np.ndarray) -> float:
        share = 1 / (1 + np.exp(-p[2]))
        body = (1 - share) * stats.norm.pdf(values, p[0], np.exp(p[1]))
        far = share * stats.norm.pdf(values, p[0], np.exp(p[1] + p[3]))
        return -float(np.sum(np.log(body + far)))

    found = optimize.minimize(deviance, [0.0, 0.0, -3.0, 1.5], method="Nelder-Mead",
                              options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 5000})  # fmt: skip
    assert fit.tail.fraction == pytest.approx(1 / (1 + np.exp(-found.x[2])), rel=2e-3)
    assert fit.tail.scale == pytest.approx(np.exp(found.x[3]), rel=2e-3)
    assert fit.body.mean[0] == pytest.approx(found.x[0], abs=1e-4)
    # The likelihood divides by the body's cells, the unbiased spread by one less.
    assert fit.body.sigma[0] == pytest.approx(np.exp(found.x[1]), rel=2e-3)
    # Standard errors from the curvature there.
    step = 1e-3 * np.eye(4)
    curvature = [
        [deviance(found.x + a + b) - deviance(found.x + a - b) - deviance(found.x - a + b) + deviance(found.x - a - b)
         for b in step]
        for a in step
    ]  # fmt: skip
    error = np.sqrt(np.diag(np.linalg.inv(np.array(curvature) / 4e-6)))
    share = fit.tail.fraction
    assert fit.tail.stderr == pytest.approx(share * (1 - share) * error[2], rel=0.02)
    assert fit.scale_stderr == pytest.approx(fit.tail.scale * error[3], rel=0.02)
    assert fit.body.sigma_stderr[0] == pytest.approx(fit.body.sigma[0] * error[1], rel=0.02)


def test_normal_cells_have_no_tail() -> None:
    assert [find_tail(outliers(seed, 80, 0.0, "normal", 5.0), 1600.0) for seed in range(15)] == [None] * 15


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "scale"), [("normal", 5.0), ("normal", 10.0), ("low", 8.0), ("uniform", 5.0)])
@pytest.mark.parametrize(("cells", "fraction"), [(400, 0.01), (400, 0.03), (80, 0.03)])
def test_tails_are_found_and_leave_the_body_alone(shape: str, scale: float, cells: int, fraction: float) -> None:
    fits = [find_tail(outliers(seed, cells, fraction, shape, scale), 1600.0) for seed in range(40)]
    found = [fit for fit in fits if fit is not None]
    assert len(found) >= 38
    assert np.mean([fit.tail.shape == shape for fit in found]) > 0.8
    bias = np.mean([np.mean(fit.body.sigma / SIGMA) for fit in found]) - 1
    assert abs(bias) < 0.02
    inside = np.mean([(fit.body.interval[0] < SIGMA) & (fit.body.interval[1] > SIGMA) for fit in found])
    assert 0.90 < inside < 0.98
    assert np.mean([fit.tail.fraction for fit in found]) == pytest.approx(fraction, rel=0.12)
    assert np.mean([fit.tail.interval[0] < fraction < fit.tail.interval[1] for fit in found]) > 0.85


def fit(sample: StateSample, folder: Path, **options: object) -> devicekit.DeviceFit:
    path = folder / "made.csv"
    table = pd.DataFrame({"target (nA)": sample.targets[sample.codes], "current (nA)": sample.values})
    path.write_text("# i_max = 1.6 uA\n" + table.to_csv(index=False))
    return devicekit.fit_device(devicekit.read_measurements(path), **options)  # type: ignore[arg-type]


def test_a_fit_gives_the_cell_its_tail_and_says_what_each_estimator_gives(tmp_path: Path) -> None:
    sample = outliers(3, 300, 0.01, "normal", 12.0)
    result = fit(sample, tmp_path)
    tail = result.cell.tail
    assert tail is not None
    assert result.outliers is not None
    assert tail.shape == "normal"
    assert tail.interval[0] < 0.01 < tail.interval[1]
    assert result.cell.sigma(8e-7) == pytest.approx(20e-9, rel=0.05)
    given = result.outliers.estimators
    assert given["plain"] > 1.3 * given["body"]
    assert given["trimmed"] == pytest.approx(given["body"], rel=0.06)
    # The table keeps the plain spread of all cells, and has the body beside it.
    assert result.table["sigma"].iloc[0] == pytest.approx(sample.of(0).std(ddof=1) * 1e-9, rel=1e-6)
    assert np.mean(result.table["body_sigma"] / (SIGMA * 1e-9)) == pytest.approx(1.0, abs=0.03)
    text = result.summary()
    for phrase in ("Outliers:", "of the cells are a tail", "sigma at half scale by estimator: all cells", "Student t"):
        assert phrase in text
    assert result.cell.provenance["tail.fraction"].kind == "fitted"
    again = devicekit.load_device(result.save(tmp_path / "cell.toml"))
    assert again.tail is not None
    assert again.tail.fraction == pytest.approx(tail.fraction)
    plain = fit(sample, tmp_path, tail=False)
    assert plain.cell.tail is None
    assert plain.cell.sigma(8e-7) > 1.3 * result.cell.sigma(8e-7)


def test_a_single_misread_cell_is_a_tail_not_a_spread(tmp_path: Path) -> None:
    sample = outliers(4, 60, 0.0, "normal", 5.0)
    values = sample.values.copy()
    values[30] = 1400.0
    result = fit(sort_states(sample.targets[sample.codes], values), tmp_path)
    assert result.cell.tail is not None
    assert result.cell.tail.fraction == pytest.approx(1 / 600, rel=0.5)
    # One cell of so many, as any count has its error.
    assert result.cell.tail.stderr == pytest.approx(1 / 600, rel=0.5)
    assert result.table["sigma"].iloc[0] > 100e-9
    assert result.table["body_sigma"].iloc[0] < 20e-9


def test_outliers_that_later_times_do_not_keep_are_no_tail(tmp_path: Path) -> None:
    # One cell in twenty relaxes at once; later all have, and no cell is far from the others any more.
    rng = np.random.default_rng(0)
    target = np.repeat(TARGETS, 100)
    early = rng.random(len(target)) < 0.05
    z = rng.standard_normal(len(target))
    rows = [pd.DataFrame({"target (nA)": target, "time (s)": time, "current (nA)": target + width * z})
            for time, width in ((1.0, np.where(early, 60.0, 5.0)), (1000.0, 60.0))]  # fmt: skip
    path = tmp_path / "relaxing.csv"
    path.write_text(pd.concat(rows).to_csv(index=False))
    result = devicekit.fit_device(devicekit.read_measurements(path))
    assert result.cell.tail is None
    assert any("but not at later times" in note for note in result.notes)
