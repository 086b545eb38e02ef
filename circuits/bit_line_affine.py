"""Affine and re-linearised bit lines in float32, for many inputs: cells prepared once, solved by a C kernel.

Every cell is reduced to i = g - a v + c psi(v): its current g and slope a at an undisturbed bit line, and one number c
by which the curve psi, common to all cells, bends it. In weak inversion this is exact (all states have one shape); for
the states near moderate inversion c is the best fit. What it leaves is far below the 1e-4 that one re-linearisation
is meant to reach.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from circuits import native
from circuits.bit_line_cells import CellModel
from circuits.errors import CircuitError
from circuits.transistor_cell import load_transistor_cell

DEGREE = 5
"""Of the polynomial psi(v) / v^2; the C source has the same number."""
MOST_BLOCKS = 24
"""Blocks of rows on which the voltages for the second linearisation are found, in long lines."""
STATES, VOLTAGES = 257, 48

_SOURCE = Path(__file__).with_name("bit_line_affine.c")


class PreparedCells:
    """Cells of one array reduced to what affine and re-linearised bit lines need; takes the place of a conductance.

    Args:
        conductance: target currents at V_D in units of the full current, shape (rows, columns).
        model: the cells' current law; None for the bundled SONOS cell with its source on the bit line.

    Attributes:
        conductance: float32, shape (rows, columns).
        slope: minus the current's derivative by the voltage at rest, in units of the full current and V_D; same shape.
        curve: c of each cell; same shape.
        weights: coefficients of psi(v) / v^2, lowest first.
        model: the current law.

    Raises:
        CircuitError: conductances that are no matrix, negative, not finite, or more than the cell can carry.
    """

    def __init__(self, conductance: ArrayLike, model: CellModel | None = None) -> None:
        cells = np.ascontiguousarray(conductance, dtype=np.float32)
        if cells.ndim != 2 or cells.shape[0] == 0:
            raise CircuitError(f"Expected `conductance` of shape (rows, columns), but got shape {cells.shape}.")
        if cells.size and not (cells.min() >= 0 and np.isfinite(cells.max())):
            raise CircuitError("Expected `conductance` to be finite and at least 0 everywhere.")
        self.conductance = cells
        self.model: CellModel = load_transistor_cell() if model is None else model
        self.slope = np.zeros_like(cells)
        self.curve = np.zeros_like(cells)
        self.weights = np.zeros(DEGREE + 1)
        used = cells > 0
        if used.any():
            logarithm = np.log(cells[used].astype(np.float64))
            slope, curve, self.weights = _reduce(self.model, float(logarithm.min()), float(logarithm.max()))
            self.slope[used] = cells[used] * slope(logarithm)
            self.curve[used] = cells[used] * curve(logarithm)
        self._most_sum = 1.001 * float(self.slope.sum(axis=0).max(initial=0.0))
        self._most_cell = float(self.slope.max(initial=0.0))

    def solve(self, active: NDArray[np.bool_], r_p_hat: float, *, again: bool, most: int = 2) -> NDArray[Any] | None:
        """Solve with the compiled kernel, or return None where it is absent or the line too resistive for it.

        Args:
            active: shape (batch, rows), contiguous bool.
            r_p_hat: normalised wire resistance, above 0.
            again: linearise a second time at the voltages of the affine solution.
            most: 2 allows AVX-512, 1 AVX2 at most, 0 neither.

        Returns:
            Currents, shape (batch, columns), float32.
        """
        library = native.load_library(_SOURCE)
        rows, columns = self.conductance.shape
        if library is None or columns == 0:
            return None
        pointer, count, real, flag = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_int
        solve = library.solve_affine
        shape = (count, count, pointer, count)
        solve.argtypes = (pointer, pointer, pointer, pointer, *shape, real, real, real, count, flag, pointer, flag)
        result = np.empty((active.shape[0], columns), dtype=np.float32)
        # A multiple of 8 rows, 48 in long lines: short lines are cut as finely.
        row_block = 8 * int(np.clip(round(rows / (8 * MOST_BLOCKS)), 1, 6))
        status = solve(
            self.conductance.ctypes.data,
            self.slope.ctypes.data,
            self.curve.ctypes.data,
            self.weights.ctypes.data,
            rows,
            columns,
            active.ctypes.data,
            active.shape[0],
            r_p_hat,
            self._most_sum,
            self._most_cell,
            row_block,
            int(again),
            result.ctypes.data,
            most,
        )
        return result if status == 0 else None


def _reduce(model: CellModel, low: float, high: float) -> tuple[CubicSpline, CubicSpline, NDArray[np.float64]]:
    """Fit a(ln g) / g, c(ln g) / g and psi between two logarithms of the target current."""
    grid = np.linspace(low, max(high, low + 1e-3), STATES)
    # The grid of a single state is widened for the spline only: the cell may be unable to carry more.
    target = np.exp(np.minimum(grid, high))
    state = model.prepare(target)
    current, slope = model.evaluate(state, 0.0)
    relative_slope = slope / current
    # No affine line moves further than where its cells would carry nothing.
    furthest = min(1.0, 1.0 / float(relative_slope.min()))
    v = furthest * (np.arange(VOLTAGES) + 1) / VOLTAGES
    bent = (model.evaluate(state[:, None], v)[0] / current[:, None] - 1 + relative_slope[:, None] * v) / v**2
    left, strength, right = np.linalg.svd(bent, full_matrices=False)
    weights = np.polynomial.polynomial.polyfit(v, right[0], DEGREE)
    return CubicSpline(grid, relative_slope), CubicSpline(grid, left[:, 0] * strength[0]), weights
