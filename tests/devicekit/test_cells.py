"""What a cell promises: shapes, seeds, time, temperature, dies, draws."""

import math
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import devicekit
from devicekit.cells.mean_shifts import PolynomialShift, TableShift
from devicekit.cells.subthreshold import MeasuredTemperature, SubthresholdTemperature, threshold_spread
from devicekit.common.errors import DeviceError

DAY = 86400.0


@cache
def sonos() -> devicekit.Cell:
    return devicekit.load_device("sonos_40nm_tcas2022")


def test_published_means_and_spreads_are_met_at_every_measured_time() -> None:
    cell = sonos()
    target = np.array([52.36, 408.88, 1585.32]) * 1e-9
    for days, means, s_max, rate in (
        (0, (52.36, 408.88, 1585.32), 39.5656, 0.00188704),
        (1, (54.94, 411.18, 1553.01), 46.1065, 0.00203079),
        (2, (56.51, 417.15, 1550.17), 50.3982, 0.00205587),
        (5, (58.44, 421.33, 1543.26), 53.4358, 0.00217328),
    ):
        then = cell.at(time=days * DAY)
        np.testing.assert_allclose(then.mean(target), np.array(means) * 1e-9, rtol=1e-9)
        np.testing.assert_allclose(then.sigma(target), s_max * 1e-9 * (1 - np.exp(-rate * target * 1e9)), rtol=1e-8)


def test_time_is_interpolated_linearly_between_measured_days() -> None:
    cell = sonos()
    target = np.linspace(0, 1.6e-6, 40)
    middle = cell.at(time=3.5 * DAY)
    for name in ("mean", "sigma"):
        ends = [getattr(cell.at(time=day * DAY), name)(target) for day in (2, 5)]
        np.testing.assert_allclose(getattr(middle, name)(target), (ends[0] + ends[1]) / 2, rtol=1e-12, atol=1e-20)


def test_relative_shift_is_held_outside_the_measured_states() -> None:
    cell = sonos().at(time=5 * DAY)
    low, high = 52.36e-9, 1585.32e-9
    for outside, edge in ((1e-9, low), (1e-13, low), (2e-6, high)):
        assert cell.mean(outside) / outside == pytest.approx(float(cell.mean(edge)) / edge, rel=1e-12)
    assert cell.mean(0.0) == 0.0


def test_iedm_device_at_fixed_points() -> None:
    cell = devicekit.load_device("sonos_40nm_iedm2022")
    assert cell.sigma(0.8e-6) == pytest.approx(19.67e-9, abs=5e-12)
    assert cell.read_sigma(0.8e-6) == pytest.approx(12.58037e-9 * (1 - math.exp(-800 / 215.36557)), rel=1e-9)
    published = [1.72684e-1, 5.72552e-2, -6.85715e-4, 3.50271e-6, -9.37682e-9, 1.40575e-11, -1.19803e-14, 5.41293e-18]
    published += [-8.85448e-22, -1.66869e-25, 5.95180e-29]
    for current in (100.0, 800.0, 1600.0):
        expected = current + sum(p * current**power for power, p in enumerate(published))
        assert cell.at(time=DAY).mean(current * 1e-9) == pytest.approx(expected * 1e-9, rel=1e-9)
    assert cell.mean(0.8e-6) == 0.8e-6
    assert np.all(cell.at(time=3 * DAY).mean(np.geomspace(1e-13, 1e-8, 50)) > 0)


def test_extrapolation_in_time_warns_once_and_names_the_cell() -> None:
    cell = sonos()
    with pytest.warns(devicekit.ExtrapolationWarning, match=r"'sonos_40nm_tcas2022' was measured up to 432000 s"):
        late = cell.at(time=50 * DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spread = late.sigma(1e-6)
    at_two, at_five = (float(cell.at(time=day * DAY).sigma(1e-6)) for day in (2, 5))
    assert spread == pytest.approx(at_five + (at_five - at_two) * math.log(10) / math.log(2.5))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 5), st.floats(250, 380))
