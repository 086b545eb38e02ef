"""Laws of retention fitted to the means and spreads of states at several times, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from devicekit.cells.retention_laws import LAW_NAMES, LawName, RetentionLaw, log_clock
from devicekit.common.plain import plain_dict
from devicekit.measurements.measurements import Measurements

Floats = NDArray[np.float64]
SURE = 5.0
"""A state whose mean is fewer standard errors above zero has no relative change worth fitting."""
REJECTED = 0.01
"""A law that chance would contradict so badly less often than that is not used."""


@dataclass(frozen=True, eq=False)
class RetentionLawFit:
    """One law fitted to all states.

    Attributes:
        law: rates with standard errors.
        chi_square: misfit of the means.
        freedom: its degrees of freedom.
        paired: whether the same cells were followed, so that their common deviations cancel.
    """

    law: RetentionLaw
    chi_square: float
    freedom: int
    paired: bool

    @property
    def goodness(self) -> float:
        """Chance of a larger chi-square if the law were true; NaN without spare times."""
        return float(stats.chi2.sf(self.chi_square, self.freedom)) if self.freedom > 0 else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return the law as plain values: goodness, start [s], rates by target [A] with standard errors."""
        law = self.law
        return plain_dict(
            {
                "goodness_p": self.goodness,
                "t_0_s": law.t_0,
                "targets_a": law.targets,
                "rates": law.rates,
                "stderr": law.stderr,
                "sigma_rate": law.sigma_rate,
                "cells_followed": self.paired,
            }
        )


@dataclass(frozen=True, eq=False)
class Changes:
    """What became of each state, relative to the start.

    Attributes:
        targets: programmed currents [A], shape (states,).
        times: later times [s], shape (times,).
        start: time of the start [s].
        ratio: mean over that at the start, shape (states, times).
        covariance: of the ratios of each state, shape (states, times, times).
        growth: logarithm of sigma over that at the start, all states together, shape (times,).
        growth_covariance: shape (times, times).
        paired: whether the same cells were followed.
    """

    targets: Floats
    times: Floats
    start: float
    ratio: Floats
    covariance: Floats
    growth: Floats
    growth_covariance: Floats
    paired: bool


def fit_retention_laws(changes: Changes) -> dict[LawName, RetentionLawFit]:
    """Return every law at its best, by generalised least squares; the better one first.

    Rates are linear given the law's clock; t_0, needed where the start is time 0, is the best of a logarithmic grid.

    Args:
        changes: relative changes at two or more later times.
    """
    fits = {name: _fit(name, changes) for name in LAW_NAMES}
    return dict(sorted(fits.items(), key=lambda item: item[1].chi_square))


def _fit(name: LawName, changes: Changes) -> RetentionLawFit:
    value = np.log(changes.ratio) if name == "power" else changes.ratio - 1.0
    scale = changes.ratio if name == "power" else np.ones_like(changes.ratio)
    covariance = changes.covariance / scale[:, :, None] / scale[:, None, :]
    weight = np.linalg.inv(covariance)
    first = float(changes.times[0])
    grid = [1.0] if changes.start > 0 else np.geomspace(0.01 * first, 10.0 * float(changes.times[-1]), 121)

    def at(t_0: float) -> tuple[float, Floats, Floats]:
        clock = log_clock(changes.times, changes.start, t_0)
        normal = np.einsum("t,jtu,u->j", clock, weight, clock)
        rates = np.einsum("t,jtu,ju->j", clock, weight, value) / normal
        residual = value - rates[:, None] * clock
        return float(np.einsum("jt,jtu,ju->", residual, weight, residual)), rates, normal**-0.5

    misfits = np.array([at(float(t_0))[0] for t_0 in grid])
    best = float(grid[int(np.argmin(misfits))])
    chi_square, rates, stderr = at(best)
    if len(misfits) > 1:
        # An error of t_0 is made up for by the rates over the measured times; beyond them it stays.
        near = np.log(np.asarray(grid)[misfits < misfits.min() + 1.0])
        half = 0.5 * float(np.ptp(near)) + 0.5 * float(np.log(grid[1] / grid[0]))
        stderr = np.hypot(stderr, rates * half / log_clock(changes.times[-1], changes.start, best))
    growth, growth_stderr = _growth(name, changes, log_clock(changes.times, changes.start, best))
    law = RetentionLaw(
        name, tuple(changes.targets.tolist()), tuple(rates.tolist()), growth, changes.start, best,
        tuple(stderr.tolist()), growth_stderr,
    )  # fmt: skip
    spare = changes.ratio.size - len(rates) - (0 if changes.start > 0 else 1)
    return RetentionLawFit(law, chi_square, spare, changes.paired)


