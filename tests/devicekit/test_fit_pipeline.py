"""Made measurements with known truth to the cell: times, reads, temperatures, bakes, dies, histograms, outliers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import devicekit
from devicekit.cells.subthreshold import SubthresholdTemperature
from devicekit.common.errors import DeviceError, MeasurementError, UnitError

TARGETS = np.linspace(100, 1600, 12)
LAW = devicekit.SaturatingExponential(40.0, 500.0)


def write(table: pd.DataFrame, folder: Path, comments: str = "# i_max = 1.6 uA\n# on_off_ratio = 1e6\n") -> Path:
    path = folder / "made.csv"
    path.write_text(comments + table.to_csv(index=False))
    return path


def made(seed: int = 0, cells: int = 80) -> pd.DataFrame:
    """Return cells of twelve states with columns target (nA), current (nA)."""
    target = np.repeat(TARGETS, cells)
    current = np.random.default_rng(seed).normal(target, LAW.sigma(target, 1600.0))
    return pd.DataFrame({"target (nA)": target, "current (nA)": current})


def fit(table: pd.DataFrame, folder: Path, **options: object) -> devicekit.DeviceFit:
    return devicekit.fit_device(devicekit.read_measurements(write(table, folder)), **options)  # type: ignore[arg-type]


def within(parameter: devicekit.fits.model_fits.Parameter, truth: float, errors: float = 3.5) -> bool:  # type: ignore[name-defined]
    return abs(parameter.value - truth) < errors * parameter.stderr


def test_plain_fit_tells_all_it_should(tmp_path: Path) -> None:
    result = fit(made(), tmp_path)
    assert result.model == "saturating_exponential"
    assert within(result.parameters["s_max"], 40e-9)
    assert within(result.parameters["i_sat"], 500e-9)
    table = result.table
    assert {"target", "n", "mean", "sigma", "threshold_sigma", "residual", "normality_p"} <= set(table.columns)
    assert table["target"].to_numpy() == pytest.approx(TARGETS * 1e-9)
    thermal = 1.380649e-23 * 300 / 1.602176634e-19
    assert table["threshold_sigma"].to_numpy() == pytest.approx((thermal * table["sigma"] / table["mean"]).to_numpy())
    assert result.cell.mean_error is None
    assert result.cell.on_off_ratio == 1e6
    assert result.level_counts[1e-3] > result.level_counts[1e-9] > 2
    low, high = result.band(0.8e-6)
    assert low < result.cell.sigma(0.8e-6) < high
    assert result.band(0.8e-6, cells=20)[1] > high
    assert (table["residual"] ** 2).sum() == pytest.approx(result.fit.deviance)
    assert result.alternatives == []
    assert any("read_voltage is assumed" in note for note in result.notes)


def test_the_report_says_what_matters(tmp_path: Path) -> None:
    result = fit(made(), tmp_path, bootstrap=10)
    text = result.summary()
    for phrase in (
        "made.csv: 960 cells (measured)",
        "target = 'target (nA)' [nA]",
        "Error model: saturating_exponential (by BIC",
        "bootstrap of 10",
        "state_proportional",
        "Digital levels that stay apart",
        "means agree with their targets",
    ):
        assert phrase in text
    assert result.bootstrap is not None
    assert len(result.bootstrap) == 10


def test_mean_errors_enter_the_cell_when_they_are_real(tmp_path: Path) -> None:
    table = made(1)
    table["current (nA)"] += 0.02 * table["target (nA)"]
    result = fit(table, tmp_path)
    assert result.cell.mean(0.8e-6) == pytest.approx(0.816e-6, rel=0.01)
    assert any("means differ from their targets" in note for note in result.notes)


def test_later_times_become_retention(tmp_path: Path) -> None:
    base = made(2)
    z = (base["current (nA)"] - base["target (nA)"]) / LAW.sigma(base["target (nA)"], 1600.0)
    parts = []
    for days, growth, drift in ((0, 1.0, 1.0), (1, 1.2, 0.99), (5, 1.5, 0.97)):
        current = base["target (nA)"] * drift + growth * LAW.sigma(base["target (nA)"], 1600.0) * z
        parts.append(base.assign(**{"current (nA)": current, "time (days)": days}))
    result = fit(pd.concat(parts), tmp_path)
    cell = result.cell
    assert cell.retention is not None
    assert cell.retention.times == (0.0, 86400.0, 432000.0)
    assert cell.retention.time_axis == "linear"
    for days, growth, drift in ((1, 1.2, 0.99), (5, 1.5, 0.97)):
        then = cell.at(time=days * 86400.0)
        assert then.sigma(0.8e-6) == pytest.approx(growth * LAW.sigma(800.0, 1600.0) * 1e-9, rel=0.08)
        assert then.mean(0.8e-6) == pytest.approx(drift * 0.8e-6, rel=0.012)
    assert cell.sigma(0.8e-6) == cell.error.sigma(0.8e-6, 1.6e-6)
    assert cell.has_uncertainty
    assert "Retention" in result.summary()


def test_read_noise_is_told_from_programming_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    base = made(3, cells=60)
    reads = base.loc[base.index.repeat(6)].reset_index(names="cell")
    truth = 0.3 * LAW.sigma(reads["target (nA)"], 1600.0)
    reads["current (nA)"] += rng.normal(0, 1, len(reads)) * truth
    result = fit(reads, tmp_path)
    assert result.read_noise is not None
    assert result.read_noise.name == "saturating_exponential"
    assert result.cell.read_sigma(0.8e-6) == pytest.approx(0.3 * LAW.sigma(800.0, 1600.0) * 1e-9, rel=0.04)
    assert within(result.parameters["s_max"], 40e-9)
    assert result.table["n"].tolist() == [60] * 12
    # Six reads a cell leave a sixth of their variance in the mean of the cell; it must not stay in the spread.
    assert np.median(result.table["residual"].abs()) < 1.5
    assert any("reads of 720 programmed cells" in note for note in result.notes)
    alone, noise = devicekit.fit_read_noise(devicekit.read_measurements(write(reads, tmp_path)))
    assert alone.name == "saturating_exponential"
    assert noise["dof"].tolist() == [300.0] * 12


def test_time_series_count_only_independent_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    series = []
    for cell, correlation in enumerate((0.0, 0.98)):
        noise = np.zeros(8000)
        kick = rng.normal(0, np.sqrt(1 - correlation**2), 8000)
        for step in range(1, 8000):
            noise[step] = correlation * noise[step - 1] + kick[step]
        series.append(
            pd.DataFrame(
                {
                    "cell": cell,
                    "time (s)": np.arange(8000) / 400,
                    "target (nA)": 500.0 + cell,
                    "current (nA)": 500 + noise,
                }
            )
        )
    _, noise = devicekit.fit_read_noise(devicekit.read_measurements(write(pd.concat(series), tmp_path)))
    assert noise["sigma"].to_numpy() == pytest.approx([1e-9, 1e-9], rel=0.3)
    assert noise["dof"].iloc[0] > 2500
    assert noise["dof"].iloc[1] < 800, "a correlation of 50 reads leaves about a hundredth"


def test_read_noise_needs_cells_read_twice(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="read noise needs a cell column"):
        devicekit.fit_read_noise(devicekit.read_measurements(write(made(), tmp_path)))


def test_read_temperature_follows_the_subthreshold_law(tmp_path: Path) -> None:
    law = SubthresholdTemperature(i_0=8e-6, reference=300.0)
    base = made(5)
    parts = [
        base.assign(
            **{"current (nA)": 1e9 * law.current(base["current (nA)"] * 1e-9, kelvin), "temperature (K)": kelvin}
        )
        for kelvin in (300.0, 325.0, 350.0)
    ]
    result = fit(pd.concat(parts), tmp_path)
    found = result.read_temperature
    assert found is not None
    assert isinstance(found.law, SubthresholdTemperature)
    assert found.law.i_0 == pytest.approx(8e-6, rel=0.05)
    assert result.cell.at(temperature=340.0).mean(3e-7) == pytest.approx(float(law.current(3e-7, 340.0)), rel=0.01)
    assert "subthreshold law with I_0" in result.summary()


def test_read_temperature_that_is_not_subthreshold_stays_a_table(tmp_path: Path) -> None:
    base = made(6)
    hot = base.assign(
        **{"current (nA)": base["current (nA)"] * (1 + base["target (nA)"] / 2000), "temperature (K)": 350.0}
    )
    result = fit(pd.concat([base.assign(**{"temperature (K)": 300.0}), hot]), tmp_path)
    ratio = float(result.cell.at(temperature=350.0).mean(1.5e-6)) / 1.5e-6
    assert ratio == pytest.approx(1.75, rel=0.02)
    assert "measured ratios are interpolated" in result.summary()


def test_bakes_give_the_activation_energy(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    parts = []
    for celsius in (125, 150, 175, 200, 225):
        base = made(celsius, cells=100)
        activated = 0.06 * np.exp(-0.9 / 8.617333e-5 * (1 / (celsius + 273.15) - 1 / 473.15))
        change = 1600 * np.hypot(0.01, activated) * rng.normal(0, 1, len(base))
        parts.append(
            pd.DataFrame(
                {"target (nA)": base["target (nA)"], "current (nA)": base["target (nA)"] + change, "time (h)": 24.0,
                 "bake temperature (degC)": celsius}
            )
        )  # fmt: skip
    result = fit(pd.concat(parts), tmp_path)
    assert result.bake is not None
    assert result.bake.activation_energy == pytest.approx(0.9, abs=3 * result.bake.stderr)
    assert result.bake.stderr < 0.1
    assert result.bake.floor == pytest.approx(0.01, rel=0.15)
    assert result.cell.retention is not None
    assert result.cell.retention.activation_energy == result.bake.activation_energy
    assert "activation energy 0.9" in result.summary()
    assert result.plot()[1]["bakes"].get_title(loc="left").startswith("Bakes: activation energy 0.9")


def test_variance_components_are_found_and_drawn_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    shares = {"wafer": 0.15, "die": 0.25}
    rows = []
    for wafer in range(12):
        on_wafer = np.sqrt(shares["wafer"]) * rng.normal()
        for die in range(12):
            on_die = np.sqrt(shares["die"]) * rng.normal()
            target = np.repeat(TARGETS, 3)
            z = on_wafer + on_die + np.sqrt(0.6) * rng.normal(0, 1, len(target))
            rows.append(
                pd.DataFrame(
                    {
                        "wafer": wafer,
                        "die": die,
                        "target (nA)": target,
                        "current (nA)": target + LAW.sigma(target, 1600.0) * z,
                    }
                )
            )
    result = fit(pd.concat(rows), tmp_path)
    parts = result.components
    assert parts is not None
    assert (parts.dies, parts.wafers) == (144, 12)
    assert parts.die == pytest.approx(0.25, abs=0.09)
    assert parts.wafer == pytest.approx(0.15, abs=0.13)
    assert parts.die_p < 1e-6
    assert result.cell.spatial is not None
    drawn = np.array([result.cell.program(np.full(50, 8e-7), seed).mean() for seed in range(600)])
    expected = float(result.cell.sigma(8e-7)) * np.sqrt(parts.die + parts.wafer + parts.within / 50)
    assert drawn.std() == pytest.approx(expected, rel=0.15)


def test_cells_without_correlation_keep_none(tmp_path: Path) -> None:
    table = made(9)
    table["die"] = np.random.default_rng(9).integers(0, 10, len(table))
    result = fit(table, tmp_path)
    assert result.components is not None
    assert result.components.wafer == result.components.die == 0.0
    assert result.cell.spatial is None


def test_histograms_give_the_same_within_their_loss(tmp_path: Path) -> None:
    cells = made(10, cells=400)
    plain = fit(cells, tmp_path)
    edges = np.linspace(0, 2000, 161)
    parts = [
        pd.DataFrame({"target (nA)": target, "bin_low (nA)": edges[:-1], "bin_high (nA)": edges[1:],
                      "count": np.histogram(own["current (nA)"], edges)[0]})
        for target, own in cells.groupby("target (nA)")
    ]  # fmt: skip
    binned = fit(pd.concat(parts), tmp_path)
    assert binned.model == plain.model == "saturating_exponential"
    for name, parameter in plain.parameters.items():
        assert binned.parameters[name].value == pytest.approx(parameter.value, abs=parameter.stderr)
        assert parameter.stderr * 0.97 < binned.parameters[name].stderr < 1.6 * parameter.stderr
    assert binned.table["n"].sum() == len(cells)
    with pytest.raises(MeasurementError, match="estimator 'student' needs cells, but the file holds histograms"):
        fit(pd.concat(parts), tmp_path, estimator="student")


def test_robust_fit_sees_through_stuck_cells(tmp_path: Path) -> None:
    table = made(11, cells=200)
    stuck = np.random.default_rng(11).choice(len(table), 40, replace=False)
    table.loc[stuck, "current (nA)"] = 2400.0
    plain, robust = fit(table, tmp_path, tail=False), fit(table, tmp_path, estimator="trimmed")
    assert plain.parameters.keys() != {"s_max", "i_sat"} or not within(plain.parameters["s_max"], 40e-9)
    assert robust.cell.sigma(0.8e-6) == pytest.approx(LAW.sigma(800.0, 1600.0) * 1e-9, rel=0.1)
    assert len(plain.tails) >= 35
    assert robust.table["tail_bits"].sum() == len(robust.tails)
    assert "Tail bits" in plain.summary()
    assert any("inner 90 %" in note for note in robust.notes)


def test_continuous_targets_are_gathered(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    target = rng.uniform(20, 1700, 6000)
    table = pd.DataFrame({"target (nA)": target, "current (nA)": rng.normal(target, LAW.sigma(target, 1600.0))})
    result = fit(table, tmp_path)
    assert 31 <= len(result.table) <= 35
    assert result.model == "saturating_exponential"
    assert within(result.parameters["s_max"], 40e-9)
    assert any("gathered in ranges of i_max / 32" in note for note in result.notes)
    assert any("above i_max" in note for note in result.notes)
    assert len(fit(table, tmp_path, states=8).table) == 9
    with pytest.raises(MeasurementError, match="expected `states` to be at least 1"):
        fit(table, tmp_path, states=0)


def test_the_report_says_what_the_data_cannot_tell_apart(tmp_path: Path) -> None:
    target = np.repeat(np.linspace(600, 1600, 12), 10)
    sigma = 40 * (target / 1600) ** 0.55
    table = pd.DataFrame({"target (nA)": target, "current (nA)": np.random.default_rng(1).normal(target, sigma)})
    result = fit(table, tmp_path)
    assert result.alternatives
    assert f"the data cannot tell it from {', '.join(result.alternatives)}" in result.summary()
    assert any(f"cannot tell {result.model} from" in note for note in result.notes)


def test_the_wanted_model_is_taken_and_the_better_one_named(tmp_path: Path) -> None:
    result = fit(made(13), tmp_path, model="power_law", candidates=["saturating_exponential"])
    assert result.model == "power_law"
    assert any("saturating_exponential has the better bic; power_law was asked for" in note for note in result.notes)
    assert any("standard errors were widened" in note for note in result.notes)
    assert fit(made(13), tmp_path, criterion="aicc").criterion == "aicc"


def test_faults_name_the_file_and_the_target(tmp_path: Path) -> None:
    table = made()
    with pytest.raises(
        MeasurementError, match=r"made\.csv: the target 1e-07 A has one cell; .* \(12 such targets of 12\)"
    ):
        fit(table.groupby("target (nA)").head(1), tmp_path)
    with pytest.raises(MeasurementError, match=r"made\.csv: the target 1e-07 A has cells that are all equal"):
        fit(table.assign(**{"current (nA)": table["target (nA)"]}), tmp_path)
    with pytest.raises(DeviceError, match="Unknown error model 'satexp'"):
        fit(table, tmp_path, model="satexp")
    with pytest.raises(DeviceError, match="Expected `i_max` to be above 0 A"):
        fit(table, tmp_path, i_max=-1.0)
    with pytest.raises(UnitError, match="i_max"):
        fit(table, tmp_path, i_max="1.6 V")
    with pytest.raises(MeasurementError, match="Unknown estimator 'huber'"):
        fit(table, tmp_path, estimator="huber")


def test_the_page_of_figures_shows_every_panel(tmp_path: Path) -> None:
    figure, axes = fit(made(), tmp_path).plot()
    assert set(axes) == {
        "histograms", "sigma", "residuals", "comparison", "mean_error", "probability", "threshold",
    }  # fmt: skip
    assert len(axes["comparison"].patches) == 9
    assert len(axes["histograms"].lines) == 12
    figure.savefig(tmp_path / "page.png", dpi=40)
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_absurd_spreads_are_fitted_without_failing(tmp_path: Path) -> None:
    # One misread cell of 5 A among nanoamperes: a spread ten million times the full scale.
    table = pd.DataFrame({"target (nA)": [100, 100, 800, 800], "current (nA)": [101.5, 99.5, 5e9, 812]})
    with pytest.warns(devicekit.UnitWarning, match="spread by `error` is 3.5.* A, far above the full scale of 800"):
        result = fit(table, tmp_path, i_max="0.8 uA")
    assert np.all(np.isfinite(result.comparison["bic"]))
    assert result.table["sigma"].iloc[1] > 1.0


def test_dies_of_one_cell_each_tell_nothing_apart(tmp_path: Path) -> None:
    table = pd.DataFrame({"die": [1, 2], "target (nA)": [100, 100], "current (nA)": [101.5, 99.5]})
    parts = fit(table, tmp_path).components
    assert parts is not None
    assert parts.within == 1.0
    assert parts.spatial is None
