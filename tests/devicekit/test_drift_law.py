"""Drift and 1/f noise of phase-change cells: moments against draws of the published model, files, refusals."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import devicekit
from devicekit import Cell, DeviceError
from devicekit.cells.device_writing import save_device
from devicekit.cells.drift_law import ClippedLogarithm, DriftLaw
from devicekit.cells.measured_levels import MeasuredRangeWarning, cell_levels
from devicekit.cells.retention import ExtrapolationWarning, Retention, RetentionPoint

HOUR, DAY = 3600.0, 86400.0
PCM = devicekit.load_device("pcm_joshi2020")


def published(g: float, time: float, cells: int, seed: int) -> np.ndarray:
    """Conductances over G_max of cells of the published model, drawn one by one, written down on its own."""
    random = np.random.default_rng(seed)
    us = 25.0 * g
    programmed = g + (-0.00178767 * us**2 + 0.07585724 * us + 0.28638599) / 25.0 * random.standard_normal(cells)
    mu = min(max(-0.0155 * np.log(g) + 0.0244, 0.049), 0.1)
    sigma = min(max(-0.0125 * np.log(g) - 0.0059, 0.008), 0.045)
    nu = np.abs(mu + sigma * random.standard_normal(cells))
    drifted = programmed * (time / 20.0) ** -nu
    q = min(0.0088 / g**0.65, 0.2)
    noise = drifted * q * np.sqrt(np.log((time + 250e-9) / (2 * 250e-9)))
    return drifted + noise * random.standard_normal(cells)


@pytest.mark.parametrize("g", [0.01, 0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("time", [20.0, HOUR, DAY])
def test_mean_and_spread_are_those_of_the_published_model(g: float, time: float) -> None:
    drawn = published(g, time, 400_000, seed=int(time) + round(1000 * g))
    cell = PCM.at(time=time)
    spread = float(cell.sigma(g * PCM.i_max)) / PCM.i_max
    assert float(cell.mean(g * PCM.i_max)) / PCM.i_max == pytest.approx(drawn.mean(), abs=4 * drawn.std() / 632)
    assert spread == pytest.approx(drawn.std(), rel=0.01)


def test_pinned_figures() -> None:
    """By hand, at full scale: (1 day / 20 s)^-0.049 = 0.66353; 0.0088 sqrt(ln(86400 / 5e-7)), the root 5.086."""
    old = PCM.at(time=DAY)
    assert float(old.mean(PCM.i_max)) / PCM.i_max == pytest.approx(
        0.66353 * np.exp(0.5 * (0.008 * 8.371) ** 2), rel=1e-4
    )
    flicker = float(old.flicker_sigma(PCM.i_max)) / float(old.mean(PCM.i_max))
    assert flicker == pytest.approx(0.0088 * 5.0857, rel=1e-3)
    low = PCM.retention.law.nu.at(0.01)
    assert low == pytest.approx(0.0155 * np.log(100) + 0.0244)
    assert float(PCM.retention.law.nu.at(1e-4)) == 0.1, "clipped"
    assert float(PCM.retention.law.nu_sigma.at(1.0)) == 0.008


def test_a_fresh_cell_has_its_programming_error_and_time_moves_it_without_a_jump() -> None:
    targets = np.array([0.02, 0.3, 1.0]) * PCM.i_max
    np.testing.assert_allclose(PCM.sigma(targets), PCM.error.sigma(targets, PCM.i_max))
    np.testing.assert_allclose(PCM.mean(targets), targets)
    assert not np.any(PCM.flicker_sigma(targets))
    times = np.geomspace(1e-7, DAY, 400)
    sigma = np.array([PCM.at(time=time).sigma(targets) for time in times])
    mean = np.array([PCM.at(time=time).mean(targets) for time in times])
    for track in (sigma, mean):
        assert np.abs(np.diff(np.log(track), axis=0)).max() < 0.05
    np.testing.assert_allclose(mean[times <= 20.0], np.broadcast_to(targets, mean[times <= 20.0].shape))
    assert np.all(np.diff(mean, axis=0) <= 1e-18)


def test_read_noise_of_each_read_is_not_counted_twice() -> None:
    assert PCM.read_noise is None
    old = PCM.at(time=DAY)
    targets = np.array([0.1, 1.0]) * PCM.i_max
    without = DriftLaw(**{**vars(PCM.retention.law), "flicker_coefficient": 0.0})
    quiet = devicekit.Cell(error=PCM.error, i_max=PCM.i_max, retention=Retention((), start=20.0, law=without), time=DAY)
    parts = quiet.sigma(targets) ** 2 + old.flicker_sigma(targets) ** 2
    np.testing.assert_allclose(old.sigma(targets) ** 2, parts, rtol=0.03)  # of a cell as large as its mean


def test_beyond_the_measured_time_it_says_so() -> None:
    with pytest.warns(ExtrapolationWarning, match=r"measured up to 86400 s.*extrapolated by its law of drift"):
        PCM.at(time=10 * DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PCM.at(time=DAY)


def test_a_file_gives_back_the_same_law(tmp_path: Path) -> None:
    again = devicekit.load_device(save_device(PCM, tmp_path / "pcm.toml"))
    assert again.retention == PCM.retention
    assert again.draw(3).retention == PCM.retention
    assert again.provenance["retention.law.nu.slope"].kind == "published"
    targets = np.linspace(0, 1, 5) * PCM.i_max
    np.testing.assert_allclose(again.at(time=HOUR).sigma(targets), PCM.at(time=HOUR).sigma(targets))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('model = "drift"', 'model = "drifts"', "drifts"),
        ("low = 0.049, high = 0.1", "low = 0.2, high = 0.1", "0 <= low <= high"),
        ("exponent = 0.65", "exponent = -0.65", "`flicker_exponent` of a drift law to be finite and at least 0"),
        ('t_read = "250 ns"', 't_read = "0 s"', "`t_read` of a drift law to be finite and above 0"),
        ('t_read = "250 ns"', 't_read = "250 nA"', "t_read"),
        ('measured_until = "1 day"\n', "", "measured_until: Field required"),
        ('start = "20 s"', "start = 0", "`start` of a drift law"),
    ],
)
def test_files_that_are_no_law_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = devicekit.data_path("devices/pcm_joshi2020.toml").read_text()
    assert old in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(devicekit.DevicekitError, match=message):
        devicekit.load_device(path)


def test_a_law_of_drift_stands_without_measured_times() -> None:
    point = RetentionPoint(HOUR, None, PCM.error)
    with pytest.raises(DeviceError, match="a law of drift without measured times beside it"):
        Retention((point,), start=20.0, law=PCM.retention.law)
    with pytest.raises(DeviceError, match="0 <= low <= high"):
        ClippedLogarithm(1.0, 0.0, 0.2, 0.1)


# -- digital levels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sonos_40nm_tcas2022", 52.36e-9, 1585.32e-9),
        ("pcm_joshi2020", 25e-9, 2.5e-6),
        ("reram_milo2021", 5e-6, 22.5e-6),
        ("reram_wan2022", 0.1e-6, 3.926e-6),
    ],
)
def test_levels_keep_to_the_measured_states(name: str, low: float, high: float) -> None:
    cell = devicekit.load_device(name)
    levels = cell_levels(cell, 1e-3)
    assert levels[0] == pytest.approx(low, rel=1e-6)
    assert levels[-1] <= high * (1 + 1e-9)
    with pytest.warns(MeasuredRangeWarning, match=f"Cell '{name}': digital levels keep to the states"):
        clamped = cell_levels(cell, 1e-3, highest=2 * high)
    np.testing.assert_allclose(clamped, levels)
    inner = cell_levels(cell, 1e-3, lowest=2 * low, highest=0.9 * high)
    assert (inner[0], len(inner) <= len(levels)) == (pytest.approx(2 * low), True)


def test_levels_wholly_outside_the_measured_states_are_refused() -> None:
    with pytest.raises(DeviceError, match="Cell 'reram_milo2021': expected digital levels within the states"):
        cell_levels(devicekit.load_device("reram_milo2021"), 1e-3, lowest=1e-6, highest=4e-6)


def test_a_cell_without_a_measured_range_is_taken_at_its_word() -> None:
    cell = Cell(error=PCM.error, i_max=2.5e-6, on_off_ratio=100.0)
    assert cell_levels(cell, 1e-3)[0] == pytest.approx(cell.i_min)
