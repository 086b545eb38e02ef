"""How the error splits into within die, between dies, between wafers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from devicekit.cells.cell import Spatial

Floats = NDArray[np.float64]
SIGNIFICANCE = 0.01
"""A component is kept when chance alone would show it less often than that."""


@dataclass(frozen=True)
class VarianceComponents:
    """Shares of the variance of standardised errors.

    Attributes:
        within: share within a die.
        die: share between the dies of a wafer; 0 where it is not significant.
        wafer: share between wafers; 0 where it is not significant.
        die_p: p-value of the F test for dies; NaN with fewer than two dies.
        wafer_p: p-value of the F test for wafers; NaN with fewer than two wafers.
        dies: number of dies.
        wafers: number of wafers.
    """

    within: float
    die: float
    wafer: float
    die_p: float
    wafer_p: float
    dies: int
    wafers: int

    @property
    def spatial(self) -> Spatial | None:
        """The correlation a cell carries; None where nothing is significant."""
        return Spatial(self.die, self.wafer) if self.die > 0 or self.wafer > 0 else None


def variance_components(z: Floats, die: NDArray[np.int64], wafer: NDArray[np.int64] | None) -> VarianceComponents:
    """Return the nested variance components of standardised errors by analysis of variance (Henderson's method I).

    Without two cells on any die nothing can be told apart, and all of it counts as within. z = wafer + die(wafer) +
    cell. The mean squares between wafers, between dies of a wafer and within dies have known
    expectations for any numbers of cells; they are solved for the three variances.

    Args:
        z: error of each cell over its state's spread, mean 0 in each state, shape (cells,).
        die: code of its die, shape (cells,); the same code on two wafers is two dies.
        wafer: code of its wafer; None: one wafer.
    """
    wafers = np.zeros(len(z), dtype=np.int64) if wafer is None else np.unique(wafer, return_inverse=True)[1]
    pair, dies = np.unique(np.stack([wafers, die.astype(np.int64)]), axis=1, return_inverse=True)
    dies = dies.reshape(-1)
    wafer_of_die = pair[0]
    n, n_dies, n_wafers = len(z), pair.shape[1], int(wafers.max()) + 1
    cells_die, cells_wafer = np.bincount(dies).astype(float), np.bincount(wafers).astype(float)
    mean_die, mean_wafer = np.bincount(dies, z) / cells_die, np.bincount(wafers, z) / cells_wafer
    grand = float(z.mean())
    within = float(np.sum((z - mean_die[dies]) ** 2)) / max(n - n_dies, 1)
    if n <= n_dies or within <= 0:
        return VarianceComponents(1.0, 0.0, 0.0, float("nan"), float("nan"), n_dies, n_wafers)
    between_dies = float(np.sum(cells_die * (mean_die - mean_wafer[wafer_of_die]) ** 2))
    between_wafers = float(np.sum(cells_wafer * (mean_wafer - grand) ** 2))
    free_dies, free_wafers = n_dies - n_wafers, n_wafers - 1
    squares = cells_die**2
    in_wafer = np.bincount(wafer_of_die, squares) / cells_wafer
    die_variance, die_p = 0.0, float("nan")
    if free_dies > 0:
        effective = (n - in_wafer.sum()) / free_dies
        ratio = between_dies / free_dies / within
        die_p = float(stats.f.sf(ratio, free_dies, n - n_dies))
        die_variance = within * (ratio - 1.0) / effective if die_p < SIGNIFICANCE else 0.0
    wafer_variance, wafer_p = 0.0, float("nan")
    if free_wafers > 0:
        die_weight = (in_wafer.sum() - squares.sum() / n) / free_wafers
        wafer_weight = (n - float(np.sum(cells_wafer**2)) / n) / free_wafers
        expected = within + die_weight * die_variance
        ratio = between_wafers / free_wafers / expected
        # Dies are the units that wafers differ by; with none to compare, cells are.
        wafer_p = float(stats.f.sf(ratio, free_wafers, free_dies if free_dies > 0 else n - n_dies))
        wafer_variance = expected * (ratio - 1.0) / wafer_weight if wafer_p < SIGNIFICANCE else 0.0
    total = within + die_variance + wafer_variance
    return VarianceComponents(
        within / total, die_variance / total, wafer_variance / total, die_p, wafer_p, n_dies, n_wafers
    )