def test_the_same_seed_is_the_same_cell_at_all_times(seed: int, days: float, temperature: float) -> None:
    cell = sonos()
    target = np.linspace(1e-8, 1.6e-6, 12).reshape(3, 4)
    z = (cell.program(target, seed) - cell.mean(target)) / cell.sigma(target)
    then = cell.at(time=days * DAY, temperature=temperature)
    np.testing.assert_allclose((then.program(target, seed) - then.mean(target)) / then.sigma(target), z, atol=1e-7)
    np.testing.assert_allclose(z.ravel(), np.random.default_rng(seed).standard_normal(12), atol=1e-7)


def test_program_has_the_mean_and_spread_it_says() -> None:
    cell = sonos().at(time=DAY)
    currents = cell.program(np.full(200_000, 0.3e-6), seed=3)
    sigma = float(cell.sigma(0.3e-6))
    assert currents.mean() == pytest.approx(float(cell.mean(0.3e-6)), abs=4 * sigma / math.sqrt(200_000))
    assert currents.std() == pytest.approx(sigma, rel=4 / math.sqrt(400_000))


def test_scalars_stay_scalars_and_derived_values_follow() -> None:
    cell = sonos()
    assert np.shape(cell.sigma(1e-7)) == np.shape(cell.mean(1e-7)) == np.shape(cell.read_sigma(1e-7)) == ()
    assert cell.g_max == pytest.approx(16e-6)
    assert cell.i_min == pytest.approx(1.6e-13)
    assert cell.technology == "sonos_40nm"
    assert np.all(cell.read_sigma(np.full(3, 1e-7)) == 0)


def test_subthreshold_temperature_is_the_integral_of_its_slope() -> None:
    law = SubthresholdTemperature(i_0=1e-5, eta=0.7, threshold_slope=-8e-4, reference=300.0)
    current = np.array([1e-9, 1e-7, 1e-6])
    step = 1e-3
    temperature = 330.0
    now = law.current(current, temperature)
    slope = (law.current(current, temperature + step) - law.current(current, temperature - step)) / (2 * step) / now
    thermal = 1.380649e-23 * temperature / 1.602176634e-19
    # Measured from T: ln(I_0/I)/T holds the threshold of that temperature, the slope moves it on.
    expected = np.log(1e-5 / now) / temperature - 0.7 * -8e-4 / thermal
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
    assert np.all(np.diff(law.current(current, 350.0) / current) < 0), "low states move more"
    np.testing.assert_allclose(law.current(current, 300.0), current, rtol=1e-12)


def test_read_temperature_keeps_the_threshold_spread() -> None:
    cell = sonos()
    hot = cell.at(temperature=358.0)
    target = np.array([5e-8, 4e-7])
    cold_spread = threshold_spread(cell.mean(target), cell.sigma(target), eta=0.7, temperature=300.0)
    hot_spread = threshold_spread(hot.mean(target), hot.sigma(target), eta=0.7, temperature=358.0)
    np.testing.assert_allclose(hot_spread, cold_spread, rtol=1e-9)
    assert np.all(hot.mean(target) > cell.mean(target))


def test_measured_temperature_interpolates_and_refuses_beyond() -> None:
    law = MeasuredTemperature((300.0, 350.0), (1e-7, 1e-6), ((1.0, 1.0), (1.4, 1.2)), 300.0)
    assert law.current(1e-6, 325.0) == pytest.approx(1.1e-6)
    assert law.slope(2e-6, 350.0) == pytest.approx(1.2)
    with pytest.raises(DeviceError, match="within the measured 300 to 350 K"):
        law.current(1e-6, 400.0)


def test_bake_ages_by_the_arrhenius_factor() -> None:
    cell = sonos()
    assert cell.retention is not None
    cell = replace(cell, retention=replace(cell.retention, activation_energy=1.0))
    factor = math.exp(1.602176634e-19 / 1.380649e-23 * (1 / 300 - 1 / 330))
    baked = cell.at(time=5 * DAY / factor, stored_at=330.0)
    assert baked.time == pytest.approx(5 * DAY)
    with pytest.raises(DeviceError, match="no activation energy"):
        sonos().at(time=1.0, stored_at=330.0)
    with pytest.raises(DeviceError, match="Expected `time` with `stored_at`"):
        cell.at(stored_at=330.0)


