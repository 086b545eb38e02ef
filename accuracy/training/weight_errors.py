"""Error of a stored weight: mean and spread over cells, from the law of the cell and the form in which it is stored.

A weight integer I is stored as digits of cells, ``I = sum_s worth_s (d_s+ - d_s-) - offset``. A cell of digit d is
programmed to ``t_d = g_min + (1 - g_min) d / levels`` and conducts ``max(0, m_d + sigma_d z)`` with the cell's mean and
spread at t_d. What is read back is therefore I plus an error of mean and variance

    b(I) = sum_s worth_s levels / (1 - g_min) * (e_s+ - e_s-),    e = E[g] - t
    s(I)^2 = sum_s (worth_s levels / (1 - g_min))^2 * (Var[g_s+] + Var[g_s-])

with the moments of the normal distribution that is clipped at 0. Sums over cells are taken as normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from circuits import CoreDesign
from devicekit import Cell

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WeightErrors:
    """Error of each weight integer from -`largest` to `largest`, in weight integers; shapes (2 * largest + 1,).

    Attributes:
        largest: the largest magnitude of a weight integer.
        mean: of the error, b(I).
        spread: of the error over cells, s(I).
        mean_slope: derivative of the mean with respect to I.
        spread_slope: derivative of the spread.
    """

    largest: int
    mean: Floats
    spread: Floats
    mean_slope: Floats
    spread_slope: Floats


def clipped_normal(mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of max(0, mean + spread z), z standard normal."""
    positive = np.where(spread > 0, spread, 1.0)
    above = ndtr(mean / positive)
    density = np.exp(-0.5 * (mean / positive) ** 2) / np.sqrt(2.0 * np.pi)
    first = mean * above + spread * density
    second = (mean**2 + spread**2) * above + mean * spread * density
    sure = np.maximum(mean, 0.0)
    return np.where(spread > 0, first, sure), np.where(spread > 0, np.maximum(second - first**2, 0.0), 0.0)


def weight_errors(design: CoreDesign, cell: Cell | None) -> WeightErrors:
    """Return the error of every weight integer of a design on a cell, outliers and stuck cells aside.

    Derivatives are those of the law where a weight has one cell a line. Digits of sliced weights jump between
    neighbouring integers, and so does their error: its derivatives are 0.

    Args:
        design: how weights are stored.
        cell: as it is read; None for ideal cells.
    """
    code = design.weight_code
    integers = np.arange(-code.largest, code.largest + 1)
    nothing = np.zeros(integers.size)
    if cell is None:
        return WeightErrors(code.largest, nothing, nothing, nothing, nothing)
    g_min = 1.0 / cell.on_off_ratio
    targets = g_min + (1.0 - g_min) * np.arange(code.levels + 1) / float(code.levels)
    currents = targets * cell.i_max
    mean, variance = clipped_normal(cell.mean(currents) / cell.i_max, cell.sigma(currents) / cell.i_max)
    shift = mean - targets
    digits = code.digits(integers)
    worth = np.array(code.worth, dtype=np.float64) * code.levels / (1.0 - g_min)
    signs = np.array([1.0, -1.0])[: code.lines]
    bias = np.einsum("s,l,sli->i", worth, signs, shift[digits])
    if code.one_sign:
        bias = bias * np.sign(integers)
    spread = np.sqrt(np.einsum("s,sli->i", worth**2, variance[digits]))
    if code.slices > 1:
        return WeightErrors(code.largest, bias, spread, nothing, nothing)
    return WeightErrors(code.largest, bias, spread, np.gradient(bias), np.gradient(spread))
