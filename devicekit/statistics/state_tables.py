"""The table of states: statistics of the cells programmed to each target, from raw cells or histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from devicekit.common.errors import MeasurementError, unknown_name
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.binned_likelihood import BinnedSample, binned_normality, binned_spread, sort_bins
from devicekit.statistics.robust_statistics import student_spread, tail_bits, trimmed_spread
from devicekit.statistics.state_statistics import Spread, StateSample, anderson_darling, normal_spread, sort_states

Estimator = Literal["normal", "trimmed", "student"]
ESTIMATORS = ("normal", "trimmed", "student")


@dataclass(frozen=True, eq=False)
class States:
    """Statistics of the states at one condition.

    Attributes:
        table: one row a state: ``target``, ``n``, ``mean``, ``sigma``, ``mean_stderr``, ``sigma_stderr`` [A], ``dof``,
            ``normality_p``, ``mean_error`` [A], ``tail_bits``.
        sample: the sorted cells or bins.
        tails: the tail bits, farthest first; empty for histograms.
        notes: what the estimator found.
    """

    table: pd.DataFrame
    sample: StateSample | BinnedSample
    tails: pd.DataFrame
    notes: tuple[str, ...] = ()


def state_statistics(measurements: Measurements, estimator: Estimator = "normal") -> States:
    """Return the statistics of every state.

    Args:
        measurements: cells or histograms at one condition.
        estimator: ``"normal"`` (maximum likelihood), ``"trimmed"`` (inner 90 % of the cells) or ``"student"``.

    Raises:
        MeasurementError: an unknown estimator, a robust one for histograms, a state of one cell, or of cells that are
            all equal; the message names the file and the target.
    """
    if estimator not in ESTIMATORS:
        raise MeasurementError(unknown_name("estimator", estimator, ESTIMATORS))
    columns = measurements.columns
    if measurements.is_histogram:
        if estimator != "normal":
            raise MeasurementError(
                f"{measurements.place}: the estimator {estimator!r} needs cells, but the file holds histograms."
            )
        bins = sort_bins(columns["target"], columns["bin_low"], columns["bin_high"], columns["count"])
        spread = binned_spread(bins, measurements.place)
        return States(_table(bins.targets, bins.counts, spread, binned_normality(bins, spread)), bins, pd.DataFrame())
    sample = sort_states(columns["target"], columns["value"])
    plain = normal_spread(sample)
    _check(sample, plain, measurements.place)
    notes: list[str] = []
    spread = plain
    if estimator == "trimmed":
        spread = trimmed_spread(sample)
        notes.append("spreads are those of the inner 90 % of each state's cells, corrected for normal cells")
    elif estimator == "student":
        spread, nu = student_spread(sample)
        notes.append(f"spreads are those of a Student t with {nu:.3g} degrees of freedom, matched at the quartiles")
    table = _table(sample.targets, sample.counts, spread, anderson_darling(sample, plain))
    tails = tail_bits(sample)
    table["tail_bits"] = np.bincount(np.searchsorted(sample.targets, tails["target"]), minlength=len(table))
    return States(table, sample, tails, tuple(notes))


def _table(targets: np.ndarray, counts: np.ndarray, spread: Spread, normality: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "target": targets,
            "n": counts,
            "mean": spread.mean,
            "sigma": spread.sigma,
            "mean_stderr": spread.mean_stderr,
            "sigma_stderr": spread.sigma_stderr,
            "dof": spread.dof,
            "normality_p": normality,
            "mean_error": spread.mean - targets,
            "tail_bits": 0,
        }
    )


def _check(sample: StateSample, spread: Spread, place: str) -> None:
    for fault, what in (
        (sample.counts < 2, "has one cell; a spread needs at least two"),
        (spread.sigma <= 1e-12 * np.abs(spread.mean), "has cells that are all equal; a spread cannot be fitted"),
    ):
        if np.any(fault):
            target = float(sample.targets[np.flatnonzero(fault)[0]])
            raise MeasurementError(
                f"{place}: the target {target:.6g} A {what} ({int(fault.sum())} such targets of {len(sample.targets)})."
            )
