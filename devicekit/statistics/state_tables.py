"""The table of states: statistics of the cells programmed to each target, from raw cells or histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from devicekit.common.engineering import engineering
from devicekit.common.errors import MeasurementError, unknown_name
from devicekit.measurements.measurements import Measurements
from devicekit.statistics.bin_edges import extremes_known, with_extremes
from devicekit.statistics.binned_likelihood import (
    BinnedSample,
    binned_normality,
    binned_spread,
    check_bins,
    determined,
    some_states,
    sort_bins,
)
from devicekit.statistics.recording import Recording, recorded_sample
from devicekit.statistics.repeated_cells import cell_codes, cell_means, fit_two_levels
from devicekit.statistics.robust_statistics import student_spread, tail_bits, trimmed_spread
from devicekit.statistics.state_statistics import Spread, StateSample, anderson_darling, normal_spread, sort_states

Floats = NDArray[np.float64]
Estimator = Literal["normal", "trimmed", "student"]
ESTIMATORS = ("normal", "trimmed", "student")
PLAIN = Recording()


@dataclass(frozen=True, eq=False)
class States:
    """Statistics of the states at one condition.

    Attributes:
        table: one row a state: ``target``, ``n``, ``mean``, ``sigma``, ``mean_stderr``, ``sigma_stderr`` [A], ``dof``,
            ``sigma_low`` and ``sigma_high`` [A] (95 % interval), ``normality_p``, ``mean_error`` [A], ``tail_bits``;
            where cells repeat ``cycles``, ``cell_sigma`` and ``cycle_sigma`` with ``_low`` and ``_high`` [A], and
            ``shared`` (see `TwoLevels`).
        sample: the sorted cells or bins.
        tails: the tail bits, farthest first; empty for histograms.
        notes: what the estimator found and what was left out.
        is_plain: whether sigma is the root of the cells' own variance, so that drawing cells again gives its error.
    """

    table: pd.DataFrame
    sample: StateSample | BinnedSample
    tails: pd.DataFrame
    notes: tuple[str, ...] = ()
    is_plain: bool = False


def state_statistics(
    measurements: Measurements, estimator: Estimator = "normal", recording: Recording = PLAIN
) -> States:
    """Return the statistics of every state that has a spread.

    States of one cell, or of cells that are all equal or in one bin, are left out and named in the notes.

    Args:
        measurements: cells or histograms at one condition.
        estimator: ``"normal"`` (maximum likelihood), ``"trimmed"`` (inner 90 % of the cells) or ``"student"``.
        recording: how the instrument recorded currents; rounding and limits enter the likelihood.

    Raises:
        MeasurementError: an unknown estimator, a robust one for histograms, or no state with a spread; the message
            names the file and the target.
    """
    if estimator not in ESTIMATORS:
        raise MeasurementError(unknown_name("estimator", estimator, ESTIMATORS))
    if measurements.is_histogram:
        if estimator != "normal":
            raise MeasurementError(
                f"{measurements.place}: the estimator {estimator!r} needs cells, but the file holds histograms."
            )
        return _binned_states(measurements)
    measurements, left_out = _with_spread(measurements)
    columns = measurements.columns
    sample = sort_states(columns["target"], columns["value"])
    cells = cell_codes(columns)
    if cells is not None:
        return _repeated_states(sample, cells, estimator, left_out)
    if not recording.is_plain:
        return _recorded_states(measurements, sample, recording, estimator, left_out)
    notes = list(left_out)
    plain = normal_spread(sample)
    spread = plain
    if estimator == "trimmed":
        spread = trimmed_spread(sample)
        notes.append("spreads are those of the inner 90 % of each state's cells, corrected for normal cells")
    elif estimator == "student":
        spread, nu = student_spread(sample)
        notes.append(f"spreads are those of a Student t with {nu:.3g} degrees of freedom, matched at the quartiles")
    table = _table(sample.targets, sample.counts, spread, anderson_darling(sample, plain))
    return _with_tails(table, sample, tuple(notes), is_plain=estimator == "normal")


def _with_tails(table: pd.DataFrame, sample: StateSample, notes: tuple[str, ...], is_plain: bool = False) -> States:
    tails = tail_bits(sample)
    table["tail_bits"] = np.bincount(np.searchsorted(sample.targets, tails["target"]), minlength=len(table))
    return States(table, sample, tails, notes, is_plain)


def _binned_states(measurements: Measurements) -> States:
    columns = measurements.columns
    bins = sort_bins(
        columns["target"], columns["bin_low"], columns["bin_high"], columns["count"], cut=measurements.bins_are_cut
    )
    check_bins(bins, measurements.place)
    notes = []
    if extremes_known(bins):
        bins = with_extremes(bins)
        notes.append(
            "bins of each state run from its lowest to its highest cell: those two are taken as known, not as anywhere"
            " in their bins"
        )
    if measurements.bins_are_cut:
        notes.append("cells outside the listed bins were not recorded, as the file says")
    there = determined(bins)
    notes += _left_out(measurements.place, bins.targets, there, "have all cells in one bin or fewer than two cells")
    bins = some_states(bins, there)
    spread = binned_spread(bins)
    table = _table(bins.targets, bins.counts, spread, binned_normality(bins, spread))
    return States(table, bins, pd.DataFrame(), tuple(notes))


def _recorded_states(
    measurements: Measurements, sample: StateSample, recording: Recording, estimator: Estimator, left_out: list[str]
) -> States:
    notes = list(left_out)
    if estimator != "normal":
        raise MeasurementError(
            f"{measurements.place}: the estimator {estimator!r} needs currents as they are, but they are"
            f" {recording.describe()}; their likelihood needs the estimator 'normal'."
        )
    bins = recorded_sample(sample, recording)
    there = determined(bins)
    notes += _left_out(
        measurements.place, bins.targets, there, f"have cells that cannot be told apart, currents being"
        f" {recording.describe()}"
    )  # fmt: skip
    low, high = recording.at_limit(sample.values)
    held = int(np.sum(low | high))
    if held:
        notes.append(
            f"{held} of {len(sample.values)} cells stand at the limit: they are known only to be at or beyond it"
        )
    if recording.step is not None:
        notes.append(
            f"currents are rounded to {engineering(recording.step, 'A')}: cells count as anywhere in their step"
        )
    kept = np.isin(sample.codes, np.flatnonzero(there))
    bins = some_states(bins, there)
    sample = sort_states(sample.targets[sample.codes][kept], sample.values[kept])
    spread = binned_spread(bins)
    normality = binned_normality(bins, spread)
    if recording.step is None:
        # Where no cell stands at the limit all are known.
        free = (
            np.bincount(np.searchsorted(sample.targets, _held_targets(sample, recording)), minlength=len(normality))
            == 0
        )
        normality = np.where(free, anderson_darling(sample, normal_spread(sample)), np.nan)
    table = _table(bins.targets, bins.counts, spread, normality)
    # Cells of one step are no quartiles, and cells at a limit no tail.
    floor = 0.5 * spread.sigma
    tails = tail_bits(sample, floor)
    table["tail_bits"] = np.bincount(np.searchsorted(sample.targets, tails["target"]), minlength=len(table))
    return States(table, sample, tails, tuple(notes))


def _held_targets(sample: StateSample, recording: Recording) -> Floats:
    low, high = recording.at_limit(sample.values)
    return sample.targets[sample.codes[low | high]]


def _repeated_states(
    sample: StateSample, cells: NDArray[np.int64], estimator: Estimator, left_out: list[str]
) -> States:
    """Return the statistics of states whose cells were programmed more than once: spreads from the number of cells."""
    codes, cell = sample.codes, cells[sample.order]
    groups = cell_means(codes, cell, sample.values, len(sample.targets))
    fits = [fit_two_levels(group) for group in groups]
    counts = np.array([len(group.mean) for group in groups], dtype=np.float64)
    dof = np.array([fit.dof for fit in fits])
    total = np.array([fit.total for fit in fits])
    spread = Spread(
        np.array([fit.mean for fit in fits]),
        total,
        np.array([fit.mean_stderr for fit in fits]),
        total / np.sqrt(2.0 * dof),
        dof,
    )
    means = sort_states(
        np.repeat(sample.targets, [len(group.mean) for group in groups]), np.concatenate([g.mean for g in groups])
    )
    table = _table(sample.targets, counts, spread, anderson_darling(means, normal_spread(means)))
    table["cycles"] = [float(np.mean(group.cycles)) for group in groups]
    for level in ("cell", "cycle"):
        table[f"{level}_sigma"] = [getattr(fit, level) for fit in fits]
        for side, name in enumerate(("low", "high")):
            table[f"{level}_sigma_{name}"] = [getattr(fit, f"{level}_interval")[side] for fit in fits]
    table["shared"] = [fit.shared for fit in fits]
    note = (
        f"{len(np.unique(cell))} cells were programmed {table['cycles'].mean():.3g} times on average: spreads are"
        " split into"
        " cell to cell and cycle to cycle, their errors follow from the number of cells"
    )
    if estimator != "normal":
        note += f"; the estimator {estimator} does not apply"
    return _with_tails(table, sample, (*left_out, note))


def _table(targets: Floats, counts: NDArray[np.number], spread: Spread, normality: Floats) -> pd.DataFrame:
    low, high = spread.interval
    return pd.DataFrame(
        {
            "target": targets,
            "n": counts,
            "mean": spread.mean,
            "sigma": spread.sigma,
            "mean_stderr": spread.mean_stderr,
            "sigma_stderr": spread.sigma_stderr,
            "sigma_low": low,
            "sigma_high": high,
            "dof": spread.dof,
            "normality_p": normality,
            "mean_error": spread.mean - targets,
            "tail_bits": 0,
        }
    )


def _with_spread(measurements: Measurements) -> tuple[Measurements, list[str]]:
    """Return the cells of states that have two different currents or more, and a note of the others."""
    columns = measurements.columns
    sample = sort_states(columns["target"], columns["value"])
    plain = normal_spread(sample)
    several = sample.counts >= 2
    if not np.any(several):
        _refuse(measurements.place, sample.targets, ~several, "has one cell; a spread needs at least two")
    there = several & (plain.sigma > 1e-12 * np.abs(plain.mean))
    if not np.any(there):
        _refuse(measurements.place, sample.targets, ~there, "has cells that are all equal; a spread cannot be fitted")
    notes = _left_out(measurements.place, sample.targets, several, "have a single cell")
    notes += _left_out(measurements.place, sample.targets, there | ~several, "have cells that are all equal")
    if np.all(there):
        return measurements, notes
    keep = np.isin(columns["target"], sample.targets[there])
    return measurements.where(keep), notes


def _refuse(place: str, targets: Floats, fault: NDArray[np.bool_], what: str) -> None:
    raise MeasurementError(
        f"{place}: the target {float(targets[np.flatnonzero(fault)[0]]):.6g} A {what} ({int(fault.sum())} such targets"
        f" of {len(targets)})."
    )


def _left_out(place: str, targets: Floats, there: NDArray[np.bool_], what: str) -> list[str]:
    """Return a note that names the states without a spread.

    Raises:
        MeasurementError: there are no others.
    """
    if np.all(there):
        return []
    names = ", ".join(engineering(target, "A", 3) for target in targets[~there][:6])
    more = f" and {int((~there).sum()) - 6} more" if (~there).sum() > 6 else ""
    if not np.any(there):
        raise MeasurementError(f"{place}: all states ({names}{more}) {what}; a spread cannot be fitted.")
    return [f"the states {names}{more} {what} and were left out"]