def test_cells_of_a_die_share_their_deviation() -> None:
    spatial = devicekit.Spatial(die=0.3, wafer=0.2)
    cell = devicekit.Cell(error=devicekit.StateIndependent(0.05), i_max=1.6e-6, spatial=spatial)
    target = np.full(500, 8e-7)
    dies = np.array([cell.program(target, seed) for seed in range(2000)])
    z = (dies - 8e-7) / 4e-8
    assert z.var() == pytest.approx(1.0, rel=0.1)
    assert z.mean(axis=1).var() == pytest.approx(0.5, rel=0.15)
    one = cell.on_die(5)
    assert np.array_equal(one.mean(target), cell.on_die(5).mean(target))
    assert one.sigma(8e-7) == pytest.approx(4e-8 * math.sqrt(0.5))
    wafers = np.array(
        [[float(cell.on_die(10 * w + d, wafer_seed=w).mean(8e-7)) for d in range(2)] for w in range(2000)]
    )
    assert np.corrcoef(wafers.T)[0, 1] == pytest.approx(0.4, abs=0.07)


def test_a_drawn_chip_has_one_die_for_all_its_arrays() -> None:
    cell = devicekit.Cell(
        error=devicekit.StateIndependent(0.05), i_max=1.6e-6, spatial=devicekit.Spatial(die=0.4, wafer=0.1)
    )
    chips = [cell.draw(seed) for seed in range(1500)]
    deviations = np.array([float(chip.mean(8e-7)) for chip in chips]) - 8e-7
    assert deviations.std() == pytest.approx(4e-8 * math.sqrt(0.5), rel=0.08)
    arrays = [chips[3].program(np.full(4000, 8e-7), seed).mean() for seed in (1, 2)]
    assert arrays[0] == pytest.approx(arrays[1], abs=4e-9)
    assert chips[3].draw(5).die_deviate == chips[3].die_deviate


def test_draws_follow_the_covariance() -> None:
    covariance = np.array([[1e-18, 5e-18], [5e-18, 9e-16]])
    cell = devicekit.Cell(error=devicekit.SaturatingExponential(40e-9, 500e-9), i_max=1.6e-6, covariance=covariance)
    draws = np.array([list(cell.draw(seed).error.values().values()) for seed in range(4000)])
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=0.07)
    np.testing.assert_allclose(draws.mean(axis=0), [40e-9, 500e-9], rtol=0.01)
    assert cell.draw(3).error == cell.draw(3).error
    plain = sonos()
    assert not plain.has_uncertainty
    assert plain.draw(1) is plain


