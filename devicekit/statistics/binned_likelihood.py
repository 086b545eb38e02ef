"""Mean and spread of normal cells that are known by interval: histograms, rounded reads, values at a limit.

A cell in a bin (or rounded to a step, or beyond an instrument's limit) says that its current lies between two edges;
the likelihood is the integral of the normal between them, never the density at a midpoint. Cells that are known exactly
enter by their density.

With lambda = ln sigma, the likelihood of one state is taken at its best mean for every lambda and adjusted for having
estimated that mean (Cox & Reid, J. R. Statist. Soc. B 49 (1987) 1),

    l_A(lambda) = l(mu_lambda, lambda) - 1/2 ln(-d2l / dmu2),

which for cells known exactly is -(n - 1) lambda - SS / (2 sigma^2): the variance on n - 1 degrees of freedom. Its
maximum is the estimate, the points where it falls by 1.92 end the 95 % interval, and its curvature -2 nu gives the
degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from devicekit.common.errors import MeasurementError
from devicekit.statistics.state_statistics import Spread

Floats = NDArray[np.float64]
_ROOT = float(np.sqrt(2 * np.pi))
_FAR = 37.0
"""Standard deviations beyond which a normal has no mass left in double precision."""
_GRID = np.linspace(-8.0, 8.0, 65)
"""Where the likelihood of ln sigma is evaluated, in its standard errors from the centre."""
_WIDEST = 1.5
"""Largest standard error of ln sigma that the grid follows."""


@dataclass(frozen=True)
class BinnedSample:
    """The bins of all states, state after state.

    Attributes:
        targets: programmed current of each state, rising [A].
        low: lower edge of each bin [A]; may be minus infinity.
        high: upper edge [A]; may be infinity.
        count: cells in it.
        starts: index of each state's first bin.
        cut: whether cells outside the listed bins were not recorded; otherwise there were none.
        exact: cells that are known exactly: their number, mean [A] and sum of squares about it [A^2], shape (states,
            3); None: none.
    """

    targets: Floats
    low: Floats
    high: Floats
    count: Floats
    starts: NDArray[np.int64]
    cut: bool = False
    exact: Floats | None = None

    @property
    def codes(self) -> NDArray[np.int64]:
        """State of each bin."""
        return np.repeat(np.arange(len(self.targets)), np.diff(np.append(self.starts, len(self.low))))

    @property
    def counts(self) -> Floats:
        """Cells of each state."""
        return self.sums(self.count) if self.exact is None else self.sums(self.count) + self.exact[:, 0]

    def sums(self, values: Floats) -> Floats:
        """Return the sum over each state of numbers given for each bin, along the last axis."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=-1), dtype=np.float64)


def sort_bins(target: Floats, low: Floats, high: Floats, count: Floats, cut: bool = False) -> BinnedSample:
    """Return bins grouped by target current.

    Args:
        target: programmed current of each bin [A], shape (bins,).
        low: its lower edge [A].
        high: its upper edge [A].
        count: cells in it.
        cut: whether cells outside the listed bins were not recorded; otherwise a bin that is not listed is empty.
    """
    order = np.lexsort((low, target))
    target, low, high, count = target[order], low[order], high[order], count[order]
    starts = np.flatnonzero(np.append(True, np.diff(target) > 0))
    return BinnedSample(target[starts], low, high, count, starts, cut)


def binned_spread(sample: BinnedSample) -> Spread:
    """Return mean and spread of normal cells that are known by interval, with the 95 % interval of the spread.

    Args:
        sample: bins that do not overlap (`check_bins`), of states that are `determined`.
    """
    mean, log_sigma = _start(sample)
    width = 1.0 / np.sqrt(2.0 * sample.counts)
    for _ in range(8):
        grid = log_sigma + width * _GRID[:, None]
        likelihood, means, information = _profile(sample, mean, grid)
        peak, height, curvature = _peak(grid, likelihood)
        error = np.clip(1.0 / np.sqrt(np.maximum(curvature, 1e-12)), 1e-6, _WIDEST)
        settled = (np.abs(peak - log_sigma) < 2 * width) & (np.abs(np.log(error / width)) < 0.2)
        if np.all(settled):
            break
        log_sigma, width = peak, error
    log_low, log_high = _interval(grid, likelihood, peak, height)
    mean, slope = _along(grid, means, peak)
    spread = np.exp(peak)
    variance = 1.0 / _along(grid, information, peak)[0] + slope**2 / np.maximum(curvature, 1e-12)
    dof = np.maximum(0.5 * curvature, 0.5)
    return Spread(
        mean, spread, np.sqrt(variance), spread / np.sqrt(2.0 * dof), dof, np.exp(np.stack([log_low, log_high]))
    )


