"""Cells that were programmed more than once: how far cells differ, how far one cell differs from cycle to cycle.

For one state, y_ij = mu + a_i + e_ij with a_i the deviation of cell i (variance C, cell to cell) and e_ij that of its
cycle j (variance E, cycle to cycle). Restricted maximum likelihood over both variances (Patterson & Thompson,
Biometrika 58 (1971) 545), for any numbers m_i of cycles: with v_i = C + E / m_i and the weighted mean mu of the cells'
means y_i,

    -2 l = sum_i (m_i - 1) ln E + W / E + sum_i ln v_i + ln sum_i 1 / v_i + sum_i (y_i - mu)^2 / v_i,

W the sum of squares within cells. With equal numbers it is the balanced analysis of variance: E = MS_within,
C = (MS_between - MS_within) / m.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_DROP = float(stats.chi2.ppf(0.95, 1))


@dataclass(frozen=True)
class CellMeans:
    """The cells of one state: sufficient for both variances.

    Attributes:
        mean: mean over the cycles of each cell [A], shape (cells,).
        cycles: how many cycles each had.
        within: sum of squares of all cycles about their cell's mean [A^2].
    """

    mean: Floats
    cycles: Floats
    within: float

    @property
    def free(self) -> float:
        """Degrees of freedom within cells."""
        return float(np.sum(self.cycles - 1.0))


@dataclass(frozen=True)
class TwoLevels:
    """Mean and the two variances of one state.

    Attributes:
        mean: mean over cells [A].
        mean_stderr: its standard error [A].
        cell: standard deviation from cell to cell [A]; 0 where it does not show.
        cycle: standard deviation of a cell from cycle to cycle [A].
        cell_interval: 95 % interval of `cell` by likelihood [A].
        cycle_interval: 95 % interval of `cycle` [A].
        total: standard deviation of a cell picked and programmed once, sqrt(C + E) [A].
        dof: degrees of freedom of total squared (Satterthwaite): near cells - 1 where cells differ most.
        shared: share of the variance of total squared that comes from differences between cells, which another state of
            the same cells repeats.
    """

    mean: float
    mean_stderr: float
    cell: float
    cycle: float
    cell_interval: tuple[float, float]
    cycle_interval: tuple[float, float]
    total: float
    dof: float
    shared: float


def fit_two_levels(cells: CellMeans) -> TwoLevels:
    """Return both variances of one state by restricted maximum likelihood.

    Args:
        cells: at least two cells, at least one of them with two different cycles.
    """
    unit = max(cells.within / max(cells.free, 1.0), 1e-30)
    spread = max(float(np.var(cells.mean)), 1e-6 * unit)

    def deviance(ratio: float) -> float:
        """-2 l at C = ratio * E with the best E."""
        return _profile(cells, ratio)[0]

    top = 100.0 * spread / unit + 10.0
    found = optimize.minimize_scalar(lambda x: deviance(float(np.expm1(x))), bounds=(0.0, np.log1p(top)),
                                     method="bounded", options={"xatol": 1e-10})  # fmt: skip
    ratio = float(np.expm1(found.x))
    if deviance(0.0) <= deviance(ratio):
        ratio = 0.0
    cycle_variance = _profile(cells, ratio)[1]
    cell_variance = ratio * cycle_variance
    covariance = _covariance(cells, cell_variance, cycle_variance)
    weights = 1.0 / (cell_variance + cycle_variance / cells.cycles)
    total = cell_variance + cycle_variance
    of_total = float(covariance.sum())
    low, high = _cell_interval(cells, cell_variance, cycle_variance)
    own = special.chdtri(cells.free, np.array([0.025, 0.975]))
    within = cells.within / cells.free
    return TwoLevels(
        mean=float(np.sum(weights * cells.mean) / weights.sum()),
        mean_stderr=float(weights.sum() ** -0.5),
        cell=cell_variance**0.5,
        cycle=cycle_variance**0.5,
        cell_interval=(low**0.5, high**0.5),
        cycle_interval=(float((within * cells.free / own[0]) ** 0.5), float((within * cells.free / own[1]) ** 0.5)),
        total=total**0.5,
        dof=2.0 * total**2 / of_total,
        shared=_between_share(cells, cell_variance, cycle_variance, of_total),
    )


def _profile(cells: CellMeans, ratio: float) -> tuple[float, float]:
    """Return -2 l at C / E = ratio with the best E, and that E."""
    relative = ratio + 1.0 / cells.cycles
    weights = 1.0 / relative
    mean = np.sum(weights * cells.mean) / weights.sum()
    squares = cells.within + float(np.sum(weights * (cells.mean - mean) ** 2))
    free = float(cells.cycles.sum()) - 1.0
    variance = max(squares / free, 1e-300)
    value = free * (np.log(variance) + 1.0) + float(np.sum(np.log(relative))) + float(np.log(weights.sum()))
    return value, variance


def _deviance(cells: CellMeans, cell_variance: float, cycle_variance: float) -> float:
    variance = cell_variance + cycle_variance / cells.cycles
    weights = 1.0 / variance
    mean = np.sum(weights * cells.mean) / weights.sum()
    return float(
        cells.free * np.log(cycle_variance)
        + cells.within / cycle_variance
        + np.sum(np.log(variance))
        + np.log(weights.sum())
        + np.sum(weights * (cells.mean - mean) ** 2)
    )


def _covariance(cells: CellMeans, cell_variance: float, cycle_variance: float) -> Floats:
    """Return the covariance of (C, E) from the expected information 1/2 tr(P V_a P V_b)."""
    m = cells.cycles
    w = 1.0 / (cell_variance + cycle_variance / m)
    total = float(w.sum())

    def trace(first: Floats, second: Floats, third: Floats, fourth: Floats, extra: float = 0.0) -> float:
        plain = extra + float(np.sum(w**2 * first)) - 2.0 * float(np.sum(w**3 * second)) / total
        return plain + float(np.sum(w**2 * third)) * float(np.sum(w**2 * fourth)) / total**2

    one, inverse = np.ones_like(m), 1.0 / m
    cc = trace(one, one, one, one)
    ce = trace(inverse, inverse, one, inverse)
    ee = trace(inverse**2, inverse**2, inverse, inverse, extra=cells.free / cycle_variance**2)
    information = 0.5 * np.array([[cc, ce], [ce, ee]])
    scale = 1.0 / np.sqrt(np.diag(information))
    return np.asarray(np.linalg.inv(information * np.outer(scale, scale)) * np.outer(scale, scale), dtype=np.float64)


def _between_share(cells: CellMeans, cell_variance: float, cycle_variance: float, of_total: float) -> float:
    """Return which part of the variance of C + E stems from the scatter of cells' means, as in a balanced design."""
    between = cell_variance + cycle_variance * float(np.mean(1.0 / cells.cycles))
    return float(min(2.0 * between**2 / (len(cells.mean) - 1.0) / of_total, 1.0))


