"""Affine and re-linearised bit lines in float32, for many inputs: cells prepared once, solved by a C kernel.

Every cell is reduced to i = g - a v + c psi(v): its current g and slope a at an undisturbed bit line, and one number c
by which the curve psi, common to all cells, bends it. In weak inversion this is exact (all states have one shape); for
the states near moderate inversion c is the best fit. What it leaves is far below the 1e-4 that one re-linearisation
is meant to reach.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from circuits import native
from circuits.bit_line.checked import CellModel
from circuits.bit_line.kernels import solve_packed
from circuits.bit_line.transistor_cell import load_transistor_cell
from circuits.errors import CircuitError

DEGREE = 5
"""Of the polynomial psi(v) / v^2; the C source has the same number."""
MOST_ROWS = 144
"""Longest block of rows; the C source has the same number."""
MOST_BLOCKS = 12
"""Blocks of rows, in long lines, each of which is one cell for the second linearisation."""
LEAST_STATE = 1e-9
STATES, VOLTAGES, FINE = 257, 48, 8193


class HashableModel(CellModel, Hashable, Protocol):
    """A current law that can be remembered: two that are equal are the same cell."""


_SOURCE = Path(__file__).with_name("bit_line_affine.c")


class _AffineLines(ctypes.Structure):
    """``struct affine_lines`` of the C source."""

    _fields_ = (
        ("cells", ctypes.c_void_p * 3),
        ("weights", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("active", ctypes.c_void_p),
        ("batch", ctypes.c_int64),
        ("wire", ctypes.c_double),
        ("ground", ctypes.c_double),
        ("most_sum", ctypes.c_double),
        ("most_cell", ctypes.c_double),
        ("row_block", ctypes.c_int64),
        ("again", ctypes.c_int64),
        ("result", ctypes.c_void_p),
        ("packed", ctypes.c_void_p),
        ("most", ctypes.c_int64),
        ("blocks", ctypes.c_int64),
        ("stretch", ctypes.c_int64),
        ("growth", ctypes.c_double),
    )


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
            characteristic = _characteristic(cast(HashableModel, self.model), float(cells.max()))
            slope, curve, self.weights = characteristic.reduce(cells[used])
            self.slope[used] = cells[used] * slope
            self.curve[used] = cells[used] * curve
        self._most_sum = 1.001 * float(self.slope.sum(axis=0).max(initial=0.0))
        self._most_cell = float(self.slope.max(initial=0.0))

    def solve(
        self, active: NDArray[np.bool_], r_p_hat: float, *, again: bool, most: int = 3, r_in_hat: float = 0.0
    ) -> NDArray[Any] | None:
        """Solve with the compiled kernel, or return None where it is absent or the line too resistive for it.

        Args:
            active: shape (batch, rows), contiguous bool.
            r_p_hat: normalised wire resistance.
            again: linearise a second time at the voltages of the affine solution.
            most: 3 allows AVX-512 with VBMI2, 2 AVX-512 without, 1 AVX2 at most, 0 neither.
            r_in_hat: normalised resistance of the virtual ground.

        Returns:
            Currents, shape (batch, columns), float32.
        """
        library = native.load_library(_SOURCE)
        rows, columns = self.conductance.shape
        if library is None or columns == 0:
            return None
        result = np.empty((active.shape[0], columns), dtype=np.float32)
        # A multiple of 8 rows, 96 in a line of 1152: shorter lines are cut as finely.
        # Without wires all cells are at one voltage, and blocks may be as long as they can.
        cut = again and r_p_hat > 0
        row_block = 8 * int(np.clip(round(rows / (8 * MOST_BLOCKS)), 1, MOST_ROWS // 8)) if cut else MOST_ROWS
        cells = (self.conductance.ctypes.data, self.slope.ctypes.data, self.curve.ctypes.data)
        job = _AffineLines(
            (ctypes.c_void_p * 3)(*cells), self.weights.ctypes.data, rows, columns, active.ctypes.data,
            active.shape[0], r_p_hat, r_in_hat, self._most_sum, self._most_cell, row_block, int(again),
            result.ctypes.data, None, most,
        )  # fmt: skip
        return result if solve_packed(library, "", job, active.shape[0], 2 * self.conductance.size) else None


@dataclass(frozen=True)
class _Characteristic:
    """A cell's current over states at equal steps of ln g, from `low`, and over bit-line voltages.

    `slope` is a / g on a fine grid of states; `bent` is (i / g - 1 + (a / g) v) / v^2, shape (STATES, VOLTAGES).
    """

    low: float
    high: float
    slope: NDArray[np.float64]
    voltage: NDArray[np.float64]
    bent: NDArray[np.float64]

    def reduce(
        self, conductance: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return a / g and c / g of each cell and the coefficients of psi(v) / v^2 that suit these cells together."""
        # Below the lowest state all states have one shape.
        place = np.clip((np.log(conductance, dtype=np.float64) - self.low) / (self.high - self.low), 0.0, 1.0)
        place *= FINE - 1
        first = np.minimum(place.astype(np.intp), FINE - 2)
        share = place - first
        # The shape is that of the states that carry the current; each state takes as much of it as fits it best.
        carried = np.bincount(first // ((FINE - 1) // (STATES - 1)), weights=conductance, minlength=STATES)
        shape = np.linalg.eigh(self.bent.T @ (carried[:, None] * self.bent))[1][:, -1]
        curve = CubicSpline(np.arange(STATES), self.bent @ shape)(np.linspace(0, STATES - 1, FINE))
        slopes, curves = (table[first] + share * (table[first + 1] - table[first]) for table in (self.slope, curve))
        return slopes, curves, np.polynomial.polynomial.polyfit(self.voltage, shape, DEGREE)


def _characteristic(model: HashableModel, most: float) -> _Characteristic:
    """Characterise up to a round number of full currents if the cell can carry that, else up to what is needed."""
    try:
        return _characterise(model, float(np.exp(np.ceil(20 * np.log(max(most, 1.0))) / 20)))
    except CircuitError:
        return _characterise(model, most)


@functools.lru_cache(maxsize=32)
def _characterise(model: HashableModel, most: float) -> _Characteristic:
    grid = np.linspace(np.log(LEAST_STATE), np.log(most), STATES)
    state = model.prepare(np.minimum(np.exp(grid), most))
    current, slope = model.evaluate(state, 0.0)
    relative = slope / current
    # No affine line moves further than where its cells would carry nothing.
    furthest = min(1.0, 1.0 / float(relative.min()))
    v = furthest * (np.arange(VOLTAGES) + 1) / VOLTAGES
    bent = (model.evaluate(state[:, None], v)[0] / current[:, None] - 1 + relative[:, None] * v) / v**2
    fine = np.linspace(grid[0], grid[-1], FINE)
    return _Characteristic(float(grid[0]), float(grid[-1]), CubicSpline(grid, relative)(fine), v, bent)