def test_draws_reach_means_and_later_times() -> None:
    error = devicekit.StateProportional(0.05)
    shift = TableShift((1e-7, 1e-6), (1.1e-7, 1.1e-6), stderr=(1e-9, 2e-9))
    points = (devicekit.RetentionPoint(DAY, shift, devicekit.StateProportional(0.08)),)
    cell = devicekit.Cell(
        error=error,
        i_max=1.6e-6,
        retention=devicekit.Retention(points),
        covariance=np.array([[1e-6]]),
        retention_covariance={DAY: np.array([[4e-6]])},
        read_noise=devicekit.StateProportional(0.01),
        read_noise_covariance=np.array([[1e-6]]),
    )
    drawn = [cell.draw(seed).at(time=DAY) for seed in range(2000)]
    assert np.std([c.sigma(1e-6) for c in drawn]) == pytest.approx(2e-3 * 1e-6, rel=0.1)
    assert np.std([c.mean(1e-6) for c in drawn]) == pytest.approx(2e-9, rel=0.1)
    assert np.std([c.read_sigma(1e-6) for c in drawn]) == pytest.approx(1e-3 * 1e-6, rel=0.1)
    first = cell.draw(9)
    assert first.retention is not None
    assert first.sigma(1e-6) == first.error.sigma(1e-6, 1.6e-6), "the programmed state is drawn once"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"i_max": 0.0}, "expected `i_max` to be a finite current in A above 0, but got 0.0"),
        ({"on_off_ratio": 1.0}, "expected `on_off_ratio` to be a ratio above 1"),
        ({"read_voltage": -0.1}, "expected `read_voltage`"),
        ({"error": 0.05}, "expected `error` to be an error model"),
        ({"time": -1.0}, "expected `time`"),
    ],
)
def test_impossible_cells_are_refused(change: dict, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        devicekit.Cell(**{"error": devicekit.StateIndependent(0.05), "i_max": 1.6e-6, **change})


def test_the_programmed_state_is_the_cells_own_at_all_interpolated_times() -> None:
    cell = sonos()
    noisier = replace(cell, error=devicekit.StateIndependent(0.2))
    assert noisier.sigma(8e-7) == pytest.approx(0.16e-6)
    later = float(cell.at(time=DAY).sigma(8e-7))
    assert noisier.at(time=DAY).sigma(8e-7) == later
    assert noisier.at(time=DAY / 2).sigma(8e-7) == pytest.approx((0.16e-6 + later) / 2)


def test_times_in_logarithm_and_times_before_the_first() -> None:
    law = devicekit.StateIndependent
    points = tuple(devicekit.RetentionPoint(time, None, law(alpha)) for time, alpha in ((1.0, 0.02), (100.0, 0.04)))
    cell = devicekit.Cell(error=law(0.01), i_max=2e-6, retention=devicekit.Retention(points, "log", start=0.01))
    for time, alpha in ((0.0, 0.01), (0.01, 0.01), (1.0, 0.02), (100.0, 0.04)):
        assert cell.at(time=time).sigma(1e-6) == pytest.approx(alpha * 1e-6)
    middle = math.log1p(9.0 / 0.01), math.log1p(1.0 / 0.01), math.log1p(100.0 / 0.01)
    share = (middle[0] - middle[1]) / (middle[2] - middle[1])
    assert cell.at(time=9.0).sigma(1e-6) == pytest.approx((0.02 + 0.02 * share) * 1e-6)
    with pytest.raises(DeviceError, match="times to rise from 0 s or later"):
        devicekit.Retention(points, start=5.0)
    with pytest.raises(DeviceError, match="`time_axis` to be 'linear' or 'log', but got 'sqrt'"):
        devicekit.Retention(points, "sqrt")  # type: ignore[arg-type]


def test_bad_calls_are_refused_by_name() -> None:
    cell = devicekit.Cell(error=devicekit.StateIndependent(0.05), i_max=1.6e-6, name="mine")
    with pytest.raises(
        DeviceError, match=r"'mine': expected `target` to be currents in A of at least 0, but got \[-1e"
    ):
        cell.sigma([-1e-9])
    with pytest.raises(DeviceError, match="expected `target` to be currents"):
        cell.mean(float("nan"))
    with pytest.raises(DeviceError, match="no law of read temperature"):
        cell.at(temperature=350.0)
    with pytest.raises(DeviceError, match="expected `temperature` to be in K and above 0"):
        cell.at(temperature=0.0)
    with pytest.raises(DeviceError, match="expected `time` to be a finite time"):
        cell.at(time=-1.0)
    with pytest.raises(DeviceError, match="no variance components"):
        cell.on_die(0)
    with pytest.raises(DeviceError, match="variance shares"):
        devicekit.Spatial(die=0.7, wafer=0.4)
    with pytest.raises(DeviceError, match="`current` to be above 0"):
        threshold_spread([0.0], [1e-9])
    with pytest.raises(DeviceError, match="rising finite numbers"):
        TableShift((2e-7, 1e-7), (1e-7, 1e-7))
    with pytest.raises(DeviceError, match="`means` of a mean shift to be one finite number"):
        TableShift((1e-7, 2e-7), (1e-7,))
    with pytest.raises(DeviceError, match="`valid` of a mean shift"):
        PolynomialShift((1.0,), 1e-9, (2.0, 1.0))
