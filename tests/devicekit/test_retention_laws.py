"""Retention: rounds of scattered read times, laws of time with their errors, cells beyond the last time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import devicekit
from devicekit.cells.retention_laws import RetentionLaw, log_clock, ratio_of
from devicekit.common.errors import DeviceError
from devicekit.statistics.read_rounds import find_rounds

TARGETS = np.linspace(200.0, 1600.0, 6)
DAY = 86400.0


def retained(
    seed: int, law: str = "power", rate: float = -0.02, cells: int = 60, start: float = 1.0, named: bool = True
) -> pd.DataFrame:
    """Return cells of six states at five times; the same cells if named."""
    rng = np.random.default_rng(seed)
    target = np.repeat(TARGETS, cells)
    z = rng.standard_normal(len(target))
    rows = []
    for time in (1.0, 10.0, 100.0, 1e3, 1e4) if start else (0.0, 60.0, 600.0, 6e3, 6e4):
        clock = float(log_clock(time, start, 100.0))
        own = z if named else rng.standard_normal(len(target))
        current = target * ratio_of(law, rate, clock) + 30.0 * ratio_of(law, 0.03, clock) * (  # type: ignore[arg-type]
            np.sqrt(0.9) * own + np.sqrt(0.1) * rng.standard_normal(len(target))
        )
        rows.append(pd.DataFrame({"cell": np.arange(len(target)) % cells, "target (nA)": target, "time (s)": time,
                                  "current (nA)": current}))  # fmt: skip
    table = pd.concat(rows, ignore_index=True)
    return table if named else table.drop(columns="cell")


def fit(table: pd.DataFrame, folder: Path) -> devicekit.DeviceFit:
    path = folder / "retained.csv"
    path.write_text("# i_max = 1.6 uA\n" + table.to_csv(index=False))
    return devicekit.fit_device(devicekit.read_measurements(path), "state_independent")


def test_the_law_behind_the_data_is_found_with_its_rates(tmp_path: Path) -> None:
    for law in ("power", "log_time"):
        found = fit(retained(0, law), tmp_path).retention_laws
        assert next(iter(found)) == law
        best = found[law]  # type: ignore[index]
        assert best.paired
        assert best.goodness > 0.01
        assert best.law.stderr is not None
        pulls = (np.array(best.law.rates) + 0.02) / np.array(best.law.stderr)
        assert np.all(np.abs(pulls) < 3.5)
        assert best.law.sigma_rate == pytest.approx(0.03, abs=0.015)


def test_following_cells_one_by_one_is_worth_their_spread(tmp_path: Path) -> None:
    named, unnamed = (fit(retained(1, named=named), tmp_path).retention_laws["power"] for named in (True, False))
    assert (named.paired, unnamed.paired) == (True, False)
    assert np.mean(named.law.stderr) < 0.7 * np.mean(unnamed.law.stderr)  # type: ignore[arg-type]


def test_a_cell_goes_on_by_its_law_after_the_last_time(tmp_path: Path) -> None:
    result = fit(retained(2, "log_time"), tmp_path)
    cell = result.cell
    assert cell.retention is not None
    law = cell.retention.law
    assert law is not None
    assert law.name == "log_time"
    with pytest.warns(devicekit.ExtrapolationWarning, match="by its law in the logarithm of time"):
        late = cell.at(time=1e6)
    last = cell.at(time=1e4)
    target = 8e-7
    ratio = law.mean_ratio(target, 1e6) / law.mean_ratio(target, 1e4)
    assert late.mean(target) == pytest.approx(float(last.mean(target) * ratio))
    assert late.mean(target) == pytest.approx(target * (1 - 0.02 * np.log(1e6)), rel=0.02)
    assert late.sigma(target) == pytest.approx(float(last.sigma(target)) * law.sigma_ratio(1e6) / law.sigma_ratio(1e4))
    # Between measured times nothing changes: they are interpolated as before.
    inside = cell.at(time=50.0)
    assert law.mean_ratio(target, 50.0) != pytest.approx(
        float(inside.mean(target)) / float(cell.mean(target)), rel=1e-6
    )
    again = devicekit.load_device(result.save(tmp_path / "cell.toml"))
    assert again.retention is not None
    assert again.retention.law == law
    assert cell.draw(1).retention.law != law  # type: ignore[union-attr]


def test_the_report_says_what_each_law_foresees(tmp_path: Path) -> None:
    text = fit(retained(3), tmp_path).summary()
    for phrase in ("Laws of retention", "power", "log-time", "a decade of time", "after 10 years", "(95 %:"):
        assert phrase in text


def test_data_of_no_law_are_followed_along_the_last_times(tmp_path: Path) -> None:
    table = retained(4)
    # Back to where it was: no law that goes one way does that.
    table.loc[table["time (s)"] == 1e4, "current (nA)"] *= 1.4
    result = fit(table, tmp_path)
    assert result.cell.retention is not None
    assert result.cell.retention.law is None
    assert any("no law of time describes the retention" in note for note in result.notes)
    with pytest.warns(devicekit.ExtrapolationWarning, match="extrapolated in the logarithm of time"):
        result.cell.at(time=1e6)


def test_one_later_time_has_no_law(tmp_path: Path) -> None:
    table = retained(5)
    result = fit(table[table["time (s)"] <= 10], tmp_path)
    assert result.retention_laws == {}
    assert result.cell.retention is not None
    assert result.cell.retention.law is None


def test_laws_are_their_closed_forms() -> None:
    power = RetentionLaw("power", (1e-7, 1e-6), (-0.1, -0.05), 0.0, start=10.0)
    assert power.mean_ratio(1e-7, 1000.0) == pytest.approx(100.0**-0.1)
    assert power.mean_ratio(5.5e-7, 1000.0) == pytest.approx(100.0**-0.075)
    logarithm = RetentionLaw("log_time", (1e-7,), (-0.02,), 0.05, start=0.0, t_0=3.0)
    assert logarithm.mean_ratio(5e-8, 300.0) == pytest.approx(1 - 0.02 * np.log(101.0))
    assert logarithm.sigma_ratio(300.0) == pytest.approx(1 + 0.05 * np.log(101.0))
    with pytest.raises(DeviceError, match="Unknown retention law 'powre'"):
        RetentionLaw("powre", (1e-7,), (0.0,))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="one finite rate"):
        RetentionLaw("power", (1e-7, 1e-6), (0.0,))


@pytest.mark.slow
@pytest.mark.parametrize("law", ["power", "log_time"])
@pytest.mark.parametrize(("start", "named"), [(1.0, True), (0.0, True), (1.0, False), (0.0, False)])
def test_extrapolations_cover(law: str, start: float, named: bool, tmp_path: Path) -> None:
    inside = []
    for seed in range(60):
        best = fit(retained(seed, law, start=start, named=named), tmp_path).retention_laws[law]  # type: ignore[index]
        late = 100 * (1e4 if start else 6e4)
        low, high = best.law.mean_ratio_interval(TARGETS * 1e-9, late)
        truth = ratio_of(law, -0.02, log_clock(late, start, 100.0))  # type: ignore[arg-type]
        inside.append((np.minimum(low, high) < truth) & (truth < np.maximum(low, high)))
    assert 0.88 < np.mean(inside) < 0.99


def scattered(seed: int = 0) -> pd.DataFrame:
    """Return cells that an instrument visits one after another: no two reads at the same time."""
    rng = np.random.default_rng(seed)
    table = retained(seed, "log_time", start=0.0)
    visited = np.tile(np.arange(table["time (s)"].eq(0).sum()) * 0.02, 5)
    table["time (s)"] += np.where(table["time (s)"] > 0, visited * rng.uniform(0.9, 1.1, len(table)), 0.0)
    return table


def test_scattered_read_times_are_gathered_in_rounds(tmp_path: Path) -> None:
    table = scattered()
    assert table["time (s)"].nunique() > 1000
    result = fit(table, tmp_path)
    assert result.read_noise is None, "drift between rounds is no noise of reads"
    assert result.cell.retention is not None
    assert result.cell.retention.times == pytest.approx((0.0, 63.6, 603.6, 6003.6, 60003.6), rel=0.01)
    assert any("gathered in 5 rounds" in note for note in result.notes)
    assert result.cell.at(time=6e4).mean(8e-7) == pytest.approx(8e-7 * (1 - 0.02 * np.log1p(600.0)), rel=0.01)
    unnamed = fit(table.drop(columns="cell"), tmp_path)
    assert unnamed.cell.retention is not None
    assert len(unnamed.cell.retention.times) == 5


def test_time_series_and_exact_times_have_no_rounds() -> None:
    rng = np.random.default_rng(0)
    for times in (np.arange(2000) / 400.0, np.geomspace(1, 1e4, 100), rng.uniform(0, 100, 300)):
        assert find_rounds(times) is None
    rounds = find_rounds(np.concatenate([d * DAY + rng.uniform(0, 3000, 40) for d in range(12)]))
    assert rounds is not None
    assert np.bincount(rounds).tolist() == [40] * 12


def test_nothing_is_read_twice_in_a_round() -> None:
    # Rounds an hour apart on two days a month apart: by gaps alone there would be two rounds.
    times = np.concatenate([day * 30 * DAY + hour * 3600 + np.arange(20) for day in (0, 1) for hour in (1, 2, 3)])
    cell = np.tile(np.arange(20), 6)
    assert find_rounds(times).max() == 1  # type: ignore[union-attr]
    rounds = find_rounds(times, cell)
    assert rounds is not None
    assert np.bincount(rounds).tolist() == [20] * 6
