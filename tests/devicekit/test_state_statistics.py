"""Statistics of states: known truth, independent implementations, closed forms."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from devicekit.cells.digital_levels import digital_levels, state_overlap
from devicekit.common.errors import DeviceError, MeasurementError
from devicekit.statistics.binned_likelihood import binned_normality, binned_spread, check_bins, determined, sort_bins
from devicekit.statistics.robust_statistics import student_spread, tail_bits, trimmed_spread
from devicekit.statistics.state_statistics import Spread, StateSample, anderson_darling, normal_spread, sort_states

STATES, CELLS = 60, 400


def normal_cells(seed: int = 0) -> StateSample:
    rng = np.random.default_rng(seed)
    target = np.repeat(np.linspace(0.1, 1.0, STATES), CELLS)
    order = rng.permutation(len(target))
    return sort_states(target[order], (target + rng.normal(0, 0.02 * (1 + target)))[order])


def truth(sample: StateSample) -> np.ndarray:
    return 0.02 * (1 + sample.targets)


def assert_honest(spread: Spread, sample: StateSample) -> None:
    """Estimates scatter around the truth as much as their standard errors say."""
    for z in (
        (spread.mean - sample.targets) / spread.mean_stderr,
        (spread.sigma - truth(sample)) / spread.sigma_stderr,
    ):
        assert abs(z.mean()) < 4 / np.sqrt(STATES)
        assert 0.72 < z.std() < 1.3


def test_normal_spread_is_numpys_per_state() -> None:
    sample = normal_cells()
    spread = normal_spread(sample)
    for state in (0, 17, STATES - 1):
        assert spread.mean[state] == pytest.approx(sample.of(state).mean(), rel=1e-13)
        assert spread.sigma[state] == pytest.approx(sample.of(state).std(ddof=1), rel=1e-12)
    assert_honest(spread, sample)


def test_normal_spread_keeps_its_digits_far_from_zero() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1.0, 500)
    far = normal_spread(sort_states(np.zeros(500), 1e9 + noise))
    assert far.sigma[0] == pytest.approx((1e9 + noise).std(ddof=1), rel=1e-9)


@pytest.mark.parametrize("name", ["trimmed", "student"])
def test_robust_estimators_agree_on_normal_cells_and_know_their_errors(name: str) -> None:
    sample = normal_cells(3)
    spread = trimmed_spread(sample) if name == "trimmed" else student_spread(sample)[0]
    assert_honest(spread, sample)
    assert np.all(spread.dof < normal_spread(sample).dof + 1e-9)


def test_robust_estimators_leave_wild_cells_alone() -> None:
    sample = normal_cells(4)
    rng = np.random.default_rng(5)
    wild = rng.choice(len(sample.values), len(sample.values) // 50, replace=False)
    values = sample.values.copy()
    values[wild] += 0.5
    spoiled = sort_states(sample.targets[sample.codes], values)
    ratio = {
        "normal": normal_spread(spoiled).sigma / truth(sample),
        "trimmed": trimmed_spread(spoiled).sigma / truth(sample),
        "student": student_spread(spoiled)[0].sigma / truth(sample),
    }
    assert ratio["normal"].mean() > 2
    assert abs(ratio["trimmed"].mean() - 1) < 0.06
    assert abs(ratio["student"].mean() - 1) < 0.10
    found = tail_bits(spoiled)
    assert set(found["row"]) >= set(np.flatnonzero(np.isin(np.arange(len(values)), wild)))
    assert len(found) <= len(wild) + 5
    assert found["z"].abs().is_monotonic_decreasing


def test_student_finds_its_own_tails() -> None:
    rng = np.random.default_rng(6)
    target = np.repeat(np.linspace(0.1, 1, 20), 500)
    _, nu = student_spread(sort_states(target, target + 0.01 * rng.standard_t(4.0, len(target))))
    assert nu == pytest.approx(4.0, rel=0.15)


def test_tail_bits_of_normal_cells_are_as_rare_as_said() -> None:
    found = [len(tail_bits(normal_cells(seed))) for seed in range(10)]
    assert np.mean(found) < 3
    assert tail_bits(normal_cells(0)).attrs["expected"] == pytest.approx(0.5, rel=0.01)


def test_anderson_darling_statistic_is_scipys_and_p_is_uniform() -> None:
    sample = normal_cells(7)
    p = anderson_darling(sample, normal_spread(sample))
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    own = sample.of(0)
    statistic = stats.anderson(own, "norm", method="interpolate").statistic * (1 + 0.75 / CELLS + 2.25 / CELLS**2)
    expected = (
        1 - np.exp(-13.436 + 101.14 * statistic - 223.73 * statistic**2)
        if statistic < 0.2
        else 1 - np.exp(-8.318 + 42.796 * statistic - 59.938 * statistic**2)
        if statistic < 0.34
        else np.exp(0.9177 - 4.279 * statistic - 1.38 * statistic**2)
        if statistic < 0.6
        else np.exp(1.2937 - 5.709 * statistic + 0.0186 * statistic**2)
    )
    assert p[0] == pytest.approx(expected, rel=1e-6)
    skewed = sort_states(np.zeros(400), np.random.default_rng(0).exponential(1.0, 400))
    assert anderson_darling(skewed, normal_spread(skewed))[0] < 1e-6


def histogram_of(sample: StateSample, edges: np.ndarray) -> tuple[np.ndarray, ...]:
    counts = np.concatenate([np.histogram(sample.of(state), edges)[0] for state in range(len(sample.targets))])
    bins = len(edges) - 1
    return (
        np.repeat(sample.targets, bins),
        np.tile(edges[:-1], len(sample.targets)),
        np.tile(edges[1:], len(sample.targets)),
        counts.astype(float),
    )


@pytest.mark.parametrize(("bins", "loss"), [(400, 1.05), (60, 1.3), (25, 2.6)])
def test_binned_likelihood_agrees_with_the_cells_within_what_the_bins_hide(bins: int, loss: float) -> None:
    sample = normal_cells(8)
    binned = sort_bins(*histogram_of(sample, np.linspace(-0.2, 1.4, bins + 1)))
    spread = binned_spread(binned)
    assert_honest(spread, sample)
    cells = normal_spread(sample)
    assert np.all(spread.sigma_stderr >= cells.sigma_stderr * 0.97)
    assert np.median(spread.sigma_stderr / cells.sigma_stderr) < loss
    if bins == 400:
        np.testing.assert_allclose(spread.sigma, cells.sigma, rtol=0.02)
        p = binned_normality(binned, spread)
        assert 0.35 < np.nanmean(p) < 0.65


def test_wide_bins_do_not_bias_as_midpoints_do() -> None:
    # Sheppard: midpoints of bins of width w overstate the variance by w^2 / 12.
    sample = normal_cells(9)
    edges = np.arange(-0.3, 1.5, 0.05)
    spread = binned_spread(sort_bins(*histogram_of(sample, edges)))
    assert abs(np.mean(spread.sigma / truth(sample)) - 1) < 0.02


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(0.05, 20), st.integers(0, 1000))
def test_binned_fit_moves_and_scales_with_its_bins(shift: float, scale: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 1, 300)
    edges = np.linspace(-4, 4, 31)
    counts = np.histogram(values, edges)[0].astype(float)
    zero = np.zeros(30)
    plain = binned_spread(sort_bins(zero, edges[:-1], edges[1:], counts))
    moved_edges = shift + scale * edges
    moved = binned_spread(sort_bins(zero, moved_edges[:-1], moved_edges[1:], counts))
    assert moved.mean[0] == pytest.approx(shift + scale * plain.mean[0], rel=1e-6, abs=1e-6 * scale)
    assert moved.sigma[0] == pytest.approx(scale * plain.sigma[0], rel=1e-6)


def test_truncated_histograms_are_fitted_as_such() -> None:
    values = np.random.default_rng(2).normal(1.0, 0.2, 20000)
    edges = np.linspace(0.9, 1.8, 41)
    counts = np.histogram(values, edges)[0].astype(float)
    spread = binned_spread(sort_bins(np.zeros(40), edges[:-1], edges[1:], counts, cut=True))
    assert spread.mean[0] == pytest.approx(1.0, abs=5 * spread.mean_stderr[0])
    assert spread.sigma[0] == pytest.approx(0.2, abs=5 * spread.sigma_stderr[0])
    assert spread.dof[0] < 10000


def test_faulty_histograms_are_refused() -> None:
    low, high = np.array([0.0, 1.0]), np.array([1.5, 2.0])
    with pytest.raises(MeasurementError, match=r"h\.csv: the bins 0 to 1\.5 A and from 1 A of target 0 A overlap"):
        check_bins(sort_bins(np.zeros(2), low, high, np.ones(2)), "h.csv")
    good = np.array([1.0, 2.0])
    for count in (1.0, 9.0):
        assert not determined(sort_bins(np.zeros(2), low, good, np.array([count, 0.0])))[0]


def test_overlap_of_two_normals_is_the_numerical_minimum() -> None:
    row = state_overlap([1.0, 2.0], [0.2, 0.4]).iloc[0]
    grid = np.linspace(1, 2, 200_001)
    wrong = 0.5 * (stats.norm.sf((grid - 1) / 0.2) + stats.norm.sf((2 - grid) / 0.4))
    assert row["misread"] == pytest.approx(wrong.min(), rel=1e-6)
    assert row["threshold"] == pytest.approx(grid[wrong.argmin()], abs=1e-3)


def test_levels_keep_the_distance_they_promise() -> None:
    def sigma(current: float) -> float:
        return 40e-9 * (1 - np.exp(-current / 500e-9))

    levels = digital_levels(sigma, 1e-12, 1.6e-6, 1e-3)
    z = stats.norm.isf(1e-3)
    gaps = np.diff(levels)
    needed = z * np.array([sigma(a) + sigma(b) for a, b in pairwise(levels)])
    np.testing.assert_allclose(gaps, needed, rtol=1e-5, atol=1e-15)
    constant = digital_levels(lambda _: 0.01, 0.0, 1.0, stats.norm.sf(2.5))
    assert len(constant) == 21, "levels 0.05 apart from 0 to 1"
    assert len(digital_levels(sigma, 1e-12, 1.6e-6, 1e-9)) < len(levels)
    with pytest.raises(DeviceError, match="`error_rate` to be above 0"):
        digital_levels(sigma, 0.0, 1.0, 0.7)
    with pytest.raises(DeviceError, match="larger `highest`"):
        digital_levels(sigma, 1.0, 1.0, 0.1)


def test_trimming_too_much_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"below 0\.5, but got 0\.6"):
        trimmed_spread(normal_cells(), 0.6)
