"""Mean and variance of the errors of stored weights, by the weight's place between minus and plus full scale.

A design stores the weight ``w = c s``, s the full scale, as the integer ``I = rint(c largest)``. What is read back is
``(I + b(I) + error) s / largest`` with the moments of `accuracy.training.weight_errors`, here for cells with outliers,
stuck cells, flipped columns and dies as well. Everything is in units of the full scale s, at the centres of `BINS`
equal bins of c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accuracy.training.weight_errors import clipped_normal
from circuits import CoreDesign, Faults
from devicekit import Cell

Floats = NDArray[np.float64]

SIDE = 127
"""Bins on either side of the one at 0: one for each integer of an 8-bit weight."""
BINS = 2 * SIDE + 1
_TAIL_POINTS = 512


@dataclass(frozen=True, eq=False)
class WeightMoments:
    """Errors of stored weights in units of the full scale; arrays of shape (BINS,).

    Attributes:
        rounding: mean error of rounding to the design's integers.
        rounding_variance: of what the bins do not resolve of it.
        mean: mean error of the cells, programming and age.
        variance: over cells, independent from weight to weight.
        common: error of one spread of the die that all cells share; zeros where cells are independent.
        unit_variance: variance over cells of what a row of a unit column stores; 0 without one.
    """

    rounding: Floats
    rounding_variance: float
    mean: Floats
    variance: Floats
    common: Floats
    unit_variance: float


def bin_centres() -> Floats:
    """Return the weights that bins stand for, as fractions of full scale; shape (BINS,)."""
    return np.arange(-SIDE, SIDE + 1) / SIDE


def weight_moments(
    design: CoreDesign, cell: Cell | None, faults: Faults | None = None, flipped: Sequence[float] = ()
) -> WeightMoments:
    """Return the moments of the errors of a design's weights.

    Args:
        design: how weights are stored.
        cell: as it is read; None for ideal cells.
        faults: stuck cells.
        flipped: share of the columns that store complements, for each slice; empty for none.
    """
    code, centres = design.weight_code, bin_centres()
    integers = np.rint(centres * code.largest).astype(np.int64)
    rounding = integers / code.largest - centres
    unresolved = min(1.0 / SIDE, 1.0 / code.largest) ** 2 / 12.0
    nothing = np.zeros(BINS)
    if cell is None and faults is None:
        return WeightMoments(rounding, unresolved, nothing, nothing, nothing, 0.0)
    g_min = 0.0 if cell is None else 1.0 / cell.on_off_ratio
    targets: Floats = g_min + (1.0 - g_min) * np.arange(code.levels + 1, dtype=np.float64) / code.levels
    shift, variance, shared = _cell_moments(targets, cell, faults)
    digits = code.digits(integers)
    worth = np.array(code.worth, dtype=np.float64) * code.levels / (1.0 - g_min) / code.largest
    signs = np.array([1.0, -1.0])[: code.lines]
    share = np.zeros(code.slices) if not len(flipped) else np.asarray(flipped, dtype=np.float64)

    def signed(moment: Floats) -> Floats:
        plain, other = moment[digits], moment[code.complement(digits)] if share.any() else 0.0
        mixed = (1.0 - share)[:, None, None] * plain - share[:, None, None] * other
        summed = np.einsum("s,l,sli->i", worth, signs, mixed)
        return np.asarray(summed * np.sign(integers) if code.one_sign else summed)

    def squared(moment: Floats) -> Floats:
        plain, other = moment[digits], moment[code.complement(digits)] if share.any() else 0.0
        mixed = (1.0 - share)[:, None, None] * plain + share[:, None, None] * other
        return np.asarray(np.einsum("s,sli->i", worth**2, mixed))

    mean, spread = signed(shift), squared(variance)
    unit = 0.0
    if code.unit_column:
        # What a unit column reads is subtracted: its mean error cancels that of every cell, its spread does not.
        mean, unit = mean - mean[SIDE], float(spread[SIDE])
    return WeightMoments(rounding, unresolved, mean, spread, signed(shared), unit)


def _cell_moments(targets: Floats, cell: Cell | None, faults: Faults | None) -> tuple[Floats, Floats, Floats]:
    """Return mean error, variance over cells and spread that a die shares, of cells of some targets (G_max = 1)."""
    first, second, shared = targets, targets**2, np.zeros(targets.size)
    if cell is not None:
        currents = targets * cell.i_max
        centre, spread = cell.mean(currents) / cell.i_max, np.asarray(cell.sigma(currents) / cell.i_max)
        if cell.spatial is not None and cell.die_deviate is None:
            shared = spread * np.sqrt(1.0 - cell.spatial.within)
            spread = spread * np.sqrt(cell.spatial.within)
        mean, variance = clipped_normal(centre, spread)
        first, second = mean, variance + mean**2
        if cell.tail is not None and cell.tail.fraction > 0:
            share = cell.tail.fraction
            if cell.tail.shape == "uniform":
                outer_first, outer_second = np.full(targets.size, 0.5), np.full(targets.size, 1.0 / 3.0)
            else:
                places = (np.arange(_TAIL_POINTS) + 0.5) / _TAIL_POINTS * share
                found = np.maximum(centre[:, None] + spread[:, None] * cell.tail.deviates(places)[None, :], 0.0)
                outer_first, outer_second = found.mean(axis=1), (found**2).mean(axis=1)
            first = (1.0 - share) * first + share * outer_first
            second = (1.0 - share) * second + share * outer_second
    if faults is not None:
        low, high, lowest = faults.stuck_low, faults.stuck_high, float(targets[0])
        first = (1.0 - low - high) * first + low * lowest + high
        second = (1.0 - low - high) * second + low * lowest**2 + high
    return first - targets, np.maximum(second - first**2, 0.0), shared
