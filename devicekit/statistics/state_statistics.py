"""Statistics of the cells of each programmed state, for all states at once.

Cells arrive as flat arrays with a state code each; sums over states are segment sums, so a million cells take a
fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class StateSample:
    """The cells of all states, sorted by state.

    Attributes:
        targets: programmed current of each state, rising [A], shape (states,).
        values: cell currents, state after state and rising within each [A], shape (cells,).
        starts: index of each state's first cell, shape (states,).
        order: where each sorted value stood in the input, shape (cells,).
    """

    targets: Floats
    values: Floats
    starts: Integers
    order: Integers

    @property
    def counts(self) -> Integers:
        """Cells of each state."""
        return np.diff(np.append(self.starts, len(self.values)))

    @property
    def codes(self) -> Integers:
        """State of each sorted value."""
        return np.repeat(np.arange(len(self.targets)), self.counts)

    def of(self, state: int) -> Floats:
        """Return the rising currents of one state [A]."""
        begin = int(self.starts[state])
        return self.values[begin : begin + int(self.counts[state])]

    def sums(self, values: Floats) -> Floats:
        """Return the sum over each state of numbers given for each sorted cell."""
        return np.asarray(np.add.reduceat(values, self.starts), dtype=np.float64)


def sort_states(target: Floats, value: Floats) -> StateSample:
    """Return cells grouped by target current.

    Args:
        target: programmed current of each cell [A], shape (cells,), at least one cell.
        value: its read current [A], same shape.
    """
    order = np.lexsort((value, target))
    sorted_target = target[order]
    starts = np.flatnonzero(np.append(True, np.diff(sorted_target) > 0))
    return StateSample(sorted_target[starts], value[order], starts, order)


@dataclass(frozen=True)
class Spread:
    """Mean and spread of each state as an estimator sees them; every array has shape (states,).

    Attributes:
        mean: location [A].
        sigma: spread [A].
        mean_stderr: standard error of `mean` [A].
        sigma_stderr: standard error of `sigma` [A].
        dof: degrees of freedom of sigma squared: n - 1 for a normal sample, fewer where cells are binned or trimmed.
        likely: 95 % interval of sigma by likelihood [A], shape (2, states); None: chi-square on `dof` (see `interval`).
    """

    mean: Floats
    sigma: Floats
    mean_stderr: Floats
    sigma_stderr: Floats
    dof: Floats
    likely: Floats | None = None

    @property
    def interval(self) -> Floats:
        """95 % interval of sigma [A], shape (2, states): sigma sqrt(nu / chi2_nu) unless the likelihood gave one."""
        if self.likely is not None:
            return self.likely
        quantiles = special.chdtri(self.dof, np.array([[0.025], [0.975]]))
        return np.asarray(self.sigma * np.sqrt(self.dof / quantiles), dtype=np.float64)


def normal_spread(sample: StateSample) -> Spread:
    """Return mean and spread of normal cells by maximum likelihood, the variance on n - 1 degrees of freedom.

    (n - 1) s^2 / sigma^2 is chi-square with n - 1 degrees of freedom, so s has the standard error
    s / sqrt(2 (n - 1)).
    """
    counts = sample.counts.astype(np.float64)
    mean = sample.sums(sample.values) / counts
    residual = sample.values - np.repeat(mean, sample.counts)
    # The second term takes out what rounding left in the mean.
    squares = sample.sums(residual**2) - sample.sums(residual) ** 2 / counts
    dof = counts - 1.0
    sigma = np.sqrt(np.maximum(squares, 0.0) / np.maximum(dof, 1.0))
    return Spread(mean, sigma, sigma / np.sqrt(counts), sigma / np.sqrt(2.0 * np.maximum(dof, 1.0)), dof)


def anderson_darling(sample: StateSample, spread: Spread) -> Floats:
    """Return for each state the p-value of the Anderson-Darling test for a normal distribution.

    A^2 with mean and variance estimated, corrected for n as A^2 (1 + 0.75 / n + 2.25 / n^2), and its p-value by the
    piecewise formulas of D'Agostino & Stephens, Goodness-of-Fit Techniques (1986), table 4.9. States of fewer than
    eight cells have no p-value (NaN).

    Args:
        sample: the cells.
        spread: mean and spread of each state by `normal_spread`.
    """
    counts = sample.counts
    codes = sample.codes
    sigma = np.where(spread.sigma > 0, spread.sigma, 1.0)
    z = (sample.values - spread.mean[codes]) / sigma[codes]
    rank = np.arange(len(z)) - sample.starts[codes] + 1.0
    # Both terms sum over the same ordered cells: log(1 - Phi(z_i)) carries the weight of its mirrored rank.
    weight = 2.0 * rank - 1.0
    mirrored = 2.0 * (counts[codes] - rank) + 1.0
    terms = weight * special.log_ndtr(z) + mirrored * special.log_ndtr(-z)
    n = counts.astype(np.float64)
    statistic = (-n - sample.sums(terms) / n) * (1.0 + 0.75 / n + 2.25 / n**2)
    p = np.select(
        [statistic < 0.2, statistic < 0.34, statistic < 0.6, statistic < 13.0],
        [
            1.0 - np.exp(-13.436 + 101.14 * statistic - 223.73 * statistic**2),
            1.0 - np.exp(-8.318 + 42.796 * statistic - 59.938 * statistic**2),
            np.exp(0.9177 - 4.279 * statistic - 1.38 * statistic**2),
            np.exp(1.2937 - 5.709 * statistic + 0.0186 * statistic**2),
        ],
        default=0.0,
    )
    return np.where((counts >= 8) & (spread.sigma > 0), np.clip(p, 0.0, 1.0), np.nan)