def _growth(name: LawName, changes: Changes, clock: Floats) -> tuple[float, float]:
    ratio = np.exp(changes.growth)
    value, scale = (changes.growth, np.ones_like(ratio)) if name == "power" else (ratio - 1.0, ratio)
    weight = np.linalg.inv(changes.growth_covariance * np.outer(scale, scale))
    normal = float(clock @ weight @ clock)
    return float(clock @ weight @ value) / normal, normal**-0.5


def relative_changes(
    start: float, base: pd.DataFrame, later: Sequence[tuple[float, pd.DataFrame]], rows: Measurements
) -> Changes | None:
    """Return the relative changes of states, or None for fewer than two later times or no state that shows any.

    Where cells are told apart, every cell is followed: with R the ratio of the means, its deviation I(t) - R I(start)
    gives the covariance of R over times. Otherwise the errors of all means are taken as independent.

    Args:
        start: time of the programmed states [s].
        base: their table.
        later: later times [s] with the table of states then.
        rows: cells at all times, read as the base was.
    """
    if len(later) < 2:
        return None
    tables = [base.set_index("target"), *(table.set_index("target") for _, table in later)]
    common = tables[0].index
    for table in tables:
        common = common.intersection(table.index[table["mean"] > SURE * table["mean_stderr"]])
    if not len(common):
        return None
    tables = [table.loc[common] for table in tables]
    mean = np.stack([table["mean"].to_numpy() for table in tables], axis=1)
    error = np.stack([table["mean_stderr"].to_numpy() for table in tables], axis=1)
    times = np.array([time for time, _ in later])
    ratio = mean[:, 1:] / mean[:, :1]
    relative = error / mean[:, :1]
    covariance = ratio[:, :, None] * ratio[:, None, :] * relative[:, :1, None] ** 2
    covariance[:, np.arange(len(times)), np.arange(len(times))] += relative[:, 1:] ** 2
    followed = _followed(rows, common.to_numpy(), np.append(start, times), ratio, mean[:, 0])
    growth, growth_covariance = _spread_growth(tables)
    return Changes(
        common.to_numpy(dtype=np.float64), times, start, ratio, covariance if followed is None else followed, growth,
        growth_covariance, followed is not None,
    )  # fmt: skip


def _followed(rows: Measurements, targets: Floats, times: Floats, ratio: Floats, first: Floats) -> Floats | None:
    """Return the covariance of the ratios from cells followed one by one; None where cells are not told apart."""
    columns = rows.columns
    if rows.is_histogram or "cell" not in columns:
        return None
    roles = [role for role in ("cell", "die", "wafer", "cycle") if role in columns]
    frame = pd.DataFrame({role: columns[role] for role in (*roles, "target", "time", "value")})
    table = frame.pivot_table(index=["target", *roles], columns="time", values="value").reindex(columns=times).dropna()
    result = np.empty((len(targets), len(times) - 1, len(times) - 1))
    for state, target in enumerate(targets):
        if target not in table.index.get_level_values("target"):
            return None
        cells = table.xs(target, level="target").to_numpy()
        if len(cells) < 3 * len(times):
            return None
        own = cells[:, 1:] - ratio[state] * cells[:, :1]
        covariance = np.cov(own.T).reshape(len(times) - 1, -1) / len(cells) / first[state] ** 2
        # Cells that move by exactly the same share would leave no error at all.
        floor = 1e-12 + 1e-6 * np.trace(covariance) / len(covariance)
        result[state] = covariance + floor * np.eye(len(covariance))
    return result


def _spread_growth(tables: Sequence[pd.DataFrame]) -> tuple[Floats, Floats]:
    """Return ln of sigma over that at the start, averaged over states by their degrees of freedom, with covariance."""
    log_sigma = np.stack([np.log(table["sigma"].to_numpy()) for table in tables], axis=1)
    dof = np.stack([table["dof"].to_numpy() for table in tables], axis=1)
    variance = 0.5 / dof
    weight = 1.0 / (variance[:, :1] + variance[:, 1:].mean(axis=1, keepdims=True))
    weight = weight / weight.sum()
    growth = np.sum(weight * (log_sigma[:, 1:] - log_sigma[:, :1]), axis=0)
    own = np.sum(weight**2 * variance[:, 1:], axis=0)
    shared = float(np.sum(weight[:, 0] ** 2 * variance[:, 0]))
    return growth, np.diag(own) + shared


def predicted_mean(
    fit: RetentionLawFit, start_mean: Floats, target: Floats, time: float
) -> tuple[Floats, Floats, Floats]:
    """Return the mean at a time [s] by a law, with the ends of its 95 % interval [A].

    Args:
        fit: the law.
        start_mean: mean of cells at the start [A].
        target: what they were programmed to [A], same shape.
        time: when [s].
    """
    low, high = fit.law.mean_ratio_interval(target, time)
    return start_mean * fit.law.mean_ratio(target, time), start_mean * low, start_mean * high
