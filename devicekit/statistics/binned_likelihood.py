"""Mean and spread of each state from histograms, by the likelihood of the bins' integrals (never their midpoints)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from devicekit.common.errors import MeasurementError
from devicekit.statistics.state_statistics import Spread

Floats = NDArray[np.float64]
_ROOT = float(np.sqrt(2 * np.pi))


@dataclass(frozen=True)
class BinnedSample:
    """The bins of all states, state after state.

    Attributes:
        targets: programmed current of each state, rising [A].
        low: lower edge of each bin [A].
        high: upper edge [A].
        count: cells in it.
        starts: index of each state's first bin.
    """

    targets: Floats
    low: Floats
    high: Floats
    count: Floats
    starts: NDArray[np.int64]

    @property
    def codes(self) -> NDArray[np.int64]:
        """State of each bin."""
        return np.repeat(np.arange(len(self.targets)), np.diff(np.append(self.starts, len(self.low))))

    @property
    def counts(self) -> Floats:
        """Cells of each state."""
        return self.sums(self.count)

    def sums(self, values: Floats) -> Floats:
        """Return the sum over each state of numbers given for each bin."""
        return np.asarray(np.add.reduceat(values, self.starts), dtype=np.float64)


def sort_bins(target: Floats, low: Floats, high: Floats, count: Floats) -> BinnedSample:
    """Return bins grouped by target current; all arguments have shape (bins,), currents in [A]."""
    order = np.lexsort((low, target))
    target, low, high, count = target[order], low[order], high[order], count[order]
    starts = np.flatnonzero(np.append(True, np.diff(target) > 0))
    return BinnedSample(target[starts], low, high, count, starts)


def binned_spread(sample: BinnedSample, place: str = "histogram") -> Spread:
    """Return mean and spread of normal cells that are known by bin only.

    Maximises sum_b c_b ln(p_b / sum p), p_b = Phi((h_b - mu) / sigma) - Phi((l_b - mu) / sigma), over mu and ln sigma
    by Fisher scoring, all states at once. Cells outside every bin were not recorded and do not count against the fit.
    The degrees of freedom of sigma^2 are those that give the same standard error as the bins leave, nu = 1 / (2 var ln
    sigma) less one for the mean.

    Args:
        sample: the bins.
        place: the file, for errors.

    Raises:
        MeasurementError: overlapping bins, a state with fewer than two cells, or with all cells in one bin.
    """
    codes, counts = sample.codes, sample.counts
    _check(sample, place)
    middle = 0.5 * (sample.low + sample.high)
    mean = sample.sums(sample.count * middle) / counts
    sigma = np.sqrt(sample.sums(sample.count * (middle - mean[codes]) ** 2) / counts)
    widest = np.maximum.reduceat(np.where(sample.count > 0, sample.high - sample.low, 0.0), sample.starts)
    sigma = np.maximum(sigma, 0.3 * widest)
    information = np.empty((len(counts), 2, 2))
    for _ in range(200):
        share, slope_mean, slope_log = _log_slopes(sample, mean, sigma)
        score = np.stack([sample.sums(sample.count * slope_mean), sample.sums(sample.count * slope_log)], axis=1)
        for (i, a), (j, b) in (
            (x, y) for x in enumerate((slope_mean, slope_log)) for y in enumerate((slope_mean, slope_log))
        ):
            information[:, i, j] = counts * sample.sums(share * a * b)
        information += 1e-9 * np.eye(2) * counts[:, None, None]
        step = np.linalg.solve(information, score[:, :, None])[:, :, 0]
        # mu moves in units of sigma; long steps are cut, the likelihood is not quadratic far out.
        step = np.clip(step, [-1.0, -0.5], [1.0, 0.5])
        mean, sigma = mean + step[:, 0] * sigma, sigma * np.exp(step[:, 1])
        if np.max(np.abs(step)) < 1e-9:
            break
    covariance = np.linalg.inv(information)
    log_variance = covariance[:, 1, 1]
    dof = np.maximum(0.5 / log_variance - 1.0, 1.0)
    # The likelihood divides by n; the unbiased variance by n - 1.
    sigma = sigma * np.sqrt(counts / (counts - 1.0))
    return Spread(mean, sigma, sigma * np.sqrt(covariance[:, 0, 0]), sigma / np.sqrt(2.0 * dof), dof)


def _check(sample: BinnedSample, place: str) -> None:
    same = np.diff(sample.codes) == 0
    # Edges written in decimals meet only to their rounding.
    overlap = same & (sample.low[1:] < sample.high[:-1] - 1e-3 * (sample.high[:-1] - sample.low[:-1]))
    if np.any(overlap):
        index = int(np.flatnonzero(overlap)[0])
        raise MeasurementError(
            f"{place}: the bins {sample.low[index]:.6g} to {sample.high[index]:.6g} A and from"
            f" {sample.low[index + 1]:.6g} A of target {sample.targets[sample.codes[index]]:.6g} A overlap."
        )
    few = sample.counts < 2
    if np.any(few):
        state = int(np.flatnonzero(few)[0])
        raise MeasurementError(
            f"{place}: the target {sample.targets[state]:.6g} A has {sample.counts[state]:.0f} cells; a spread needs at"
            " least two."
        )
    one = sample.sums((sample.count > 0).astype(np.float64)) < 2
    if np.any(one):
        state = int(np.flatnonzero(one)[0])
        raise MeasurementError(
            f"{place}: all cells of target {sample.targets[state]:.6g} A lie in one bin; a spread needs finer bins."
        )


def _log_slopes(sample: BinnedSample, mean: Floats, sigma: Floats) -> tuple[Floats, Floats, Floats]:
    """Return each bin's share and the slopes of its log-share in mu / sigma and in ln sigma."""
    codes = sample.codes
    low = np.clip((sample.low - mean[codes]) / sigma[codes], -37.0, 37.0)
    high = np.clip((sample.high - mean[codes]) / sigma[codes], -37.0, 37.0)
    # In the upper tail the difference of survival functions keeps the digits.
    upper = low > 0
    integral = np.where(upper, special.ndtr(-low) - special.ndtr(-high), special.ndtr(high) - special.ndtr(low))
    integral = np.maximum(integral, 1e-300)
    density_low, density_high = np.exp(-0.5 * low**2) / _ROOT, np.exp(-0.5 * high**2) / _ROOT
    slope_mean = -(density_high - density_low) / integral
    slope_log = -(high * density_high - low * density_low) / integral
    share = integral / sample.sums(integral)[codes]
    slope_mean = slope_mean - sample.sums(share * slope_mean)[codes]
    slope_log = slope_log - sample.sums(share * slope_log)[codes]
    return share, slope_mean, slope_log


def binned_normality(sample: BinnedSample, spread: Spread) -> Floats:
    """Return for each state the p-value of a likelihood-ratio test of its bins against the fitted normal.

    Neighbouring bins are merged until each expects at least five cells; states that leave fewer than four merged bins
    have no p-value (NaN).
    """
    share, _, _ = _log_slopes(sample, spread.mean, spread.sigma)
    values = np.full(len(sample.targets), np.nan)
    ends = np.append(sample.starts[1:], len(sample.low))
    for state, (begin, end) in enumerate(zip(sample.starts, ends, strict=True)):
        expected = share[begin:end] * sample.counts[state]
        groups = np.minimum(np.floor(np.cumsum(expected) / 5.0), np.floor(expected.sum() / 5.0) - 1).astype(int)
        groups = np.unique(groups, return_inverse=True)[1]
        if groups.max() < 3:
            continue
        merged, seen = np.bincount(groups, expected), np.bincount(groups, sample.count[begin:end])
        statistic = 2.0 * float(np.sum(special.xlogy(seen, seen / merged) - seen + merged))
        values[state] = stats.chi2.sf(max(statistic, 0.0), groups.max() + 1 - 3)
    return values
