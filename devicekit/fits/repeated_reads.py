"""Read noise from repeated reads: the scatter within each programmed cell, apart from the error of programming."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from devicekit.cells.error_model import ErrorModel
from devicekit.common.errors import MeasurementError
from devicekit.common.quantities import parse_quantity
from devicekit.common.unit_checks import warn_of_current
from devicekit.fits.model_choice import compare_models, fit_candidates
from devicekit.fits.model_fits import ModelFit
from devicekit.measurements.measurements import Measurements
from devicekit.measurements.reading import as_measurements

Floats = NDArray[np.float64]

MANY_TIMES = 64
"""More distinct times than that are a time series of reads, not retention steps."""


@dataclass(frozen=True, eq=False)
class RepeatedReads:
    """Mean current of every programmed cell, and the read noise by target.

    Attributes:
        cells: mean over the reads of every programmed cell.
        noise: one row a target: ``target`` and ``mean`` [A], ``sigma`` [A] over reads of a cell, ``dof``, ``reads``
            (harmonic mean over cells: a cell's mean keeps sigma^2 / reads of noise).
        notes: what was done.
    """

    cells: Measurements
    noise: pd.DataFrame
    notes: tuple[str, ...]


def average_reads(measurements: Measurements) -> RepeatedReads | None:
    """Return the mean current of every cell and the read noise by target; None where no cell was read twice.

    Reads of one cell are rows that share target, cell, cycle, die, wafer and condition; a column of more than 64
    distinct times is a time series, whose times are reads. Within-cell variances are pooled over the cells of a target:
    sigma_r^2 = sum (x - mean of its cell)^2 / sum (reads - 1). The degrees of freedom of time series are those of
    independent reads (see `_correlation`).

    Args:
        measurements: cells; needs a ``cell`` or ``read`` column.
    """
    columns = measurements.columns
    series = "time" in columns and len(np.unique(columns["time"])) > MANY_TIMES
    if measurements.is_histogram or not ("cell" in columns or "read" in columns):
        return None
    if "cell" not in columns and not series:
        return None
    keys = [role for role in ("target", "time", "temperature", "bake_temperature", "cell", "cycle", "die", "wafer")
            if role in columns and not (series and role == "time")]  # fmt: skip
    frame = pd.DataFrame({role: columns[role] for role in keys})
    group = frame.groupby(keys, sort=False).ngroup().to_numpy()
    size = np.bincount(group)
    if size.max() < 2:
        return None
    value = columns["value"]
    mean = np.bincount(group, value) / size
    first = np.unique(group, return_index=True)[1]
    within = np.bincount(group, (value - mean[group]) ** 2)
    target_of = columns["target"][first]
    free = size - 1.0
    if series:
        free = free / _correlation(value - mean[group], group, columns["time"])
    targets, code = np.unique(target_of, return_inverse=True)
    dof = np.bincount(code, free)
    noise = pd.DataFrame(
        {
            "target": targets,
            "mean": np.bincount(code, mean) / np.bincount(code),
            "sigma": np.sqrt(np.bincount(code, within) / np.bincount(code, size - 1.0).clip(min=1.0)),
            "dof": dof,
            "reads": np.bincount(code) / np.bincount(code, 1.0 / size),
        }
    )
    kept = {
        role: values[first] for role, values in columns.items() if role != "read" and not (series and role == "time")
    }
    kept["value"] = mean
    notes = [
        f"{len(value)} reads of {len(size)} programmed cells: read noise was taken from the scatter within each cell,"
        " programming error from the cells' means"
    ]
    if series:
        notes.append(f"{len(np.unique(columns['time']))} distinct times were taken for a time series of reads")
    return RepeatedReads(replace(measurements, columns=kept), noise, tuple(notes))


BATCHES = 20


def _correlation(residual: Floats, group: NDArray[np.int64], time: Floats) -> Floats:
    """Return the statistical inefficiency of each cell's reads: how many count as one independent read.

    By batch means: the variance of the means of 20 successive batches over that of independent reads, at least 1. Noise
    of 1/f kind is correlated over all times, so a trace of a hundred thousand reads says far less than its length.

    Args:
        residual: read less its cell's mean [A], shape (reads,).
        group: cell of each read.
        time: time of each read [s].
    """
    order = np.lexsort((time, group))
    residual, sorted_group = residual[order], group[order]
    size = np.bincount(sorted_group)
    rank = np.arange(len(residual)) - np.repeat(np.cumsum(size) - size, size)
    batch = sorted_group * BATCHES + rank * BATCHES // size[sorted_group]
    count = np.bincount(batch, minlength=len(size) * BATCHES).reshape(-1, BATCHES)
    sums = np.bincount(batch, residual, minlength=len(size) * BATCHES).reshape(-1, BATCHES)
    between = np.sum(sums**2 / np.maximum(count, 1), axis=1) / (BATCHES - 1)
    variance = np.bincount(sorted_group, residual**2) / np.maximum(size - 1, 1)
    return np.where(size > 2 * BATCHES, np.maximum(between / np.maximum(variance, 1e-300), 1.0), 1.0)


def without_read_noise(table: pd.DataFrame, noise: pd.DataFrame) -> pd.DataFrame:
    """Return a state table with the read noise that is left in the cells' means taken out of the spread.

    sigma^2 = s^2 - sigma_r^2 / reads. The degrees of freedom shrink with the share that is left; where nothing is
    left a tenth of s stands, so that a fit can go on.

    Args:
        table: statistics of the cells' means by target.
        noise: from `average_reads`.
    """
    own = noise.set_index("target").loc[table["target"]]
    left = (own["sigma"] ** 2 / own["reads"]).to_numpy()
    total = table["sigma"].to_numpy() ** 2
    rest = np.maximum(total - left, 0.01 * total)
    table = table.copy()
    share = rest / total
    table["sigma"] = np.sqrt(rest)
    table["dof"] = np.maximum(table["dof"] * share**2, 1.0)
    table["sigma_stderr"] = table["sigma"] / np.sqrt(2.0 * table["dof"])
    table["read_noise"] = own["sigma"].to_numpy()
    return table


def fit_read_noise(
    measurements: Measurements | str | Path,
    i_max: float | str | None = None,
    model: str | type[ErrorModel] = "auto",
) -> tuple[ModelFit, pd.DataFrame]:
    """Return the read noise against the cell's current, fitted to cells that were read more than once.

    One cell a target is enough.

    Args:
        measurements: repeated reads, or time series, with a ``cell`` column; or the path of their file.
        i_max: full scale [A]; None: the highest mean.
        model: name or class of an error model, as a law of the cell's own current; ``"auto"``: the best by BIC.

    Returns:
        The fit, and the noise by target (see `RepeatedReads.noise`).

    Raises:
        MeasurementError: no cell was read twice.
        DeviceError: an unknown model.
    """
    measurements = as_measurements(measurements)
    reads = average_reads(measurements)
    if reads is None:
        raise MeasurementError(
            f"{measurements.place}: read noise needs a cell column, and cells that were read more than once as they"
            " were programmed."
        )
    noise = reads.noise[(reads.noise["sigma"] > 0) & (reads.noise["dof"] >= 1)]
    highest = float(noise["mean"].max())
    scale = highest if i_max is None else parse_quantity(i_max, "A", "`i_max`")
    warn_of_current("`i_max`", scale, highest, stacklevel=2, called="the highest mean current")
    names = None if isinstance(model, str) and model == "auto" else [model]
    fits = fit_candidates(noise["mean"].clip(lower=0.0), noise["sigma"], noise["dof"], scale, names)
    return fits[str(compare_models(fits).index[0])], reads.noise