def _cell_interval(cells: CellMeans, cell_variance: float, cycle_variance: float) -> tuple[float, float]:
    """Return the 95 % interval of C: where the restricted likelihood, at the best E, has fallen by 1.92."""
    best = _deviance(cells, cell_variance, cycle_variance)

    def fall(variance: float) -> float:
        """Fall of 2 l at a given C with the best E."""
        inner = optimize.minimize_scalar(
            lambda x: _deviance(cells, variance, cycle_variance * float(np.exp(x))), bounds=(-5.0, 5.0),
            method="bounded", options={"xatol": 1e-6},
        )  # fmt: skip
        return float(inner.fun) - best - _DROP

    unit = cell_variance + cycle_variance / float(np.mean(cells.cycles))
    low = 0.0 if fall(0.0) <= 0 else optimize.brentq(fall, 0.0, cell_variance, xtol=1e-9 * unit, rtol=1e-6)
    top = cell_variance + unit
    while fall(top) < 0 and top < 1e8 * unit:
        top *= 2.0
    return float(low), float(optimize.brentq(fall, cell_variance, top, xtol=1e-9 * unit, rtol=1e-6))


def cell_codes(columns: Mapping[str, Floats]) -> Integers | None:
    """Return which cell each row is of, where cells were programmed more than once to a state; else None.

    Args:
        columns: arrays by role; needs ``cell`` and ``cycle``, and counts a cell of another die or wafer as another one.
    """
    if "cell" not in columns or "cycle" not in columns:
        return None
    roles = [role for role in ("wafer", "die", "cell") if role in columns]
    cell = np.unique(np.stack([columns[role] for role in roles]), axis=1, return_inverse=True)[1].reshape(-1)
    pairs = np.unique(np.stack([columns["target"], cell]), axis=1, return_counts=True)[1]
    if pairs.max() < 2:
        return None
    # Every state needs two cells, and one of them twice; a state without has no two levels.
    targets, state = np.unique(columns["target"], return_inverse=True)
    cells = [len(np.unique(cell[state == index])) for index in range(len(targets))]
    rows = np.bincount(state)
    return cell.astype(np.int64) if all(2 <= own < count for own, count in zip(cells, rows, strict=True)) else None


def cell_means(code: Integers, cell: Integers, value: Floats, states: int) -> list[CellMeans]:
    """Return the cells of every state.

    Args:
        code: state of each row, 0 to states - 1, shape (rows,).
        cell: which cell the row is of.
        value: its current [A].
        states: how many.
    """
    frame = pd.DataFrame({"state": code, "cell": cell, "value": value})
    groups = frame.groupby(["state", "cell"], sort=True)["value"]
    means, counts = groups.mean(), groups.size()
    within = ((frame["value"] - groups.transform("mean")) ** 2).groupby(frame["state"]).sum()
    return [
        CellMeans(means.loc[state].to_numpy(), counts.loc[state].to_numpy(dtype=np.float64), float(within.loc[state]))
        for state in range(states)
    ]


def shared_deviation(code: Integers, cell: Integers, z: Floats, states: int) -> Floats:
    """Return how much the states' deviations repeat from state to state, cell by cell: squared correlations.

    Where the same cells were measured at every state, a cell that is high in one may be high in all; spreads of
    different states then repeat one another. What cells chosen at random would show, (1 - r^2) / (cells - 2), is taken
    off, and correlations that chance explains (p > 0.01) count as none.

    Args:
        code: state of each row, shape (rows,).
        cell: which cell the row is of.
        z: its deviation from the state's mean, in spreads.
        states: how many states.

    Returns:
        Squared correlations, shape (states, states), 1 on the diagonal.
    """
    table = pd.DataFrame({"state": code, "cell": cell, "z": z}).groupby(["state", "cell"])["z"].mean().unstack("state")
    table = table.reindex(columns=range(states))
    correlation = table.corr(min_periods=4).to_numpy()
    present = table.notna().to_numpy().astype(np.float64)
    common = present.T @ present
    with np.errstate(invalid="ignore", divide="ignore"):
        squared = correlation**2
        t = np.abs(correlation) * np.sqrt((common - 2.0) / np.maximum(1.0 - squared, 1e-12))
        sure = 2.0 * stats.t.sf(t, np.maximum(common - 2.0, 1.0)) < 0.01
        corrected = squared - (1.0 - squared) / np.maximum(common - 2.0, 1.0)
    result = np.where(sure & (common >= 4), np.clip(corrected, 0.0, 1.0), 0.0)
    np.fill_diagonal(result, 1.0)
    return np.asarray(result, dtype=np.float64)