def _start(sample: BinnedSample) -> tuple[Floats, Floats]:
    """Return mean and ln sigma of each state from midpoints, to begin with."""
    finite = np.isfinite(sample.low) & np.isfinite(sample.high)
    middle = np.where(
        finite, 0.5 * (sample.low + sample.high), np.where(np.isfinite(sample.low), sample.low, sample.high)
    )
    middle = np.where(np.isfinite(middle), middle, 0.0)
    count, total, squares = sample.count, sample.sums(sample.count * middle), sample.sums(sample.count * middle**2)
    counts = sample.counts
    if sample.exact is not None:
        known, mean, about = sample.exact.T
        total, squares = total + known * mean, squares + about + known * mean**2
    mean = total / counts
    # Around a shift the difference of squares keeps its digits.
    shifted = sample.sums(count * (middle - mean[sample.codes]) ** 2)
    if sample.exact is not None:
        shifted = shifted + about + known * (sample.exact[:, 1] - mean) ** 2
    width = np.where((count > 0) & finite, sample.high - sample.low, 0.0)
    widest = np.maximum.reduceat(width, sample.starts)
    return mean, np.log(np.maximum(np.sqrt(shifted / counts), np.maximum(0.3 * widest, 1e-300)))


def _profile(sample: BinnedSample, mean: Floats, log_sigma: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the adjusted log-likelihood, the best mean and the information about it.

    Args:
        sample: the bins.
        mean: where to begin, shape (states,).
        log_sigma: shape (points, states).

    Returns:
        Three arrays of shape (points, states).
    """
    codes, counts = sample.codes, sample.counts
    sigma = np.exp(log_sigma)
    means = np.broadcast_to(mean, sigma.shape).copy()
    for _ in range(100):
        log_share, slope, bend = _log_shares(sample, means[:, codes], sigma[:, codes])
        gradient = sample.sums(sample.count * slope) / sigma
        information = -sample.sums(sample.count * bend) / sigma**2
        total = sample.sums(sample.count * log_share)
        if sample.cut:
            inside = np.exp(log_share)
            all_inside = sample.sums(inside)
            first = sample.sums(inside * slope) / all_inside
            second = sample.sums(inside * (bend + slope**2)) / all_inside
            gradient = gradient - counts * first / sigma
            information = information + counts * (second - first**2) / sigma**2
            total = total - counts * np.log(all_inside)
        if sample.exact is not None:
            known, own, about = sample.exact.T
            gradient = gradient + known * (own - means) / sigma**2
            information = information + known / sigma**2
            total = total - known * log_sigma - 0.5 * (about + known * (own - means) ** 2) / sigma**2
        information = np.maximum(information, 1e-9 * counts / sigma**2)
        step = np.clip(gradient / information, -sigma, sigma)
        means = means + step
        if np.max(np.abs(step) / sigma) < 1e-9:
            break
    return total - 0.5 * np.log(information), means, information


def _log_shares(sample: BinnedSample, mean: Floats, sigma: Floats) -> tuple[Floats, Floats, Floats]:
    """Return ln of each bin's integral and its first and second derivative in mu / sigma; shapes of `mean`."""
    low = np.clip((sample.low - mean) / sigma, -_FAR, _FAR)
    high = np.clip((sample.high - mean) / sigma, -_FAR, _FAR)
    # In the upper tail the difference of survival functions keeps the digits.
    upper = low > 0
    near, far = np.where(upper, -low, high), np.where(upper, -high, low)
    integral = np.maximum(special.ndtr(near) - special.ndtr(far), 1e-300)
    density_low, density_high = np.exp(-0.5 * low**2) / _ROOT, np.exp(-0.5 * high**2) / _ROOT
    slope = -(density_high - density_low) / integral
    bend = -(high * density_high - low * density_low) / integral - slope**2
    return np.log(integral), slope, bend


def _peak(grid: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return where each column is largest, how large, and its curvature there, by quartics through five points."""
    best = np.clip(np.argmax(values, axis=0), 2, len(grid) - 3)
    column = np.arange(grid.shape[1])
    spacing = grid[1] - grid[0]
    five = np.stack([values[best + offset, column] for offset in (-2, -1, 0, 1, 2)])
    # Derivatives of the quartic at the middle point, in steps of the grid.
    first = (five[0] - 8 * five[1] + 8 * five[3] - five[4]) / 12
    second = (-five[0] + 16 * five[1] - 30 * five[2] + 16 * five[3] - five[4]) / 12
    third = (-five[0] + 2 * five[1] - 2 * five[3] + five[4]) / 2
    fourth = five[0] - 4 * five[1] + 6 * five[2] - 4 * five[3] + five[4]
    x = np.zeros(grid.shape[1])
    for _ in range(20):
        slope = first + x * (second + x * (third / 2 + x * fourth / 6))
        bend = second + x * (third + x * fourth / 2)
        x = np.clip(x - slope / np.where(bend < 0, bend, -1.0), -2.0, 2.0)
    height = five[2] + x * (first + x * (second / 2 + x * (third / 6 + x * fourth / 24)))
    curvature = -(second + x * (third + x * fourth / 2)) / spacing**2
    return grid[best, column] + x * spacing, height, curvature


def _interval(grid: Floats, values: Floats, peak: Floats, height: Floats) -> tuple[Floats, Floats]:
    """Return where the likelihood has fallen by half of chi-square's 95 % point; infinite where it never does."""
    quantile = float(stats.norm.ppf(0.975))
    root = np.sign(grid - peak) * np.sqrt(2.0 * np.maximum(height - values, 0.0))
    ends = np.empty((2, grid.shape[1]))
    for column in range(grid.shape[1]):
        # The signed root is close to a straight line; where it turns back, far out, it says nothing more.
        rising = np.maximum.accumulate(root[:, column])
        low = np.interp(-quantile, rising, grid[:, column], left=-np.inf)
        ends[:, column] = low, np.interp(quantile, rising, grid[:, column], right=np.inf)
    return ends[0], ends[1]


def _along(grid: Floats, values: Floats, peak: Floats) -> tuple[Floats, Floats]:
    """Return values at the peak and their slope in ln sigma, by straight lines between the points of the grid."""
    column = np.arange(grid.shape[1])
    spacing = grid[1] - grid[0]
    index = np.clip(((peak - grid[0]) / spacing).astype(np.int64), 0, len(grid) - 2)
    slope = (values[index + 1, column] - values[index, column]) / spacing
    return values[index, column] + slope * (peak - grid[index, column]), slope


def check_bins(sample: BinnedSample, place: str) -> None:
    """Refuse bins that overlap.

    Raises:
        MeasurementError: which bins of which state.
    """
    same = np.diff(sample.codes) == 0
    # Edges written in decimals meet only to their rounding.
    slack = 1e-3 * np.minimum(np.diff(sample.low, append=np.inf)[:-1], sample.high[:-1] - sample.low[:-1])
    overlap = same & (sample.low[1:] < sample.high[:-1] - np.abs(slack))
    if np.any(overlap):
        index = int(np.flatnonzero(overlap)[0])
        raise MeasurementError(
            f"{place}: the bins {sample.low[index]:.6g} to {sample.high[index]:.6g} A and from"
            f" {sample.low[index + 1]:.6g} A of target {sample.targets[sample.codes[index]]:.6g} A overlap."
        )


def some_states(sample: BinnedSample, mask: NDArray[np.bool_]) -> BinnedSample:
    """Return the bins of some states."""
    if np.all(mask):
        return sample
    keep = mask[sample.codes]
    codes = sample.codes[keep]
    starts = np.flatnonzero(np.append(True, np.diff(codes) > 0))
    return BinnedSample(
        sample.targets[mask],
        sample.low[keep],
        sample.high[keep],
        sample.count[keep],
        starts,
        sample.cut,
        None if sample.exact is None else sample.exact[mask],
    )


def determined(sample: BinnedSample) -> NDArray[np.bool_]:
    """Return for each state whether it has cells in more than one place, without which there is no spread."""
    places = sample.sums((sample.count > 0).astype(np.float64))
    if sample.exact is not None:
        known = sample.exact
        places = places + (known[:, 0] > 0) + (known[:, 2] > 0)
    return np.asarray(places >= 2)


def binned_normality(sample: BinnedSample, spread: Spread) -> Floats:
    """Return for each state the p-value of a likelihood-ratio test of its bins against the fitted normal.

    Neighbouring bins are merged until each expects at least five cells; states that leave fewer than four merged bins,
    or that have cells known exactly, have no p-value (NaN).
    """
    codes = sample.codes
    share = np.exp(_log_shares(sample, spread.mean[codes], spread.sigma[codes])[0])
    inside = sample.sums(share)
    values = np.full(len(sample.targets), np.nan)
    ends = np.append(sample.starts[1:], len(sample.low))
    for state, (begin, end) in enumerate(zip(sample.starts, ends, strict=True)):
        if sample.exact is not None and sample.exact[state, 0] > 0:
            continue
        expected, seen = share[begin:end], sample.count[begin:end]
        if sample.cut:
            expected = expected / inside[state]
        else:
            # Whatever is not listed is one more bin, with no cells in it.
            expected, seen = np.append(expected, max(1.0 - inside[state], 0.0)), np.append(seen, 0.0)
        expected = expected * sample.counts[state]
        groups = np.minimum(np.floor(np.cumsum(expected) / 5.0), np.floor(expected.sum() / 5.0) - 1).astype(int)
        groups = np.unique(groups, return_inverse=True)[1]
        if groups.max() < 3:
            continue
        merged, counted = np.bincount(groups, expected), np.bincount(groups, seen)
        statistic = 2.0 * float(np.sum(special.xlogy(counted, counted / merged) - counted + merged))
        values[state] = stats.chi2.sf(max(statistic, 0.0), groups.max() + 1 - 3)
    return values
